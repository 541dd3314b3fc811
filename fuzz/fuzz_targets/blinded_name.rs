#![no_main]
//! See `i2p_socks_fuzz::blinded_name`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| i2p_socks_fuzz::blinded_name(input));
