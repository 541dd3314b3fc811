//! A router that refuses the datagrams that a tunnel carries: the proxy says so at its start, in the router's words.
#![cfg(unix)]

use std::fs;

use sam_testkit::{Dialect, TestBridge};

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_warns_at_its_start() {
    let text = "[[tunnel]]\nname = 'games'\nlisten = ['127.0.0.1:0']\nudp = 'datagram3'\n";
    for (dialect, newer, warns) in [
        (Dialect::Java, false, Some("I2P_ERROR (Unrecognized SESSION STYLE)")),
        (Dialect::Java, true, None),
        (Dialect::I2pd256, false, Some("this router (i2pd) does not support datagrams of this kind")),
        (Dialect::I2pd259, false, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("i2p-socks.toml");
        fs::write(&file, text).unwrap();
        let bridge = TestBridge::start_as(dialect).await;
        if newer {
            bridge.newer_datagrams();
        }
        let sam = bridge.address();
        let mut proxy =
            Running::start(&["--router", "sam", "--sam", &sam, "--config", file.to_str().unwrap()]);
        proxy.ready();
        match warns {
            Some(words) => {
                proxy.stderr_lines("tunnel games: UDP does not work with DATAGRAM3: ", 1);
                assert!(proxy.said().contains(words), "{dialect:?}: {}", proxy.said());
            }
            None => assert!(!proxy.said().contains("UDP does not work"), "{dialect:?}: {}", proxy.said()),
        }
    }
}
