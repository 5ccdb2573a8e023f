//! See `swio::fuzzing::forwarded_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::forwarded_header(bytes));
