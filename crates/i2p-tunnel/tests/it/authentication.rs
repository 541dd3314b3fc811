//! A tunnel that requires credentials, in every protocol.

use i2p_tunnel::{AccessPolicy, Admission, Authentication, Caps, Users};
use sam_testkit::TestBridge;
use tokio::time::{Duration, Instant};

use crate::common::{Proxy, proxy_with_service, socks4a_request, socks5_request};

async fn proxy(bridge: &TestBridge) -> Proxy {
    let entry = Users::entry("anna", b"secret").unwrap();
    let access = AccessPolicy {
        authentication: Authentication::Required(Users::parse(&entry).unwrap()),
        ..AccessPolicy::default()
    };
    proxy_with_service(bridge, |service| service.with_access(access)).await
}

fn socks5(user: &str, password: &str) -> Vec<u8> {
    let field = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let request = socks5_request("known.i2p", 80).split_off(3);
    [&[5, 2, 0, 2, 1][..], &field(user), &field(password), &request].concat()
}

/// From a client that offers no other method.
fn only_with_password(user: &str, password: &str) -> Vec<u8> {
    [&[5, 1, 2][..], &socks5(user, password)[4..]].concat()
}

fn http(field: &str) -> Vec<u8> {
    format!("CONNECT known.i2p:80 HTTP/1.1\r\n{field}\r\n").into_bytes()
}

#[tokio::test]
async fn only_users_are_served() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let before = bridge.commands().len();
    assert_eq!(proxy.exchange(&socks5_request("known.i2p", 80)).await, [5, 0xff], "without credentials");
    assert_eq!(proxy.exchange(&socks5("anna", "Secret")).await, [5, 2, 1, 1]);
    assert_eq!(proxy.exchange(&socks5("bert", "secret")).await, [5, 2, 1, 1]);
    assert_eq!(proxy.exchange(&socks5("<torS0X>0", "secret")).await, [5, 2, 1, 1]);
    // SOCKS4 has no passwords.
    assert_eq!(proxy.exchange(&socks4a_request("known.i2p", 80)).await[1], 93);
    // base64 of anna:Secret.
    for (field, says) in [
        ("", "407 The proxy needs a password\r\n"),
        (
            "Proxy-Authorization: Basic YW5uYTpTZWNyZXQ=\r\n",
            "407 The user name or the password of the proxy is wrong\r\n",
        ),
    ] {
        let answer = String::from_utf8(proxy.exchange(&http(field)).await).unwrap();
        assert!(answer.contains(says), "{answer}");
    }
    assert_eq!(bridge.commands().len(), before, "nothing was asked of the router");
    assert_eq!(proxy.exchange_and_finish(&socks5("anna", "secret")).await[..6], [5, 2, 1, 0, 5, 0]);
    // base64 of anna:secret.
    let answer = proxy.exchange_and_finish(&http("Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n")).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_wrong_password_is_answered_late_and_delays_no_other_client() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    proxy.exchange_and_finish(&socks5("anna", "secret")).await;
    let begin = Instant::now();
    let wrong = async {
        proxy.exchange(&socks5("anna", "wrong")).await;
        begin.elapsed()
    };
    let right = async {
        assert_eq!(proxy.exchange_and_finish(&socks5("anna", "secret")).await[3], 0);
        begin.elapsed()
    };
    let (wrong, right) = tokio::join!(wrong, right);
    assert!(wrong >= Duration::from_secs(1), "{wrong:?}");
    assert!(right < wrong, "{right:?} {wrong:?}");
}

/// A client over a cap is refused without a check of its password.
#[tokio::test]
async fn over_a_cap_passwords_are_not_checked() {
    let bridge = TestBridge::start().await;
    let entry = Users::entry("anna", b"secret").unwrap();
    let access = AccessPolicy {
        authentication: Authentication::Required(Users::parse(&entry).unwrap()),
        ..AccessPolicy::default()
    };
    let admission = Admission::new(Caps { connections: 0, ..Caps::default() });
    let proxy =
        proxy_with_service(&bridge, |service| service.with_access(access).with_admission(admission)).await;
    let begin = Instant::now();
    // A client that can do without a password learns the reason. Status 00 would tell the other that any password is right.
    assert_eq!(proxy.exchange(&socks5_request("known.i2p", 80)).await[..4], [5, 0, 5, 1]);
    for password in ["wrong", "secret"] {
        assert_eq!(proxy.exchange(&only_with_password("anna", password)).await, [5, 2, 1, 1], "{password}");
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "a wrong password was checked");
    let answer = String::from_utf8(proxy.exchange(&http("")).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
