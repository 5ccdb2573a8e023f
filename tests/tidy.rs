//! The house rules, as tests: what may name what, how large things grow, what may not be in the code.
//! Each test is one rule and lists every place that breaks it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FILE_LINES_MAX: usize = 450;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 120;

/// What each module of the crate may name. Dependencies point downwards; `net` and `codec` do not know each
/// other. Test code may look wherever it wants.
const LAYERS: [(&str, &[&str]); 11] = [
    ("fd", &["fd", "error", "config"]),
    ("error", &["fd", "error", "config"]),
    ("config", &["fd", "error", "config"]),
    ("codec", &["codec", "fd", "error", "config"]),
    ("net", &["net", "sim", "fd", "error", "config"]),
    ("random", &["random"]),
    ("panics", &["panics"]),
    ("session", &["session", "net", "codec", "random", "panics", "fd", "error", "config"]),
    ("server", &["server", "session", "net", "codec", "random", "panics", "fd", "error", "config"]),
    ("client", &["client", "server", "session", "net", "codec", "random", "panics", "fd", "error", "config"]),
    ("sim", &["sim", "fd", "error"]),
];
/// What each part of `server` may name of it, from the lowest up. `""` is `server/mod.rs` itself.
const SERVER_PARTS: [(&str, &[&str]); 6] = [
    ("state", &["state"]),
    ("", &["state"]),
    ("api", &["api", "state", ""]),
    ("verbs", &["verbs", "api", "state", ""]),
    ("dispatch", &["dispatch", "verbs", "api", "state", ""]),
    ("start", &["start", "dispatch", "api", "state", ""]),
];
/// Modules on top of everything: for the crate's own benches and fuzz targets.
const UNLAYERED: [&str; 2] = ["bench", "fuzzing"];

/// Names of mio's outside of `net`: preparing a server makes the poller and the waker, benches make up readiness.
const MIO_ALLOWED: [(&str, &[&str]); 2] =
    [("src/server/start/prepared.rs", &["Poll", "Waker"]), ("src/bench.rs", &["Token"])];
/// Names that several types have, and why.
const SHARED_NAMES: [(&str, &str); 13] = [
    ("Connection", "users see client::blocking::Connection, and never the reactor's"),
    ("Turns", "what users are told, and what it is measured with"),
    ("Prepared", "users see the message, and never the server that is about to start"),
    ("Pool", "of threads, and of outboxes"),
    ("Phase", "of a turn's end, and of a session"),
    // One of them at least is private to its file.
    ("Entry", "of a history; of the table of addresses"),
    ("Kind", "of a connection; of an item in an outbox"),
    ("Link", "users see that of a client; the others join slots of a list"),
    ("Network", "users see that of the configuration; the other is a key of the table of addresses"),
    ("Place", "in a history; in the mailbox"),
    ("Shared", "what the two ends of a channel own together"),
    ("Step", "what one step of a decoder gives"),
    ("Timer", "what is due; an entry of the heap"),
];
const SOCKET_TYPES: [&str; 7] =
    ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "UnixDatagram", "socket2"];

#[test]
fn layers_name_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test_file()) {
        let module = source.module();
        let Some(layer) = module.first().filter(|layer| !UNLAYERED.contains(&layer.as_str())) else {
            continue;
        };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == layer) else {
            wrong.push(format!("{}: give the module `{layer}` its place in LAYERS", source.path));
            continue;
        };
        for (line, named) in crate_paths(&source.shipped, &module) {
            if named.starts_with(char::is_uppercase) {
                wrong.push(format!("{}:{line}: names crate::{named}; name its module", source.path));
            } else if !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}:{line}: `{layer}` may not name `{named}`", source.path));
            }
        }
    }
    none("Each layer names only what is below it (LAYERS in this file)", &wrong);
}

#[test]
fn the_parts_of_the_server_name_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test_file()) {
        let module = source.module();
        let Some(("server", own)) = module.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
            continue;
        };
        let own = own.first().map_or("", |part| part.as_str());
        let Some((_, allowed)) = SERVER_PARTS.iter().find(|(name, _)| *name == own) else {
            wrong.push(format!("{}: give `{own}` its place in SERVER_PARTS", source.path));
            continue;
        };
        let supers = "super::".repeat(module.len() - 1);
        let mut paths = paths_from("crate::server", &source.shipped);
        if let Some(root) = supers.strip_suffix("::") {
            paths.extend(paths_from(root, &source.shipped));
        }
        for (line, named) in paths {
            // What is defined in mod.rs.
            let named =
                if named.starts_with(char::is_lowercase) && named != "later" { named } else { String::new() };
            if !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}:{line}: `{own}` may not name `{named}`", source.path));
            }
        }
    }
    none("Each part of the server names only what is below it (SERVER_PARTS in this file)", &wrong);
}

#[test]
fn only_net_touches_sockets() {
    let mut wrong = Vec::new();
    let is_outside = |source: &&Source| !source.path.starts_with("src/net/") && !source.is_test_file();
    for source in sources("src").iter().filter(is_outside) {
        let allowed =
            MIO_ALLOWED.iter().find(|(path, _)| *path == source.path).map_or(&[][..], |(_, names)| names);
        for (line, named) in paths_from("mio", &source.shipped) {
            if !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}:{line}: mio::{named}", source.path));
            }
        }
        for name in SOCKET_TYPES {
            let found = words(&source.shipped, name);
            wrong.extend(found.map(|at| format!("{}:{}: {name}", source.path, line_of(&source.shipped, at))));
        }
    }
    none("Sockets are the business of net; others may know addresses", &wrong);
}

#[test]
fn each_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for source in
        sources("src").iter().chain(&sources("tests")).chain(&sources("benches")).chain(&sources("fuzz"))
    {
        let lines = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        // The crate's own documentation is as long as it needs to be, and so is a bench's on its method.
        let most =
            if source.path == "src/lib.rs" || !source.path.starts_with("src/") { usize::MAX } else { 6 };
        if lines == 0 || lines > most {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
    }
    none("A file opens with 1 to 6 lines of //! that say what it is for", &wrong);
}

#[test]
fn each_type_has_a_name_of_its_own() {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for source in sources("src").iter().filter(|source| !source.is_test_file()) {
        let module = source.module();
        // What is there for benches has the name of what it wraps.
        if module.first().is_some_and(|layer| UNLAYERED.contains(&layer.as_str())) {
            continue;
        }
        for (line, name) in types(&source.shipped) {
            found.entry(name).or_default().push(format!("{}:{line}", source.path));
        }
    }
    let is_shared = |name: &str| SHARED_NAMES.iter().any(|(shared, _)| *shared == name);
    let wrong: Vec<_> = found
        .iter()
        .filter(|(name, places)| places.len() > 1 && !is_shared(name))
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    none("Each type has a name of its own (or a reason in SHARED_NAMES in this file)", &wrong);
}

/// The server's own long polling shows that what applications have for transports of their own is enough.
#[test]
fn long_polling_is_written_on_public_functions() {
    /// A token belongs to the page's protocol, the mark `is_poll` is set in opening, and who has output is answered
    /// without waiting.
    const INTERNAL: [&str; 3] = ["open_socketless", "tokens", "has_output"];
    let polling = sources("src").into_iter().find(|source| source.path.ends_with("dispatch/polling.rs"));
    let text = polling.expect("long polling has a file of its own").shipped;
    let names = text.split("server.sessions").skip(1).map(|rest| {
        let rest = rest.trim_start_matches('.');
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
    });
    let wrong: Vec<_> = names.filter(|name| !INTERNAL.contains(name)).map(str::to_owned).collect();
    none("Long polling uses what applications can use as well", &wrong);
}

/// Tests are left out: a table of cases is best read in one piece.
#[test]
fn files_and_functions_stay_small() {
    let mut wrong = Vec::new();
    let sources = ["src", "benches", "examples"].iter().flat_map(|dir| sources(dir));
    for source in sources.filter(|source| !source.is_test_file()) {
        let lines = source.text.lines().count() - source.test_lines();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{}: {lines} lines without its tests", source.path));
        }
        for (line, name, lines) in functions(&source.shipped) {
            if lines > FUNCTION_LINES_MAX {
                wrong.push(format!("{}:{line}: fn {name} has {lines} lines", source.path));
            }
        }
    }
    none(&format!("Files up to {FILE_LINES_MAX} lines, functions up to {FUNCTION_LINES_MAX}"), &wrong);
}

#[test]
fn no_unwraps_and_no_leftovers() {
    const OUT_OF_PLACE: [&str; 6] =
        [".unwrap()", "println!(", "print!(", "unimplemented!(", "#[allow(", "#![allow("];
    let mut wrong = Vec::new();
    for source in sources("src") {
        let shipped = if source.is_test_file() { "" } else { &source.shipped };
        for (code, names) in [(shipped, &OUT_OF_PLACE[..]), (&source.code, &["todo!(", "dbg!("])] {
            for name in names {
                let found = code.match_indices(name);
                wrong.extend(found.map(|(at, _)| format!("{}:{}: {name}", source.path, line_of(code, at))));
            }
        }
    }
    none(
        "expect says which invariant holds, log says what happens, and #[expect] what is odd and why",
        &wrong,
    );
}

#[test]
fn lines_are_not_too_long() {
    let mut wrong = Vec::new();
    for source in ["src", "tests", "benches", "examples", "fuzz"].iter().flat_map(|dir| sources(dir)) {
        for (number, line) in source.text.lines().enumerate() {
            let chars = line.chars().count();
            let is_table = line.trim_start().trim_start_matches(['/', '!']).trim_start().starts_with('|');
            // Literals can't always be broken, nor URLs; the formatter sees to all else that is code.
            let is_exempt = is_table || line.contains("://") || line.contains('"');
            if chars > LINE_CHARS_MAX && !is_exempt {
                wrong.push(format!("{}:{}: {chars} characters", source.path, number + 1));
            }
        }
    }
    none(&format!("Lines up to {LINE_CHARS_MAX} characters, comments too"), &wrong);
}

#[test]
fn each_example_says_how_to_run_it() {
    let mut wrong = Vec::new();
    let is_code = |entry: &String| !entry.ends_with(".toml");
    // A folder is one example, but for that of the documents' programs.
    let mut entries = list(Path::new("examples"));
    entries.retain(|entry| entry != "examples/programs");
    let programs = list(Path::new("examples/programs"));
    entries.extend(programs.into_iter().filter(|entry| entry.ends_with(".rs")));
    for entry in entries.into_iter().filter(is_code) {
        let path = entry.trim_end_matches(".rs");
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let file = if entry.ends_with(".rs") { entry } else { format!("{entry}/main.rs") };
        let text = read(&file);
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let command = format!("cargo run --release --example {name}");
        if !header.contains(&command) {
            wrong.push(format!("{file}: `{command}` is not in its //! lines"));
        }
    }
    none("An example opens with the command that runs it", &wrong);
}

#[test]
fn unsafe_code_is_forbidden() {
    let has_line = |file: &str, section: &str, line: &str| {
        let manifest = read(file);
        let section = manifest.split("\n[").find_map(|text| text.strip_prefix(section));
        section.is_some_and(|section| section.lines().any(|other| other == line))
    };
    let forbidden = has_line("Cargo.toml", "workspace.lints.rust]", r#"unsafe_code = "forbid""#);
    assert!(forbidden, "Cargo.toml: [workspace.lints.rust] has no unsafe_code = \"forbid\"");
    for file in ["Cargo.toml", "benches/Cargo.toml"] {
        assert!(has_line(file, "lints]", "workspace = true"), "{file}: [lints] has no workspace = true");
    }
}

#[test]
fn documents_are_there_and_name_files_that_are() {
    let mut wrong = Vec::new();
    for document in ["README.md", "CHANGELOG.md"] {
        if !in_crate(document).is_file() {
            wrong.push(format!("{document} is missing"));
            continue;
        }
        for word in read(document).split(|c: char| c.is_whitespace() || "`()[]<>,;\"'".contains(c)) {
            let path = word.trim_end_matches(['.', ':', '/']);
            let is_ours = ["src/", "tests/", "benches/", "examples/", "fuzz/", ".ci/"]
                .iter()
                .any(|dir| path.starts_with(dir));
            if is_ours && !path.contains(['*', '{', '…']) && !in_crate(path).exists() {
                wrong.push(format!("{document}: {path} does not exist"));
            }
        }
    }
    none("README and CHANGELOG exist, and so do the files that they name", &wrong);
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    const PLACES: [&str; 8] = ["home", "root", "Users", "work", "workspace", "mnt", "srv", "tmp"];
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    for entry in list(Path::new("")) {
        if !["target", ".git"].contains(&&*entry) {
            walk(Path::new(&entry), &mut files);
        }
    }
    // What is no text names nothing.
    for (file, text) in files.iter().filter_map(|file| Some((file, fs::read_to_string(in_crate(file)).ok()?)))
    {
        for place in PLACES.map(|place| format!("/{place}/")) {
            for (at, _) in text.match_indices(&place) {
                let is_start = text[..at]
                    .chars()
                    .next_back()
                    .is_none_or(|c| !c.is_alphanumeric() && !"./-_}$~*".contains(c));
                let goes_on = text[at + place.len()..].starts_with(char::is_alphanumeric);
                if is_start && goes_on {
                    wrong.push(format!("{file}:{}: {place}…", line_of(&text, at)));
                }
            }
        }
    }
    none("Files name no absolute path of one machine", &wrong);
}

#[test]
fn this_file_tells_code_from_comments_literals_and_tests() {
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
    let module = source.module();
    assert_eq!(module, ["net", "deep"]);
    let named: Vec<_> = crate_paths(&source.shipped, &module);
    let named: Vec<_> = named.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(named, [(2, "codec"), (2, "net"), (3, "fd"), (5, "net")]);
    let functions: Vec<_> =
        functions(&source.code).into_iter().map(|(_, name, lines)| (name, lines)).collect();
    assert_eq!(functions, [("life".into(), 1), ("only_tests".into(), 1), ("last".into(), 1)]);
    assert_eq!(types(&source.shipped), [(10, "Kind".into())]);
    assert_eq!(source.test_lines(), 3);
}

struct Source {
    /// From the crate's root.
    path: String,
    text: String,
    /// The text with comments and the insides of literals blanked out, line for line.
    code: String,
    /// The code with everything under `#[cfg(test)]` blanked out as well.
    shipped: String,
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let code = blank_comments_and_literals(&text);
        let shipped = blank_tests(&code);
        Source { path, text, code, shipped }
    }

    /// Wholly test code, though it does not say so itself.
    fn is_test_file(&self) -> bool {
        self.path.starts_with("src/tests/") || self.path.ends_with("tests.rs")
    }

    fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    fn test_lines(&self) -> usize {
        let is_test = |(code, shipped): &(&str, &str)| !code.trim().is_empty() && shipped.trim().is_empty();
        let last = self.shipped.trim_end().lines().count();
        let after = self.code.lines().count() - last;
        self.code.lines().zip(self.shipped.lines()).take(last).filter(is_test).count() + after
    }
}

fn none(rule: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{rule}. Not so in {} places:\n  {}\n", wrong.len(), wrong.join("\n  "));
}

/// The top-level modules that code names through `crate` or `super`, each with its line.
fn crate_paths(code: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut paths = paths_from("crate", code);
    for at in words(code, "super") {
        // Only the first of a run of them.
        if code[..at].ends_with("super::") {
            continue;
        }
        let supers = code[at..].split("::").take_while(|part| *part == "super").count();
        let rest = &code[at + supers * "super::".len()..];
        match module.len().checked_sub(supers) {
            Some(1..) => paths.push((line_of(code, at), module[0].clone())),
            _ => paths.extend(first_names(rest).into_iter().map(|name| (line_of(code, at), name))),
        }
    }
    paths.sort();
    paths
}

/// The names directly under `root`, wherever the code has `root::name` or `root::{name, …}`.
fn paths_from(root: &str, code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for at in words(code, root) {
        let Some(rest) = code[at + root.len()..].strip_prefix("::") else { continue };
        paths.extend(first_names(rest).into_iter().map(|name| (line_of(code, at), name)));
    }
    paths
}

/// `a` of `a::b`, `a` and `c` of `{a::b, c}`.
fn first_names(rest: &str) -> Vec<String> {
    let identifier = |text: &str| text.chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![identifier(rest)] };
    let mut names = vec![identifier(group.trim_start())];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(identifier(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Line and name of each type and trait that is defined. Associated types are not: they stand within an item.
fn types(code: &str) -> Vec<(usize, String)> {
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
fn functions(code: &str) -> Vec<(usize, String, usize)> {
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
fn end_of_item(code: &str, start: usize) -> usize {
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
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let behind = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !behind.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// All Rust files under a directory of the crate.
fn sources(dir: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(Path::new(dir), &mut files);
    files.retain(|file| file.ends_with(".rs"));
    assert!(!files.is_empty(), "no Rust files in {dir}");
    files.into_iter().map(|file| Source::new(file.clone(), read(&file))).collect()
}

fn walk(path: &Path, files: &mut Vec<String>) {
    if in_crate(path).is_dir() {
        list(path).iter().for_each(|entry| walk(Path::new(entry), files));
    } else {
        files.push(path.to_str().expect("names are UTF-8").replace('\\', "/"));
    }
}

/// What is in a directory, sorted, as paths from the crate's root. What the directory's owner left beside the
/// crate's own files, such as installed packages, is not looked at.
fn list(dir: &Path) -> Vec<String> {
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

fn read(path: &str) -> String {
    fs::read_to_string(in_crate(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn in_crate(path: impl AsRef<Path>) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
