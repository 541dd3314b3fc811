//! What people and programs are told about requests of plain HTTP that fail.

use std::{sync::Arc, time::Duration};

use i2p_tunnel::{JumpService, Limits, PoolOptions, SamDialler, Service, SessionLimits, SessionPool};
use sam_testkit::{Act, TestBridge};
use tokio::time::{Instant, timeout};

use crate::common::{
    http::{all_protocols, ask, http_proxy},
    proxy_with_service, start_service,
};

const LONG: Duration = Duration::from_secs(30);
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

fn get(host: &str, fields: &str) -> String {
    format!("GET http://{host}/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

#[tokio::test]
async fn people_get_pages_and_programs_get_text() {
    let bridge = TestBridge::start().await;
    let services: Arc<[JumpService]> =
        [JumpService { host: "jump.i2p".into(), url: "http://jump.i2p/?a=".into() }].into();
    let proxy = proxy_with_service(&bridge, |service| {
        service.with_access(all_protocols()).with_jump_services(services)
    })
    .await;
    let mut client = proxy.connect().await;
    let (head, page) = ask(&mut client, &get("unknown.i2p", BROWSER)).await;
    assert!(
        head.starts_with("HTTP/1.1 404 ") && head.contains("Content-Type: text/html; charset=utf-8"),
        "{head}"
    );
    for field in [
        "Content-Security-Policy: default-src 'none'; style-src 'sha256-",
        "frame-ancestors 'none'",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    assert!(
        !head.contains("Set-Cookie") && !head.contains("Refresh") && !page.contains("<script"),
        "{head}{page}"
    );
    assert!(page.contains("<h1>No address book knows this name</h1>"), "{page}");
    assert!(page.contains("SOCKS 04/F0, name_unknown"), "{page}");
    assert!(
        page.contains("<a rel=\"noreferrer\" href=\"http://jump.i2p/?a=unknown.i2p\">jump.i2p</a>"),
        "{page}"
    );
    assert!(!bridge.commands().iter().any(|line| line.contains("jump.i2p")), "nothing is asked by itself");
    let (head, text) = ask(&mut client, &get("unknown.i2p", "Accept: */*\r\n")).await;
    assert!(
        head.contains("Content-Type: text/plain") && !text.contains('<') && !text.contains("unknown.i2p"),
        "{text}"
    );
    let (_, page) = ask(&mut client, &get("secret.example.com", BROWSER)).await;
    assert!(
        page.contains("outside I2P") && !page.contains("example.com") && !page.contains("jump"),
        "{page}"
    );
}

/// No address book would accept them.
#[tokio::test]
async fn nobody_is_advised_to_add_a_reserved_name() {
    let bridge = TestBridge::start().await;
    for name in ["router.i2p", "console.i2p", "webmail.mail.i2p", "a.proxy.i2p"] {
        bridge.on(&format!("NAMING LOOKUP NAME={name}"), [Act::line("NAMING REPLY RESULT=KEY_NOT_FOUND")]);
    }
    let jump = || [JumpService { host: "jump.i2p".into(), url: "http://jump.i2p/?a=".into() }].into();
    let proxy = proxy_with_service(&bridge, |service| {
        service.with_access(all_protocols()).with_jump_services(jump())
    })
    .await;
    let mut client = proxy.connect().await;
    for name in ["router.i2p", "Console.I2P.", "webmail.mail.i2p", "a.proxy.i2p"] {
        for fields in [BROWSER, "Accept: */*\r\n"] {
            let (head, text) = ask(&mut client, &get(name, fields)).await;
            assert!(head.starts_with("HTTP/1.1 404 This name is no site in I2P\r\n"), "{head}");
            assert!(fields != BROWSER || text.contains("SOCKS 04/F0, name_reserved"), "{text}");
            for advice in ["names add", "in an address book", "jump.i2p"] {
                assert!(!text.contains(advice), "{advice}: {text}");
            }
        }
    }
    // The .b32 is missing, which no address book makes up for.
    let name = format!("{}.i2p", "a".repeat(52));
    bridge.on(&format!("NAMING LOOKUP NAME={name}"), [Act::line("NAMING REPLY RESULT=KEY_NOT_FOUND")]);
    let (head, text) = ask(&mut client, &get(&name, BROWSER)).await;
    assert!(head.starts_with("HTTP/1.1 400 This is not an address\r\n"), "{head}");
    assert!(text.contains("before .b32.i2p") && !text.contains("names add"), "{text}");
}

#[tokio::test]
async fn a_person_who_waits_for_tunnels_gets_a_page_that_loads_itself_again() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Wait(Duration::from_secs(12)), Act::Behave]);
    let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
    let pool = SessionPool::new(i2p_sam::Bridge::new(bridge.address()), options);
    let addresses = i2p_tunnel::AddressPool::new(i2p_name::VirtualOptions::default()).unwrap();
    let service = Service::new("test", SamDialler::new(pool.clone()), addresses).with_access(all_protocols());
    let proxy = start_service(service, pool).await;
    let site =
        crate::common::site::Site::start(&bridge, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (mut client, mut sender) = (proxy.connect().await, proxy.connect().await);
    let begin = Instant::now();
    let request = get(&format!("known.i2p:{}", site.port), BROWSER);
    let page = async {
        let (head, page) = timeout(LONG, ask(&mut client, &request)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Refresh: 5\r\n"), "{head}");
        assert!(page.contains("tunnels are being built") && page.contains("loads itself"), "{page}");
        assert!(begin.elapsed() < Duration::from_secs(11), "{:?}", begin.elapsed());
    };
    // The page would be loaded again without what a form has sent.
    let sent = request.replacen("GET", "POST", 1).replacen("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx", 1);
    let form = async { timeout(LONG, ask(&mut sender, &sent)).await.unwrap() };
    let ((), (head, body)) = tokio::join!(page, form);
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}{body}");
    // The same session, and not another one.
    let (head, body) = timeout(LONG, ask(&mut client, &request)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}{body}");
    assert_eq!(bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count(), 1);
}

/// Tunnels are not what is missing.
#[tokio::test]
async fn a_person_who_waits_for_the_router_is_told_that_and_not_of_tunnels() {
    let bridge = TestBridge::start().await;
    let proxy = http_proxy(&bridge).await;
    bridge.on("HELLO", [Act::Hang]);
    bridge.drop_control_connections();
    let mut client = proxy.connect().await;
    let begin = Instant::now();
    let (head, page) = timeout(LONG, ask(&mut client, &get("known.i2p", BROWSER))).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Refresh: 5\r\n"), "{head}");
    assert!(page.contains("The I2P router cannot be reached") && !page.contains("being built"), "{page}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// A dial that ends before there is a session never reached the destination.
#[tokio::test]
async fn a_short_limit_blames_no_destination_for_missing_tunnels_or_router() {
    let mut bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Hang]);
    let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
    let pool = SessionPool::new(i2p_sam::Bridge::new(bridge.address()), options);
    let addresses = i2p_tunnel::AddressPool::new(i2p_name::VirtualOptions::default()).unwrap();
    let limits = Limits { dial: Duration::from_millis(300), ..Limits::default() };
    let dialler = SamDialler::new(pool.clone()).with_limits(SessionLimits::within(limits.dial));
    let service = Service::new("test", dialler, addresses).with_access(all_protocols());
    let proxy = start_service(service.with_limits(limits), pool).await;
    for says in ["has not built tunnels", "router is not available"] {
        for request in
            [get("known.i2p", ""), "CONNECT known.i2p:80 HTTP/1.1\r\nHost: known.i2p:80\r\n\r\n".into()]
        {
            let mut client = proxy.connect().await;
            let (head, text) = timeout(LONG, ask(&mut client, &request)).await.unwrap();
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            assert!(text.contains(says), "{says}: {text}");
        }
        bridge.kill().await;
    }
}

/// The name is never looked up, even if a site in I2P has it.
#[tokio::test]
async fn the_proxy_answers_for_itself() {
    let bridge = TestBridge::start().await;
    bridge.host("proxy.i2p", sam_testkit::Endpoint::Http("evil".into()));
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let (head, page) = ask(&mut client, &get("Proxy.i2p", BROWSER)).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && page.contains("tunnels for you are ready"), "{head}{page}");
    let (head, text) = ask(&mut client, &get("proxy.i2p.:81", "")).await;
    assert!(head.contains("text/plain") && text.contains("the proxy works"), "{head}{text}");
    let (head, _) = ask(&mut client, &get("proxy.i2p/other", "")).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let (head, _) = ask(&mut client, &get("proxy.i2p", "").replace("GET", "POST")).await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    assert!(!bridge.commands().iter().any(|line| line.contains("proxy.i2p")));
}

#[tokio::test]
async fn refused_requests_are_told_why() {
    let bridge = TestBridge::start().await;
    let proxy = http_proxy(&bridge).await;
    let request = format!("GET https://known.i2p/ HTTP/1.1\r\nHost: x\r\n{BROWSER}\r\n");
    let answer = String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 501 ") && answer.contains("CONNECT"), "{answer}");
}
