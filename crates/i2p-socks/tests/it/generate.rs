//! What is installed beside the program comes from the program.

use std::fs;

use crate::common::output;

fn generated(args: &[&str]) -> String {
    let (code, stdout, stderr) = output(&[&["generate"], args].concat());
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
    stdout
}

#[test]
fn the_configuration_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let text = generated(&["config"]);
    assert!(!text.contains("see below"), "nothing is below: what a page explains has to be named");
    fs::write(&config, text).unwrap();
    let (code, stdout, stderr) = output(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("tunnel default listens on 127.0.0.1:4450"), "{stdout}");
}

#[test]
fn manual_pages_and_completions_know_the_commands() {
    let page = generated(&["man"]);
    assert!(page.starts_with(".ie") || page.contains(".TH i2p-socks 1"), "{page:.100}");
    let dir = tempfile::tempdir().unwrap();
    generated(&["man", "--dir", dir.path().to_str().unwrap()]);
    for name in ["i2p-socks.1", "i2p-socks-status.1", "i2p-socks-keys-new.1", "i2p-socks-check.1"] {
        let text =
            fs::read_to_string(dir.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(".SH SYNOPSIS"), "{name}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = generated(&["completions", shell]);
        for word in ["status", "keys", "generate", "--state-dir"] {
            assert!(script.contains(word.trim_start_matches('-')), "{word} is not in that of {shell}");
        }
    }
    assert_eq!(output(&["generate", "completions", "tcsh"]).0, Some(64));
}

#[test]
fn the_units_are_those_of_dist() {
    let unit = generated(&["unit"]);
    assert_eq!(unit, include_str!("../../dist/i2p-socks.service"));
    for line in
        ["Type=notify-reload", "DynamicUser=yes", "StateDirectory=i2p-socks", "RestartPreventExitStatus=64"]
    {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    // In a user namespace of its own every user of a Unix socket would be the same one, 65534.
    assert!(!unit.lines().any(|line| line.starts_with("PrivateUsers=")), "{unit}");
    let filters: Vec<_> = unit.lines().filter(|line| line.starts_with("SystemCallFilter=")).collect();
    assert_eq!(filters.last(), Some(&"SystemCallFilter=@chown"), "after what takes it away: for unix-group");
    assert_eq!(generated(&["unit", "--socket"]), include_str!("../../dist/i2p-socks.socket"));
}
