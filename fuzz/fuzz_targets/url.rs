//! See `swio::fuzzing::url`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::url(bytes));
