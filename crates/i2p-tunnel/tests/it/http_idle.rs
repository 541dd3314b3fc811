//! Connections of plain HTTP without a request give their places up when others need them.

use std::time::Duration;

use i2p_tunnel::{Admission, Caps, PerClient};
use sam_testkit::TestBridge;
use tokio::time::timeout;

use crate::common::{
    http::{all_protocols, ask, head},
    proxy_with_service, read_to_end_or_reset,
    site::Site,
};

const LONG: Duration = Duration::from_secs(20);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_without_a_request_ends_for_another_client_and_one_with_a_request_does_not() {
    let bridge = TestBridge::start().await;
    // A request for /slow is answered in part.
    let site = Site::start_with(&bridge, |head| {
        let answer =
            if head.contains("/slow") { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no" } else { OK };
        answer.as_bytes().to_vec()
    })
    .await;
    let caps = Caps { connections: 2, per_client: PerClient::Unlimited, ..Caps::default() };
    let admission = Admission::new(caps);
    let proxy = proxy_with_service(&bridge, |service| {
        service.with_access(all_protocols()).with_admission(admission.clone())
    })
    .await;
    let get = |path: &str| format!("GET http://known.i2p:{}{path} HTTP/1.1\r\nHost: x\r\n\r\n", site.port);
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    // Used again after a pause, the first one is the younger pause.
    for client in [&mut first, &mut second] {
        assert_eq!(ask(client, &get("/")).await.1, "ok");
    }
    assert_eq!(ask(&mut first, &get("/")).await.1, "ok");
    let mut third = proxy.connect().await;
    assert_eq!(ask(&mut third, &get("/")).await.1, "ok", "it is served");
    let (rest, _) = timeout(LONG, read_to_end_or_reset(&mut second)).await.unwrap();
    assert_eq!(rest, b"", "the one that was without a request for longest has ended");
    assert_eq!(ask(&mut first, &get("/")).await.1, "ok", "the other one goes on");
    assert_eq!(admission.connections(), 2);
    // Answers on their way are no pause.
    for client in [&mut first, &mut third] {
        tokio::io::AsyncWriteExt::write_all(client, get("/slow").as_bytes()).await.unwrap();
        assert!(head(client).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(proxy.socks5("known.i2p", site.port).await.1, 1, "there is no room");
    drop(first);
    drop(third);
    while admission.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
