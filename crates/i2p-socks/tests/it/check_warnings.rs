//! `check`: warnings of what is no error of the configuration.

use std::{fs, net::TcpListener};

use sam_testkit::TestBridge;

use crate::common::{Running, i2p_socks, output};

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
    let replaces = "--listen replaces all listeners of the configuration file, including ";
    let variable =
        "--listen or I2P_SOCKS_LISTEN replaces all listeners of the configuration file, including ";
    let all = "redirect:127.0.0.1:2, dns:127.0.0.1:3, tproxy:127.0.0.1:4. Connections that a firewall sends there are not served.";
    for (more, set, says) in [
        (&[][..], None, None),
        (&["--listen", "127.0.0.1:9"], None, Some(format!("\nwarning: {replaces}{all}"))),
        (&[], Some("127.0.0.1:9"), Some(format!("\nwarning: {variable}{all}"))),
        (
            &["--listen", "redirect:127.0.0.1:2,tproxy:127.0.0.1:4"],
            None,
            Some(format!("\nwarning: {replaces}dns:127.0.0.1:3. Connections")),
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

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_running_with_the_state_directory_is_warned_of() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (state, config) = (dir.path().join("state"), dir.path().join("config.toml"));
    let shared = ["--state-dir", state.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let sam = bridge.address();
    let listen = ["--router", "sam", "--sam", &sam, "--listen", "127.0.0.1:0"];
    let warning = "\nwarning: a proxy is running with this state directory. A second i2p-socks run would ";
    let cause = format!(
        "the state directory {} cannot be used: another i2p-socks is running with it. ",
        state.display()
    );
    fs::write(&config, "").unwrap();
    let checked = || output(&[&["check"][..], &shared].concat());
    let (_, before, _) = checked();
    assert!(!before.contains("warning"), "{before}");
    let mut first = Running::start(&[&["run"][..], &shared, &listen].concat());
    let address = first.ready();
    let (code, stdout, stderr) = checked();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let what =
        stdout.split_once(&format!("{warning}end if one of its addresses is in use, and otherwise warn: "));
    let what = what.unwrap_or_else(|| panic!("{stdout}")).1.trim_end().to_owned();
    assert!(what.starts_with(&cause), "{stdout}");
    let mut second = Running::start(&[&["run"][..], &shared, &listen].concat());
    second.stderr_line(&what);
    drop(second);
    let taken = address.to_string();
    let (code, _, stderr) =
        output(&[&["run"][..], &shared, &["--router", "sam", "--sam", &sam, "--listen", &taken]].concat());
    let says = format!(
        "--listen IP:PORT. A proxy is running with the state directory already: i2p-socks status --state-dir {} shows it\n",
        state.display()
    );
    assert!(code == Some(1) && stderr.ends_with(&says), "{stderr}");
    fs::write(&config, "[[tunnel]]\nkey = 'persistent'\n").unwrap();
    let (code, stdout, _) = checked();
    let why =
        stdout.split_once(&format!("{warning}end: ")).unwrap_or_else(|| panic!("{stdout}")).1.trim_end();
    assert!(code == Some(0) && why.starts_with(&format!("{cause}Tunnel default has key")), "{stdout}");
    let (code, _, stderr) = output(&[&["run"][..], &shared, &listen].concat());
    assert!(code == Some(1) && stderr.contains(why), "{stderr}");
}

#[test]
fn an_outproxy_without_a_route_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let exit = "[[outproxy]]\nname = 'exit'\nat = 'exit.i2p'\nprotocol = 'socks5'\n";
    for (text, is_unused) in [(exit.to_owned(), true), (format!("{exit}[[route]]\nvia = 'exit'\n"), false)] {
        fs::write(&config, &text).unwrap();
        let (code, stdout, _) = output(&["check", "--config", config.to_str().unwrap()]);
        let says = "\nwarning: these outproxies are never used, because no route names them: exit\n";
        assert_eq!((code, stdout.contains(says)), (Some(0), is_unused), "{stdout}");
    }
}

/// Each has to be mended, and nobody has to check once for each.
#[test]
fn all_malformed_lines_of_a_users_file_are_reported_and_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, "anna\n# a friend\nb:secret\n").unwrap();
    let file = format!("tunnel.default.users-file={}", users.display());
    let (code, _, stderr) = output(&["check", "-o", "tunnel.default.auth=required", "-o", &file]);
    let says = "cannot be used: line 1: expected name:$argon2id$..., as `i2p-socks passwd` prints it; line 3: expected a hash";
    assert!(code == Some(64) && stderr.contains(says) && !stderr.contains("secret"), "{stderr}");
}
