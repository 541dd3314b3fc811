//! What a client says.

use super::{
    CLIENT, TLS,
    reader::{Attribute, Event, Malformed, Reader, Tag},
    rewrite::{Fate, Judge, rewritten},
    rules::{CONDITIONS, ELEMENTS, Element, PAYLOADS, Payload},
};
use crate::{Output, Subject, rule::find, sasl};

/// The namespace of logins.
const SASL: &[u8] = b"urn:ietf:params:xml:ns:xmpp-sasl";
/// What gives a login up.
const ABORT: &[u8] = b"<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
/// What the one gets who asks for something that is not told.
const REFUSAL: &[u8] =
    b"><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
/// The attributes of a stream that pass.
const OF_STREAM: [&[u8]; 5] = [b"to", b"from", b"version", b"xmlns", b"xmlns:stream"];
/// The attributes of a stanza that pass.
const OF_STANZA: [&[u8]; 5] = [b"to", b"from", b"type", b"id", b"xmlns"];
/// The children of a stanza in its own namespace that pass.
const PARTS: [&[u8]; 6] = [b"body", b"subject", b"thread", b"show", b"status", b"priority"];

/// The start of a stream.
pub(super) fn stream(tag: &[u8], output: &mut Output) -> Result<(), Malformed> {
    // Nothing follows it that would close it.
    let (Some(Event::Start(tag)), true) = (Reader::new(tag)?.next()?, !tag.ends_with(b"/>")) else {
        return Err(Malformed);
    };
    output.bytes.extend_from_slice(b"<stream:stream");
    for attribute in &tag.attributes {
        match OF_STREAM.contains(&attribute.name) && !attribute.value.contains(&b'\'') {
            true => put_attribute(attribute, output),
            false => output.removed(Subject::Preference),
        }
    }
    output.bytes.push(b'>');
    Ok(())
}

/// An element of the first level. Returns whether it asks for TLS.
pub(super) fn element(unit: &[u8], output: &mut Output) -> Result<bool, Malformed> {
    let Some(Event::Start(tag)) = Reader::new(unit)?.next()? else { return Err(Malformed) };
    let namespace = tag.get(b"xmlns");
    match find(ELEMENTS, tag.name).filter(|action| is_of(*action, namespace)) {
        Some(Element::Pass) => output.bytes.extend(rewritten(unit, CLIENT, &mut Plain)?),
        Some(Element::StartTls) => {
            output.bytes.extend(rewritten(unit, CLIENT, &mut Plain)?);
            return Ok(true);
        }
        Some(Element::Auth) if tag.get(b"mechanism").is_some_and(sasl::is_known) => data(unit, output)?,
        Some(Element::Auth) => {
            rewritten(unit, CLIENT, &mut Plain)?;
            output.replaced(Subject::LoginMechanism);
            output.bytes.extend_from_slice(ABORT);
        }
        Some(Element::AuthData) => data(unit, output)?,
        Some(Element::Stanza) => stanza(unit, &tag, output)?,
        Some(Element::Remove(subject)) => output.removed(subject),
        None => output.removed(Subject::UnknownCommand),
    }
    Ok(false)
}

/// Whether an element is in a namespace in which it means what the table says.
fn is_of(action: Element, namespace: Option<&[u8]>) -> bool {
    match action {
        Element::Stanza => namespace.is_none_or(|namespace| namespace == CLIENT),
        Element::StartTls => namespace == Some(TLS),
        Element::Auth | Element::AuthData => namespace == Some(SASL),
        Element::Pass => namespace.is_some_and(|namespace| namespace.starts_with(b"urn:xmpp:sm:")),
        Element::Remove(_) => true,
    }
}

fn put_attribute(attribute: &Attribute<'_>, output: &mut Output) {
    for part in [&b" "[..], attribute.name, b"='", attribute.value, b"'"] {
        output.bytes.extend_from_slice(part);
    }
}

/// A login, or data for it: base64, or an equals sign for none.
fn data(unit: &[u8], output: &mut Output) -> Result<(), Malformed> {
    let mut judge = OnlyData { is_well: true };
    let written = rewritten(unit, CLIENT, &mut judge)?;
    let start = written.iter().position(|&byte| byte == b'>').map_or(written.len(), |at| at + 1);
    let text =
        written.get(start..).unwrap_or_default().split(|&byte| byte == b'<').next().unwrap_or_default();
    if judge.is_well && sasl::is_data(text.trim_ascii()) {
        output.bytes.extend(written);
    } else {
        output.removed(Subject::Malformed);
        output.bytes.extend_from_slice(ABORT);
    }
    Ok(())
}

fn stanza(unit: &[u8], tag: &Tag<'_>, output: &mut Output) -> Result<(), Malformed> {
    if let Some(subject) = refused_answer(unit, tag)? {
        // The rest is checked, too.
        rewritten(unit, CLIENT, &mut Plain)?;
        output.replaced(subject);
        output.bytes.extend_from_slice(b"<iq type='error'");
        let kept = tag.attributes.iter().filter(|attribute| matches!(attribute.name, b"id" | b"to"));
        kept.filter(|attribute| !attribute.value.contains(&b'\'')).for_each(|one| put_attribute(one, output));
        output.bytes.extend_from_slice(REFUSAL);
        return Ok(());
    }
    let mut judge = Stanza { is_answer: is_result(tag), within: Payload::Pass, output };
    let written = rewritten(unit, CLIENT, &mut judge)?;
    output.bytes.extend(written);
    Ok(())
}

fn is_result(tag: &Tag<'_>) -> bool {
    tag.name == b"iq" && tag.get(b"type") == Some(b"result")
}

/// What an answer tells, if an error takes its place.
fn refused_answer(unit: &[u8], stanza: &Tag<'_>) -> Result<Option<Subject>, Malformed> {
    let (mut reader, mut depth) = (Reader::new(unit)?, 0_usize);
    while let Some(event) = reader.next()? {
        match event {
            Event::Start(tag) => {
                let payload = tag.get(b"xmlns").filter(|_| depth == 1);
                if let Some(Payload::Answer(subject)) = payload.and_then(|payload| find(PAYLOADS, payload)) {
                    return Ok(Some(subject).filter(|_| is_result(stanza)));
                }
                depth += usize::from(!tag.is_empty);
            }
            Event::End => depth -= 1,
            Event::Text(_) => {}
        }
    }
    Ok(None)
}

/// Passes everything without prefixes.
struct Plain;

impl Judge for Plain {
    fn element(&mut self, _: usize, _: &[u8], _: &Tag<'_>) -> Fate {
        Fate::Pass
    }

    fn attribute(&mut self, _: usize, _: &[u8], _: &Tag<'_>, attribute: &Attribute<'_>) -> bool {
        !attribute.name.contains(&b':')
    }
}

/// Passes an element of a login without other elements in it.
struct OnlyData {
    is_well: bool,
}

impl Judge for OnlyData {
    fn element(&mut self, depth: usize, _: &[u8], _: &Tag<'_>) -> Fate {
        self.is_well &= depth == 0;
        Fate::Pass
    }

    fn attribute(&mut self, _: usize, _: &[u8], _: &Tag<'_>, attribute: &Attribute<'_>) -> bool {
        matches!(attribute.name, b"xmlns" | b"mechanism")
    }
}

/// Decides about the parts of a stanza.
struct Stanza<'a> {
    /// Whether it answers a question.
    is_answer: bool,
    /// The rule of the payload in which the current element is.
    within: Payload,
    output: &'a mut Output,
}

impl Stanza<'_> {
    /// The fate of a child of the stanza.
    fn child(&mut self, namespace: &[u8], tag: &Tag<'_>) -> Result<(), Subject> {
        if namespace == CLIENT {
            let is_error = tag.name == b"error";
            let of_errors = find(PAYLOADS, CONDITIONS.as_bytes()).filter(|_| is_error);
            self.within = of_errors.unwrap_or(Payload::Pass);
            let is_known = is_error || PARTS.contains(&tag.name);
            return if is_known { Ok(()) } else { Err(Subject::UnknownElement) };
        }
        match find(PAYLOADS, namespace) {
            None => Err(Subject::UnknownElement),
            Some(Payload::Remove(subject)) => Err(subject),
            Some(within) => {
                self.within = within;
                Ok(())
            }
        }
    }

    /// The fate of an element in a payload.
    fn inner(&self, namespace: &[u8], tag: &Tag<'_>) -> Result<(), Subject> {
        if let Some(Payload::Remove(subject)) = find(PAYLOADS, namespace) {
            return Err(subject);
        }
        match self.within {
            Payload::Without(name, subject) if tag.name.ends_with(name.as_bytes()) => Err(subject),
            // A form there names the software and the system.
            Payload::Discovery if self.is_answer && namespace == b"jabber:x:data" => Err(Subject::Program),
            _ => Ok(()),
        }
    }
}

impl Judge for Stanza<'_> {
    fn element(&mut self, depth: usize, namespace: &[u8], tag: &Tag<'_>) -> Fate {
        let has_prefix =
            tag.name.contains(&b':') || tag.attributes.iter().any(|one| one.name.starts_with(b"xmlns:"));
        let passes = match depth {
            _ if has_prefix => Err(Subject::UnknownElement),
            0 => Ok(()),
            1 => self.child(namespace, tag),
            _ => self.inner(namespace, tag),
        };
        match passes {
            Ok(()) => Fate::Pass,
            Err(subject) => {
                self.output.removed(subject);
                Fate::Remove
            }
        }
    }

    fn attribute(&mut self, depth: usize, _: &[u8], tag: &Tag<'_>, attribute: &Attribute<'_>) -> bool {
        let is_name_of_program =
            self.within == Payload::Discovery && tag.name == b"identity" && attribute.name == b"name";
        let subject = match attribute.name {
            name if name.contains(&b':') => Subject::Preference,
            name if depth == 0 && !OF_STANZA.contains(&name) => Subject::UnknownParameter,
            _ if is_name_of_program => Subject::Program,
            _ => return true,
        };
        self.output.removed(subject);
        false
    }
}
