//! Header fields of plain HTTP as they arrive at a site.

use i2p_tunnel::HeaderPolicy;
use sam_testkit::TestBridge;

use crate::common::{
    http::{all_protocols, ask, http_proxy},
    proxy_with_service,
    site::Site,
};

const OK: &str =
    "HTTP/1.1 200 OK\r\nAlt-Svc: h2=\"x.example:443\"\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";

/// As recorded from Chromium 140 and Firefox 140 with an HTTP proxy.
const CHROMIUM: &str = "Proxy-Connection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
    application/signed-exchange;v=b3;q=0.7\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n";
const FIREFOX: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
    Accept-Encoding: gzip, deflate\r\nSec-GPC: 1\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\nPriority: u=0, i\r\n";
const CURL: &str = "User-Agent: curl/8.14.1\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n";
const WGET: &str =
    "User-Agent: Wget/1.25.0\r\nAccept: */*\r\nConnection: Keep-Alive\r\nProxy-Connection: Keep-Alive\r\n";

async fn arriving(bridge: &TestBridge, policy: HeaderPolicy, fields: &str) -> String {
    let site = Site::start(bridge, OK).await;
    let proxy =
        proxy_with_service(bridge, |service| service.with_access(all_protocols()).with_headers(policy)).await;
    let mut client = proxy.connect().await;
    let port = site.port;
    let request = format!("GET http://known.i2p:{port}/ HTTP/1.1\r\nHost: known.i2p:{port}\r\n{fields}\r\n");
    let (head, _) = ask(&mut client, &request.replace("PORT", &port.to_string())).await;
    let is_filtered = policy == HeaderPolicy::Filtered;
    assert_eq!((head.contains("Alt-Svc"), head.contains("X-Kept")), (!is_filtered, true), "{head}");
    site.text(0).replace(&port.to_string(), "PORT")
}

#[tokio::test]
async fn browsers_cannot_be_told_apart_and_nor_can_programs() {
    let bridge = TestBridge::start().await;
    let chromium = arriving(&bridge, HeaderPolicy::Filtered, CHROMIUM).await;
    assert_eq!(chromium, arriving(&bridge, HeaderPolicy::Filtered, FIREFOX).await);
    assert_eq!(
        chromium,
        "GET / HTTP/1.1\r\nHost: known.i2p:PORT\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Encoding: gzip, deflate\r\n\r\n"
    );
    let curl = arriving(&bridge, HeaderPolicy::Filtered, CURL).await;
    assert_eq!(curl, arriving(&bridge, HeaderPolicy::Filtered, WGET).await);
    let bare = arriving(&bridge, HeaderPolicy::Filtered, "").await;
    assert_eq!(bare, "GET / HTTP/1.1\r\nHost: known.i2p:PORT\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\r\n");
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
    let got = arriving(&bridge, HeaderPolicy::AsSent, FIREFOX).await;
    for field in ["Firefox/140.0", "Accept-Language: de", "Sec-Gpc: 1", "Priority: u=0, i"] {
        assert!(got.contains(field), "{field}: {got}");
    }
    assert!(!got.contains("Connection"), "{got}");
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
