//! Identities, their addresses in I2P and their home directories; what else the program sees.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
};

use sam_testkit::Dialect;
use tempfile::TempDir;

use super::run;
use crate::common::{
    self,
    lab::{Lab, TCP, started},
};

const WHO: [&str; 3] =
    ["python3", "-c", "import socket; print(socket.create_connection(('whoami.i2p', 7)).recv(9999))"];

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_have_two_addresses() {
    let lab = Lab::new(Dialect::I2pd245).await;
    for config in [TCP.to_owned(), format!("{TCP}key = 'persistent'\nisolate = []\n")] {
        let addresses: Vec<_> = (0..2).map(|_| run(&lab, &config, &[], &WHO).1).collect();
        assert!(addresses[0].len() > 500 && addresses[0] != addresses[1], "{config}: {addresses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_keeps_a_home_directory_of_its_own() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let write = ["sh", "-c", "cat file 2> /dev/null; echo kept > file; echo $HOME"];
    let home = |options: &[&str]| run(&lab, TCP, options, &write).1;
    assert_eq!(home(&["--identity", "one"]), "/home/user\n");
    assert_eq!(home(&["--identity", "one"]), "kept\n/home/user\n");
    assert_eq!(home(&["--identity", "two"]), "/home/user\n");
    assert_eq!(home(&[]), "/home/user\n");
    assert_eq!(home(&[]), "/home/user\n", "nothing is kept without a name");
    let kept = lab.state().join("exec/one");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o700);
}

/// A directory in the place of a home directory, which must not be in `/tmp`: that is a wall of its own.
fn home() -> TempDir {
    let places = ["/var/lib", "/home", "/var/tmp"];
    let make = |place: &&str| TempDir::with_prefix_in("i2p-socks-", place).ok();
    let home = places.iter().find_map(make).expect("a place for a home directory");
    fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_a_wall_is_said_once() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let home = home();
    for (options, says) in [
        (&[][..], None),
        (&["--home", "share"], Some("is not contained")),
        (&["--allow-unix"], Some("can make Unix sockets")),
    ] {
        let mut command = super::exec(&lab, TCP, options, &["true"]);
        command.env("HOME", home.path());
        let (code, _, stderr) = super::ended(command);
        assert_eq!(code, Some(0), "{stderr}");
        let warnings = ["is not contained", "can make Unix sockets"];
        let said = stderr.lines().filter(|line| warnings.iter().any(|warning| line.contains(warning)));
        assert_eq!(said.count(), usize::from(says.is_some()), "{stderr}");
        assert!(says.is_none_or(|says| stderr.contains(says)), "{stderr}");
    }
}

/// A proxy that starts later has its keys and its sockets there.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_did_not_exist_is_closed_too() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let home = home();
    let (state, go) = (home.path().join("state"), home.path().join("go"));
    let line = "echo started; until test -e $HOME/go; do sleep 0.01; done; ls -A $HOME/state; echo end";
    let mut command =
        common::i2p_socks(&["exec", "--router", "sam", "--sam", &lab.bridge.address(), "--state-dir"]);
    command.arg(&state).args(["--home", "share", "--", "sh", "-c", line]).env("HOME", home.path());
    let mut child = started(command);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("started"));
    fs::set_permissions(&state, Permissions::from_mode(0o777)).unwrap();
    fs::write(state.join("secret"), "").unwrap();
    fs::write(go, "").unwrap();
    assert_eq!(lines.collect::<Vec<_>>(), ["end"]);
    assert!(child.ended().status.success());
}

/// Root's programs run as another user. Run by another user, the test uses a home that is not closed to its program.
#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_roots_program_could_not_enter_is_refused_with_what_to_do() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let home = home();
    fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let mut command = super::exec(&lab, TCP, &["--home", "share"], &["true"]);
    command.env("HOME", home.path());
    let (code, _, stderr) = super::ended(command);
    assert_eq!(code, Some(if is_root { 64 } else { 0 }), "{stderr}");
    assert_eq!(stderr.contains("who may not enter"), is_root, "{stderr}");
    assert_eq!(stderr.contains("with --bind, or run exec as the user whose home it is"), is_root, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_shown_is_seen() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let directory = TempDir::new().unwrap();
    let shown = directory.path().join("shown");
    fs::create_dir(&shown).unwrap();
    fs::write(shown.join("file"), "shown\n").unwrap();
    // Root's programs run as another user.
    fs::set_permissions(&shown, Permissions::from_mode(0o777)).unwrap();
    let path = shown.to_str().unwrap();
    let line = format!("cat {path}/file; echo new > {path}/new; echo $SECRET$GIVEN");
    for (options, said, writable) in [
        (&["--ro-bind", path, "--env", "GIVEN=given"][..], "shown\ngiven\n", false),
        (&["--bind", path], "shown\n\n", true),
        (&[], "\n", true),
    ] {
        let mut command = super::exec(&lab, TCP, options, &["sh", "-c", &line]);
        command.env("SECRET", "secret");
        let (_, stdout, stderr) = super::ended(command);
        assert_eq!(stdout, said, "{options:?} {stderr}");
        assert_eq!(shown.join("new").exists(), writable, "{options:?}");
    }
    // Not the sockets and keys of the proxy.
    let state = lab.state().to_str().unwrap();
    let (code, stdout, stderr) = super::ended(super::exec(&lab, TCP, &["--ro-bind", state], &["true"]));
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
    assert!(stderr.contains("is closed to it"), "{stderr}");
}
