//! `check`: reports every error of the configuration, and what the router supports.

use std::{fs, net::TcpListener, path::PathBuf};

use sam_testkit::{Act, Dialect, TestBridge};

use crate::common;

fn check(text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, text).unwrap();
    common::output(&[&["check", "--config", config.to_str().unwrap()], more].concat())
}

#[test]
fn all_errors_are_reported_at_once() {
    let (code, stdout, stderr) = check("", &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, "the configuration is correct\ntunnel default listens on 127.0.0.1:4450\n");
    let twice = "[[tunnel]]\nlisten = ['127.0.0.1:1']\nkey = 'persistent'\nisolate = ['client']\n";
    let (code, stdout, stderr) = check(&format!("[session]\nmax-sessions = 1\n{twice}{twice}"), &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""));
    for part in
        ["two tunnels listen on 127.0.0.1:1: choose", "two tunnels are called", "set isolate = []", "too low"]
    {
        assert!(stderr.contains(part), "{part} is not in\n{stderr}");
    }
    let (code, _, stderr) = check(
        "[router]\nuser = 'me'\npassword-file = '/nonexistent'\n[virtual-addresses]\nipv4 = '10.0.0.0/8'\nipv6 = 'none'\n",
        &[],
    );
    assert_eq!(code, Some(64));
    assert!(stderr.contains("cannot use the password file"), "{stderr}");
    let (code, _, stderr) = check("[session]\nlenght = 1", &[]);
    assert_eq!(code, Some(64));
    assert!(stderr.contains("line 2, column 1"), "{stderr}");
}

/// The lines at which mistakes are reported.
fn lines(stderr: &str) -> Vec<usize> {
    let numbers = stderr.lines().filter_map(|line| line.strip_prefix("line ")?.split_once(','));
    numbers.map(|(number, _)| number.parse().unwrap()).collect()
}

#[test]
fn mistakes_are_reported_in_the_order_of_the_file_each_with_its_line() {
    let text = "[session]\nmax-sessions = 99\n\
                [names.static]\n'bad name.i2p' = 'x'\n'a.i2p' = 'b.i2p'\n'c.i2p' = 'x'\n\
                [limits]\nkeepalive = '1s'\n\
                [[tunnel]]\nname = 'a'\nlisten = '192.0.2.1:1'\nauth = 'required'\nudp = 'raw'\nisolate = 'site'\n\
                [[tunnel]]\nname = 'B'\nkey = 'persistent'\nisolate = 'client'\n\
                [[route]]\nvia = 'exit'\n\
                [router]\nuser = 'me'\npassword-file = '/nonexistent'\n\
                [log]\nlevel = 5\n[virtual-addresses.map]\n'10.0.0.1' = 'x.com'\n";
    let (code, stdout, stderr) = check(text, &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""));
    assert_eq!(lines(&stderr), [2, 4, 5, 6, 8, 12, 14, 16, 18, 20, 23, 25, 27], "{stderr}");
    assert!(stderr.contains("has 13 errors\n"), "{stderr}");
    assert!(stderr.contains("\n12 | auth = 'required'\n   | ^^^^\ntunnel a: auth ="), "{stderr}");
    // Both name errors are in their own lines, and the first is about the name itself.
    assert!(stderr.contains("\n4 | 'bad name.i2p' = 'x'\n  | ^^^^^^^^^^^^^^\n"), "{stderr}");
    assert!(stderr.contains("\n5 | 'a.i2p' = 'b.i2p'\n  |           ^^^^^^^\n"), "{stderr}");
    assert!(!stderr.contains("wanted string or table"), "{stderr}");
}

#[test]
fn a_mistyped_table_is_one_mistake() {
    for (text, at) in [
        ("[[tunel]]\nname = 'a'\n[[tunel]]\nname = 'b'\n[[tunel]]\n", vec![1]),
        ("[sesion.a]\nlength = 1\n[log]\nlevel = 5\n[sesion.b]\nlength = 1\n", vec![1, 4]),
        ("[log]\nx = { y = 1 }\n", vec![2]),
    ] {
        let (code, _, stderr) = check(text, &[]);
        assert_eq!((code, lines(&stderr)), (Some(64), at), "{text}\n{stderr}");
    }
    let (_, _, stderr) = check("[[session]]\nlength = 1\n[[session]]\nlength = 'x'\n[log]\nlevel = 5\n", &[]);
    assert_eq!(lines(&stderr), [1, 6], "{stderr}");
    assert!(stderr.contains("there is one table session: write [session] in single brackets"), "{stderr}");
}

#[test]
fn a_mistake_in_one_table_does_not_hide_that_others_have_the_same_name() {
    let tunnel = |name: &str, port: u16| format!("[[tunnel]]\nlisten = '127.0.0.1:{port}'\n{name}\n");
    let text = [("name = 'B'", 1), ("", 2), ("", 3), ("name = 'a'", 4), ("name = 'a'", 5), ("name = 'a'", 6)];
    let text: String = text.into_iter().map(|(name, port)| tunnel(name, port)).collect();
    let (_, _, stderr) = check(&text, &[]);
    assert_eq!(lines(&stderr), [3, 7, 15, 18], "{stderr}");
    assert!(stderr.contains("two tunnels are called default, as one without a name is"), "{stderr}");
    let exit = |name: &str| format!("[[outproxy]]\nat = 'exit.i2p'\nprotocol = 'socks5'\n{name}\n");
    let text = exit("") + &exit("name = 'b'") + &exit("name = 'b'");
    let (_, _, stderr) = check(&text, &[]);
    assert_eq!(lines(&stderr), [1, 12], "{stderr}");
}

/// Each in the line of the key that is wrong, and all of them.
#[test]
fn mistakes_of_an_outproxy_are_shown_at_their_keys() {
    let text = "[[outproxy]]\nname = 'reject'\nprotocol = 'http-connect'\nat = 'example.com'\n\
                username = 'a:b'\npass-isolation = true\n\
                [[outproxy]]\nname = 'b'\nprotocol = 'socks5'\nat = 'b.i2p'\npassword-file = '/nonexistent'\n";
    let (code, _, stderr) = check(text, &[]);
    assert_eq!((code, lines(&stderr)), (Some(64), vec![2, 4, 5, 5, 6, 11]), "{stderr}");
    assert!(stderr.contains("\n4 | at = 'example.com'\n  | ^^\noutproxy reject: at = "), "{stderr}");
}

#[test]
fn a_tunnel_that_nobody_can_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, i2p_tunnel::Users::entry("anna", b"secret").unwrap()).unwrap();
    let tunnel = |protocols: &str| {
        format!(
            "[[tunnel]]\nauth = 'required'\nusers-file = '{}'\nprotocols = {protocols}\n",
            users.display()
        )
    };
    let (code, _, stderr) = check(&tunnel("['socks4', 'socks4a']"), &[]);
    assert_eq!((code, lines(&stderr)), (Some(64), vec![4]), "{stderr}");
    assert!(stderr.contains("tunnel default: nobody could connect: protocols allows SOCKS4"), "{stderr}");
    assert_eq!(check(&tunnel("['socks4', 'http']"), &[]).0, Some(0));
}

#[test]
fn all_mistakes_of_options_are_reported() {
    // Also if the file has a mistake elsewhere.
    for file in ["[log]\nlevel = 'info'\n", "[sesion]\nquantity = 1\n"] {
        let (code, _, stderr) = check(file, &["-o", "limits.dial=x", "-o", "session.length=9"]);
        assert_eq!(code, Some(64), "{stderr}");
        for origin in ["-o limits.dial: ", "-o session.length: "] {
            assert_eq!(stderr.matches(origin).count(), 1, "{stderr}");
        }
    }
}

/// What `run` would do with it.
#[cfg(unix)]
#[test]
fn a_state_directory_that_cannot_be_used_is_reported() {
    use std::os::unix::fs::PermissionsExt;

    let temp = tempfile::tempdir().unwrap();
    let (open, file, missing) = (temp.path().join("open"), temp.path().join("file"), temp.path().join("a/b"));
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(&file, "").unwrap();
    let persistent = "[[tunnel]]\nname = 'me'\nkey = 'persistent'\nisolate = []\n";
    let subscribed = "[names]\nsubscriptions = 'http://a.i2p/hosts.txt'\n";
    let places = [
        (&open, "other users can write to it"),
        (&file, "it is not a directory"),
        // Root has all permissions there.
        #[cfg(target_os = "linux")]
        (&PathBuf::from("/proc/state"), "cannot be used"),
    ];
    for (dir, why) in places {
        let option = ["--state-dir", dir.to_str().unwrap()];
        let (code, stdout, stderr) = check("", &option);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert!(stdout.contains("\nwarning: the state directory ") && stdout.contains(why), "{stdout}");
        for (text, line) in [(persistent, 3), (subscribed, 2)] {
            let (code, _, stderr) = check(text, &option);
            assert_eq!((code, lines(&stderr)), (Some(64), vec![line]), "{stderr}");
            assert!(stderr.contains(why), "{stderr}");
        }
    }
    for text in ["", persistent] {
        let (code, stdout, stderr) = check(text, &["--state-dir", missing.to_str().unwrap()]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert!(!stdout.contains("warning"), "{stdout}");
    }
    assert!(!temp.path().join("a").exists(), "check creates nothing");
}

/// A text without quotes is the mistake that people make most, and it is not TOML.
#[test]
fn what_is_not_toml_does_not_hide_other_mistakes() {
    let text = "[limits]\ndial = 30s\nidle = 'x'\n[[outproxy]]\nname = exit\nat = 'exit.i2p'\n\
                protocol = 'socks5'\n[admin]\nlisten = 127.0.0.1:80\nx = 1\n";
    let (code, _, stderr) = check(text, &[]);
    assert_eq!((code, lines(&stderr)), (Some(64), vec![2, 3, 5, 9, 10]), "{stderr}");
    // What follows a header that is not one belongs to another table.
    let (_, _, stderr) = check("[log]\nlevel = 'x'\n[limits\ndial = '30s'\n", &[]);
    assert_eq!(lines(&stderr), [2, 3], "{stderr}");
}

/// The line of the file does not show what an option has set.
#[test]
fn a_mistake_of_an_option_has_its_name_and_no_line() {
    let text = "[limits]\nkeepalive = '1h'\n";
    let (code, _, stderr) = check(text, &["-o", "limits.keepalive=1s"]);
    assert_eq!((code, lines(&stderr)), (Some(64), vec![]), "{stderr}");
    assert!(
        stderr.starts_with("i2p-socks: -o limits.keepalive: [limits] keepalive must be between"),
        "{stderr}"
    );
    let tunnels = "[[tunnel]]\nname = 'a'\n[[tunnel]]\nname = 'b'\nlisten = '127.0.0.1:4451'\n";
    let (_, _, stderr) =
        check(tunnels, &["--listen", "127.0.0.1:1", "-o", "limits.dial=x", "--sam", "tls:r:1"]);
    assert!(lines(&stderr).is_empty(), "{stderr}");
    assert!(stderr.contains("--listen is ambiguous") && stderr.contains("-o limits.dial: \"x\""), "{stderr}");
    let persistent = tunnels.replace("'b'", "'b'\nkey = 'persistent'");
    let (_, _, stderr) = check(&persistent, &["-o", "tunnel.b.isolate=client"]);
    assert!(lines(&stderr).is_empty(), "{stderr}");
    assert!(stderr.contains(": -o tunnel.b.isolate: tunnel b: a persistent key is one identity"), "{stderr}");
}

/// Options change none of the lines of the others, be they in the same table.
#[test]
fn an_option_takes_no_line_from_errors_of_the_file() {
    let text = "[limits]\nkeepalive = '1s'\nuser-timeout = '1h'\n\
                [[tunnel]]\nname = 'a'\nauth = 'required'\n\
                [[tunnel]]\nname = 'b'\nlisten = '192.0.2.1:1'\nkey = 'persistent'\nisolate = 'client'\n";
    for options in [
        &["-o", "limits.user-timeout=2h"][..],
        &["-o", "tunnel.a.length=1"],
        &["-o", "tunnel.b.early-data=true", "-o", "log.level=debug", "--router", "sam"],
    ] {
        let (code, _, stderr) = check(text, options);
        assert_eq!((code, lines(&stderr)), (Some(64), vec![2, 6, 9, 11]), "{options:?}\n{stderr}");
        assert!(stderr.contains("config.toml has 4 errors\n") && !stderr.contains("-o "), "{stderr}");
    }
    // The key of the file that it contradicts has its line, and both are named.
    let (_, _, stderr) =
        check("[[tunnel]]\nudp = 'raw'\n", &["--sam", "unix:/nonexistent", "--router", "sam"]);
    assert_eq!(lines(&stderr), [2], "{stderr}");
    assert!(stderr.contains("\n--sam, --router: tunnel default carries datagrams"), "{stderr}");
}

/// Nobody has to mend one kind of mistake to see the next.
#[cfg(unix)]
#[test]
fn all_kinds_of_mistakes_are_reported_at_once() {
    use std::os::unix::fs::PermissionsExt;

    let state = tempfile::tempdir().unwrap();
    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let text = "[session]\nlenght = 1\n\
                [limits]\nkeepalive = '1s'\nbind = 5\n\
                [router]\nbackend = 'sam'\nsam = 'tls:router.lan:7656'\nsam-certificate = '/nonexistent/cert'\n\
                user = 'me'\npassword-file = '/nonexistent/password'\nkolor = 1\n\
                [[tunnel]]\nname = 'a'\nlength = 9\nauth = 'required'\nusers-file = '/nonexistent/users'\n\
                [[tunnel]]\nname = 'me'\nlisten = '192.0.2.1:1'\nkey = 'persistent'\nlenght = 1\n\
                [[outproxy]]\nname = 'exit'\nat = 'example.com'\nprotocol = 'socks5'\nusername = 'me'\n\
                password-file = '/nonexistent/exit'\n";
    let more = ["--state-dir", state.path().to_str().unwrap(), "-o", "limits.dial=x"];
    let (code, stdout, stderr) = check(text, &more);
    assert_eq!((code, stdout.as_str()), (Some(64), ""));
    // Not line 20: the mistyped key may be the open-to-others that it lacks.
    assert_eq!(lines(&stderr), [2, 4, 5, 9, 11, 12, 15, 17, 21, 22, 25, 28], "{stderr}");
    for part in ["prevents that). Tunnel me has key", "\n-o limits.dial: \"x\" is not a duration"] {
        assert!(stderr.contains(part), "{part} is not in\n{stderr}");
    }
    // The directory would be warned of.
    let (code, _, stderr) = check("[session]\nlenght = 1\n", &more);
    assert_eq!((code, lines(&stderr)), (Some(64), vec![2]), "{stderr}");
    assert!(stderr.contains("\nwarning: the state directory "), "{stderr}");
}

/// What a mistake hides is reported once it is mended.
#[test]
fn what_may_be_gone_with_a_mistake_is_not_reported() {
    for (text, at) in [
        ("[[tunnel]]\nauth = 'required'\nuser-file = '/x'\n", vec![3]),
        ("[[tunnel]]\nauth = 'required'\nusers-file = 5\n", vec![3]),
        ("[[tunnel]]\nauth = 'required'\nlenght = 5\nusers-file = '/nonexistent'\n", vec![3, 4]),
        ("[[tunnel]]\nlisten = '192.0.2.1:1'\nopen-to-other = true\n", vec![3]),
        ("[[tunnel]]\n[[tunnel]]\nnaem = 'b'\nlistne = '127.0.0.1:1'\n", vec![3, 4]),
        ("[[outproxi]]\nname = 'exit'\n[[route]]\nvia = 'exit'\n", vec![1]),
        ("[[outproxy]]\nname = 'E'\nat = 'e.i2p'\nprotocol = 'socks5'\n[[route]]\nvia = 'exit'\n", vec![2]),
    ] {
        let (code, _, stderr) = check(text, &[]);
        assert_eq!((code, lines(&stderr)), (Some(64), at), "{text}\n{stderr}");
    }
    // The tunnel that an option names may be the one whose name is mistyped.
    let (_, _, stderr) = check("[[tunnel]]\nname = 'A'\n", &["-o", "tunnel.a.length=1", "-o", "log.level=x"]);
    assert!(!stderr.contains("there is no") && stderr.contains("-o log.level: "), "{stderr}");
}

/// A restart with such a file would end the proxy.
#[test]
fn addresses_that_overlap_are_refused_before_anything_listens() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let first = "[[tunnel]]\nlisten = ['127.0.0.1:4451']\n";
    let second = "[[tunnel]]\nname = 'b'\nlisten = ['0.0.0.0:4451']\nopen-to-others = true\n";
    let admin = "[admin]\nlisten = '127.0.0.1:4451'\n";
    for (more, says) in [(second, "cannot both be under listen"), (admin, "listen under [admin] overlaps")] {
        fs::write(&config, format!("{first}{more}")).unwrap();
        for command in ["check", "run"] {
            let (code, stdout, stderr) = common::output(&[command, "--config", config.to_str().unwrap()]);
            assert_eq!((code, stdout.as_str()), (Some(64), ""), "{command}: {stderr}");
            assert!(stderr.contains(says), "{stderr}");
        }
    }
}

/// A tunnel without `listen` has an address that is nowhere in the file.
#[test]
fn two_tunnels_with_one_address_are_named() {
    let same = "tunnels a and b both listen on 127.0.0.1:4450: choose another address for one of them";
    let listen = |tunnel: &str, address: &str| {
        let listen = if address.is_empty() { String::new() } else { format!("listen = '{address}'\n") };
        format!("[[tunnel]]\nname = '{tunnel}'\n{listen}")
    };
    for (first, second, at, says) in [
        ("127.0.0.1:4450", "127.0.0.1:4450", 6, format!("{same}\n")),
        (
            "127.0.0.1:4450",
            "",
            4,
            format!("{same}. Without listen, as in b, a tunnel listens on 127.0.0.1:4450\n"),
        ),
        ("", "", 3, format!("{same}. Without listen, as in a and b, a tunnel listens on 127.0.0.1:4450\n")),
        (
            "",
            "0.0.0.0:4450",
            5,
            "127.0.0.1:4450 and 0.0.0.0:4450 cannot both be under listen, because one includes the other: keep one of them, or choose \
             another port. Without listen, as in a, a tunnel listens on 127.0.0.1:4450\n"
                .to_owned(),
        ),
    ] {
        let text = listen("a", first) + &listen("b", second) + "open-to-others = true\n";
        let (code, _, stderr) = check(&text, &[]);
        assert_eq!((code, lines(&stderr)), (Some(64), vec![at]), "{text}\n{stderr}");
        assert!(stderr.contains(&format!("\n{says}")), "{text}\n{stderr}");
    }
}

/// A stranger could end the embedded router through such a tunnel.
#[cfg(feature = "embedded")]
#[test]
fn udp_and_incoming_are_refused_with_the_embedded_router() {
    let embedded = "[router]\nbackend = 'embedded'\n";
    for key in ["udp = 'datagram'", "udp = 'raw'", "incoming = true"] {
        let tunnel = format!("[[tunnel]]\n{key}\n");
        let (code, stdout, stderr) = check(&format!("{embedded}{tunnel}"), &[]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{key}");
        for part in [
            "tunnel default: ",
            "a stranger who can send to such a tunnel can end that router",
            "Use i2pd or Java I2P",
        ] {
            assert!(stderr.contains(part), "{part} is not in\n{stderr}");
        }
        assert_eq!(check(&tunnel, &["--router", "sam"]).0, Some(0), "{key}");
        let (code, stdout, _) = check(&tunnel, &["-o", "router.i2pd=/nonexistent"]);
        assert_eq!(code, Some(0), "{key}");
        assert!(
            stdout.contains("if no other router is found, the proxy does not start: tunnel default: "),
            "{stdout}"
        );
    }
    assert_eq!(check(embedded, &[]).0, Some(0));
}

/// `run` would end with it.
#[test]
fn files_of_a_router_of_its_own_are_looked_at() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    let file = |key: &str| format!("[router]\n{key} = '/nonexistent/file'\n");
    for (key, backends) in [("reseed-file", &["i2pd", "embedded"][..]), ("i2pd", &["i2pd"])] {
        for backend in backends.iter().filter(|backend| cfg!(feature = "embedded") || **backend == "i2pd") {
            let (code, _, stderr) = check(&file(key), &["--router", backend, "--state-dir", state]);
            assert_eq!(code, Some(64), "{key} {backend}: {stderr}");
            assert!(stderr.contains("/nonexistent/file") && stderr.contains(key), "{stderr}");
        }
        assert_eq!(check(&file(key), &["--router", "sam", "--state-dir", state]).0, Some(0), "{key}");
    }
    #[cfg(feature = "embedded")]
    {
        let (code, stdout, _) = check(&file("reseed-file"), &["--state-dir", state]);
        assert_eq!(code, Some(0));
        let says = "if no other router is found, the proxy does not start: reseed-file /nonexistent/file";
        assert!(stdout.contains(says), "{stdout}");
    }
}

#[test]
fn nothing_is_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("[[tunnel]]\nlisten = ['{}']\n", taken.local_addr().unwrap());
    assert_eq!(check(&text, &[]).0, Some(0));
}

/// Errors are reported before the proxy listens.
#[test]
fn run_checks_the_whole_configuration_first() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let text = format!(
        "[router]\nuser = 'me'\npassword-file = '/nonexistent'\n[[tunnel]]\nlisten = ['{}']\n",
        taken.local_addr().unwrap()
    );
    fs::write(&config, text).unwrap();
    let (code, _, stderr) = common::output(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("cannot use the password file") && !stderr.contains("cannot listen"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn live_shows_what_the_router_supports() {
    for (dialect, says) in [
        (Dialect::I2pd245, ["answers: i2pd\n", "dialect i2pd"]),
        (Dialect::Emissary, ["answers: emissary\n", "dialect emissary"]),
        (Dialect::Java, ["answers: Java I2P", "subsessions for streams and datagrams"]),
        (
            Dialect::Java,
            ["delays new streams by about 500 ms", "each exchange on an open stream by about 170 ms"],
        ),
    ] {
        let bridge = TestBridge::start_as(dialect).await;
        let (code, stdout, stderr) = check("", &["--live", "--router", "sam", "--sam", &bridge.address()]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stderr.contains("the router's bridge"), "stdout says it: {stderr}");
        for part in says {
            assert!(stdout.contains(part), "{part} is not in\n{stdout}");
        }
        assert!(
            !bridge.commands().iter().any(|line| line.starts_with("SESSION")),
            "nothing is built for that"
        );
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, stdout, stderr) = check("", &["--live", "--router", "sam", "--sam", &free]);
    assert_eq!(code, Some(1));
    assert!(stdout.starts_with("the configuration is correct\n"), "{stdout}");
    assert!(stderr.contains("name the address of the bridge"), "{stderr}");
}

/// That another bridge answers the running proxy is no reason to call this one right.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn live_fails_beside_a_proxy_with_another_bridge() {
    let bridge = TestBridge::start().await;
    let state = tempfile::tempdir().unwrap();
    let state = ["--state-dir", state.path().to_str().unwrap()];
    let run = ["run", "--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"];
    let mut proxy = common::Running::start(&[&run[..], &state].concat());
    proxy.ready();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for backend in ["auto", "sam"] {
        let (code, stdout, _) =
            check("", &[&["--live", "--router", backend, "--sam", &free][..], &state].concat());
        assert_eq!(code, Some(1), "{backend}: {stdout}");
    }
}

/// Scripts use the exit code to learn whether a router answers, and people read what would happen.
#[cfg(feature = "embedded")]
#[test]
fn live_fails_if_no_router_answers_and_says_what_run_would_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    let live = ["--live", "--router", "auto", "--sam", &free, "-o", "router.i2pd=/nonexistent"];
    for (text, says) in [
        ("", "i2p-socks run would start the embedded router instead\n"),
        ("[[tunnel]]\nudp = 'raw'\n", "i2p-socks run would end, since the embedded router cannot serve"),
    ] {
        let (code, stdout, stderr) = check(text, &[&live[..], &["--state-dir", state]].concat());
        assert_eq!(code, Some(1), "{stdout}");
        assert!(stdout.starts_with("the configuration is correct\n"), "{stdout}");
        assert!(stderr.contains("no router answers: ") && stderr.contains(says), "{stderr}");
    }
}

/// The version of Java I2P does not tell whether it supports these datagrams.
#[tokio::test(flavor = "multi_thread")]
async fn live_asks_for_the_datagrams_that_a_tunnel_carries() {
    let bridge = TestBridge::start_as(Dialect::Java).await;
    let text = "[[tunnel]]\nname = 'games'\nlisten = ['127.0.0.1:4450']\nudp = 'datagram2'\n";
    let live = || check(text, &["--live", "--router", "sam", "--sam", &bridge.address()]);
    let (code, stdout, stderr) = live();
    assert_eq!(code, Some(0), "{stderr}");
    let refused = "DATAGRAM2, which games uses: UDP does not work: the router answered I2P_ERROR (Unrecognized SESSION STYLE)";
    assert!(stdout.contains(refused), "{stdout}");
    assert!(
        stdout.ends_with("not tried: whether a stream can be opened, which i2p-socks status tells once the proxy runs; DATAGRAM3, which no tunnel uses\n"),
        "{stdout}"
    );
    bridge.newer_datagrams();
    let (_, stdout, _) = live();
    assert!(stdout.contains("DATAGRAM2, which games uses: supported\n"), "{stdout}");
    assert_eq!(bridge.times("SESSION CREATE").len(), 2, "each run has asked once");
}

/// Only another configuration helps against a refusal: nothing waits, and no other router is started in place of the one that answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_refuses_hello_is_told_from_one_that_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (config, password) = (dir.path().join("config.toml"), dir.path().join("password"));
    fs::write(&password, "mistaken-secret").unwrap();
    let login = format!("[router]\nuser = 'me'\npassword-file = '{}'\n", password.display());
    let bridge = TestBridge::start().await;
    bridge.require_login("me", "secret");
    let old = TestBridge::start().await;
    old.on("HELLO", [Act::line("HELLO REPLY RESULT=NOVERSION")]);
    let keys = "Set user and password-file under [router]";
    for (text, bridge, cause, advice) in [
        ("", &bridge, "(USER and PASSWORD required)", keys),
        (login.as_str(), &bridge, "(Authorization failed)", keys),
        ("", &old, "NOVERSION", "Update the router"),
    ] {
        fs::write(&config, text).unwrap();
        let sam = bridge.address();
        for backend in ["sam", "auto"] {
            for command in [&["run", "--listen", "127.0.0.1:0"][..], &["check", "--live"]] {
                let more = ["--config", config.to_str().unwrap(), "--router", backend, "--sam", &sam];
                let (code, _, stderr) = common::output(&[command, &more].concat());
                assert_eq!(code, Some(1), "{command:?} {stderr}");
                for part in [cause, "while saying HELLO", advice] {
                    assert!(stderr.contains(part), "{part} is not in\n{stderr}");
                }
                assert!(!stderr.contains("mistaken-secret"), "{stderr}");
            }
        }
        fs::write(&config, "").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_expects_tls_and_one_that_is_being_stopped_are_named() {
    let bridge = TestBridge::start().await;
    let args = ["check", "--live", "--router", "sam", "--sam", &bridge.address()];
    for (acts, cause, advice) in [
        (vec![Act::Send(vec![21, 3, 3, 0, 2, 2, 80])], "expects TLS", "as tls:HOST:PORT"),
        (vec![], "closed the connection instead of answering HELLO", "stopping or starting"),
    ] {
        bridge.on("HELLO", [acts, vec![Act::Close]].concat());
        let (code, _, stderr) = common::output(&args);
        assert_eq!(code, Some(1), "{stderr}");
        for part in [cause, advice] {
            assert!(stderr.contains(part), "{part} is not in\n{stderr}");
        }
        assert!(!stderr.contains("does not speak SAM"), "{stderr}");
    }
}

/// The service runs as a user of its own, and its administrator checks its configuration as root. Run by another user, the test uses
/// root's directory.
#[cfg(unix)]
#[test]
fn root_checks_the_state_directory_of_the_service_as_its_user() {
    use std::os::unix::fs::{PermissionsExt, chown};

    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let is_root = chown(&state, Some(12_345), None).is_ok();
    let of = |state: &str, text: &str| check(text, &["--state-dir", state]);
    if !is_root {
        assert!(of("/", "").1.contains("it belongs to user 0"), "another user's is refused");
        return;
    }
    let persistent = "[[tunnel]]\nkey = 'persistent'\n";
    let place = state.to_str().unwrap();
    for text in ["", persistent] {
        let (code, stdout, stderr) = of(place, text);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        assert!(
            stdout.contains(" belongs to user 12345: only a proxy that runs as this user can"),
            "{stdout}"
        );
        assert!(!stdout.contains("cannot be used"), "{stdout}");
    }
    fs::set_permissions(&state, fs::Permissions::from_mode(0o500)).unwrap();
    let (code, stdout, stderr) = of(place, "");
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("cannot be used: ") && !stdout.contains("only a proxy"), "{stdout}");
    let (code, _, stderr) = of(place, persistent);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("cannot be used: "), "{stderr}");
}
