//! Persistent identities: created, listed and shown without their private keys.

use std::fs;

use i2p_sam::KeyFile;
use sam_testkit::TestBridge;

use crate::common::{self, Running};

const OWN_CONFIGURATION: &str = "The answer is what the configuration of this command says";

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_created_once_and_its_address_is_shown() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let keys = |args: &[&str]| {
        let address = bridge.address();
        let more = ["--sam", &address, "--state-dir", state.to_str().unwrap()];
        common::output(&[&["keys"], args, &more].concat())
    };
    assert_eq!(keys(&["list"]), (Some(0), String::new(), "there are no identities\n".into()));
    let (code, made, stderr) = keys(&["new", "mine"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("needs name = \"mine\" and key = \"persistent\""), "{stderr}");
    let b32 = made.trim();
    assert!(b32.len() == 60 && b32.ends_with(".b32.i2p"), "{made}");
    let (file, hostname) = (state.join("keys/mine.dat"), state.join("keys/mine.hostname"));
    let key = KeyFile::new(&file).load().unwrap().unwrap();
    assert_eq!(key.destination().b32().to_string(), b32);
    assert_eq!(fs::read_to_string(&hostname).unwrap(), made);

    assert_eq!(keys(&["show", "mine"]), (Some(0), made.clone(), String::new()));
    assert_eq!(
        keys(&["list"]).1,
        format!("mine {b32} (no tunnel of this command's configuration uses it)\n")
    );
    let (_, json, _) = keys(&["show", "mine", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&shown["b32"], &shown["used"]), (&b32.into(), &false.into()));
    let destination = key.destination().to_base64();
    assert_eq!(shown["destination"], destination.as_str());
    let (_, list, _) = keys(&["list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list, serde_json::json!([shown]));

    let (code, stdout, stderr) = keys(&["new", "mine"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("there already is an identity called mine"), "{stderr}");
    assert_eq!(KeyFile::new(&file).load().unwrap().unwrap().destination(), key.destination(), "and it stays");
    let (code, _, stderr) = keys(&["show", "other"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("create it with i2p-socks keys new other"), "{stderr}");
    assert_eq!(keys(&["show", "../mine"]).0, Some(64), "a name is no path");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_uses_the_identity_of_its_name_and_commands_ask_the_running_proxy() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (state, config) = (dir.path().join("state"), dir.path().join("config.toml"));
    let text = "[[tunnel]]\nname = 'mine'\nkey = 'persistent'\nlisten = ['127.0.0.1:0']\n";
    fs::write(&config, text).unwrap();
    let args = [
        "--sam",
        &bridge.address(),
        "--config",
        config.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
    ];
    let (_, checked, _) = common::output(&[&["check"], &args[..]].concat());
    assert!(checked.contains("tunnel mine has no keys yet") && !checked.contains("warning"), "{checked}");
    let (_, list, stderr) = common::output(&[&["keys", "list"], &args[..]].concat());
    assert!(list.is_empty() && stderr.contains("tunnel mine has no keys yet"), "{stderr}");
    let (_, made, _) = common::output(&[&["keys", "new", "mine"], &args[..]].concat());
    assert!(!common::output(&[&["check"], &args[..]].concat()).1.contains("no keys"));
    // The file with the address was lost: it is written again.
    let hostname = state.join("keys/mine.hostname");
    fs::remove_file(&hostname).unwrap();
    let mut proxy = Running::start(&args);
    proxy.ready();
    assert_eq!(fs::read_to_string(&hostname).unwrap(), made);
    let (_, status, _) = common::output(&[&["status"], &args[..]].concat());
    let line = format!("session of tunnel mine ready: {}, for the next client\n", made.trim_end());
    assert!(status.contains(&line), "{status}");
    let (_, list, _) = common::output(&[&["keys", "list"], &args[..]].concat());
    assert_eq!(list, format!("mine {made}"), "used");
    // The running proxy knows which tunnels it has, even if the command has another configuration.
    let elsewhere = |words: &[&str]| {
        common::output(&[words, &["--sam", "127.0.0.1:9", "--state-dir", state.to_str().unwrap()]].concat())
    };
    assert_eq!(elsewhere(&["keys", "list"]).1, format!("mine {made}"));
    let (code, resolved, stderr) = elsewhere(&["resolve", "known.i2p"]);
    assert_eq!(code, Some(0), "{resolved}{stderr}");
    let (code, other, stderr) = elsewhere(&["keys", "new", "other"]);
    assert_eq!((code, other.len()), (Some(0), made.len()), "its router makes keys: {stderr}");
    assert_eq!(fs::read_to_string(state.join("keys/other.hostname")).unwrap(), other);
    assert_eq!(elsewhere(&["keys", "new", "other"]).0, Some(1), "there already is one");
    fs::remove_file(state.join("keys/other.dat")).unwrap();
    assert!(resolved.contains("the router's address book: ") && resolved.contains("base32: "), "{resolved}");
    drop(proxy);
    assert_eq!(
        elsewhere(&["keys", "list"]).1,
        format!("mine {} (no tunnel of this command's configuration uses it)\n", made.trim())
    );
    let (code, _, alone) = elsewhere(&["keys", "new", "more"]);
    assert_eq!(code, Some(1));
    assert!(alone.contains("No proxy is running") && alone.contains("--sam HOST:PORT"), "{alone}");
    let alone = elsewhere(&["resolve", "known.i2p"]).2;
    assert!(alone.contains("the others gave no answer") && alone.contains(OWN_CONFIGURATION), "{alone}");
    assert!(elsewhere(&["keys", "list"]).2.contains(OWN_CONFIGURATION));
    let json = elsewhere(&["keys", "list", "--json"]);
    assert!(json.2.contains(OWN_CONFIGURATION) && json.1.starts_with('['), "{json:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_without_room_for_keys_is_not_blamed_on_the_router() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("keys")).unwrap();
    let state = dir.path().to_str().unwrap();
    let (code, _, stderr) =
        common::output(&["keys", "new", "irc", "--state-dir", state, "--sam", &bridge.address()]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.trim_end().ends_with("Choose another state directory with --state-dir DIR"), "{stderr}");
}

/// Run as root, the test uses the directory of another user; otherwise, it uses root's.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn keys_new_refuses_the_state_directory_of_another_user() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let is_root = std::os::unix::fs::chown(dir.path(), Some(12_345), None).is_ok();
    let state = if is_root { dir.path() } else { std::path::Path::new("/") }.to_str().unwrap();
    let (code, stdout, stderr) =
        common::output(&["keys", "new", "irc", "--state-dir", state, "--sam", &bridge.address()]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("belongs to user") && stderr.contains("creates them itself"), "{stderr}");
    assert!(bridge.commands().is_empty(), "the router is not asked for any");
    assert!(!dir.path().join("keys").exists());
}

/// Two proxies with one identity would take turns in losing it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn persistent_keys_are_refused_while_another_proxy_has_the_state_directory() {
    const CAUSE: &str = "has key = \"persistent\"";
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let tunnel = "[[tunnel]]\nlisten = ['127.0.0.1:0']\n";
    let persistent = format!("{tunnel}key = 'persistent'\n");
    fs::write(&config, &persistent).unwrap();
    let (state, sam) = (dir.path().join("state"), bridge.address());
    let args = [
        "run",
        "--router",
        "sam",
        "--sam",
        &sam,
        "--config",
        config.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
    ];
    let mut first = Running::start(&args);
    first.ready();
    let commands = bridge.commands().len();
    let (code, stdout, stderr) = common::output(&args);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    for part in ["another i2p-socks is running with it", CAUSE, "--state-dir DIR"] {
        assert!(stderr.contains(part), "{part} is not in\n{stderr}");
    }
    assert_eq!(bridge.commands().len(), commands, "the router gets no key");
    // Nor is one used after a reload.
    fs::write(&config, tunnel).unwrap();
    let mut second = Running::start(&args);
    second.ready();
    fs::write(&config, &persistent).unwrap();
    second.send("HUP");
    let refused = second.stderr_line("the new configuration was refused");
    assert!(refused.contains(CAUSE), "{refused}");
}
