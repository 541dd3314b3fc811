//! A guard that looks for what identifies this machine in what leaves it in clear text.
//!
//! It knows no protocol. It looks for the machine's own addresses, names and identifiers, in every way in which programs write them, in
//! the first bytes of a connection. It changes nothing: it says what kind of thing it has found, never the thing itself.

mod literals;

use alloc::{sync::Arc, vec::Vec};
use core::{error::Error, fmt};

use aho_corasick::AhoCorasick;

pub use self::literals::Machine;
use crate::Next;

/// What a guard has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Leak {
    /// An address of this machine.
    Address,
    /// The hardware address of an interface.
    HardwareAddress,
    /// The name of this machine.
    HostName,
    /// The name of an account.
    Login,
    /// The identifier of this installation.
    MachineId,
}

impl Leak {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Address, Self::HardwareAddress, Self::HostName, Self::Login, Self::MachineId];

    /// The words that name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address of this machine",
            Self::HardwareAddress => "hardware address",
            Self::HostName => "host name",
            Self::Login => "login",
            Self::MachineId => "machine id",
        }
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What guards look for. It is made once, and shared by all of them; a clone costs little.
#[derive(Clone)]
pub struct LeakPatterns {
    automaton: AhoCorasick,
    kinds: Arc<[Leak]>,
    longest: usize,
}

impl LeakPatterns {
    /// Everything by which this machine can be told, in all written forms.
    ///
    /// # Errors
    /// If there are more patterns than an automaton can hold. That takes millions.
    pub fn new(machine: &Machine<'_>) -> Result<Self, TooManyLiterals> {
        let (kinds, texts): (Vec<Leak>, Vec<_>) = literals::literals(machine).into_iter().unzip();
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(&texts);
        let longest = texts.iter().map(alloc::string::String::len).max().unwrap_or(0);
        Ok(Self { automaton: automaton.map_err(|_| TooManyLiterals)?, kinds: kinds.into(), longest })
    }
}

/// It shows none of them.
impl fmt::Debug for LeakPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakPatterns").field("count", &self.kinds.len()).finish_non_exhaustive()
    }
}

/// There is more to look for than an automaton can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyLiterals;

impl fmt::Display for TooManyLiterals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this machine has too many addresses and names to look for")
    }
}

impl Error for TooManyLiterals {}

/// Looks at what one connection sends.
///
/// A thing counts if it stands alone: `10.0.0.1` is not in `10.0.0.12`. So a guard has to see the byte after it, or the end of the
/// connection. By then, the thing has been sent, or is in the current chunk. A caller that ends the connection must not send that
/// chunk.
#[derive(Clone)]
pub struct LeakGuard {
    patterns: LeakPatterns,
    /// The last bytes, in which something can have begun, and the one before.
    window: Vec<u8>,
    /// Bytes that are still to be looked at.
    left: usize,
    found: Vec<Leak>,
}

impl LeakGuard {
    /// Bytes that a guard looks at.
    pub const BYTES: usize = 64 * 1024;

    /// A guard for a new connection.
    #[must_use]
    pub fn new(patterns: &LeakPatterns) -> Self {
        Self { patterns: patterns.clone(), window: Vec::new(), left: Self::BYTES, found: Vec::new() }
    }

    /// Looks at a chunk from the client. Returns the kinds that it has not found before, and whether it wants the next chunk: not after
    /// [`BYTES`](Self::BYTES), nor after the beginning of TLS.
    pub fn look(&mut self, chunk: &[u8]) -> (Vec<Leak>, Next) {
        let (chunk, _) = chunk.split_at(chunk.len().min(self.left));
        if chunk.is_empty() {
            return (Vec::new(), self.next());
        }
        self.left -= chunk.len();
        let decided = self.window.len().saturating_sub(1);
        let mut text = core::mem::take(&mut self.window);
        text.extend_from_slice(chunk);
        if let Some(start) = tls_start(&text) {
            text.truncate(start);
            self.left = 0;
        }
        let is_last = self.left == 0;
        let leaks = self.search(&text, decided, is_last);
        let keep = (self.patterns.longest + 1).max(TLS_START_BYTES);
        if !is_last {
            text.drain(..text.len().saturating_sub(keep));
            self.window = text;
        }
        (leaks, self.next())
    }

    /// The connection has ended: what stood at its very end counts.
    pub fn end(&mut self) -> Vec<Leak> {
        self.left = 0;
        let text = core::mem::take(&mut self.window);
        self.search(&text, text.len().saturating_sub(1), true)
    }

    fn next(&self) -> Next {
        if self.left == 0 { Next::Release } else { Next::Filter }
    }

    /// What ends after the bytes that were decided, and before the last byte, unless the text ends there.
    fn search(&mut self, text: &[u8], decided: usize, is_last: bool) -> Vec<Leak> {
        let mut leaks = Vec::new();
        let limit = if is_last { text.len() } else { text.len().saturating_sub(1) };
        for hit in self.patterns.automaton.find_overlapping_iter(text) {
            let Some(leak) = self.patterns.kinds.get(hit.pattern().as_usize()) else { continue };
            let is_new = (decided + 1..=limit).contains(&hit.end()) && !self.found.contains(leak);
            if is_new && stands_alone(*leak, text, hit.start(), hit.end()) {
                self.found.push(*leak);
                leaks.push(*leak);
            }
        }
        leaks
    }
}

impl fmt::Debug for LeakGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakGuard")
            .field("left", &self.left)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

/// Whether no letter, digit, hyphen or underscore touches it. Bytes of other alphabets are letters. Names of machines are made from
/// an address with hyphens or underscores around it, such as `ip-192-0-2-35`, so these may touch an address.
fn stands_alone(leak: Leak, text: &[u8], start: usize, end: usize) -> bool {
    let is_mark = |byte: &u8| leak != Leak::Address && matches!(byte, b'-' | b'_');
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || is_mark(byte);
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    !before.is_some_and(is_part) && !text.get(end).is_some_and(is_part)
}

/// A record of TLS up to the version in its message.
const TLS_START_BYTES: usize = 11;

/// Where a ClientHello begins (RFC 8446 sections 4 and 5.1): a record of at most 16 KiB, in it the message with its length and version.
fn tls_start(text: &[u8]) -> Option<usize> {
    let is_hello = |part: &[u8]| matches!(part, [0x16, 3, 0..=4, 0..=0x40, _, 1, 0, _, _, 3, 0..=4]);
    text.windows(TLS_START_BYTES).position(is_hello)
}
