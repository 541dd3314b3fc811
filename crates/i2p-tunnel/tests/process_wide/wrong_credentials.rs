//! Clients with wrong credentials are counted, and one log line reports them without names.

use std::sync::Arc;

use i2p_tunnel::{AccessPolicy, Authentication, Metrics, Users, metrics::Snapshot};
use sam_testkit::TestBridge;
use tokio::task::JoinSet;
use tracing_subscriber::filter::LevelFilter;

use crate::{
    alone,
    common::{proxy_with_service, socks4a_request, socks5_request},
    log,
};

fn socks5(user: &str, password: &str) -> Vec<u8> {
    let field = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[5, 1, 2, 1][..], &field(user), &field(password)].concat()
}

fn http(field: &str) -> Vec<u8> {
    format!("CONNECT known.i2p:80 HTTP/1.1\r\n{field}\r\n").into_bytes()
}

#[tokio::test]
async fn refused_credentials_are_counted_and_logged_by_kind() {
    alone();
    let lines = log::keep(LevelFilter::INFO);
    let bridge = TestBridge::start().await;
    let metrics = Metrics::new();
    let entry = Users::entry("anna", b"secret").unwrap();
    let access = AccessPolicy {
        authentication: Authentication::Required(Users::parse(&entry).unwrap()),
        ..AccessPolicy::default()
    };
    let account = metrics.account("main");
    let proxy =
        proxy_with_service(&bridge, |service| service.with_access(access).with_account(account)).await;
    let failed = |reason: &str, count: u32| {
        let text = metrics.encode(&Snapshot::default());
        let line = format!("handshakes_failed_total{{tunnel=\"main\",reason=\"{reason}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    };
    // Browsers first send a request without credentials.
    proxy.exchange(&http("")).await;
    failed("http", 1);
    assert!(!lines.text().contains("was refused"), "{}", lines.text());
    proxy.exchange(&socks5("anna", "wrong")).await;
    proxy.exchange(&socks5_request("known.i2p", 80)).await;
    proxy.exchange(&socks4a_request("known.i2p", 80)).await;
    // base64 of anna:Secret.
    proxy.exchange(&http("Proxy-Authorization: Basic YW5uYTpTZWNyZXQ=\r\n")).await;
    failed("credentials", 4);
    failed("http", 1);
    failed("refused", 0);
    let said = lines.text();
    for line in ["is wrong, over SOCKS5", "it sent no user name", "it spoke SOCKS4", "is wrong, over HTTP"] {
        assert_eq!(said.matches(line).count(), 1, "{line}: {said}");
    }
    assert_eq!(metrics.account("main").refused_credentials(), 4);
    // Guessing does not fill the log.
    for _ in 0..6 {
        proxy.exchange(&socks5("anna", "guess")).await;
    }
    failed("credentials", 10);
    let said = lines.text();
    assert!((2..=5).contains(&said.matches("is wrong, over SOCKS5").count()), "{said}");
    assert!(!said.contains("not checked"), "{said}");
    // Another password while 16 are under check is not wrong: nobody knows.
    let proxy = Arc::new(proxy);
    let mut guesses = JoinSet::new();
    for guess in 0..18 {
        let proxy = Arc::clone(&proxy);
        guesses.spawn(async move { proxy.exchange(&socks5("anna", &format!("guess {guess}"))).await });
    }
    assert!(guesses.join_all().await.iter().all(|answer| answer == &[5, 2, 1, 1]));
    failed("credentials", 26);
    failed("credentials_unchecked", 2);
    assert_eq!(metrics.account("main").unchecked_credentials(), 2);
    let said = lines.text();
    assert_eq!(said.matches("its password was not checked").count(), 1, "{said}");
    assert!(said.contains("WARN") && !said.contains("anna") && !said.contains("127.0.0.1"), "{said}");
}
