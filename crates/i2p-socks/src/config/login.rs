//! User names and passwords that other programs ask us for. Passwords come from files.

use std::path::Path;

use zeroize::Zeroizing;

use crate::files::{self, ReadError};

/// The longest name or password: SOCKS5 has one byte for their length (RFC 1929), and SAM takes no more either.
const MAX_BYTES: usize = 255;
/// The longest password with a byte order mark before it and an end of line behind it.
const MAX_FILE_BYTES: usize = 3 + MAX_BYTES + 2;

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

/// The password in a file, which holds nothing else. A byte order mark before it and an end of line behind it (LF or CRLF) are not
/// part of the password.
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
    let text = files::text_of(&contents).map_err(|error| error.to_string())?;
    let password = text.strip_suffix('\n').unwrap_or(text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    check("password", password)?;
    Ok(Zeroizing::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_and_an_end_of_line_are_no_part_of_a_password() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let longest = "x".repeat(MAX_BYTES);
        for (contents, password) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("\u{feff}secret\r\n", "secret"),
            (&format!("\u{feff}{longest}\r\n"), &longest),
        ] {
            std::fs::write(&file, contents).unwrap();
            assert_eq!(*password_in(&file).unwrap(), password, "{contents:?}");
        }
    }
}
