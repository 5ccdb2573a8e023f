//! See `swio::fuzzing::utf8_validator`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::utf8_validator(bytes));
