//! [`brightline_fuzz::cel`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| brightline_fuzz::cel(data));
