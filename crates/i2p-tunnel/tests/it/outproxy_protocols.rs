//! Requests to outproxies and the first data from them: SOCKS5 and HTTP CONNECT, over I2P, TCP and a Unix socket.

use i2p_tunnel::{
    OutproxyAt, OutproxyCredentials, OutproxyDefinition,
    OutproxyProtocol::{HttpConnect, Socks5},
};
use sam_testkit::TestBridge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{
    exit::{Answer, Exit, GRANTED, all_via, routed},
    read_to_end_or_reset, socks5_request,
};

const ESTABLISHED: Answer = Answer::Http("HTTP/1.1 200 Connection established\r\nVia: 1.1 exit");

fn with_credentials(definition: OutproxyDefinition) -> OutproxyDefinition {
    let credentials =
        OutproxyCredentials { username: "Aladdin".into(), password: "open sesame".to_owned().into() };
    OutproxyDefinition { credentials: Some(credentials), ..definition }
}

#[tokio::test]
async fn socks5_works_over_every_transport() {
    let bridge = TestBridge::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socks");
    let (exit, unix) = (Exit::start("exit", GRANTED).await, Exit::start_at(&path, "exit", GRANTED));
    let ways = [
        (exit.in_i2p(Socks5), &exit),
        (exit.over_tcp(Socks5), &exit),
        (unix.at(OutproxyAt::Unix(path), Socks5), &unix),
    ];
    for (definition, exit) in ways {
        let asked = exit.requests().len();
        // The name arrives in one segment with the reply: it is the first data.
        let routed = routed(&bridge, all_via(&["exit"]), vec![definition]).await;
        assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "exit");
        assert_eq!(exit.requests()[asked..], ["example.com:80"]);
        let status = routed.status("exit");
        assert_eq!((status.attempts, status.successes), (1, 1));
    }
}

#[tokio::test]
async fn http_connect_works_over_every_transport() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", ESTABLISHED).await;
    for definition in [exit.in_i2p(HttpConnect), exit.over_tcp(HttpConnect)] {
        let routed = routed(&bridge, all_via(&["exit"]), vec![definition]).await;
        assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "exit");
        assert_eq!(routed.outproxy_for("[2001:db8::1]", 8080).await.unwrap(), "exit");
        let asked = exit.requests();
        let [.., first, second] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(first, "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n");
        assert_eq!(second, "CONNECT [2001:db8::1]:8080 HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n");
    }
}

#[tokio::test]
async fn an_outproxy_gets_the_configured_credentials_and_never_the_clients() {
    let bridge = TestBridge::start().await;
    let socks = Exit::start("socks", Answer::Socks5 { method: 2, code: 0 }).await;
    let http = Exit::start("http", ESTABLISHED).await;
    let who = Some(("client-user", "client-password"));
    for definition in [socks.in_i2p(Socks5), socks.over_tcp(Socks5)] {
        let routed = routed(&bridge, all_via(&["socks"]), vec![with_credentials(definition)]).await;
        assert_eq!(routed.outproxy_for_user("example.com", 80, who).await.unwrap(), "socks");
    }
    let routed = routed(&bridge, all_via(&["http"]), vec![with_credentials(http.in_i2p(HttpConnect))]).await;
    assert_eq!(routed.outproxy_for_user("example.com", 80, who).await.unwrap(), "http");
    assert_eq!(socks.requests(), ["example.com:80 Aladdin:open sesame"; 2]);
    let head = &http.requests()[0];
    assert!(head.contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"), "{head}");
    assert!(!head.contains("client"));
}

/// Over SAM the client's end is held back, since routers would drop the answer, and a far end that waits for it is cut. Over TCP
/// it is passed on.
#[tokio::test]
async fn the_clients_end_is_passed_on_over_tcp_and_held_back_over_i2p() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    for (definition, expected) in
        [(exit.over_tcp(Socks5), (&b"exitover"[..], true)), (exit.in_i2p(Socks5), (b"exit", false))]
    {
        let routed = routed(&bridge, all_via(&["exit"]), vec![definition]).await;
        let (mut client, code) = routed.proxy.socks5("example.com", 80).await;
        assert_eq!(code, 0);
        client.shutdown().await.unwrap();
        let (said, finished) = read_to_end_or_reset(&mut client).await;
        assert_eq!((&said[..], finished), expected, "{}", String::from_utf8_lossy(&said));
    }
}

/// In both directions, data that arrives with the handshake comes before later data.
#[tokio::test]
async fn first_data_and_early_data_keep_their_order() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", ESTABLISHED).await;
    let routed = routed(&bridge, all_via(&["exit"]), vec![exit.over_tcp(HttpConnect)]).await;
    let mut client = routed.proxy.connect().await;
    client.write_all(&[&socks5_request("example.com", 80)[..], b"early "].concat()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    client.write_all(b"and late").await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "exitearly and lateover");
}
