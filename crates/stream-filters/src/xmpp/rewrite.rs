//! Writes a unit anew, without the elements that do not pass.

use alloc::vec::Vec;

use super::reader::{Attribute, Event, Malformed, Reader, Tag};

/// What becomes of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    /// It goes, with all that is in it.
    Remove,
}

/// Decides about the parts of a unit.
pub(super) trait Judge {
    /// What becomes of an element at this depth (0: the unit itself) and in this namespace.
    fn element(&mut self, depth: usize, namespace: &[u8], tag: &Tag<'_>) -> Fate;

    /// Whether an attribute of such an element passes.
    fn attribute(&mut self, depth: usize, namespace: &[u8], tag: &Tag<'_>, attribute: &Attribute<'_>)
    -> bool;
}

/// The unit as the judge leaves it. Elements without contents are written in one tag, however they came.
///
/// # Errors
/// If the unit is not well-formed.
pub(super) fn rewritten(
    unit: &[u8],
    namespace: &'static [u8],
    judge: &mut impl Judge,
) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(unit)?;
    let mut written = Written { bytes: Vec::with_capacity(unit.len()), tag_is_open: false };
    // The namespaces of the elements that are open.
    let mut open: Vec<(&[u8], &[u8])> = Vec::new();
    let mut removed: usize = 0;
    while let Some(event) = reader.next()? {
        match event {
            Event::Text(text) if removed == 0 => written.text(text),
            Event::Text(_) => {}
            Event::Start(tag) if removed > 0 => removed += usize::from(!tag.is_empty),
            Event::End if removed > 0 => removed -= 1,
            Event::Start(tag) => {
                let inherited = open.last().map_or(namespace, |(_, namespace)| *namespace);
                let own = tag.get(b"xmlns").unwrap_or(inherited);
                match judge.element(open.len(), own, &tag) {
                    Fate::Remove => removed += usize::from(!tag.is_empty),
                    Fate::Pass => {
                        let depth = open.len();
                        let passes =
                            |attribute: &&Attribute<'_>| judge.attribute(depth, own, &tag, attribute);
                        written.start(&tag, tag.attributes.iter().filter(passes));
                        match tag.is_empty {
                            true => written.end(tag.name),
                            false => open.push((tag.name, own)),
                        }
                    }
                }
            }
            Event::End => written.end(open.pop().map_or(&b""[..], |(name, _)| name)),
        }
    }
    Ok(written.bytes)
}

struct Written {
    bytes: Vec<u8>,
    /// The end of the last tag is not written, since the element may be empty.
    tag_is_open: bool,
}

impl Written {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn close_tag(&mut self) {
        if core::mem::take(&mut self.tag_is_open) {
            self.put(b">");
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.close_tag();
        self.put(text);
    }

    fn start<'a>(&mut self, tag: &Tag<'_>, attributes: impl Iterator<Item = &'a Attribute<'a>>) {
        self.close_tag();
        self.put(b"<");
        self.put(tag.name);
        for Attribute { name, value, mark } in attributes {
            // XML written by programs has either mark; one of them would tell a program.
            let mark = if value.contains(&b'\'') { *mark } else { b'\'' };
            for part in [&b" "[..], name, b"=", &[mark], value, &[mark]] {
                self.put(part);
            }
        }
        self.tag_is_open = true;
    }

    fn end(&mut self, name: &[u8]) {
        match core::mem::take(&mut self.tag_is_open) {
            true => self.put(b"/>"),
            false => [&b"</"[..], name, b">"].iter().for_each(|part| self.put(part)),
        }
    }
}
