//! The bytes that are sent through the network. They look random and are the same in each run.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The size of a large transfer.
pub const LARGE_BYTES: usize = 5_000_000;

/// Makes `length` bytes that depend only on `seed`: SHA-256 in counter mode. Lost, doubled and swapped parts all change the
/// sum of the whole.
#[must_use]
pub fn bytes(seed: &str, length: usize) -> Vec<u8> {
    let blocks = (0_u64..)
        .flat_map(|counter| Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize());
    blocks.take(length).collect()
}

/// The SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn sum(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let all = bytes("a", 1_000);
        assert_eq!(all.len(), 1_000);
        assert_eq!(bytes("a", 100), all[..100]);
        assert_ne!(bytes("b", 1_000), all);
    }
}
