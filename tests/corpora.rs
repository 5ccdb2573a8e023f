//! Each file of fuzz/corpus passes its fuzz target: the seeds, and the inputs that once failed.

#[path = "../fuzz/command_json.rs"]
mod command_json;

use std::fs;
use std::path::Path;
use swio::fuzzing;

/// Takes an input, and panics where something is wrong.
type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 14] = [
    ("close_payload", fuzzing::close_payload),
    ("command_json", command_json::command_json),
    ("commands", fuzzing::commands),
    ("fd", fuzzing::fd),
    ("forwarded_header", fuzzing::forwarded_header),
    ("http_answer", fuzzing::http_answer),
    ("http_request", fuzzing::http_request),
    ("last_event_id", fuzzing::last_event_id),
    ("server", fuzzing::server),
    ("settings", fuzzing::settings),
    ("tcp_framing", fuzzing::tcp_framing),
    ("url", fuzzing::url),
    ("utf8_validator", fuzzing::utf8_validator),
    ("ws_decoder", fuzzing::ws_decoder),
];

#[test]
fn every_corpus_goes_through_its_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let targets = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(names(&fuzz.join("fuzz_targets")), targets.clone().map(|name| format!("{name}.rs")));
    assert_eq!(names(&fuzz.join("corpus")), targets);
    for (name, target) in TARGETS {
        let folder = fuzz.join("corpus").join(name);
        let files = names(&folder);
        assert!(!files.is_empty(), "{name} starts from nothing");
        for file in files {
            println!("{name}/{file}");
            target(&fs::read(folder.join(file)).expect("readable"));
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("names are UTF-8"))
        .collect();
    names.sort();
    names
}
