//! `explain` and `generate pac` go by their own configuration, and say so if the running proxy has another one.
#![cfg(unix)]

use sam_testkit::TestBridge;

use crate::common::reloadable::{Proxy, tunnel};

const EXIT: &str =
    "[[outproxy]]\nname = 'exit'\nat = 'exit.i2p'\nprotocol = 'socks5'\n[[route]]\nvia = ['exit']\n";

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_if_the_running_proxy_goes_by_another_configuration() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, &(tunnel("a", "") + EXIT));
    let address = proxy.running.ready().to_string();
    let config = proxy.config().to_str().unwrap().to_owned();
    let explain = ["explain", "example.com", "80"];
    let pac = ["generate", "pac", "-o", "admin.pac-rest=proxy"];
    for (words, options, says) in [
        (&explain[..], &["--config", &config][..], ""),
        // What decides nothing there.
        (&explain, &["--config", &config, "-o", "limits.dial=3s"], ""),
        (&explain, &[], "the running proxy has other routes, outproxies, virtual addresses or filters"),
        (&explain, &["--config", &config, "-o", "route.1.port=80"], "the running proxy has other routes"),
        (&pac, &["--listen", &address], ""),
        (&pac, &["--listen", "127.0.0.1:1"], "the running proxy has another proxy.pac"),
    ] {
        let (code, stdout, stderr) = proxy.command(&[words, options].concat());
        assert!(code == Some(0) && !stdout.is_empty(), "{words:?} {options:?}: {stderr}");
        assert_eq!(stderr.lines().count(), usize::from(!says.is_empty()), "{words:?} {options:?}: {stderr}");
        assert!(stderr.contains(says), "{words:?} {options:?}: {stderr}");
    }
    assert_eq!(proxy.running.signal("TERM"), Some(0));
    for words in [&explain[..], &["generate", "pac"]] {
        let (code, _, stderr) = proxy.command(words);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{words:?}");
    }
}
