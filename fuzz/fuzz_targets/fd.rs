//! See `swio::fuzzing::fd`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::fd(bytes));
