//! International names: converts what people write to the ASCII form that address books and the DNS hold.

use alloc::{borrow::Cow, string::String};

use crate::{error::NameError, punycode};

/// Converts labels that are not ASCII to `xn--` labels (UTS 46, as browsers do): it maps letters of other widths, cases and
/// compositions, and full stops of other scripts, to their plain form. A label that would be malformed in ASCII is an error
/// here too.
#[cfg(feature = "idna")]
pub(crate) fn to_ascii(text: &str) -> Result<Cow<'_, str>, NameError> {
    if text.is_ascii() { Ok(Cow::Borrowed(text)) } else { uts46(text) }
}

/// Accepts ASCII only: without the tables of Unicode the plain form of other letters is unknown.
#[cfg(not(feature = "idna"))]
pub(crate) fn to_ascii(text: &str) -> Result<Cow<'_, str>, NameError> {
    match text.bytes().position(|byte| !byte.is_ascii()) {
        None => Ok(Cow::Borrowed(text)),
        Some(position) => Err(NameError::NotAscii { position }),
    }
}

/// Decodes a label in ASCII and lower case to what a reader sees. A label that does not start with `xn--` is returned unchanged.
///
/// An `xn--` label has to be one that UTS 46 produces. Anything else in its place, such as `xn--i2p-`, becomes another name in
/// programs that decode it without this check. Without the feature `idna`, only its encoding is checked.
pub(crate) fn decode_label(label: &str) -> Result<Cow<'_, str>, NameError> {
    let Some(encoded) = label.strip_prefix("xn--") else { return Ok(Cow::Borrowed(label)) };
    let decoded: String = punycode::decode(encoded).ok_or(NameError::International)?.into_iter().collect();
    if decoded.is_ascii() {
        return Err(NameError::International);
    }
    #[cfg(feature = "idna")]
    uts46(label)?;
    Ok(Cow::Owned(decoded))
}

/// Maps and checks a name, and encodes its labels that are not ASCII.
#[cfg(feature = "idna")]
fn uts46(text: &str) -> Result<Cow<'_, str>, NameError> {
    use idna::{
        AsciiDenyList,
        uts46::{DnsLength, Hyphens, Uts46},
    };

    // The caller checks lengths, once it knows the kind of name.
    Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Ignore)
        .map_err(|_| NameError::International)
}
