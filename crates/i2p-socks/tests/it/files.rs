//! Endless files and files that are far too large: each is refused by name before it fills the memory.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Output, Stdio},
};

use crate::common::i2p_socks;

const ENDLESS: &str = "/dev/zero";

/// Runs the binary with 1 GiB of address space and an endless stdin. Without a limit, a read fails within seconds.
fn with_little_memory(args: &[&str]) -> (Option<i32>, String) {
    let binary = i2p_socks(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\""]).arg(binary.get_program()).args(args);
    command.env("STATE_DIRECTORY", "/nonexistent").stdin(Stdio::from(fs::File::open(ENDLESS).unwrap()));
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn endless_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    symlink(ENDLESS, state.join("ports.json")).unwrap();
    let config = |text: &str| {
        let path = dir.path().join("config.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let login = config(
        "[[outproxy]]\nname = 'exit'\nat = 'exit.i2p'\nprotocol = 'socks5'\nusername = 'me'\npassword-file = '/dev/zero'\n",
    );
    let state = state.to_str().unwrap();
    for (args, says, code) in [
        (
            &["check", "--config", ENDLESS][..],
            "cannot read the configuration file /dev/zero: it is larger than 1 MiB",
            64,
        ),
        (
            &["check", "-o", "router.user=me", "-o", "router.password-file=/dev/zero"],
            "[router] cannot use the password file /dev/zero: it is too long",
            64,
        ),
        (
            &["check", "--config", &login],
            "outproxy exit: cannot use the password file /dev/zero: it is too long",
            64,
        ),
        (
            &["check", "-o", "tunnel.default.auth=required", "-o", "tunnel.default.users-file=/dev/zero"],
            "the users file /dev/zero cannot be used: it is larger than 1 MiB",
            64,
        ),
        (
            &["connect", "a.i2p", "--user", "me", "--password-file", ENDLESS],
            "cannot use the password file /dev/zero: it is too long",
            64,
        ),
        (&["connect", "a.i2p", "--state-dir", state], "ports.json in", 1),
        (&["passwd", "me"], "a line on stdin is too long", 64),
    ] {
        let (found, stderr) = with_little_memory(args);
        assert_eq!(found, Some(code), "{args:?}\n{stderr}");
        assert!(stderr.contains(says), "{args:?}\n{stderr}");
    }
}

#[test]
fn an_oversized_password_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    fs::write(&password, "x".repeat(300)).unwrap();
    let (code, stderr) = with_little_memory(&[
        "check",
        "-o",
        "router.user=me",
        "-o",
        &format!("router.password-file={}", password.display()),
    ]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("it is too long: a password has at most 255 bytes"), "{stderr}");
    assert!(!stderr.contains("xxx"), "{stderr}");
}
