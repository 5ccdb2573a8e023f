//! What is written agrees with the crate. In docs/SWOOLE.md each counterpart is used in a test, an example or a doc
//! test, and each row without one gives a reason. Each method of the server has a command, or `Command` says why not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/SWOOLE.md";
const COMMANDS: &str = "src/server/state/command.rs";
/// A reason has at least so many words.
const REASON_WORDS_MIN: usize = 3;

#[test]
fn each_counterpart_is_used_and_each_gap_has_a_reason() {
    let used = used_words();
    let root = read("src/lib.rs");
    let exported: BTreeSet<_> =
        root.lines().filter(|line| line.starts_with("pub use ")).flat_map(words).collect();
    let mut wrong = Vec::new();
    for (line, [theirs, ours, remark]) in rows(&read(PAGE)) {
        let names = code_spans(ours);
        if code_spans(theirs).is_empty() && theirs.split_whitespace().count() < 1 {
            wrong.push(format!("{line}: the row is of nothing"));
        }
        if names.is_empty() {
            let is_gap = ours == "–" && remark.split_whitespace().count() >= REASON_WORDS_MIN;
            if !is_gap {
                wrong.push(format!("{line}: {theirs}: neither a counterpart nor a reason"));
            }
        }
        // What a remark names is promised as much.
        let remarked = code_spans(remark).into_iter().filter(|name| is_ours(name));
        for name in names.into_iter().chain(remarked) {
            // A path's last word is used somewhere; what is before it is a type of the crate.
            let mut path: Vec<_> = words(name).collect();
            let last = path.pop().unwrap_or_default();
            if !used.contains(last) || path.iter().any(|of| !exported.contains(of)) {
                wrong.push(format!("{line}: `{name}` is used nowhere"));
            }
        }
    }
    assert!(wrong.is_empty(), "{PAGE}:\n  {}", wrong.join("\n  "));
}

#[test]
fn all_callbacks_have_their_place() {
    let page = read(PAGE);
    let ours: BTreeSet<_> =
        rows(&page).into_iter().flat_map(|(_, [_, ours, _])| code_spans(ours)).flat_map(words).collect();
    let handler = read("src/server/api/handler.rs");
    let callbacks = handler.lines().filter_map(|line| line.trim_start().strip_prefix("fn on_"));
    let callbacks = callbacks.filter_map(|line| line.split('(').next()).map(|name| format!("on_{name}"));
    let callbacks: BTreeSet<_> =
        callbacks.filter(|name| name.chars().all(|c| c == '_' || c.is_ascii_lowercase())).collect();
    assert!(callbacks.len() > 15, "the callbacks are elsewhere: {callbacks:?}");
    // Those that nothing of Swoole's corresponds to.
    let own = ["on_deadline", "on_output", "on_subscribe", "on_timer", "on_topic"];
    let missing: Vec<_> =
        callbacks.iter().filter(|name| !ours.contains(&***name) && !own.contains(&&***name)).collect();
    assert!(missing.is_empty(), "{PAGE} does not name {missing:?}");
}

#[test]
fn each_verb_is_a_command_or_has_a_reason_not_to_be_one() {
    let verbs: BTreeSet<String> = files("src")
        .iter()
        .filter(|path| path.ends_with(".rs"))
        .flat_map(|path| methods_of_the_server(&read(path)))
        .collect();
    assert!(verbs.len() > 60, "the verbs are elsewhere: {verbs:?}");
    let file = read(COMMANDS);
    let (doc, variants) = file.split_once("pub enum Command {\n").expect("the commands are there");
    let mut places = BTreeMap::<&str, Vec<&str>>::new();
    for (variant, verb) in verbs_of_the_variants(variants) {
        match verb {
            Some(verb) => places.entry(verb).or_default().push(variant),
            None => panic!("{COMMANDS}: {variant} does not begin with the method that it is"),
        }
    }
    for (reason, names) in reasons(doc) {
        assert!(reason.split_whitespace().count() >= REASON_WORDS_MIN, "{COMMANDS}: {names:?}: why not?");
        names.iter().for_each(|name| places.entry(name).or_default().push(reason));
    }
    let mut wrong = Vec::new();
    for verb in verbs.iter().filter(|verb| !places.contains_key(verb.as_str())) {
        wrong.push(format!("Server::{verb} is no command, and the doc of Command gives no reason"));
    }
    for (verb, places) in &places {
        if !verbs.contains(*verb) {
            wrong.push(format!("there is no Server::{verb}, named by {places:?}"));
        } else if places.len() > 1 {
            wrong.push(format!("Server::{verb} has several places: {places:?}"));
        }
    }
    assert!(wrong.is_empty(), "{COMMANDS}:\n  {}", wrong.join("\n  "));
}

#[test]
fn the_programs_are_those_that_run() {
    let page = read("docs/PROGRAMS.md");
    let mut programs = files("examples/programs");
    programs.sort();
    let names: Vec<_> = programs.iter().filter(|path| path.ends_with(".rs")).collect();
    assert_eq!(page.matches("```rust\n").count(), names.len(), "a block for each of {names:?}");
    for path in &programs {
        let text = read(path);
        let (kind, code) = match path.ends_with(".rs") {
            true => ("rust", &text[text.find("use ").expect("a program of the crate")..]),
            false => ("html", &*text),
        };
        assert!(page.contains(&format!("```{kind}\n{code}```\n")), "docs/PROGRAMS.md has another {path}");
    }
}

#[test]
fn rows_and_code_are_read_as_they_are_meant() {
    let text = "| a | b | c |\n|---|---|---|\n| `x \\| y` | `Server::push`, `on_open` | why |\n\ntext | x\n";
    let rows = rows(text);
    assert_eq!(rows, [(3, ["`x \\| y`", "`Server::push`, `on_open`", "why"])]);
    assert_eq!(code_spans(rows[0].1[1]), ["Server::push", "on_open"]);
    assert_eq!(words("Server::push").collect::<Vec<_>>(), ["Server", "push"]);
    let doc = "//! Not this.\n//! ```\n//! this(); // but not that\n//! ```\nfn nor_this() {}\n";
    assert_eq!(doc_tests(doc), "this(); // but not that\n");
    assert_eq!(
        without_comments("this(); // but not that\nurl(\"http://x\");"),
        "this(); \nurl(\"http://x\");\n"
    );
}

#[test]
fn verbs_are_found_where_they_are() {
    let text = "impl Server {\n    pub fn one(&self) {}\n    pub(crate) fn two(&self) {\n        pub fn x() {}\n    }\n}\n\
                impl Other {\n    pub fn three(&self) {}\n}\nimpl crate::Server {\n    pub const fn four() {}\n}\n";
    assert_eq!(methods_of_the_server(text), ["one", "four"]);
    let variants = "    /// [`Server::push`](crate::Server::push). And\n    /// [`Server::x`](crate::Server::x).\n    \
                    Push {\n        /// The text.\n        text: String,\n    },\n    /// No link.\n    Stats,\n}\n";
    assert_eq!(verbs_of_the_variants(variants), [("Push", Some("push")), ("Stats", None)]);
    let doc = "/// [`run`](crate::Server::run) is no item.\n///\n/// - Why not: [`one`](crate::Server::one),\n\
               ///   [`two`](crate::Server::two). But [`Server`](crate::Server).\n/// - [`x`](crate::Server::x)\n";
    assert_eq!(reasons(doc), [("Why not:", vec!["one", "two"]), ("", vec!["x"])]);
}

/// The names of the public methods in the blocks `impl Server` of a file.
fn methods_of_the_server(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_server = false;
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("impl ").and_then(|rest| rest.strip_suffix(" {")) {
            is_server = of.trim_start_matches("crate::") == "Server";
        } else if is_server
            && let Some(signature) = line.strip_prefix("    pub ")
            && let Some((_, name)) = signature.split_once("fn ")
        {
            names.extend(words(name).next().map(str::to_owned));
        }
    }
    names
}

/// Each variant, and the method that its documentation begins with.
fn verbs_of_the_variants(variants: &str) -> Vec<(&str, Option<&str>)> {
    let mut found = Vec::new();
    let mut first = None;
    for line in variants.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(doc) = line.strip_prefix("/// ") {
            first.get_or_insert(doc);
        } else if line.starts_with(char::is_uppercase) {
            let doc = first.take().unwrap_or_default();
            let verb = doc.strip_prefix("[`Server::").and_then(|rest| words(rest).next());
            found.extend(words(line).next().map(|variant| (variant, verb)));
        }
    }
    found
}

/// The list in a documentation: what each item says before its first link, and the methods of the server that it links.
fn reasons(doc: &str) -> Vec<(&str, Vec<&str>)> {
    let lines = doc.split_once("\n/// - ").map_or("", |(_, list)| list);
    let items = lines.split("\n/// - ").map(|item| {
        let names = item.split("](crate::Server::").skip(1).filter_map(|rest| words(rest).next()).collect();
        (item.split('[').next().unwrap_or_default().trim(), names)
    });
    items.collect()
}

/// The rows of all tables, without their heads: line and cells.
fn rows(text: &str) -> Vec<(usize, [&str; 3])> {
    let mut rows = Vec::new();
    let mut is_body = false;
    for (number, line) in text.lines().enumerate() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            is_body = false;
            continue;
        };
        if row.starts_with("---") {
            is_body = true;
        } else if is_body {
            let cells = cells(row);
            let cells = <[&str; 3]>::try_from(cells).unwrap_or_else(|cells| {
                panic!("{PAGE}:{}: {} cells instead of 3", number + 1, cells.len());
            });
            rows.push((number + 1, cells));
        }
    }
    assert!(!rows.is_empty(), "no tables");
    rows
}

/// Cut at bars that are not escaped.
fn cells(row: &str) -> Vec<&str> {
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in row.match_indices('|').filter(|(at, _)| !row[..*at].ends_with('\\')) {
        cells.push(row[start..at].trim());
        start = at + 1;
    }
    cells.push(row[start..].trim());
    cells
}

/// What stands between backquotes.
fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c != '_' && !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether a name in a remark is the crate's: a path of its types, a callback or a setting.
fn is_ours(name: &str) -> bool {
    let types = [
        "Server",
        "ClientInfo",
        "Handle",
        "Handshake",
        "Response",
        "Request",
        "Builder",
        "PushError",
        "Opcode",
        "Frame",
    ];
    name.starts_with("on_")
        || types.iter().any(|of| name.strip_prefix(of).is_some_and(|rest| rest.starts_with("::")))
}

/// The words of everything that runs or is compiled as an example of use.
fn used_words() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for file in files("tests").into_iter().chain(files("examples")) {
        let is_this = file.ends_with("documents.rs") || file.ends_with("tidy.rs");
        if file.ends_with(".rs") && !is_this {
            texts.push(without_comments(&read(&file)));
        } else if file.ends_with(".toml") {
            texts.push(
                read(&file).lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"),
            );
        }
    }
    for file in files("src") {
        if file.ends_with(".rs") {
            texts.push(without_comments(&doc_tests(&read(&file))));
        }
    }
    texts.iter().flat_map(|text| words(text)).map(str::to_owned).collect()
}

/// The insides of the fenced blocks of a file's documentation.
fn doc_tests(text: &str) -> String {
    let mut code = String::new();
    let mut is_code = false;
    for line in text.lines().map(str::trim_start) {
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            is_code = false;
            continue;
        };
        let doc = doc.strip_prefix(' ').unwrap_or(doc);
        if doc.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            code.push_str(doc);
            code.push('\n');
        }
    }
    code
}

fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| {
        let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
        comment.map_or(line, |(at, _)| &line[..at])
    });
    code.flat_map(|line| [line, "\n"]).collect()
}

fn files(dir: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(in_crate(&dir)).unwrap_or_else(|error| panic!("{dir}: {error}")) {
            let entry = entry.expect("readable");
            let path = format!("{dir}/{}", entry.file_name().to_str().expect("names are UTF-8"));
            let is_foreign = path.ends_with("node_modules");
            if entry.file_type().expect("readable").is_dir() && !is_foreign {
                dirs.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(in_crate(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn in_crate(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
