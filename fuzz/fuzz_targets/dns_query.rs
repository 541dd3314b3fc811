#![no_main]
//! See `i2p_socks_fuzz::dns_query`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| i2p_socks_fuzz::dns_query(input));
