//! See `swio::fuzzing::commands`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::commands(bytes));
