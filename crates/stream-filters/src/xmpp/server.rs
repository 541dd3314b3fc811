//! What a server says. It passes as it is, but for what would make the client say more, or connect elsewhere.

use super::{
    CLIENT, TLS,
    reader::{Attribute, Event, Malformed, Reader, Tag},
    rewrite::{Fate, Judge, rewritten},
    rules::{FEATURES, OFFERS, STREAM_PARTS},
};
use crate::{Output, Subject, rule::find};

/// An element of the first level. Returns whether it agrees to TLS.
pub(super) fn element(unit: &[u8], output: &mut Output) -> Result<bool, Malformed> {
    let Some(Event::Start(tag)) = Reader::new(unit)?.next()? else { return Err(Malformed) };
    let mut judge = Offers { offers_features: local(tag.name) == b"features", removes: false, output };
    let written = rewritten(unit, CLIENT, &mut judge)?;
    let bytes = if judge.removes { &written } else { unit };
    output.bytes.extend_from_slice(bytes);
    Ok(tag.name == b"proceed" && tag.get(b"xmlns") == Some(TLS))
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b':').next().unwrap_or_default()
}

struct Offers<'a> {
    offers_features: bool,
    removes: bool,
    output: &'a mut Output,
}

impl Judge for Offers<'_> {
    fn element(&mut self, depth: usize, namespace: &[u8], tag: &Tag<'_>) -> Fate {
        let feature = find(FEATURES, namespace).filter(|()| self.offers_features && depth == 1);
        let subject = feature.map(|()| Subject::Capability).or_else(|| find(OFFERS, local(tag.name)));
        let Some(subject) = subject else { return Fate::Pass };
        self.output.removed(subject);
        self.removes = true;
        Fate::Remove
    }

    fn attribute(&mut self, depth: usize, _: &[u8], tag: &Tag<'_>, attribute: &Attribute<'_>) -> bool {
        let is_of_stream = depth == 0 && local(tag.name) == b"enabled";
        let Some(subject) = find(STREAM_PARTS, attribute.name).filter(|_| is_of_stream) else { return true };
        self.output.removed(subject);
        self.removes = true;
        false
    }
}
