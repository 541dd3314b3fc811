//! `isolate = ["site"]`: what a page loads from elsewhere belongs to the page.

use i2p_tunnel::{Isolate, SessionPolicy};
use sam_testkit::{Endpoint, TestBridge};

use crate::common::{
    http::{all_protocols, ask},
    proxy_with_service,
    site::Site,
};

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_page_and_its_pictures_have_one_identity_and_other_pages_another() {
    let bridge = TestBridge::start().await;
    for name in ["a.page.i2p", "page.i2p", "other.i2p", "pictures.i2p"] {
        bridge.host(name, Endpoint::Echo);
    }
    let site = Site::start(&bridge, OK).await;
    let sessions =
        SessionPolicy { isolate: Isolate { site: true, ..Isolate::default() }, ..SessionPolicy::default() };
    let proxy =
        proxy_with_service(&bridge, |service| service.with_access(all_protocols()).with_sessions(sessions))
            .await;
    let mut client = proxy.connect().await;
    let mut identity = async |host: &str, fields: &str| {
        let request = format!("GET http://{host}:{}/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n", site.port);
        assert_eq!(ask(&mut client, &request).await.1, "ok");
        let dialled = bridge.commands().into_iter().rfind(|line| line.starts_with("STREAM CONNECT")).unwrap();
        dialled.split(' ').find(|word| word.starts_with("ID=")).unwrap().to_owned()
    };
    let visit = "Upgrade-Insecure-Requests: 1\r\n";
    let page = identity("page.i2p", visit).await;
    let other = identity("other.i2p", visit).await;
    assert_ne!(page, other);
    assert_eq!(identity("a.page.i2p", visit).await, page);
    // A link from one site to the other: the person goes there.
    assert_eq!(identity("other.i2p", &format!("Referer: http://page.i2p/x\r\n{visit}")).await, other);
    // A picture of a third site in both.
    assert_eq!(identity("pictures.i2p", "Referer: http://a.page.i2p/x\r\n").await, page);
    assert_eq!(identity("pictures.i2p", "Origin: http://other.i2p\r\n").await, other);
    let alone = identity("pictures.i2p", "").await;
    assert!(alone != page && alone != other);
    assert!((0..site.seen().connections.len()).all(|number| !site.text(number).contains("page.i2p/x")));
}
