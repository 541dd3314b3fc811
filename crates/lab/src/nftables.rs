//! Rules of nftables in the namespace of the suite, and what they count.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::shell;

/// Loads rules.
pub fn load(rules: &str) -> Result<()> {
    nft(&["-f", "-"], rules)
}

/// Checks that rules could be loaded.
pub fn check(rules: &str) -> Result<()> {
    nft(&["-c", "-f", "-"], rules)
}

/// The packets of a counter, such as `inet uplink left`: family, table, name.
pub fn packets(counter: &str) -> Result<u64> {
    packets_in(&shell::run(&format!("nft list counter {counter}"))?)
}

/// The packets of a counter, as `nft list counter` shows it.
pub fn packets_in(shown: &str) -> Result<u64> {
    let packets = shown.split_whitespace().skip_while(|word| *word != "packets").nth(1);
    packets.context("no count")?.parse().context("not a number")
}

fn nft(arguments: &[&str], rules: &str) -> Result<()> {
    let mut nft = Command::new("nft").args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(rules.as_bytes())?;
    }
    shell::succeeded("nft", &nft.wait_with_output()?).with_context(|| rules.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read() {
        let shown = "table inet uplink {\n\tcounter left {\n\t\tpackets 12 bytes 720\n\t}\n}\n";
        assert_eq!(packets_in(shown).unwrap(), 12);
        assert!(packets_in("table inet uplink {}").is_err());
    }
}
