//! A command in a line: a word, and what follows it. IMAP has a tag before the word, and IRC other lines.

use alloc::vec::Vec;

use crate::{
    Output, Subject,
    rule::{Entry, find},
};

/// A word that no server knows. It stands for a command that does not pass, so that the client gets its answer.
pub(crate) const REFUSED: &[u8] = b"REFUSED";

/// What the table says about the command of a line, the word in upper case, and what follows it, with its blank. A command that is not in
/// the table becomes one that the server refuses.
pub(crate) fn known<'l, A: Copy>(
    line: &'l [u8],
    table: &[Entry<A>],
    output: &mut Output,
) -> Option<(A, Vec<u8>, &'l [u8])> {
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (verb, words) = line.split_at(end);
    let action = find(table, verb).filter(|_| !line.contains(&0));
    if action.is_none() {
        output.removed(Subject::UnknownCommand);
        output.line(&[REFUSED]);
    }
    Some((action?, verb.to_ascii_uppercase(), words))
}
