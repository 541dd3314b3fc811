//! Header fields of plain HTTP as they arrive at a site.

use i2p_tunnel::HeaderPolicy;
use sam_testkit::{Endpoint, TestBridge};
use stream_filters::{Filter, Output, Protocol};

use crate::common::{
    http::{all_protocols, ask, http_proxy},
    proxy_with_service,
    site::Site,
};

const OK: &str =
    "HTTP/1.1 200 OK\r\nAlt-Svc: h2=\"x.example:443\"\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";

/// Whole heads, as recorded from programs that were told to use an HTTP proxy: Chromium 156 and Firefox 153 of Debian, which open
/// `http://site.i2p/page` and load its pictures, curl 7.88 and wget 1.21. Their lines end with CR and LF when they are sent.
const CHROMIUM: [&str; 3] = [
    include_str!("recorded_heads/chromium-page.txt"),
    include_str!("recorded_heads/chromium-picture.txt"),
    include_str!("recorded_heads/chromium-picture-of-another-site.txt"),
];
const FIREFOX: [&str; 3] = [
    include_str!("recorded_heads/firefox-page.txt"),
    include_str!("recorded_heads/firefox-picture.txt"),
    include_str!("recorded_heads/firefox-picture-of-another-site.txt"),
];
const CURL: &str = include_str!("recorded_heads/curl.txt");
const WGET: &str = include_str!("recorded_heads/wget.txt");

/// What arrives when these fields are sent.
async fn arriving(bridge: &TestBridge, policy: HeaderPolicy, fields: &str) -> String {
    arriving_head(
        bridge,
        policy,
        &format!("GET http://known.i2p:PORT/ HTTP/1.1\r\nHost: known.i2p:PORT\r\n{fields}\r\n"),
    )
    .await
}

/// What arrives when a recorded head is sent, with the name of a site of the test.
async fn arriving_recorded(bridge: &TestBridge, policy: HeaderPolicy, recorded: &str) -> String {
    let head = recorded.replace('\n', "\r\n").replace("site.i2p", "known.i2p:PORT");
    arriving_head(bridge, policy, &head.replace("other.i2p", "other.i2p:PORT")).await
}

/// What arrives when this head is sent. `PORT` stands for the port of the site, in both.
async fn arriving_head(bridge: &TestBridge, policy: HeaderPolicy, request: &str) -> String {
    bridge.host("other.i2p", Endpoint::Echo);
    let site = Site::start(bridge, OK).await;
    let proxy =
        proxy_with_service(bridge, |service| service.with_access(all_protocols()).with_headers(policy)).await;
    let mut client = proxy.connect().await;
    let port = site.port;
    let (head, _) = ask(&mut client, &request.replace("PORT", &port.to_string())).await;
    let is_filtered = policy == HeaderPolicy::Filtered;
    assert_eq!((head.contains("Alt-Svc"), head.contains("X-Kept")), (!is_filtered, true), "{head}");
    site.text(0).replace(&port.to_string(), "PORT")
}

#[tokio::test]
async fn browsers_cannot_be_told_apart_and_nor_can_programs() {
    let bridge = TestBridge::start().await;
    let arriving_of = async |recorded| arriving_recorded(&bridge, HeaderPolicy::Filtered, recorded).await;
    let page = "GET /page HTTP/1.1\r\nHost: known.i2p:PORT\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\
                Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
                Accept-Encoding: gzip, deflate\r\n\r\n";
    let picture = "GET /picture.png HTTP/1.1\r\nHost: known.i2p:PORT\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\
                   Accept: image/*,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate\r\nReferer: /page\r\n\r\n";
    let of_another = picture.replace("known", "other").replace("Referer: /page\r\n", "");
    for browser in [CHROMIUM, FIREFOX] {
        let mut got = Vec::new();
        for recorded in browser {
            got.push(arriving_of(recorded).await);
        }
        assert_eq!(got, [page, picture, &of_another]);
    }
    let program =
        "GET /page HTTP/1.1\r\nHost: known.i2p:PORT\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\nAccept: */*\r\n\r\n";
    assert_eq!(arriving_of(CURL).await, program);
    // wget says that it decodes nothing, which a site has to know.
    let decodes_nothing = "Accept: */*\r\nAccept-Encoding: identity\r\n";
    assert_eq!(arriving_of(WGET).await, program.replace("Accept: */*\r\n", decodes_nothing));
    let bare = arriving(&bridge, HeaderPolicy::Filtered, "").await;
    assert_eq!(bare, "GET / HTTP/1.1\r\nHost: known.i2p:PORT\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\r\n");
}

/// A program that speaks to a site itself cannot be told from one that uses the proxy.
#[tokio::test]
async fn a_filtered_connection_looks_like_one_of_the_proxy() {
    let bridge = TestBridge::start().await;
    for recorded in CHROMIUM.into_iter().chain(FIREFOX).chain([CURL, WGET]) {
        let by_proxy = arriving_recorded(&bridge, HeaderPolicy::Filtered, recorded).await;
        let head = recorded.replace('\n', "\r\n").replace("site.i2p", "known.i2p:81");
        let head = head.replace("other.i2p", "other.i2p:81").replace("GET http://known.i2p:81/", "GET /");
        let head = head.replace("GET http://other.i2p:81/", "GET /");
        let mut output = Output::default();
        Filter::new(Protocol::Http).client(head.as_bytes(), &mut output).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.bytes), by_proxy.replace("PORT", "81"));
    }
}

#[tokio::test]
async fn a_site_learns_nothing_of_others_and_its_own_name_of_itself() {
    let bridge = TestBridge::start().await;
    let fields =
        "Referer: http://KNOWN.i2p:PORT/secret?a\r\nOrigin: http://KNOWN.i2p:PORT\r\nVia: 1.1 me\r\n";
    let got = arriving(&bridge, HeaderPolicy::Filtered, fields).await;
    assert!(got.contains("\r\nReferer: /secret?a\r\n"), "{got}");
    assert!(got.contains("\r\nOrigin: http://known.i2p:PORT\r\n") && !got.contains("Via"), "{got}");
    let fields = "Referer: http://other.i2p/secret\r\nOrigin: http://other.i2p\r\n";
    let got = arriving(&bridge, HeaderPolicy::Filtered, fields).await;
    assert!(got.contains("\r\nOrigin: null\r\n") && !got.contains("other.i2p"), "{got}");
}

#[tokio::test]
async fn as_sent_fields_pass_except_those_that_end_at_the_proxy() {
    let bridge = TestBridge::start().await;
    for [page, ..] in [CHROMIUM, FIREFOX] {
        let got = arriving_recorded(&bridge, HeaderPolicy::AsSent, page).await;
        let sent = page.replace("http://site.i2p", "").replace("site.i2p", "known.i2p:PORT");
        let ends_here = |line: &&str| !line.contains("Connection: ");
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().filter(ends_here).map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted(&got), sorted(&sent));
    }
}

/// Outside I2P, the User-Agent is that of Tor Browser.
#[tokio::test]
async fn the_proxy_is_filtered_by_default() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let request = format!("GET http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\nDNT: 1\r\n\r\n", site.port);
    ask(&mut client, &request).await;
    assert!(!site.text(0).contains("Dnt"), "{}", site.text(0));
}
