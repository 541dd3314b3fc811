//! The proxy's own pages in a browser: address helpers, `http://proxy.i2p/`.
#![cfg(target_os = "linux")]

use std::{net::SocketAddr, process::Command};

use sam_testkit::{Endpoint, TestBridge};

use crate::common::reloadable::{Proxy, tunnel};

/// What a browser of this user gets.
fn browse(user: u32, proxy: SocketAddr, arguments: &[&str]) -> String {
    let proxy = format!("http://{proxy}");
    let output = Command::new("setpriv")
        .args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--clear-groups"])
        .args(["curl", "-q", "-sS", "-i", "--max-time", "60", "-x", &proxy, "-H", "Accept: text/html"])
        .args(arguments)
        .env_clear()
        .output()
        .expect("curl and setpriv are needed: apt-get install curl util-linux");
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

/// The value of a hidden field of a form.
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect(page);
    rest.split('"').next().unwrap()
}

/// Sends the form of a page with a choice.
fn choose(user: u32, proxy: SocketAddr, page: &str, choice: &str) -> String {
    let fields = ["url", "token"].map(|name| format!("{name}={}", hidden(page, name)));
    let mut arguments = vec!["-e", "http://proxy.i2p/address", "http://proxy.i2p/address"];
    for field in &fields {
        arguments.extend(["--data-urlencode", field]);
    }
    let choice = format!("choice={choice}");
    arguments.extend(["-d", &choice]);
    browse(user, proxy, &arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_the_proxy_keeps_a_name_and_another_user_only_follows_it() {
    assert!(rustix::process::geteuid().is_root(), "this test becomes another user, and needs root for it");
    let bridge = TestBridge::start().await;
    let [one, two] = ["one.i2p", "two.i2p"].map(|name| bridge.host(name, Endpoint::Http("hello".to_owned())));
    let mut proxy = Proxy::start(&bridge, &tunnel("default", ""));
    let address = proxy.running.ready();
    let url = |name: &str, destination: &str| format!("http://{name}/?i2paddresshelper={destination}");

    let page = browse(1000, address, &["-L", &url("new.i2p", &one)]);
    assert!(page.contains("value=\"once\"") && !page.contains("value=\"keep\""), "{page}");
    assert!(choose(1000, address, &page, "keep").starts_with("HTTP/1.1 403 "));
    let chosen = choose(1000, address, &page, "once");
    assert!(
        chosen.starts_with("HTTP/1.1 303 ") && chosen.contains("Location: http://new.i2p/\r\n"),
        "{chosen}"
    );
    assert!(browse(1000, address, &["http://new.i2p/"]).ends_with("hello"));
    assert!(browse(0, address, &["http://new.i2p/"]).starts_with("HTTP/1.1 404 "), "not for others");
    // A reload forgets nothing.
    let changed = tunnel("default", "extended-errors = true");
    proxy.change(&changed);
    assert_eq!(proxy.command(&["reload"]).0, Some(0));
    assert!(browse(1000, address, &["http://new.i2p/"]).ends_with("hello"));

    let page = browse(0, address, &["-L", &url("new.i2p", &two)]);
    let kept = choose(0, address, &page, "keep");
    assert!(kept.starts_with("HTTP/1.1 303 "), "{kept}");
    let (code, list, _) = proxy.command(&["names", "export"]);
    assert!(code == Some(0) && list.contains(&two), "{list}");
    assert!(browse(0, address, &["http://new.i2p/"]).ends_with("hello"));
    // A conflict with what was kept, and with what the router knows.
    let page = browse(0, address, &["-L", &url("new.i2p", &one)]);
    assert!(page.contains("another destination") && page.contains("In your address book"), "{page}");
    let page = browse(0, address, &["-L", &url("two.i2p", &one)]);
    assert!(page.contains("In the router&#39;s address book"), "{page}");
    // What the router knows already needs no question.
    let known = browse(0, address, &[&url("two.i2p", &two)]);
    assert!(known.starts_with("HTTP/1.1 302 ") && known.contains("Location: http://two.i2p/\r\n"), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_names_lets_all_clients_keep_names() {
    assert!(rustix::process::geteuid().is_root(), "this test becomes another user, and needs root for it");
    let bridge = TestBridge::start().await;
    let one = bridge.host("one.i2p", Endpoint::Http("hello".to_owned()));
    let b32 = one.parse::<i2p_name::Destination>().unwrap().b32();
    let mut proxy = Proxy::start(&bridge, &tunnel("default", "keep-names = true"));
    let address = proxy.running.ready();
    // The address book needs the whole destination, which the router finds.
    let page = browse(1000, address, &["-L", &format!("http://new.i2p/?i2paddresshelper={b32}")]);
    let kept = choose(1000, address, &page, "keep");
    assert!(kept.starts_with("HTTP/1.1 303 "), "{kept}");
    let (_, found, _) = proxy.command(&["names", "export"]);
    assert!(found.contains(&one), "{found}");
}
