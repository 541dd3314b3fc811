//! What must hold for any bytes from a client, a router or a file. See README.md for how to fuzz with these.

use i2p_name::Target;
use i2p_sam::wire::{AcceptedFrom, Reply};
use socks_wire::{ServerHandshake, Step};

/// A fuzz target: its name, and what it does with an input.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets, by the names of their corpus directories.
pub const TARGETS: [FuzzTarget; 3] =
    [("socks_handshake", socks_handshake), ("sam_reply", sam_reply), ("target_name", target_name)];

/// A client's bytes: the handshake ends, in the same way whether they come at once or one by one.
///
/// # Panics
/// When it does not.
pub fn socks_handshake(input: &[u8]) {
    assert_eq!(end_of_handshake(input, usize::MAX), end_of_handshake(input, 1), "pieces matter");
}

/// How a handshake ended, what was sent, and how many bytes were taken.
fn end_of_handshake(input: &[u8], piece: usize) -> (String, Vec<u8>, usize) {
    let mut handshake = ServerHandshake::new();
    let (mut given, mut taken_so_far, mut sent) = (0_usize, 0, Vec::new());
    loop {
        let waiting = input.get(taken_so_far..given).unwrap_or_default();
        match handshake.step(waiting) {
            Step::Receive { at_least } => {
                assert!(at_least > 0, "asked for nothing");
                if given == input.len() {
                    return ("starved".to_owned(), sent, taken_so_far);
                }
                given = given.saturating_add(piece).min(input.len());
            }
            Step::Send { taken, bytes } => {
                assert!(taken <= waiting.len(), "took more than there is");
                taken_so_far += taken;
                sent.extend_from_slice(&bytes);
            }
            Step::Authenticate { taken, .. } => {
                assert!(taken <= waiting.len(), "took more than there is");
                taken_so_far += taken;
                sent.extend_from_slice(&handshake.judge(true));
            }
            Step::Request { taken, request } => {
                assert!(taken <= waiting.len(), "took more than there is");
                return (format!("{request:?} {}", request.port), sent, taken_so_far + taken);
            }
            Step::Refuse { bytes, error } => {
                assert!(!bytes.is_empty(), "a refusal without a word");
                sent.extend_from_slice(&bytes);
                return (format!("{error:?}"), sent, taken_so_far);
            }
            Step::NotSocks(what) => return (format!("{what:?}"), sent, taken_so_far),
            Step::Over => return ("over".to_owned(), sent, taken_so_far),
        }
    }
}

/// A line from a router: understood or not, without panic.
pub fn sam_reply(input: &[u8]) {
    // What they come to is judged by the tests of their crate.
    let _ = Reply::parse(input);
    let _ = AcceptedFrom::parse(input);
}

/// A host from a client: what is understood as I2P fits into a SAM line and is its own canonical form.
///
/// # Panics
/// When it does not.
pub fn target_name(input: &[u8]) {
    if let Ok(Target::I2p(name)) = Target::parse(input) {
        let text = name.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.~=".contains(&byte)), "{text:?}");
        assert_eq!(Target::parse(text.as_bytes()), Ok(Target::I2p(name)), "not canonical");
    }
}
