//! International names: what people write, as the letters that address books and the DNS hold.

use alloc::borrow::Cow;

use crate::NameError;

/// The name with `xn--` labels for all that are not ASCII (UTS 46, as browsers do it): letters of other widths, cases and
/// compositions, and full stops of other scripts, become what they stand for. A label that would be malformed in ASCII
/// is so here, too.
#[cfg(feature = "idna")]
pub(crate) fn to_ascii(text: &str) -> Result<Cow<'_, str>, NameError> {
    use idna::{
        AsciiDenyList,
        uts46::{DnsLength, Hyphens, Uts46},
    };

    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    // Lengths are checked where it is known what the name is.
    Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Ignore)
        .map_err(|_| NameError::International)
}

/// ASCII or nothing: without tables of Unicode it cannot be known what a name stands for.
#[cfg(not(feature = "idna"))]
pub(crate) fn to_ascii(text: &str) -> Result<Cow<'_, str>, NameError> {
    match text.bytes().position(|byte| !byte.is_ascii()) {
        None => Ok(Cow::Borrowed(text)),
        Some(position) => Err(NameError::NotAscii { position }),
    }
}
