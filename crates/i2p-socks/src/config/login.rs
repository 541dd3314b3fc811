//! User names and passwords that other programs ask us for. Passwords come from files.

use std::path::Path;

use zeroize::Zeroizing;

use crate::files::{self, ReadError};

/// The longest name or password: SOCKS5 has one byte for their length (RFC 1929), and SAM takes no more either.
const MAX_BYTES: usize = 255;
/// The longest password with an end of line behind it.
const MAX_FILE_BYTES: usize = MAX_BYTES + 2;

/// Checks that SOCKS5, HTTP and SAM can carry a name or a password.
///
/// # Errors
/// Why not.
pub(crate) fn check(what: &str, text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err(format!("the {what} is empty")),
        length if length > MAX_BYTES => {
            Err(format!("the {what} has {length} bytes; the maximum is {MAX_BYTES}"))
        }
        _ if text.chars().any(char::is_control) => Err(format!("the {what} contains a control character")),
        _ => Ok(()),
    }
}

/// The password in a file, which holds nothing else. An end of line behind it (LF or CRLF) is not part of the password.
///
/// # Errors
/// What to say of the file.
pub(crate) fn password_in(file: &Path) -> Result<Zeroizing<String>, String> {
    let mut contents = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    files::read_into(&mut contents, file, MAX_FILE_BYTES as u64).map_err(|error| match error {
        ReadError::TooLarge { .. } => {
            format!(
                "it is too long: a password has at most {MAX_BYTES} bytes, and nothing else is in its file"
            )
        }
        error => error.to_string(),
    })?;
    let text = str::from_utf8(&contents).map_err(|_| ReadError::NotText.to_string())?;
    let password = text.strip_suffix('\n').unwrap_or(text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    check("password", password)?;
    Ok(Zeroizing::new(password.to_owned()))
}
