//! See `swio::fuzzing::tcp_framing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::tcp_framing(bytes));
