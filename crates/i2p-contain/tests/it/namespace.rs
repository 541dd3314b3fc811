//! Runs a test in a network namespace: the test program starts itself again under unshare(1), with the name of the one test.

use std::process::{Command, Stdio};

/// Set in the process inside.
const INSIDE: &str = "I2P_CONTAIN_TEST_INSIDE";
/// Set by hand: run the long forms, see the README of the crate.
const FULL: &str = "I2P_CONTAIN_TEST_FULL";

/// Runs this body in a new network namespace. `test` is the name of the test, such as `streams::half_close`.
pub(crate) fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(options())
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "there is no test `{test}`: {stdout}");
    // What was measured.
    stdout.lines().filter(|line| line.starts_with("measured")).for_each(|line| println!("{line}"));
}

/// The options of unshare(1) that work here: with a user namespace, as programs are contained, or without, as root.
fn options() -> &'static [&'static str] {
    let choices: [&[&str]; 2] = [&["--user", "--map-root-user", "--net"], &["--net"]];
    let works = |options: &&&[&str]| {
        let try_out = ["sh", "-c", "exec 3<>/dev/net/tun"];
        let status = Command::new("unshare").args(**options).args(try_out).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    choices.iter().find(works).expect(
        "no network namespace with a TUN device can be made here; run as root, or allow unprivileged user namespaces and \
         `chmod 666 /dev/net/tun`",
    )
}

/// The size of a test: the short one, or the long one if asked for.
pub(crate) fn size<T>(short: T, full: T) -> T {
    if std::env::var_os(FULL).is_some() { full } else { short }
}
