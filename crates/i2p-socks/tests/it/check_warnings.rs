//! `check`: warnings of what is no error of the configuration.

use std::{fs, net::TcpListener};

use crate::common::i2p_socks;

/// The service has the variable in its environment, or a person tries another port.
#[cfg(target_os = "linux")]
#[test]
fn listeners_of_a_gateway_that_listen_replaces_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let text = "[[tunnel]]\nname = 'lan'\n\
                listen = ['127.0.0.1:1', 'redirect:127.0.0.1:2', 'dns:127.0.0.1:3', 'tproxy:127.0.0.1:4']\n";
    fs::write(&config, text).unwrap();
    let of = |command: &str, more: &[&str], variable: Option<&str>| {
        let mut command = i2p_socks(&[command, "--config", config.to_str().unwrap()]);
        command.args(more).envs(variable.map(|value| ("I2P_SOCKS_LISTEN", value)));
        let result = command.output().unwrap();
        (result.status.code(), [result.stdout, result.stderr].map(|text| String::from_utf8(text).unwrap()))
    };
    let replaces = "--listen replaces all listeners of the configuration file, also ";
    let variable = "--listen or I2P_SOCKS_LISTEN replaces all listeners of the configuration file, also ";
    let all = "redirect:127.0.0.1:2, dns:127.0.0.1:3, tproxy:127.0.0.1:4: what a firewall sends there is not served.";
    for (more, set, says) in [
        (&[][..], None, None),
        (&["--listen", "127.0.0.1:9"], None, Some(format!("\nwarning: {replaces}{all}"))),
        (&[], Some("127.0.0.1:9"), Some(format!("\nwarning: {variable}{all}"))),
        (
            &["--listen", "redirect:127.0.0.1:2,tproxy:127.0.0.1:4"],
            None,
            Some(format!("\nwarning: {replaces}dns:127.0.0.1:3: what")),
        ),
        (&["--listen", "127.0.0.1:9,redirect:127.0.0.1:2,tproxy:127.0.0.1:4,dns:127.0.0.1:3"], None, None),
        (&["-o", "tunnel.lan.listen=127.0.0.1:9"], None, None),
    ] {
        let (code, [stdout, stderr]) = of("check", more, set);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{more:?}: {stdout}");
        assert_eq!(stdout.contains("replaces"), says.is_some(), "{more:?}: {stdout}");
        assert!(says.is_none_or(|says| stdout.contains(&says)), "{more:?}: {stdout}");
    }
    // Nobody listens there, so it ends once it has warned.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, [_, stderr]) =
        of("run", &["--listen", "127.0.0.1:0", "--router", "sam", "--sam", &free], None);
    assert_eq!((code, stderr.matches(&format!("{replaces}{all}")).count()), (Some(1), 1), "{stderr}");
}
