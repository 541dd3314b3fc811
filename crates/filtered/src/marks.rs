//! What tells of the machine, in the forms in which programs send it.

use anyhow::{Result, ensure};
use data_encoding::BASE64;

use crate::machine::{ADDRESS, Tunnel};

/// What tells of the machine in what arrives: its address, parts of its name, of the account, and of the name of its owner.
const WORDS: [&str; 4] = [ADDRESS, "telltale", "tattler", "tat tler"];
/// Its time zone.
const TIME_ZONE: [&str; 2] = ["+0545", "+05:45"];
/// Its address as file servers, offers of files and descriptions of networks write it.
const ADDRESS_FORMS: [&str; 4] = ["192,0,2,77", "3221226061", "c000024d", "77.2.0.192"];

/// Whether a text has a word, in whatever case.
pub(crate) fn has(text: &str, word: &str) -> bool {
    text.to_ascii_lowercase().contains(&word.to_ascii_lowercase())
}

/// The middle of the three forms that a word takes within base64, whose first and last letters depend on what stands beside it.
fn in_base64(word: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let encoded = BASE64.encode(format!("{}{word}", " ".repeat(before)).as_bytes());
        let end = (before + word.len()) * 8 / 6;
        encoded.get((before * 8).div_ceil(6)..end).unwrap_or_default().to_owned()
    })
}

/// Which marks a text has.
fn in_text(text: &str, program: &str) -> Vec<String> {
    let plain = WORDS.into_iter().chain(TIME_ZONE).chain(ADDRESS_FORMS).chain([program]);
    let mut found: Vec<_> = plain.filter(|mark| has(text, mark)).map(str::to_owned).collect();
    let encoded = WORDS.into_iter().filter(|word| in_base64(word).iter().any(|form| text.contains(form)));
    found.extend(encoded.map(|word| format!("{word} in base64")));
    found
}

/// Checks what has arrived. Filtered, it has nothing of the machine and the program; otherwise it has these marks: this shows that the
/// program sends them.
pub(crate) fn check(tunnel: Tunnel, program: &str, tells: &[&str], record: &str) -> Result<()> {
    let told = in_text(record, program);
    match tunnel {
        Tunnel::Filtered | Tunnel::Contained => ensure!(told.is_empty(), "it tells {told:?}:\n{record}"),
        Tunnel::Plain => {
            let has_all = tells.iter().all(|mark| told.iter().any(|told| told == mark));
            ensure!(has_all, "without filters it tells {told:?}, not {tells:?}:\n{record}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_each_form() {
        assert!(in_text("nothing of it", "mutt").is_empty());
        let found =
            in_text("EHLO Telltale-Host\r\nDate: 12:00 +0545\r\nPORT 192,0,2,77,1,2\r\nMutt/2.2", "mutt");
        assert_eq!(found, ["telltale", "+0545", "192,0,2,77", "mutt"]);
    }

    #[test]
    fn a_word_within_base64_is_found_wherever_it_stands() {
        for before in 0..7 {
            let encoded = BASE64.encode(format!("{}tattler-and-more", "x".repeat(before)).as_bytes());
            assert_eq!(in_text(&encoded, "mutt"), ["tattler in base64"], "{encoded}");
        }
    }
}
