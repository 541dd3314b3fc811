//! Failures that the proxy decides itself, as a client sees them. `router_answers.rs` has those that routers decide.

use i2p_tunnel::Failure;
use sam_testkit::TestBridge;

use crate::common::proxy;

#[tokio::test]
async fn hosts_outside_i2p_are_refused_and_never_reach_the_router() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let before = bridge.commands().len();
    for host in ["example.com", "localhost", "127.0.0.1", "[::1]", "::ffff:10.0.0.1", "2130706433", "0x7f.1"]
    {
        assert_eq!(proxy.socks5(host, 80).await.1, 2, "{host}");
        assert_eq!(proxy.socks4a(host, 80).await.1, 91, "{host}");
    }
    let address = |bytes: &[u8]| [&[5, 1, 0, 5, 1, 0], bytes, &[0, 80]].concat();
    for request in [address(&[1, 198, 51, 100, 7]), address(&[&[4][..], &[0x20; 16]].concat())] {
        assert_eq!(proxy.exchange(&request).await, [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    let socks4 = [4, 1, 0, 80, 198, 51, 100, 7, 0];
    assert_eq!(proxy.exchange(&socks4).await, [0, 91, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bridge.commands().len(), before);
}

#[tokio::test]
async fn malformed_names_never_reach_the_router() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let before = bridge.commands().len();
    for host in ["a.i2p SILENT=true", "a.i2p\nQUIT", "a\"b.i2p", "..i2p", "short.b32.i2p", "a_b.i2p"] {
        assert_eq!(proxy.socks5(host, 80).await.1, 1, "{host:?}");
        assert_eq!(proxy.socks4a(host, 80).await.1, 91, "{host:?}");
    }
    assert_eq!(bridge.commands().len(), before);
}

#[tokio::test]
async fn unsupported_commands_and_address_types_have_their_codes() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let reply = |code| [5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0].to_vec();
    for command in [2, 3, 0xf2, 0x7f] {
        let request = [&[5, 1, 0, 5, command, 0, 3, 9][..], b"known.i2p", &[0, 80]].concat();
        assert_eq!(proxy.exchange(&request).await, reply(7), "command {command}");
    }
    assert_eq!(proxy.exchange(&[5, 1, 0, 5, 1, 0, 9, 0, 0, 0, 0, 0, 0]).await, reply(8));
    assert_eq!(proxy.exchange(&[5, 1, 1]).await, [5, 0xff], "GSSAPI only");
    assert_eq!(proxy.exchange(&[4, 2, 0, 80, 0, 0, 0, 1, 0, b'a', 0]).await, [0, 91, 0, 0, 0, 0, 0, 0]);
}

/// The table a second time, so that no code changes by accident.
#[test]
fn the_failure_table_has_these_codes() {
    let rows: Vec<_> = Failure::ALL.iter().map(|failure| failure.row()).collect();
    assert!(rows.iter().all(|row| row.socks4.0 == 91));
    let codes: Vec<_> = rows.iter().map(|row| (row.socks5.0, row.extended.0, row.http)).collect();
    let expected = [
        (1, 0xf6, 400),
        (4, 0xf0, 404),
        (4, 0xf0, 404),
        (4, 0xf0, 502),
        (6, 0xf7, 504),
        (5, 0xf2, 502),
        (2, 2, 403),
        (2, 2, 403),
        (2, 2, 403),
        (1, 1, 503),
        (3, 3, 503),
        (1, 1, 503),
        (1, 1, 503),
        (1, 1, 503),
        (1, 1, 502),
        (1, 1, 502),
        (7, 7, 501),
        (4, 4, 404),
        (1, 1, 503),
        (8, 8, 400),
        (4, 0xf4, 502),
        (4, 4, 502),
        (1, 1, 503),
        (2, 2, 403),
        (1, 1, 503),
        (1, 1, 502),
        (1, 1, 502),
        (2, 2, 403),
        (1, 1, 502),
        (2, 2, 403),
        (1, 1, 503),
        (4, 4, 502),
    ];
    assert_eq!(codes, expected);
}

/// Metrics and JSON contain them unchanged.
#[test]
fn labels_are_plain_and_unique() {
    let mut labels: Vec<_> = Failure::ALL.iter().map(|failure| failure.row().label).collect();
    assert!(labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Failure::ALL.len());
}
