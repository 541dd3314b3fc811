#![no_main]
//! See `i2p_socks_fuzz::filter_sip`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| i2p_socks_fuzz::filter_sip(input));
