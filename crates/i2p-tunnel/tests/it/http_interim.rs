//! Interim answers (1xx) of sites: they pass to clients that know them, in front of the answer, and not without end.

use sam_testkit::TestBridge;

use crate::common::{http::http_proxy, site::Site};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: X\r\nX: y\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a client gets that asks with this version if the site answers like this.
async fn answer(version: &str, answer: &str) -> String {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, answer).await;
    let proxy = http_proxy(&bridge).await;
    let port = site.port;
    let request =
        format!("GET http://known.i2p:{port}/ {version}\r\nHost: known.i2p\r\nConnection: close\r\n\r\n");
    String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap()
}

#[tokio::test]
async fn they_pass_in_front_of_the_answer_without_what_ends_at_the_proxy() {
    let got = answer("HTTP/1.1", &format!("{HINT}{OK}")).await;
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n";
    assert!(got.starts_with(&format!("{hint}HTTP/1.1 200 OK\r\n")) && got.ends_with("\r\n\r\nok"), "{got}");
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_none() {
    let got = answer("HTTP/1.0", &format!("{HINT}{OK}")).await;
    assert!(!got.contains("103") && got.ends_with("\r\n\r\nok"), "{got}");
}

#[tokio::test]
async fn a_flood_of_them_is_cut_off() {
    let got = answer("HTTP/1.1", &format!("{}{OK}", HINT.repeat(500))).await;
    assert_eq!(got.matches("HTTP/1.1 103").count(), 8, "{got}");
    assert!(got.ends_with("\r\n\r\nok"), "{got}");
}
