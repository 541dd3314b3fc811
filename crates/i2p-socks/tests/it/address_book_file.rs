//! The file of the address book, which one process at a time can have open.

use std::{fs, process::Stdio};

use i2p_name::Destination;
use sam_testkit::TestBridge;

use crate::common::{Running, i2p_socks, output};

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
