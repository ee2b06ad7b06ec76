//! [`brightline_fuzz::stream`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| brightline_fuzz::stream(data));
