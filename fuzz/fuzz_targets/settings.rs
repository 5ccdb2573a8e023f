//! See `swio::fuzzing::settings`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::settings(bytes));
