//! The files of the crate as the rules see them: code apart from comments, literals and tests.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) struct Source {
    /// From the crate's root.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and the insides of literals blanked out, line for line.
    pub(crate) code: String,
    /// The code with everything under `#[cfg(test)]` blanked out as well.
    pub(crate) shipped: String,
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Source {
        let code = blank_comments_and_literals(&text);
        let shipped = blank_tests(&code);
        Source { path, text, code, shipped }
    }

    /// Wholly test code, though it does not say so itself.
    pub(crate) fn is_test_file(&self) -> bool {
        self.path.starts_with("src/tests/") || self.path.ends_with("tests.rs")
    }

    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    pub(crate) fn test_lines(&self) -> usize {
        let is_test = |(code, shipped): &(&str, &str)| !code.trim().is_empty() && shipped.trim().is_empty();
        let last = self.shipped.trim_end().lines().count();
        let after = self.code.lines().count() - last;
        self.code.lines().zip(self.shipped.lines()).take(last).filter(is_test).count() + after
    }
}

/// Line and name of each type and trait that is defined. Associated types are not: they stand within an item.
pub(crate) fn types(code: &str) -> Vec<(usize, String)> {
    let mut types = Vec::new();
    for keyword in ["struct", "enum", "union", "trait", "type"] {
        for at in words(code, keyword) {
            let before = code[..at].rsplit('\n').next().unwrap_or_default();
            let name: String =
                code[at + keyword.len()..].trim_start().chars().take_while(|c| is_word(*c)).collect();
            let is_associated =
                keyword == "type" && !["", "pub ", "pub(crate) ", "pub(super) "].contains(&before);
            if name.starts_with(char::is_uppercase) && !is_associated {
                types.push((line_of(code, at), name));
            }
        }
    }
    types
}

/// Line, name and number of lines of each function that has a body.
pub(crate) fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let mut functions = Vec::new();
    for at in words(code, "fn") {
        let name: String = code[at + 2..].trim_start().chars().take_while(|c| is_word(*c)).collect();
        let end = end_of_item(code, at);
        if !name.is_empty() && code[..end].ends_with('}') {
            functions.push((line_of(code, at), name, code[at..end].lines().count()));
        }
    }
    functions
}

fn blank_tests(code: &str) -> String {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut shipped = code.to_owned();
    while let Some(start) = shipped.find(ATTRIBUTE) {
        let mut item = start + ATTRIBUTE.len();
        // Further attributes belong to the same item.
        while let Some(attribute) = shipped[item..].trim_start().strip_prefix("#[") {
            item = shipped.len() - attribute.len() + attribute.find(']').map_or(0, |end| end + 1);
        }
        let end = end_of_item(&shipped, item);
        let blank = blanked(&shipped[start..end]);
        shipped.replace_range(start..end, &blank);
    }
    shipped
}

/// Behind the `;` or the closing brace that ends the item at `start`.
pub(crate) fn end_of_item(code: &str, start: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[start..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if (depth == 0 && (c == ';' || c == '}')) || depth < 0 {
            return start + at + 1;
        }
    }
    code.len()
}

/// Enough of Rust's lexical grammar to tell code from all else.
fn blank_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = code.chars().next_back();
        let is_raw =
            |prefix: &str| rest.starts_with(prefix) && before.is_none_or(|c| !is_word(c) || c == 'b');
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if is_raw("r\"") || is_raw("r#\"") || is_raw("r##\"") {
            let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
            let close = format!("\"{}", "#".repeat(hashes));
            let open = 2 + hashes;
            rest[open..].find(&close).map_or(rest.len(), |at| open + at + close.len())
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            quoted(rest, '\'')
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push_str(&blanked(&rest[..len]));
        rest = &rest[len..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match text[at..].split_at_checked(2) {
            Some(("/*", _)) => (depth, at) = (depth + 1, at + 2),
            Some(("*/", _)) if depth == 1 => return at + 2,
            Some(("*/", _)) => (depth, at) = (depth - 1, at + 2),
            _ => match text[at..].chars().next() {
                Some(c) => at += c.len_utf8(),
                None => return at,
            },
        }
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Blanks of the same length in bytes, with the same line ends.
fn blanked(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// Where `word` stands by itself.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let behind = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !behind.is_some_and(is_word)
    })
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// All Rust files under a directory of the crate.
pub(crate) fn sources(dir: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(Path::new(dir), &mut files);
    files.retain(|file| file.ends_with(".rs"));
    assert!(!files.is_empty(), "no Rust files in {dir}");
    files.into_iter().map(|file| Source::new(file.clone(), read(&file))).collect()
}

pub(crate) fn walk(path: &Path, files: &mut Vec<String>) {
    if in_crate(path).is_dir() {
        list(path).iter().for_each(|entry| walk(Path::new(entry), files));
    } else {
        files.push(path.to_str().expect("names are UTF-8").replace('\\', "/"));
    }
}

/// What is in a directory, sorted, as paths from the crate's root. What the directory's owner left beside the
/// crate's own files, such as installed packages, is not looked at.
pub(crate) fn list(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(in_crate(dir)).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut names: Vec<String> = entries
        .map(|entry| dir.join(entry.expect("readable").file_name()))
        .map(|path| path.to_str().expect("names are UTF-8").replace('\\', "/"))
        .filter(|path| !path.ends_with("node_modules") && !path.ends_with("__pycache__"))
        .filter(|path| !["fuzz/target", "fuzz/artifacts", "fuzz/coverage"].contains(&&**path))
        .collect();
    names.sort();
    names
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(in_crate(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn in_crate(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn code_is_told_from_comments_literals_and_tests() {
    let text = r##"
use crate::{net::x, codec}; // crate::server
/* crate::a /* nested */ */ use super::super::fd;
const A: (&str, char, &str) = ("crate::b \" // ", '"', r#"crate::c"#);
fn life<'a>(x: &'a [u8; 3]) -> &'a [u8] { use super::y; x }
#[cfg(test)]
#[path = "x.rs"]
fn only_tests(x: [u8; 3]) { crate::d::e(); }
fn last() {}
pub(crate) enum Kind<T> { One(T) }
impl Deref for Type { type Target = u8; }
"##;
    let source = Source::new("src/net/deep.rs".into(), text.into());
    let functions: Vec<_> =
        functions(&source.code).into_iter().map(|(_, name, lines)| (name, lines)).collect();
    assert_eq!(functions, [("life".into(), 1), ("only_tests".into(), 1), ("last".into(), 1)]);
    assert_eq!(types(&source.shipped), [(10, "Kind".into())]);
    assert_eq!(source.test_lines(), 3);
}
