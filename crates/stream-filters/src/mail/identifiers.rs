//! Identifiers of messages (RFC 5322 section 3.6.4).

use crate::local_name::is_local;

/// A part of a list of identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// An identifier with its brackets, of a machine that has a public name.
    Public(&'a [u8]),
    /// Another identifier, with its brackets: it can name this machine.
    Local(&'a [u8]),
    /// A byte outside of identifiers.
    Other(u8),
}

/// Takes a list of identifiers apart. Between the brackets, there are no blanks and no brackets.
pub(super) fn parts(text: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        let ends = |byte: &u8| !byte.is_ascii_graphic() || matches!(byte, b'<' | b'>');
        let end = tail.iter().position(ends).filter(|end| *first == b'<' && tail.get(*end) == Some(&b'>'));
        let Some(end) = end else {
            rest = tail;
            return Some(Part::Other(*first));
        };
        let (identifier, after) = rest.split_at(end + 2);
        rest = after;
        Some(if names_a_public_host(identifier) { Part::Public(identifier) } else { Part::Local(identifier) })
    })
}

/// Whether what follows the last `@` is a name that many machines know.
fn names_a_public_host(identifier: &[u8]) -> bool {
    let inner = identifier.strip_suffix(b">").unwrap_or(identifier);
    let Some(at) = inner.iter().rposition(|&byte| byte == b'@') else { return false };
    let (_, host) = inner.split_at(at + 1);
    let is_name = host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte));
    let top = host.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    is_name && !top.iter().all(u8::is_ascii_digit) && !is_local(host)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn identifiers_of_local_machines_are_told_from_others() {
        for (id, is_public) in [
            ("<1@mail.i2p>", true),
            ("<1@a@mail.i2p>", true),
            ("<1.2@xn--a.example.org>", true),
            ("<1@laptop>", false),
            ("<1>", false),
            ("<mail.i2p>", false),
            ("<1@laptop.localdomain>", false),
            ("<1@laptop.Home.Arpa>", false),
            ("<1@laptop.fritz.box>", false),
            ("<1@marys_laptop.example>", false),
            ("<1@mail.i2p.>", false),
            ("<1@[192.0.2.1]>", false),
            ("<1@192.0.2.1>", false),
            ("<1@>", false),
        ] {
            let expected = if is_public { Part::Public(id.as_bytes()) } else { Part::Local(id.as_bytes()) };
            assert_eq!(parts(id.as_bytes()).collect::<Vec<_>>(), [expected], "{id}");
        }
        let text = b"a<b <1@mail.i2p>><c";
        let others = |bytes: &[u8]| bytes.iter().map(|byte| Part::Other(*byte)).collect::<Vec<_>>();
        let expected = [others(b"a<b "), [Part::Public(b"<1@mail.i2p>")].into(), others(b"><c")].concat();
        assert_eq!(parts(text).collect::<Vec<_>>(), expected);
        assert_eq!(parts(b"<a b@mail.i2p>").collect::<Vec<_>>(), others(b"<a b@mail.i2p>"));
        let expected = [others(b"<a"), [Part::Public(b"<1@mail.i2p>")].into()].concat();
        assert_eq!(parts(b"<a<1@mail.i2p>").collect::<Vec<_>>(), expected);
    }
}
