//! Where a wall cannot be built, the program is not started.

use std::process::Command;

use sam_testkit::Dialect;

use super::{ended, exec};
use crate::common::lab::{Lab, TCP};

/// Runs this shell command in new namespaces, and then the program.
fn after(preparation: &str, options: &[&str], command: &Command) -> Command {
    let mut outer = Command::new("unshare");
    outer.args(options).args(["sh", "-c", &format!("{preparation} && exec \"$0\" \"$@\"")]);
    outer.arg(command.get_program()).args(command.get_args());
    outer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_what_it_takes_refuses_and_says_what_to_do() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let dir = tempfile::tempdir().unwrap();
    fs_mode(dir.path());
    let mark = dir.path().join("started");
    let path = dir.path().to_str().unwrap();
    let program = ["touch", mark.to_str().unwrap()];
    for (preparation, options, says) in [
        (
            "echo 0 > /proc/sys/user/max_user_namespaces",
            &["--user", "--map-root-user"][..],
            &["user namespace", "sysctl user.max_user_namespaces"][..],
        ),
        (
            "mount -t tmpfs none /dev/net",
            &["--user", "--map-root-user", "--mount"],
            &["link", "/dev/net/tun"],
        ),
        ("mount --bind /proc/self/status /dev/net/tun", &["--user", "--map-root-user", "--mount"], &["link"]),
    ] {
        let command = exec(&lab, TCP, &["--bind", path], &program);
        let (code, stdout, stderr) = ended(after(preparation, options, &command));
        assert_eq!((code, stdout.as_str()), (Some(69), ""), "{preparation}: {stderr}");
        for part in says {
            assert!(stderr.contains(part), "{preparation}: {stderr}");
        }
        assert!(stderr.contains("The program was not started"), "{stderr}");
        assert!(!mark.exists(), "{preparation}: it was started");
    }
    assert!(lab.bridge.commands().is_empty(), "nothing was sent");
    let (code, _, stderr) = ended(exec(&lab, TCP, &["--bind", path], &program));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(mark.exists());
}

/// Lets every user write there.
fn fs_mode(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}
