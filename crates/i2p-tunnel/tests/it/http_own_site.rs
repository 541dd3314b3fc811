//! `http://proxy.i2p/`: what the proxy says of itself, and what it does there.

use std::sync::Arc;

use i2p_tunnel::{
    BookAccess, Isolate, NameOrigin, PoolOptions, SamDialler, Service, SessionPolicy, SessionPool,
};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::net::TcpStream;

use crate::common::{
    Proxy,
    book::{Book, b32},
    http::{all_protocols, ask, http_proxy},
    proxy_with_service, start_service,
};

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://proxy.i2p\r\n";

fn get(path: &str, fields: &str) -> String {
    format!("GET http://proxy.i2p{path} HTTP/1.1\r\nHost: x\r\n{BROWSER}{fields}\r\n")
}

fn post(body: &str, fields: &str) -> String {
    format!(
        "POST http://proxy.i2p/identity HTTP/1.1\r\nHost: x\r\n{BROWSER}{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn token(page: &str) -> &str {
    page.split_once("name=\"token\" value=\"").unwrap().1.split('"').next().unwrap()
}

/// The address that the page of an identity shows after its form was sent.
async fn address(client: &mut TcpStream, site: &str, fields: &str) -> String {
    let (_, page) = ask(client, &get(&format!("/identity?site={site}"), fields)).await;
    let form = format!("site={site}&token={}&choice=show", token(&page));
    let (head, page) = ask(client, &post(&form, &format!("{FORM}{fields}"))).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && page.contains("<dt>Your address</dt>"), "{head}{page}");
    page.split_once("<dd>").unwrap().1.split('<').next().unwrap().to_owned()
}

async fn renew(client: &mut TcpStream, site: &str, choice: &str, fields: &str) -> String {
    let (_, page) = ask(client, &get(&format!("/identity?site={site}"), fields)).await;
    let form = format!("site={site}&token={}&choice={choice}", token(&page));
    ask(client, &post(&form, &format!("{FORM}{fields}"))).await.1
}

#[tokio::test]
async fn a_person_without_an_identity_is_told_whether_the_router_or_tunnels_are_missing() {
    for (hangs, says) in [("HELLO", "I2P router is not available"), ("SESSION CREATE", "are being built")] {
        let bridge = TestBridge::start().await;
        bridge.on(hangs, [Act::Hang]);
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new(bridge.address()), options);
        let addresses = i2p_tunnel::AddressPool::new(i2p_name::VirtualOptions::default()).unwrap();
        let service = Service::new("test", SamDialler::new(pool.clone()), addresses);
        let proxy = start_service(service.with_access(all_protocols()), pool).await;
        let mut client = proxy.connect().await;
        let (_, page) = ask(&mut client, &get("/identity", "")).await;
        let form = format!("token={}&choice=show", token(&page));
        let (_, page) = ask(&mut client, &post(&form, FORM)).await;
        assert!(page.contains(says), "{page}");
    }
}

/// A proxy whose clients have an identity for each site.
async fn by_site(bridge: &TestBridge) -> Proxy {
    let isolate = Isolate { site: true, ..Isolate::default() };
    let sessions = SessionPolicy { isolate, ..SessionPolicy::default() };
    proxy_with_service(bridge, |service| service.with_access(all_protocols()).with_sessions(sessions)).await
}

#[tokio::test]
async fn the_first_page_says_what_the_port_is_and_which_router_answers() {
    let bridge = TestBridge::start().await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let (head, page) = ask(&mut client, &get("/", "")).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("frame-ancestors 'none'"), "{head}");
    let port = proxy.address.to_string();
    for said in [
        "tunnels for you are ready",
        "(SAM 3.",
        &port,
        "of the tunnel test",
        "SOCKS4, SOCKS4a, SOCKS5, HTTP CONNECT, HTTP",
        "client, user name or password",
        "href=\"/identity\"",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("/book"), "there is no address book: {page}");
    drop(bridge);
    let (_, page) = ask(&mut client, &get("/", "")).await;
    assert!(page.contains("router does not answer"), "{page}");
}

#[tokio::test]
async fn a_client_sees_its_address_and_changes_its_own_identity_only() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let before = bridge.sessions().len();
    let bert = "Proxy-Authorization: Basic YmVydDp4\r\n";
    let (_, page) = ask(&mut client, &get("/identity", bert)).await;
    assert!(!page.contains("Your address"), "{page}");
    assert_eq!(bridge.sessions().len(), before, "looking at the page builds no session");
    let berts = address(&mut client, "", bert).await;
    let own = address(&mut client, "", "").await;
    assert_ne!(own, berts);
    let sessions = bridge.sessions();
    let is_session = |address: &str| {
        let of = |text: &str| b32(&i2p_name::I2pName::parse(text).unwrap()).to_string();
        sessions.iter().any(|session| of(&session.destination) == address)
    };
    assert!(is_session(&own) && is_session(&berts), "{own} {berts}");

    let page = renew(&mut client, "", "renew", "").await;
    assert!(page.contains("gets a new identity"), "{page}");
    let renewed = address(&mut client, "", "").await;
    assert!(renewed != own && renewed != berts);
    assert_eq!(address(&mut client, "", bert).await, berts, "others keep theirs");
}

#[tokio::test]
async fn each_site_has_an_identity_to_change() {
    let bridge = TestBridge::start().await;
    let proxy = by_site(&bridge).await;
    let mut client = proxy.connect().await;
    let (_, page) = ask(&mut client, &get("/identity", "")).await;
    assert!(page.contains("name=\"site\"") && !page.contains("token"), "a site has to be named: {page}");
    let (a, b) = (address(&mut client, "a.i2p", "").await, address(&mut client, "b.i2p", "").await);
    assert_ne!(a, b);
    assert_eq!(address(&mut client, "http://www.a.i2p/x", "").await, a);
    renew(&mut client, "a.i2p", "renew", "").await;
    let new_a = address(&mut client, "a.i2p", "").await;
    assert_ne!(new_a, a);
    assert_eq!(address(&mut client, "b.i2p", "").await, b);
    renew(&mut client, "a.i2p", "renew-all", "").await;
    assert_ne!(address(&mut client, "a.i2p", "").await, new_a);
    assert_ne!(address(&mut client, "b.i2p", "").await, b);
    for site in ["proxy.i2p", "a%20b", "a_b.i2p"] {
        let (head, _) = ask(&mut client, &get(&format!("/identity?site={site}"), "")).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{site}: {head}");
    }
}

/// One client could otherwise take the tunnels of all others again and again.
#[tokio::test]
async fn a_shared_identity_is_changed_by_no_client() {
    let bridge = TestBridge::start().await;
    for isolate in [Isolate::NONE, Isolate { client: false, ..Isolate::default() }] {
        let sessions = SessionPolicy { isolate, ..SessionPolicy::default() };
        let proxy = proxy_with_service(&bridge, |service| {
            service.with_access(all_protocols()).with_sessions(sessions)
        })
        .await;
        let mut client = proxy.connect().await;
        // Nobody checks these credentials, so others can send them too.
        let bert = "Proxy-Authorization: Basic YmVydDp4\r\n";
        let own = address(&mut client, "", bert).await;
        let (_, page) = ask(&mut client, &get("/identity", bert)).await;
        assert!(page.contains("value=\"show\"") && !page.contains("renew"), "{page}");
        for choice in ["renew", "renew-all"] {
            let page = renew(&mut client, "", choice, bert).await;
            assert!(page.contains("ther clients of the proxy have the same identity"), "{page}");
        }
        assert_eq!(address(&mut client, "", bert).await, own);
    }
}

#[tokio::test]
async fn an_identity_is_changed_by_nobody_else() {
    let bridge = TestBridge::start().await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let own = address(&mut client, "", "").await;
    let (_, page) = ask(&mut client, &get("/identity", "")).await;
    let (_, of_bert) = ask(&mut client, &get("/identity", "Proxy-Authorization: Basic YmVydDp4\r\n")).await;
    let form = |token: &str| format!("site=&token={token}&choice=renew");
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (request, status) in [
        (post(&form(token(&page)), &format!("{kind}Origin: http://site.i2p\r\n")), 403),
        (post(&form(token(&of_bert)), FORM), 403),
        (post("site=&choice=renew", FORM), 403),
        (post(&form(token(&page)).replace("renew", "other"), FORM), 400),
        (get(&format!("/identity?{}", form(token(&page))), ""), 200),
        (get("/other", ""), 404),
        (get("/identity", "").replace("GET", "DELETE"), 405),
    ] {
        let (head, _) = ask(&mut proxy.connect().await, &request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
    }
    assert_eq!(address(&mut client, "", "").await, own);
}

#[tokio::test]
async fn the_address_book_is_read_in_pages_by_those_who_may() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("known.i2p", Endpoint::Echo);
    let book = Book::default();
    for number in 100..350 {
        book.add(&format!("name{number}.i2p"), &destination, NameOrigin::AddressBook);
    }
    for (access, status) in [(BookAccess::Everybody, 200), (BookAccess::Nobody, 403)] {
        let shared = Arc::new(book.clone());
        let proxy = proxy_with_service(&bridge, |service| {
            service.with_access(all_protocols()).with_name_book(shared, access)
        })
        .await;
        let mut client = proxy.connect().await;
        let mut path = "/book".to_owned();
        let mut found = 0;
        loop {
            let (head, page) = ask(&mut client, &get(&path, "")).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            let on_page = page.matches("href=\"http://name").count();
            assert!(on_page <= 100, "{on_page}");
            found += on_page;
            let Some((_, rest)) = page.split_once("href=\"/book?") else { break };
            path = format!("/book?{}", rest.split('"').next().unwrap().replace("&amp;", "&"));
        }
        let all = if status == 200 { 250 } else { 0 };
        assert_eq!(found, all);
        let (_, page) = ask(&mut client, &get("/book?start=name20", "")).await;
        assert_eq!(page.matches("href=\"http://name20").count(), all.min(10), "{page}");
        // The same people see similar names.
        let request = format!("GET http://name00.i2p/ HTTP/1.1\r\nHost: x\r\n{BROWSER}\r\n");
        book.add("nmae00.i2p", &destination, NameOrigin::AddressBook);
        let (head, page) = ask(&mut client, &request).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        assert_eq!(page.contains("href=\"http://nmae00.i2p/\""), status == 200, "{page}");
        let (_, text) = ask(&mut client, &request.replace(BROWSER, "")).await;
        assert!(!text.contains("nmae00"), "{text}");
    }
}

/// The name is reserved, whatever protocol asks for it.
#[tokio::test]
async fn the_name_of_the_proxy_never_reaches_i2p() {
    let bridge = TestBridge::start().await;
    bridge.host("proxy.i2p", Endpoint::Echo);
    let proxy = http_proxy(&bridge).await;
    for host in ["proxy.i2p", "Proxy.I2P.", "proxy.i2p.alt"] {
        assert_eq!(proxy.socks5(host, 80).await.1, 2, "{host}");
        assert_eq!(proxy.socks4a(host, 80).await.1, 91, "{host}");
        let request = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("http://proxy.i2p/"),
            "{host}: {answer}"
        );
        assert_eq!(proxy.resolve(host).await, Err(2), "{host}");
        let mut client = proxy.connect().await;
        let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, text) = ask(&mut client, &request).await;
        assert!(
            head.starts_with("HTTP/1.1 200 ") && text.contains("the proxy works"),
            "{host}: {head}{text}"
        );
    }
    assert!(!bridge.commands().iter().any(|line| line.contains("proxy.i2p")), "{:?}", bridge.commands());
}
