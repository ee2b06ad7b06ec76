//! [`brightline_fuzz::rule_fences`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| brightline_fuzz::rule_fences(data));
