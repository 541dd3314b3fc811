//! Where a wall cannot be built, the program is not started. Where all can, no privileges are needed.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::Command,
};

use sam_testkit::Dialect;
use tempfile::TempDir;

use super::{ended, exec};
use crate::common::{self, lab::Lab};

/// A user who is nobody else here.
const NOBODY: u32 = 65_534;

/// A user without privileges, with the program and a directory of his.
struct User {
    directory: TempDir,
}

impl User {
    fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test becomes another user, and needs root for it"
        );
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let user = Self { directory };
        for directory in [user.own(), user.state()] {
            fs::create_dir(&directory).unwrap();
            chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        // The user may have no way to where the program is built.
        let installed = common::i2p_socks(&[]);
        let copied = Command::new("cp").arg(installed.get_program()).arg(user.program()).status().unwrap();
        assert!(copied.success());
        user
    }

    /// His directory.
    fn own(&self) -> PathBuf {
        self.directory.path().join("own")
    }

    /// His state directory, which is closed to contained programs.
    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("i2p-socks")
    }

    /// A shell command of root in new namespaces, and then one of the user in further ones, and then the program.
    fn exec(&self, lab: &Lab, [root, of_user]: [(&str, &[&str]); 2], words: &[&str]) -> Command {
        let shell = |command: &mut Command, (line, options): (&str, &[&str])| {
            command.args(options).args(["sh", "-c", &format!("{line} && exec \"$0\" \"$@\"")]);
        };
        let mut command = Command::new("unshare");
        shell(&mut command, root);
        command.args([
            "setpriv",
            "--reuid",
            &NOBODY.to_string(),
            "--regid",
            &NOBODY.to_string(),
            "--clear-groups",
        ]);
        command.arg("unshare");
        shell(&mut command, of_user);
        command.arg(self.program()).args([
            "exec",
            "--router",
            "sam",
            "--sam",
            &lab.bridge.address(),
            "--state-dir",
        ]);
        command.arg(self.state()).args(words);
        command
    }
}

const NOTHING: (&str, &[&str]) = ("cd /", &[]);

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_what_it_takes_refuses_and_says_what_to_do() {
    let (lab, user) = (Lab::new(Dialect::I2pd245).await, User::new());
    let (own, mark) = (user.own(), user.own().join("started"));
    let words = ["--bind", own.to_str().unwrap(), "--", "touch", mark.to_str().unwrap()];
    let pretend: &[&str] = &["--user", "--map-root-user"];
    let with_mounts: &[&str] = &["--user", "--map-root-user", "--mount"];
    for (preparation, says) in [
        (
            ("echo 0 > /proc/sys/user/max_user_namespaces", pretend),
            &["user namespace", "sysctl user.max_user_namespaces"][..],
        ),
        (("mount -t tmpfs none /dev/net", with_mounts), &["link", "/dev/net/tun"]),
        (("mount --bind /proc/self/status /dev/net/tun", with_mounts), &["link"]),
    ] {
        let command = user.exec(&lab, [("cd /", &["--mount"]), preparation], &words);
        let (code, stdout, stderr) = ended(command);
        assert_eq!((code, stdout.as_str()), (Some(69), ""), "{preparation:?}: {stderr}");
        for part in says {
            assert!(stderr.contains(part), "{preparation:?}: {stderr}");
        }
        assert!(stderr.contains("The program was not started"), "{stderr}");
        assert!(!mark.exists(), "{preparation:?}: it was started");
    }
    assert!(lab.bridge.commands().is_empty(), "nothing was sent");
    let (code, _, stderr) = ended(user.exec(&lab, [device("666"), NOTHING], &words));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(mark.exists());
}

/// A TUN device with these permissions, as udev makes it or not.
fn device(mode: &str) -> (&'static str, &'static [&'static str]) {
    let line = match mode {
        "666" => "cd / && mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200",
        _ => "cd / && mount -t tmpfs none /dev/net && mknod -m 600 /dev/net/tun c 10 200",
    };
    (line, &["--mount"])
}

/// A user without any privilege can contain programs, if udev lets users open the TUN device.
#[tokio::test(flavor = "multi_thread")]
async fn no_privileges_are_needed() {
    let (lab, user) = (Lab::new(Dialect::I2pd245).await, User::new());
    let line = "import os, socket; print(os.getuid(), socket.create_connection(('source.i2p', 7)).recv(100).decode())";
    let words = ["--identity", "one", "--", "python3", "-c", line];
    let (code, stdout, stderr) = ended(user.exec(&lab, [device("666"), NOTHING], &words));
    assert_eq!((code, stdout.as_str()), (Some(0), "1000 all there is\n"), "{stderr}");
    let (code, stdout, stderr) = ended(user.exec(&lab, [device("600"), NOTHING], &words));
    assert_eq!((code, stdout.as_str()), (Some(69), ""), "{stderr}");
    assert!(stderr.contains("link") && stderr.contains("chmod 666 /dev/net/tun"), "{stderr}");
}

/// Root's program runs as another user, who could not open a device that is root's alone.
#[tokio::test(flavor = "multi_thread")]
async fn root_needs_no_device_that_everybody_may_open() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let (line, options) = device("600");
    let exec = exec(&lab, "", &[], &["true"]);
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", &format!("{line} && exec \"$0\" \"$@\"")]);
    command.arg(exec.get_program()).args(exec.get_args());
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(0), "{stderr}");
}
