//! Reads the elements of a complete unit, strictly.

use alloc::vec::Vec;

/// A unit is no well-formed XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The most attributes of an element.
const MAX_ATTRIBUTES: usize = 32;

/// What comes next in a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// An element begins. It ends, too, if it is empty.
    Start(Tag<'a>),
    /// Text, with its entities as they are.
    Text(&'a [u8]),
    /// The last element that has begun ends.
    End,
}

/// The start of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    pub(super) name: &'a [u8],
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) is_empty: bool,
}

/// An attribute, with its entities as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// The mark around the value.
    pub(super) mark: u8,
}

impl<'a> Tag<'a> {
    /// The value of an attribute.
    pub(super) fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.value)
    }
}

/// Reads a unit from its first to its last byte.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    open: Vec<&'a [u8]>,
    has_begun: bool,
}

impl<'a> Reader<'a> {
    /// # Errors
    /// If the unit is no UTF-8.
    pub(super) fn new(unit: &'a [u8]) -> Result<Self, Malformed> {
        core::str::from_utf8(unit).map_err(|_| Malformed)?;
        Ok(Self { rest: unit, open: Vec::new(), has_begun: false })
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// If the unit is not well-formed, or decides something by a text with entities.
    pub(super) fn next(&mut self) -> Result<Option<Event<'a>>, Malformed> {
        if self.rest.is_empty() {
            return if self.open.is_empty() && self.has_begun { Ok(None) } else { Err(Malformed) };
        }
        let Some(tag) = self.rest.strip_prefix(b"<") else { return self.text().map(Some) };
        if self.has_begun && self.open.is_empty() {
            return Err(Malformed);
        }
        self.has_begun = true;
        match tag.strip_prefix(b"/") {
            Some(name) => self.end(name).map(Some),
            None => self.start(tag).map(Some),
        }
    }

    fn text(&mut self) -> Result<Event<'a>, Malformed> {
        let length = self.rest.iter().position(|&byte| byte == b'<').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        if self.open.is_empty() || !is_text(text) { Err(Malformed) } else { Ok(Event::Text(text)) }
    }

    fn end(&mut self, tag: &'a [u8]) -> Result<Event<'a>, Malformed> {
        let name = self.open.pop().ok_or(Malformed)?;
        let rest = tag.strip_prefix(name).ok_or(Malformed)?;
        self.rest = rest.trim_ascii_start().strip_prefix(b">").ok_or(Malformed)?;
        Ok(Event::End)
    }

    fn start(&mut self, tag: &'a [u8]) -> Result<Event<'a>, Malformed> {
        let (name, mut rest) = name(tag)?;
        let mut attributes: Vec<Attribute<'a>> = Vec::new();
        loop {
            let blank = rest.trim_ascii_start();
            let (after, is_empty) = match blank.strip_prefix(b"/") {
                Some(after) => (after, true),
                None => (blank, false),
            };
            if let Some(after) = after.strip_prefix(b">") {
                self.rest = after;
                if !is_empty {
                    self.open.push(name);
                }
                return Ok(Event::Start(Tag { name, attributes, is_empty }));
            }
            let is_separate = blank.len() < rest.len();
            let (attribute, after) = attribute(blank)?;
            let is_twice = attributes.iter().any(|other| other.name == attribute.name);
            if !is_separate || is_twice || attributes.len() == MAX_ATTRIBUTES {
                return Err(Malformed);
            }
            attributes.push(attribute);
            rest = after;
        }
    }
}

fn attribute(text: &[u8]) -> Result<(Attribute<'_>, &[u8]), Malformed> {
    let (name, rest) = name(text)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"=").ok_or(Malformed)?.trim_ascii_start();
    let (&mark, rest) =
        rest.split_first().filter(|(mark, _)| matches!(mark, b'"' | b'\'')).ok_or(Malformed)?;
    let end = rest.iter().position(|&byte| byte == mark).ok_or(Malformed)?;
    let (value, rest) = rest.split_at(end);
    // The filter decides by these, and does not decode them.
    let decides = name == b"type" || name == b"mechanism" || name.starts_with(b"xmlns");
    if !is_text(value) || (decides && value.contains(&b'&')) {
        return Err(Malformed);
    }
    Ok((Attribute { name, value, mark }, rest.get(1..).unwrap_or_default()))
}

fn name(text: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) || byte >= 0x80;
    let length = text.iter().position(|&byte| !is_part(byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    let begins_well = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    if begins_well { Ok((name, rest)) } else { Err(Malformed) }
}

/// Whether a text has no controls, and no entities but those that XML knows by itself.
fn is_text(text: &[u8]) -> bool {
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    let mut parts = text.split(|&byte| byte == b'&');
    !text.iter().any(is_control) && parts.next().is_some() && parts.all(begins_with_entity)
}

fn begins_with_entity(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|&byte| byte == b';') else { return false };
    match text.get(..end).unwrap_or_default() {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => true,
        [b'#', b'x', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit),
        [b'#', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}
