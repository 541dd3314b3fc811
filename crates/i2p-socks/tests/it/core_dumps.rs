//! A crash leaves no file with the memory of the proxy.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::{CommandExt, ExitStatusExt},
    },
    process::{Command, Stdio},
};

use sam_testkit::TestBridge;

use crate::common::{self, Running};

/// A user who is nobody else here.
const OTHER: u32 = 65_534;

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_leaves_no_core_dump_even_where_its_limit_would_allow_one() {
    let bridge = TestBridge::start().await;
    let directory = tempfile::tempdir().unwrap();
    let proxy = common::i2p_socks(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""]).arg(proxy.get_program());
    command.args(["run", "--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"]);
    command.arg("--state-dir").arg(directory.path()).current_dir(directory.path()).stdin(Stdio::null());
    let mut proxy = Running::of(command);
    proxy.ready();
    let limits = fs::read_to_string(format!("/proc/{}/limits", proxy.id())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let values: Vec<_> = limit.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{limit}");
    let status = proxy.ended_by("ABRT");
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status}");
    let files = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name());
    let files: Vec<_> = files.filter(|name| name.to_string_lossy().contains("core")).collect();
    assert!(files.is_empty(), "{files:?}");
}

/// The files of a process that cannot be dumped belong to root, so that no other process of its user reads its memory.
#[test]
fn other_processes_of_the_same_user_cannot_read_the_memory() {
    assert!(rustix::process::geteuid().is_root(), "this test becomes another user, and needs root for it");
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The other user may have no way to where the program is built.
    let program = directory.path().join("i2p-socks");
    fs::copy(common::i2p_socks(&[]).get_program(), &program).unwrap();
    let mut command = Command::new(&program);
    // It waits for a password on stdin.
    command.args(["passwd", "somebody"]).env_clear().current_dir("/").uid(OTHER).gid(OTHER);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let memory = format!("/proc/{}/mem", child.id());
    let begin = std::time::Instant::now();
    // Until it has started, it is still this test.
    while fs::metadata(&memory).unwrap().uid() != 0 || !is_started(child.id()) {
        assert!(begin.elapsed() < common::LIMIT, "the memory belongs to its user");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Whether the process runs the program, and waits.
fn is_started(id: u32) -> bool {
    let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap();
    read("comm").trim() == "i2p-socks" && read("status").contains("State:\tS")
}
