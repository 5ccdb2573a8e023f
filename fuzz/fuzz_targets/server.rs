//! See `swio::fuzzing::server`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::server(bytes));
