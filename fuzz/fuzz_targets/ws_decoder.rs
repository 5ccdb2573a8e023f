//! See `swio::fuzzing::ws_decoder`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::ws_decoder(bytes));
