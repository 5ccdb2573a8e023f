//! See `swio::fuzzing::last_event_id`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| swio::fuzzing::last_event_id(bytes));
