//! A crash leaves no file with the memory of the proxy.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::{
        fs::{FileExt, MetadataExt, PermissionsExt},
        process::{CommandExt, ExitStatusExt},
    },
    process::{Command, Stdio},
};

use i2p_sam::KeyFile;
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
    // With 0, a program that takes dumps from a pipe would still be started.
    assert_eq!(values, ["1", "1"], "{limit}");
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
    // By another process: while this one writes a program, one that another test starts has it open for writing, and then it cannot
    // be run (ETXTBSY).
    let copied = Command::new("cp").arg(common::i2p_socks(&[]).get_program()).arg(&program).status().unwrap();
    assert!(copied.success());
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

/// A key is needed for as long as the proxy runs. What it leaves elsewhere would only be for others to find.
#[tokio::test(flavor = "multi_thread")]
async fn the_memory_holds_a_persistent_key_once() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test reads the memory of a process, and needs root for it"
    );
    let bridge = TestBridge::start().await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    fs::write(&config, "[[tunnel]]\nlisten = ['127.0.0.1:0']\nkey = 'persistent'\nisolate = []\n").unwrap();
    let (state, config) = (directory.path().to_str().unwrap(), config.to_str().unwrap());
    let sam = bridge.address();
    let args = ["run", "--router", "sam", "--sam", &sam, "--state-dir", state, "--config", config];
    // The first run has the router make the key, the second one reads it from its file.
    for run in ["with a new key", "with a stored key"] {
        let mut proxy = Running::start(&args);
        let (code, mut stream) = common::connect(proxy.ready(), "known.i2p");
        assert_eq!(code, 0, "{}", proxy.said());
        common::echo(&mut stream);
        let key = KeyFile::new(directory.path().join("keys/default.dat")).load().unwrap().unwrap();
        let (text, bytes) = (key.as_str().trim_end_matches('='), key.to_bytes());
        let secret = bytes.len() - key.destination().as_bytes().len();
        assert!(secret > 40, "{secret}");
        let as_text = copies(proxy.id(), &text.as_bytes()[text.len() - 40..]);
        let as_bytes = copies(proxy.id(), &bytes[bytes.len() - 30..]);
        assert_eq!((as_text, as_bytes), (1, 0), "{run}");
        assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    }
}

/// How often the memory of a process holds these bytes.
fn copies(id: u32, wanted: &[u8]) -> usize {
    let memory = fs::File::open(format!("/proc/{id}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let mut found = 0;
    for region in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")))
    {
        let (begin, end) = region.split(' ').next().unwrap().split_once('-').unwrap();
        let (begin, end) = (u64::from_str_radix(begin, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
        // Some regions of the kernel cannot be read.
        if memory.read_exact_at(&mut bytes, begin).is_ok() {
            found += bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
        }
    }
    found
}
