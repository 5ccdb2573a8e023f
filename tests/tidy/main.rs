//! The house rules, as tests: what may name what, how large things grow, what may not be in the code.
//! Each test is one rule and lists every place that breaks it.

mod imports;
mod source;

use imports::{Files, Import, paths};
use source::{Source, functions, in_crate, line_of, list, read, sources, types, walk, words};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FILE_LINES_MAX: usize = 450;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 120;
/// A gateway is small, because the crate has the primitives for it.
const GATEWAY: &str = "tests/gateway/toy.rs";
const GATEWAY_LINES_MAX: usize = 199;

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
/// A name that two types have: users see `client::blocking::Connection`, and never the reactor's.
const SHARED_NAME: &str = "Connection";
const SOCKET_TYPES: [&str; 7] =
    ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "UnixDatagram", "socket2"];

#[test]
fn layers_name_only_what_is_below_them() {
    let mut wrong = Vec::new();
    let sources = sources("src");
    let files = Files::new(&sources);
    for source in files.iter() {
        let module = source.module();
        let Some(layer) = module.first().filter(|layer| !UNLAYERED.contains(&layer.as_str())) else {
            continue;
        };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == layer) else {
            wrong.push(format!("{}: give the module `{layer}` its place in LAYERS", source.path));
            continue;
        };
        for Import { line, of, name, .. } in files.imports(source) {
            match of.first() {
                None => wrong.push(format!("{}:{line}: names crate::{name}; name its module", source.path)),
                Some(named) if allowed.contains(&named.as_str()) => {}
                Some(named) => {
                    wrong.push(format!("{}:{line}: `{layer}` may not name `{named}`", source.path))
                }
            }
        }
    }
    none("Each layer names only what is below it (LAYERS in this file)", &wrong);
}

#[test]
fn the_parts_of_the_server_name_only_what_is_below_them() {
    fn part(module: &[String]) -> Option<&str> {
        let (first, own) = module.split_first()?;
        (first == "server").then(|| own.first().map_or("", |part| part.as_str()))
    }
    let mut wrong = Vec::new();
    let sources = sources("src");
    let files = Files::new(&sources);
    for source in files.iter() {
        let module = source.module();
        let Some(own) = part(&module) else { continue };
        let Some((_, allowed)) = SERVER_PARTS.iter().find(|(name, _)| *name == own) else {
            wrong.push(format!("{}: give `{own}` its place in SERVER_PARTS", source.path));
            continue;
        };
        for Import { line, of, .. } in files.imports(source) {
            if let Some(named) = part(&of).filter(|named| !allowed.contains(named)) {
                wrong.push(format!("{}:{line}: `{own}` may not name `{named}`", source.path));
            }
        }
    }
    none("Each part of the server names only what is below it (SERVER_PARTS in this file)", &wrong);
}

/// Of two files that know each other neither can be read, or changed, first. The methods of one type may be spread
/// over files: who calls them imports the type.
#[test]
fn files_import_each_other_in_no_circle() {
    let wrong = Files::new(&sources("src")).circles();
    none("No file imports itself by way of others", &wrong);
}

#[test]
fn only_net_touches_sockets() {
    let mut wrong = Vec::new();
    let is_outside = |source: &&Source| !source.path.starts_with("src/net/") && !source.is_test_file();
    for source in sources("src").iter().filter(is_outside) {
        let allowed =
            MIO_ALLOWED.iter().find(|(path, _)| *path == source.path).map_or(&[][..], |(_, names)| names);
        let code = &source.shipped;
        for (at, path) in paths(code) {
            if path[0] == "mio" && !allowed.contains(&path[1].as_str()) {
                wrong.push(format!("{}:{}: mio::{}", source.path, line_of(code, at), path[1]));
            }
        }
        for name in SOCKET_TYPES {
            let found = words(code, name);
            wrong.extend(found.map(|at| format!("{}:{}: {name}", source.path, line_of(code, at))));
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
    let wrong: Vec<_> = found
        .iter()
        .filter(|(name, places)| (places.len() > 1) != (*name == SHARED_NAME))
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    none("Each type has a name of its own (but SHARED_NAME in this file)", &wrong);
}

/// The server's own long polling shows that what applications have for transports of their own is enough.
#[test]
fn long_polling_is_written_on_public_functions() {
    /// A token belongs to the page's protocol, the mark `is_poll` is set in opening, and who has output is answered
    /// without waiting.
    const INTERNAL: [&str; 3] = ["open_socketless", "tokens", "has_output"];
    let polling = sources("src").into_iter().find(|source| source.path.ends_with("dispatch/polling.rs"));
    let text = polling.expect("long polling has a file of its own").shipped;
    // The dispatcher's part is about requests. What is done with a session follows, in functions that get the server.
    let at = text.find("impl Dispatch").expect("the dispatcher has its part");
    let own = text[at..].find("\n}\n").map(|end| &text[at + end..]).expect("the part ends");
    let names = own.split("server.sessions").skip(1).map(|rest| {
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
fn a_gateway_takes_less_than_200_lines() {
    let lines = read(GATEWAY).lines().count();
    assert!(lines <= GATEWAY_LINES_MAX, "{GATEWAY} has {lines} lines; what it lacks belongs into the crate");
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
    // But for one system call, in a crate of its own.
    let unsafe_blocks = |file: &str| read(file).matches("unsafe {").count();
    assert_eq!(unsafe_blocks("crates/unacknowledged/src/lib.rs"), 1);
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

fn none(rule: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{rule}. Not so in {} places:\n  {}\n", wrong.len(), wrong.join("\n  "));
}
