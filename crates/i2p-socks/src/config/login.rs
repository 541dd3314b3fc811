//! What programs that ask who we are get to hear: names as they are, passwords from files.

use std::{fs, io::Read, path::Path};

use zeroize::Zeroizing;

/// The most that a name and a password can have: SOCKS5 has one byte for their lengths (RFC 1929).
const LONGEST: usize = 255;

/// Whether there is room for it in SOCKS5 and in HTTP.
///
/// # Errors
/// Why not.
pub(crate) fn check(what: &str, text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err(format!("the {what} is empty")),
        length if length > LONGEST => {
            Err(format!("the {what} has {length} bytes, and {LONGEST} is the most"))
        }
        _ if text.chars().any(char::is_control) => Err(format!("the {what} holds a control character")),
        _ => Ok(()),
    }
}

/// The password in a file, which holds nothing else but an end of line.
///
/// # Errors
/// What to say of the file.
pub(crate) fn password_in(file: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    // The longest password, an end of line, and one byte that tells that there is more.
    let limit = (LONGEST + 3) as u64;
    let read = fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text));
    read.map_err(|error| error.to_string())?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    check("password", password)?;
    Ok(Zeroizing::new(password.to_owned()))
}
