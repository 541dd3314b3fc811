//! International names: converts what people write to the ASCII form that address books and the DNS hold.

use alloc::borrow::Cow;

use crate::error::NameError;

/// Converts labels that are not ASCII to `xn--` labels (UTS 46, as browsers do): it maps letters of other widths, cases and
/// compositions, and full stops of other scripts, to their plain form. A label that would be malformed in ASCII is an error
/// here too.
#[cfg(feature = "idna")]
pub(crate) fn to_ascii(text: &str) -> Result<Cow<'_, str>, NameError> {
    use idna::{
        AsciiDenyList,
        uts46::{DnsLength, Hyphens, Uts46},
    };

    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    // The caller checks lengths, once it knows the kind of name.
    Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Ignore)
        .map_err(|_| NameError::International)
}

/// Accepts ASCII only: without the tables of Unicode the plain form of other letters is unknown.
#[cfg(not(feature = "idna"))]
pub(crate) fn to_ascii(text: &str) -> Result<Cow<'_, str>, NameError> {
    match text.bytes().position(|byte| !byte.is_ascii()) {
        None => Ok(Cow::Borrowed(text)),
        Some(position) => Err(NameError::NotAscii { position }),
    }
}
