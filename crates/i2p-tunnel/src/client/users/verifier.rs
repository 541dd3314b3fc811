use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, PasswordHash},
};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::turns::{self, Turns};
use crate::client::ClientOrigin;

/// Passwords that are verified at one time: each occupies a processor and up to 256 MiB of memory.
pub(super) const MAX_CHECKS_AT_ONCE: usize = 2;

/// Computes password hashes, a few at one time. Clones share turns and memory.
#[derive(Clone)]
pub(super) struct Verifier {
    turns: Turns,
    /// Work memory of argon2, reused. If each check freed its own, the allocator would keep one per thread that ever ran a
    /// check: 270 MB were measured.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

/// The right to compute one hash.
pub(super) struct Turn {
    turn: turns::Turn,
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Verifier {
    pub(super) fn new() -> Self {
        Self { turns: Turns::new(MAX_CHECKS_AT_ONCE), memory: Arc::default() }
    }

    /// Waits for a turn of this client. Cancel-safe: a caller that stops waiting only loses its place.
    pub(super) async fn turn(&self, client: ClientOrigin) -> Option<Turn> {
        let turn = self.turns.turn(client).await?;
        Some(Turn { turn, memory: Arc::clone(&self.memory) })
    }

    #[cfg(test)]
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        lock(&self.memory)
    }
}

impl Turn {
    /// Checks a password against a hash. The turn lasts until the hash is computed, even if the caller stops waiting.
    pub(super) async fn verify(self, hash: PasswordHash, password: Zeroizing<Vec<u8>>) -> bool {
        let Self { turn, memory } = self;
        let work = spawn_blocking(move || {
            let mut own = lock(&memory).pop().unwrap_or_default();
            let right = is_right(&hash, &password, &mut own) == Some(true);
            lock(&memory).push(own);
            // A client that knows a password does not guess.
            if right {
                turn.forgive();
            }
            drop(turn);
            right
        });
        work.await.unwrap_or(false)
    }
}

fn lock(memory: &Mutex<Vec<Vec<Block>>>) -> MutexGuard<'_, Vec<Vec<Block>>> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks a password against a hash, with `memory` as work memory. Returns `None` for a hash that argon2 cannot compute.
fn is_right(hash: &PasswordHash, password: &[u8], memory: &mut Vec<Block>) -> Option<bool> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let params = Params::try_from(hash).ok()?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let argon2 = Argon2::new(algorithm, version, params);
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..expected.len())?;
    argon2.hash_password_into_with_memory(password, salt, output, memory.as_mut_slice()).ok()?;
    // Compared in constant time.
    Output::new(output).ok().map(|computed| computed == *expected)
}
