//! Subscriptions: when a feed is read, and what changes nothing.

use std::{
    io::Read,
    sync::{Arc, Mutex},
};

use i2p_name::Destination;
use sam_testkit::{Endpoint, TestBridge};

use crate::common::{
    connect,
    place::{Place, destination},
    site::{Site, response},
};

/// The next answer of a site.
type Next = Arc<Mutex<Vec<u8>>>;

/// Starts a site whose answer can be changed, and subscribes the proxy to it as feed.i2p.
async fn feed(bridge: &TestBridge, place: &Place, more: &str) -> (Site, Next) {
    let next: Next = Arc::default();
    let says = Arc::clone(&next);
    let site = Site::start(&bridge.address(), move |head| match head {
        head if head.starts_with("get /moved ") => response("302 Found", "Location: /hosts.txt\r\n", ""),
        _ => says.lock().unwrap().clone(),
    })
    .await;
    place.configure(&format!("[names.static]\n'feed.i2p' = '{}'\n{more}", site.destination));
    (site, next)
}

/// A person would take silence for a hang.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_a_feed_says_so() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let site = Site::start(&bridge.address(), |_| {
        // Longer than the command waits in silence.
        std::thread::sleep(std::time::Duration::from_secs(3));
        response("200 OK", "", &hosts(&[("a.i2p", 1)]))
    })
    .await;
    place.configure(&format!(
        "[names.static]\n'feed.i2p' = '{}'\n[names]\nupdate-every = '0'\n",
        site.destination
    ));
    let mut proxy = place.run();
    proxy.ready();
    // The running proxy knows the name from its configuration, which this command does not have.
    let state = place.state();
    let state = state.to_str().unwrap();
    let (code, _, stderr) = crate::common::output(&["names", "subscribe", FEED, "--state-dir", state]);
    assert!(code == Some(0) && !stderr.contains("warning"), "{stderr}");
    let (code, stdout, stderr) = place.command(&["names", "update"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stderr.matches("waiting for the proxy, which reads").count(), 1, "{stderr}");
    assert!(!stdout.contains("waiting"), "{stdout}");
    let (_, _, stderr) = place.command(&["names", "update", "-q"]);
    assert!(!stderr.contains("waiting"), "{stderr}");
}

fn hosts(names: &[(&str, u8)]) -> String {
    names.iter().map(|(name, fill)| format!("{name}={}\n", destination(*fill).to_base64())).collect()
}

const FEED: &str = "http://feed.i2p/hosts.txt";

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_read_again_only_if_it_changed() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let (site, next) = feed(&bridge, &place, "[names]\nupdate-every = '0'\n").await;
    let mut proxy = place.run();
    let address = proxy.ready();
    assert!(place.remarks(&["names", "update"]).contains("there are no subscriptions"));
    place.says(&["names", "subscribe", FEED]);
    let set = |answer: Vec<u8>| *next.lock().unwrap() = answer;
    let update = || place.json(&["names", "update"])[0].clone();

    // The body comes in chunks, without a length.
    let echo = bridge.host("elsewhere.i2p", Endpoint::Echo);
    assert_eq!(connect(address, "new.i2p").0, 4);
    let text = hosts(&[("a.i2p", 1)]) + &format!("new.i2p={echo}\n");
    let head = "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    set(format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n", text.len())
        .into_bytes());
    assert_eq!(update()["imported"]["added"], 2);
    assert_eq!(connect(address, "new.i2p").0, 0, "that it was unknown is forgotten");
    assert_eq!(place.json(&["resolve", "a.i2p"])["b32"], destination(1).b32().to_string());
    set(response("304 Not Modified", "", ""));
    let unchanged = update();
    assert!(unchanged["imported"].is_null() && unchanged["problem"].is_null(), "{unchanged}");
    let heads = site.heads();
    assert!(
        heads[0].starts_with("get /hosts.txt http/1.1\r\n") && heads[0].contains("\r\nhost: feed.i2p\r\n")
    );
    assert!(!heads[0].contains("if-none-match"), "{}", heads[0]);
    let conditions = ["if-none-match: \"one\"\r\n", "if-modified-since: mon, 01 jan 2024 00:00:00 gmt\r\n"];
    assert!(conditions.iter().all(|condition| heads[1].contains(condition)), "{}", heads[1]);
    assert!(!heads.concat().contains("user-agent"), "nothing says which program asks");

    // An invalid name is shown, and not followed. A command without its signature is ignored.
    let unsigned = format!("{}#!date=1#sig=AAAA\n", hosts(&[("c.i2p", 3)]).trim());
    set(response("200 OK", "ETag: \"two\"\r\n", &format!("{}{unsigned}", hosts(&[("a.i2p", 9)]))));
    let changed = update();
    assert_eq!((&changed["imported"]["conflicts"], &changed["imported"]["refused"]), (&1.into(), &1.into()));
    assert_eq!(place.json(&["names", "conflicts"])[0]["source"], FEED);
    assert_eq!(connect(address, "c.i2p").0, 4);
    update();
    assert!(site.heads().last().unwrap().contains("if-none-match: \"two\"\r\n"));

    // After a redirect, the version of the feed belongs to the new URL.
    place.says(&["names", "unsubscribe", FEED]);
    place.says(&["names", "subscribe", "http://feed.i2p/moved"]);
    set(response("200 OK", "ETag: \"three\"\r\n", &hosts(&[("d.i2p", 4)])));
    assert_eq!(update()["imported"]["added"], 1);
    assert_eq!(update()["imported"]["same"], 1);
    let heads = site.heads().split_off(4);
    let paths: Vec<_> = heads.iter().filter_map(|head| head.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/moved", "/hosts.txt", "/moved", "/hosts.txt"]);
    assert!(!heads.concat().contains("if-none-match"), "{heads:?}");
    place.says(&["names", "unsubscribe", "http://feed.i2p/moved"]);
    place.says(&["names", "subscribe", FEED]);
    update();
    let listed = place.says(&["names", "subscribe"]);
    assert!(listed.starts_with(&format!("{FEED}  names subscribe  read 2")), "{listed}");

    // Feeds are read with an identity that no client has, and not with the first session.
    let whoami = bridge.host("whoami.i2p", Endpoint::Whoami);
    place.says(&["names", "add", "whoami.i2p", &whoami]);
    let mut seen = String::new();
    connect(address, "whoami.i2p").1.read_to_string(&mut seen).unwrap();
    let client = seen.trim().parse::<Destination>().unwrap().b32().to_string();
    assert!(!site.peers().contains(&client));
    assert!(!proxy.said().contains("feed.i2p") && !proxy.said().contains("a.i2p"), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_feeds_change_nothing() {
    let bridge = TestBridge::start().await;
    let place = Place::new(&bridge);
    let more = format!("[names]\nupdate-every = '0'\nsubscriptions = ['{FEED}']\n");
    let (site, next) = feed(&bridge, &place, &more).await;
    let mut proxy = place.run();
    proxy.ready();
    assert!(
        place.fails(&["names", "unsubscribe", FEED]).contains("this subscription is in the configuration")
    );
    for (answer, says) in [
        (b"nonsense\r\n\r\n".to_vec(), "not HTTP"),
        (response("404 Not Found", "", "no"), "HTTP status 404"),
        (response("304 Not Modified", "", ""), "HTTP status 304"),
        (response("301 Moved", "Location: http://example.com/hosts.txt\r\n", ""), "redirects out of I2P"),
        (response("302 Found", "Location: /again\r\n", ""), "too often"),
        (response("200 OK", "Content-Encoding: gzip\r\n", "x"), "compressed"),
        (response("200 OK", &"A: b\r\n".repeat(200), "x"), "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\na.i2p=".to_vec(), "incomplete"),
    ] {
        *next.lock().unwrap() = answer;
        let (code, stdout, stderr) = place.command(&["names", "update"]);
        assert_eq!(code, Some(1), "{says}: {stdout}{stderr}");
        assert!(stdout.contains(says), "{says}: {stdout}");
        assert!(stderr.contains("1 of 1 subscriptions could not be read"), "{stderr}");
    }
    proxy.stderr_line("a subscription could not be read: it answers with HTTP status 404");

    // A page in place of a feed is no feed that has not changed.
    let page = "<!doctype html>\n<p class=a>Please log in</p>\n";
    for _ in 0..2 {
        *next.lock().unwrap() = response("200 OK", "ETag: \"page\"\r\nContent-Type: text/html\r\n", page);
        let (code, stdout, stderr) = place.command(&["names", "update"]);
        assert!(code == Some(1) && stdout.contains("none of its lines is valid"), "{stdout}{stderr}");
        assert!(!site.heads().last().unwrap().contains("if-none-match"), "{:?}", site.heads().last());
    }
    *next.lock().unwrap() = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\na.i2p=".to_vec();
    assert!(place.command(&["names", "update"]).1.contains("incomplete"));
    let listed = place.says(&["names", "subscribe"]);
    assert!(listed.contains("configuration  never read  its answer is incomplete"), "{listed}");
    assert_eq!(place.says(&["names", "list"]), "");

    // The body is larger than the limit: whole lines within it are used, and the next request has no condition.
    let mut body = hosts(&[("first.i2p", 1)]);
    body += &"#\n".repeat(3 * 1024 * 1024);
    body += &hosts(&[("last.i2p", 2)]);
    *next.lock().unwrap() = response("200 OK", "ETag: \"big\"\r\n", &body);
    let cut = place.json(&["names", "update"])[0].clone();
    assert_eq!((&cut["imported"]["added"], &cut["imported"]["cut"]), (&1.into(), &true.into()), "{cut}");
    *next.lock().unwrap() = response("200 OK", "", &hosts(&[("last.i2p", 2)]));
    assert_eq!(place.json(&["names", "update"])[0]["imported"]["added"], 1);
    assert!(!site.heads().last().unwrap().contains("if-none-match"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscription_is_read_without_a_command() {
    let bridge = TestBridge::start().await;
    let (by_file, by_command) = (Place::new(&bridge), Place::new(&bridge));
    let (first, next) = feed(&bridge, &by_file, &format!("[names]\nsubscriptions = ['{FEED}']\n")).await;
    *next.lock().unwrap() = response("200 OK", "", &hosts(&[("a.i2p", 1)]));
    let (second, next) = feed(&bridge, &by_command, "").await;
    *next.lock().unwrap() = response("200 OK", "", &hosts(&[("b.i2p", 2)]));
    let (mut one, mut other) = (by_file.run(), by_command.run());
    other.ready();
    by_command.says(&["names", "subscribe", FEED]);
    for (proxy, site) in [(&mut one, first), (&mut other, second)] {
        let said = proxy.stderr_line("a subscription was read");
        assert!(said.contains("added=1"), "{said}");
        assert_eq!(site.heads().len(), 1);
    }
}
