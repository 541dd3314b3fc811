//! The file of the address book, which one process at a time can have open.

use std::{
    fs,
    process::{Command, Stdio},
};

use i2p_name::Destination;
use sam_testkit::TestBridge;

use crate::common::{
    Running,
    admin::{Proxy, body},
    i2p_socks, output,
};

fn destination(fill: u8) -> String {
    Destination::from_bytes([&[fill; 384][..], &[5, 0, 4, 0, 7, 0, 4]].concat()).unwrap().to_base64()
}

#[test]
fn commands_at_the_same_time_without_a_proxy_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_str().unwrap();
    let begun: Vec<_> = (1..=6)
        .map(|number| {
            let (name, leads_to) = (format!("n{number}.i2p"), destination(number));
            let mut command = i2p_socks(&["names", "add", &name, &leads_to, "--state-dir", state]);
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for command in begun {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let (_, stdout, stderr) = output(&["names", "list", "--json", "--state-dir", state]);
    let list: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 6, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_in_place_of_the_address_book_is_reported_and_kept() {
    const LOST: &str = "names.redb was an empty file: its names are lost";
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_str().unwrap();
    let list = || output(&["names", "list", "--state-dir", state]);
    assert_eq!(output(&["names", "add", "a.i2p", &destination(1), "--state-dir", state]).0, Some(0));
    let file = dir.path().join("names.redb");
    fs::write(&file, "").unwrap();
    let (code, stdout, stderr) = list();
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert!(stderr.contains(LOST) && stderr.contains("names.redb.empty-1"), "{stderr}");
    assert!(!list().2.contains(LOST), "it is said once");

    fs::write(&file, "").unwrap();
    let args = ["--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"];
    let mut proxy = Running::start(&[&["run", "--state-dir", state], &args[..]].concat());
    proxy.stderr_line(LOST);
    proxy.ready();
    for number in 1..=2 {
        assert_eq!(fs::read(dir.path().join(format!("names.redb.empty-{number}"))).unwrap(), b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_without_its_address_book_says_so_wherever_its_state_is_read() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "");
    proxy.running.ready();
    let fails = |proxy: &mut Proxy, value: u8| {
        let metrics = proxy.get("/metrics").1;
        assert!(metrics.contains(&format!("\ni2p_socks_address_book_fails {value}\n")), "{metrics}");
    };
    fails(&mut proxy, 0);
    assert!(!proxy.get("/status.json").1.contains("address-book-failure"));
    assert_eq!(proxy.running.signal("TERM"), Some(0));
    fs::write(proxy.dir.path().join("state/names.redb"), "not an address book").unwrap();
    proxy.start_again();
    proxy.running.stderr_line("The proxy runs without its address book");
    proxy.running.ready();
    fails(&mut proxy, 1);
    let json: serde_json::Value = serde_json::from_str(body(&proxy.get("/status.json").1)).unwrap();
    let why = json["address-book-failure"].as_str().unwrap();
    assert!(why.contains("names.redb") && why.contains("restart the proxy"), "{why}");
    let (code, stdout, stderr) = output(&["status", "--state-dir", &proxy.state()]);
    assert_eq!(code, Some(0), "clients are served: {stderr}");
    assert!(stdout.contains(&format!("\naddress book: {why}\n")), "{stdout}");
    assert!(proxy.get("/").1.contains("<p class=\"bad\">Address book: "));
    // Where the configuration wants none, nothing is wrong.
    assert_eq!(proxy.running.signal("TERM"), Some(0));
    proxy.configure("[names]\nbook = false\n");
    proxy.start_again();
    proxy.running.ready();
    fails(&mut proxy, 0);
}

/// Run as root, the test uses the directory of another user; otherwise, it uses root's.
#[cfg(unix)]
#[test]
fn no_address_book_is_created_in_the_state_directory_of_another_user() {
    let dir = tempfile::tempdir().unwrap();
    let is_root = std::os::unix::fs::chown(dir.path(), Some(12_345), None).is_ok();
    let state = if is_root { dir.path() } else { std::path::Path::new("/") }.to_str().unwrap();
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let import = ["names", "import", hosts.path().to_str().unwrap()];
    for words in [&["names", "add", "a.i2p", &destination(1)][..], &import] {
        let (code, stdout, stderr) = output(&[words, &["--state-dir", state]].concat());
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains("belongs to user") && stderr.contains("creates it itself"), "{stderr}");
    }
    assert!(!dir.path().join("names.redb").exists());
}

/// A limit on the size of files stands for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_damaged_address_book_behind() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_str().unwrap();
    let add = ["names", "add", "a.i2p", &destination(1), "--state-dir", state];
    let mut full = Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""]).arg(i2p_socks(&[]).get_program());
    let full = full.args(add).output().unwrap();
    let stderr = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{stderr}");
    assert!(!dir.path().join("names.redb").exists(), "{stderr}");
    let (code, _, stderr) = output(&add);
    assert_eq!(code, Some(0), "{stderr}");
}

/// A limit on the size of files stands for a full disk.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_to_write_the_book_is_opened_again_once_there_is_room() {
    const ROOM: &str = "make room on the disk. The next change then opens the address book again";
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_str().unwrap();
    let names = |words: &[&str]| output(&[&["names"], words, &["--state-dir", state]].concat());
    let status = || output(&["status", "--state-dir", state]).1;
    let mut proxy = Command::new("sh");
    // A process that ignores this signal gets an error instead.
    proxy.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(i2p_socks(&[]).get_program());
    proxy.args(["run", "--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"]);
    let mut proxy = Running::of({
        proxy.args(["--state-dir", state]);
        proxy
    });
    proxy.ready();
    let id = proxy.id().to_string();
    let limit = |size: &str| {
        let size = format!("--fsize={size}:");
        assert!(Command::new("prlimit").args(["--pid", &id, &size]).status().unwrap().success());
    };
    assert_eq!(names(&["add", "a.i2p", &destination(1)]).0, Some(0));
    for round in 1..=2 {
        assert!(!status().contains("address book"), "{}", status());
        limit("1");
        for name in ["b.i2p", "c.i2p"] {
            let (code, _, stderr) = names(&["add", name, &destination(2)]);
            assert_eq!(code, Some(1));
            assert!(stderr.contains(ROOM), "{stderr}");
        }
        assert!(names(&["list"]).1.contains("a.i2p"), "names are still found");
        proxy.stderr_lines(ROOM, round);
        assert!(
            status().contains("\naddress book: it could not be written. Its names are found"),
            "{}",
            status()
        );
        limit("unlimited");
        let name = format!("d{round}.i2p");
        let (code, _, stderr) = names(&["add", &name, &destination(2)]);
        assert_eq!(code, Some(0), "{stderr}");
        proxy.stderr_lines("the address book can be written again", round);
        let listed = names(&["list"]).1;
        assert!(listed.contains("a.i2p") && listed.contains(&name) && !listed.contains("b.i2p"), "{listed}");
    }
    assert_eq!(proxy.said().matches(ROOM).count(), 2, "{}", proxy.said());
    assert_eq!(proxy.signal("TERM"), Some(0));
    drop(proxy);
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name.to_string_lossy().contains("probe")), "{files:?}");
    assert_eq!(names(&["list"]).1.lines().count(), 3);
}
