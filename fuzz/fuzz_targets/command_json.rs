//! See `fuzz/command_json.rs`.

#![no_main]

#[path = "../command_json.rs"]
mod command_json;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| command_json::command_json(bytes));
