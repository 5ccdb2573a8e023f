//! See `swio::fuzzing::http_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::http_request(bytes));
