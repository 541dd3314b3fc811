#![no_main]
//! See `i2p_socks_fuzz::address_book_feed`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| i2p_socks_fuzz::address_book_feed(input));
