//! No log line, at any level, identifies a client or its target.

use std::sync::{Arc, Mutex};

use sam_testkit::{Act, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::{
    Event, Id, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::{
    alone,
    common::{b32, domain, proxy, socks4a_request, socks5_command, socks5_request},
    log::{self, Lines},
};

/// Texts that must not be in the log. They would be there if a name, an address or a credential were logged unchanged.
const SECRETS: [&str; 9] =
    ["secret", "c2Vjcm", "known", ".i2p", "aaaaaaaa", "198.51", "example", "250.", "127.0.0.1"];

/// Panics if a field of a span or an event contains one of the secrets. Since a panic ends only the task that logs, the field is
/// recorded too.
#[derive(Clone, Default)]
struct Forbidden(Arc<Mutex<Vec<String>>>);

impl Visit for Forbidden {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{field}={value:?}");
        if SECRETS.iter().any(|secret| text.contains(secret)) {
            self.0.lock().unwrap().push(text.clone());
            panic!("logged: {text}");
        }
    }
}

impl<S: Subscriber> Layer<S> for Forbidden {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        attributes.record(&mut self.clone());
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut self.clone());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // The bridge of the test kit may log them.
        if event.metadata().target().starts_with("i2p") {
            event.record(&mut self.clone());
        }
    }
}

#[tokio::test]
async fn nothing_that_a_client_sends_is_logged() {
    alone();
    let lines = Lines::default();
    let forbidden = Forbidden::default();
    log::give_to(lines.layer().and_then(forbidden.clone()));

    let bridge = TestBridge::start().await;
    // Java I2P repeats the name in its message.
    bridge.on(
        "STREAM CONNECT",
        [
            Act::line("STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Host name not found: secret.i2p\""),
            Act::Close,
        ],
    );
    let proxy = proxy(&bridge).await;
    for host in ["secret.i2p", "known.i2p", &b32(), "secret.example.com", "secret--x.i2p", "198.51.100.77"] {
        proxy.exchange(&socks5_request(host, 80)).await;
        proxy.exchange(&socks4a_request(host, 80)).await;
    }
    for (host, address) in [("known.i2p", domain("known.i2p")), ("echo.i2p", domain("250.77.77.77"))] {
        proxy.exchange(&socks5_command(0xf0, &domain(host), 42)).await;
        proxy.exchange(&socks5_command(0xf0, &address, 42)).await;
        proxy.exchange(&socks5_command(0xf1, &[1, 250, 77, 77, 77], 42)).await;
        proxy.exchange(&socks5_command(1, &[1, 250, 77, 77, 77], 80)).await;
    }
    let mut with_credentials = b"\x05\x01\x02\x01\x0bsecret-user\x0bsecret-pass".to_vec();
    with_credentials.extend(socks5_request("secret.i2p", 80).split_off(3));
    proxy.exchange(&with_credentials).await;
    proxy.exchange(b"GET http://secret.i2p/ HTTP/1.1\r\nHost: secret.i2p\r\nConnection: close\r\n\r\n").await;
    for target in ["secret.i2p:80", "secret.example.com:443", "secret"] {
        // base64 of secret-user:secret-pass, and no base64.
        for credentials in ["c2VjcmV0LXVzZXI6c2VjcmV0LXBhc3M=", "secret"] {
            let request =
                format!("CONNECT {target} HTTP/1.1\r\nProxy-Authorization: Basic {credentials}\r\n\r\n");
            proxy.exchange(request.as_bytes()).await;
        }
    }
    proxy.exchange(b"\x04\x01\x00\x50\x00\x00\x00\x01secret-id\x00secret.i2p\x00").await;

    bridge.on("STREAM CONNECT", [Act::Behave]);
    let (mut stream, code) = proxy.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);
    stream.write_all(b"secret").await.unwrap();
    stream.read_exact(&mut [0; 6]).await.unwrap();
    drop(stream);
    proxy.stop.cancel();
    proxy.serving.await.unwrap();

    let forbidden = forbidden.0.lock().unwrap().clone();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    let log = lines.text();
    assert!(log.contains("a request failed"), "the log is captured: {log}");
    assert!(log.contains("requested=[scrubbed]"), "targets are scrubbed: {log}");
    for secret in SECRETS {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
}
