//! Mistakes of the user: an exit code, what is wrong, and what to do.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    process::{Output, Stdio},
};

use crate::common::{i2p_socks, output};

#[test]
fn wrong_usage_and_configuration_exit_with_64() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    fs::write(&config, "[session]\nlenght = 1\n").unwrap();
    let config = config.to_str().unwrap();
    for (args, says) in [
        (&["--frob"][..], "unexpected argument '--frob'"),
        (&["frob"], "unrecognized subcommand 'frob'"),
        (&["run", "--listen", "4450"], "expected IP:PORT, such as 127.0.0.1:4450"),
        (&["run", "--listen", "localhost:4450"], "expected IP:PORT"),
        (&["run", "--sam", "7656"], "expected HOST:PORT, such as 127.0.0.1:7656"),
        (&["run", "--router", "java"], "[possible values: auto, sam, i2pd, embedded]"),
        (&["run", "-v", "-q"], "-q and -v cannot be used together"),
        (&["-v", "run", "-q"], "Usage: i2p-socks [OPTIONS] [COMMAND]"),
        (&["names", "list", "-qv"], "-q and -v cannot be used together"),
        (&["resolve", "http://a.i2p/"], "Give a host name, not a URL"),
        (&["names", "add", "a b", "x"], "not a host name in I2P"),
        (&["--sam", "127.0.0.1:1", "run", "--sam", "127.0.0.1:2"], "cannot be used multiple times"),
        (&["run", "--config"], "a value is required for '--config <FILE>'"),
        (&["--listen", "127.0.0.1:7,127.0.0.1:7"], "127.0.0.1:7 is listed twice under listen"),
        (&["--config", config], "line 2, column 1"),
        (&["--config", config], "unknown key `lenght`, expected one of `length`, `quantity`"),
        (&["--config", "/nonexistent.toml"], "/nonexistent.toml: No such file"),
        (&["check", "-o", "limits.dail=1s"], "-o limits.dail: unknown key `dail`, expected one of"),
        (
            &["-o", "session.length=8", "explain", "a.i2p", "80"],
            "-o session.length: 8 is not between 0 and 7",
        ),
        (&["check", "-o", "limits=3"], "-o limits: expected a table, found the number 3"),
        (&["status", "--wait", "--limit", "abc"], "\"abc\" is not a duration, expected a duration such as"),
        (&["connect", "a.i2p", "--udp", "--linger", "5"], "5 is not a duration, expected \"5s\" for seconds"),
        (&["listen", "--forward", "foo:22"], "for '--forward <IP:PORT>': expected IP:PORT or localhost:PORT"),
        (&["reload", "-o", "limits.dial=1s"], "-o has no effect on a running proxy"),
        (&["run", "-o", "limits.dial"], "expected KEY=VALUE, such as limits.dial=30s"),
        (
            &["check", "-o", "tunnel.default.listen=[\"0.0.0.0:1\"]"],
            "0.0.0.0:1 can be reached from other machines",
        ),
    ] {
        let (code, stdout, stderr) = output(args);
        assert_eq!(code, Some(64), "{args:?}\n{stderr}");
        assert!(stderr.contains(says), "{args:?}\n{stderr}");
        assert!(stdout.is_empty(), "{args:?}\n{stdout}");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for (value, words, says) in [
        ("foo", &["check"][..], "invalid value 'foo' for 'I2P_SOCKS_LISTEN': expected IP:PORT"),
        ("127.0.0.1:1,foo", &["check"], "invalid value 'foo' for 'I2P_SOCKS_LISTEN'"),
        ("127.0.0.1:1", &["check", "--listen", "bar"], "invalid value 'bar' for '--listen <ADDR>'"),
        (
            "redirct:127.0.0.1:1",
            &["check"],
            "unix:/PATH, fd:NAME, redirect:IP:PORT, tproxy:IP:PORT or dns:IP:PORT",
        ),
    ] {
        let result = i2p_socks(words).env("I2P_SOCKS_LISTEN", value).output().unwrap();
        let stderr = String::from_utf8(result.stderr).unwrap();
        assert!(result.status.code() == Some(64) && stderr.contains(says), "{words:?}\n{stderr}");
    }
}

#[test]
fn a_variable_that_several_tunnels_make_ambiguous_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, "[[tunnel]]\n[[tunnel]]\nname = 'b'\nlisten = '127.0.0.1:1'\n").unwrap();
    let mut command = i2p_socks(&["check", "--config", config.to_str().unwrap()]);
    let result = command.env("I2P_SOCKS_LISTEN", "127.0.0.1:2").output().unwrap();
    let stderr = String::from_utf8(result.stderr).unwrap();
    assert!(stderr.contains("--listen or I2P_SOCKS_LISTEN is ambiguous, because the"), "{stderr}");
}

/// Its own options could be those of i2p-socks, so the program has to be marked.
#[test]
fn a_program_of_exec_without_hyphens_is_answered_with_where_they_belong() {
    for (words, says) in [
        (&["exec", "curl", "http://a.i2p"][..], Some("put -- before the program: i2p-socks exec -- curl")),
        (&["-q", "exec", "--home", "share", "curl", "-L"], Some("i2p-socks exec -- curl")),
        (&["exec", "--hom", "share", "--", "curl"], None),
        (&["resolve", "a.i2p", "curl"], None),
    ] {
        let (code, stdout, stderr) = output(words);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{words:?}: {stderr}");
        assert_eq!(stderr.contains("put -- before"), says.is_some(), "{words:?}: {stderr}");
        assert!(says.is_none_or(|says| stderr.contains(says)), "{words:?}: {stderr}");
    }
}

#[test]
fn check_reports_everything_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    let text = "[router]\nuser = 'u'\npassword-file = '/nonexistent/password'\n[[route]]\nvia = 'nobody'\n\
                [[tunnel]]\nlisten = '127.0.0.1:7'\n\
                [[tunnel]]\nname = 'b'\nlisten = '127.0.0.1:7'\nauth = 'required'\nusers-file = '/nonexistent/users'\n";
    fs::write(&config, text).unwrap();
    let (code, _, stderr) = output(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(64), "{stderr}");
    for says in [
        "the password file /nonexistent/password",
        "route 1 names the outproxy nobody",
        "tunnels default and b both listen on 127.0.0.1:7: choose another address for one of them",
        "the users file /nonexistent/users",
    ] {
        assert_eq!(stderr.matches(says).count(), 1, "{says}:\n{stderr}");
    }
}

#[test]
fn explain_needs_no_router_and_shows_which_route_decides() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    let exit = "[[outproxy]]\nname = 'exit'\nat = 'exit.example.i2p'\nprotocol = 'socks5'\n";
    fs::write(&config, format!("{exit}[[route]]\nport = '80,443'\nvia = ['exit']\n")).unwrap();
    let config = config.to_str().unwrap();
    for (host, port, says) in [
        ("example.com", "443", "port 443 goes to an outproxy: route 1 sends it to an outproxy"),
        ("example.com", "22", "port 22 is refused: no route matches"),
        ("known.i2p", "443", "port 443 goes to I2P"),
    ] {
        let (code, stdout, stderr) = output(&["explain", host, port, "--config", config]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert!(stdout.contains(says), "{stdout}");
    }
    let (_, stdout, _) = output(&["explain", "example.com", "443", "--json", "--config", config]);
    assert!(stdout.contains("\"decision\": \"outproxies\""), "{stdout}");
    for port in ["70000", "http", "-1"] {
        let (code, _, stderr) = output(&["explain", "example.com", port]);
        assert_eq!(code, Some(64), "{stderr}");
        assert!(port == "-1" || stderr.contains("expected a number from 0 to 65535"), "{stderr}");
    }
    let (code, stdout, stderr) = output(&["resolve", "example.com", "--config", config]);
    assert_eq!((code, stdout.as_str()), (Some(1), "example.com is a host outside I2P\n"));
    assert!(
        stderr.contains("i2p-socks explain HOST PORT shows whether a route leads to this host"),
        "{stderr}"
    );
}

#[test]
fn settings_of_the_command_line_override_file_and_environment() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    fs::write(&config, "[[tunnel]]\nname = 'a'\nlisten = ['127.0.0.1:1']\n[[route]]\nvia = 'reject'\n")
        .unwrap();
    let checked = |words: &[&str], variable: Option<&str>| {
        let mut command = i2p_socks(&["check", "--config", config.to_str().unwrap()]);
        command.args(words).envs(variable.map(|value| ("I2P_SOCKS_LISTEN", value)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let given = ["-o", "tunnel.a.listen=['127.0.0.1:4']"];
    for (words, variable, port) in [
        (&[][..], None, 1),
        (&[], Some("127.0.0.1:2"), 2),
        (&["--listen", "127.0.0.1:3"], Some("127.0.0.1:2"), 3),
        (&given, Some("127.0.0.1:2"), 4),
        (&[&["--listen", "127.0.0.1:3"], &given[..]].concat(), None, 4),
        (&[&given[..], &["-o", "tunnel.a.listen=['127.0.0.1:5']"]].concat(), None, 5),
    ] {
        let said = checked(words, variable);
        assert!(said.contains(&format!("tunnel a listens on 127.0.0.1:{port}\n")), "{words:?}\n{said}");
    }
    let words =
        ["-o", "route.1.port=25", "explain", "example.com", "80", "--config", config.to_str().unwrap()];
    let (code, stdout, stderr) = output(&words);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("route 1 (host *, port 25, reject) is for other ports"), "{stdout}");
}

#[test]
fn listen_options_before_and_after_the_command_add_up() {
    let words = ["--listen", "127.0.0.1:1,127.0.0.1:2", "check", "--listen", "127.0.0.1:3"];
    let (code, stdout, stderr) = output(&words);
    assert_eq!(code, Some(0), "{stderr}");
    for port in [1, 2, 3] {
        assert!(stdout.contains(&format!("127.0.0.1:{port}")), "{stdout}");
    }
}

/// A route that is ignored would send clients to the wrong place, so the proxy does not start.
#[test]
fn mistakes_in_routes_and_outproxies_exit_with_64() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    let exit = "[[outproxy]]\nname = 'exit'\nat = 'exit.example.i2p'\nprotocol = 'socks5'\n";
    for (text, says) in [
        ("[[route]]\nvia = ['exit']\n".to_owned(), "there is no [[outproxy]] of this name"),
        (exit.repeat(2), "two outproxies are called exit"),
        (format!("{exit}username = 'x'\npassword-file = '/nonexistent'\n"), "the password file /nonexistent"),
        (format!("{exit}[[route]]\nhost = '*.i2p'\nvia = ['exit']\n"), "always go to I2P"),
        ("[[route]]\nport = '80-'\nvia = 'reject'\n".to_owned(), "line 2, column 8"),
    ] {
        fs::write(&config, &text).unwrap();
        let (code, stdout, stderr) = output(&["run", "--config", config.to_str().unwrap()]);
        assert_eq!(code, Some(64), "{text}\n{stderr}");
        assert!(stderr.contains(says) && stdout.is_empty(), "{text}\n{stderr}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    let (code, stdout, stderr) = output(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for option in [
        "--listen",
        "--router",
        "--sam",
        "-o <KEY=VALUE>",
        "--config",
        "--state-dir",
        "--verbose",
        "--quiet",
        "Exit codes",
    ] {
        assert!(stdout.contains(option), "{option} is not in\n{stdout}");
    }
    for option in ["-V", "--version"] {
        let (code, stdout, _) = output(&[option]);
        let version = stdout.strip_prefix(concat!("i2p-socks ", env!("CARGO_PKG_VERSION"), " ("));
        let (origin, router) = version.and_then(|rest| rest.split_once(", ")).unwrap();
        assert_eq!(code, Some(0));
        let is_commit = origin.strip_prefix("commit ").is_some_and(|commit| commit.len() == 12);
        assert!(is_commit || ["debug build", "unknown commit"].contains(&origin), "{stdout}");
        let word = if cfg!(feature = "embedded") { "with" } else { "without" };
        assert_eq!(router, format!("{word} the embedded router)\n"));
    }
}

#[test]
fn a_taken_port_is_reported_at_once_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = output(&["run", "--listen", &address]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.is_empty());
    assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
    assert!(stderr.contains("choose another port with --listen IP:PORT"), "{stderr}");
    // With several tunnels, --listen is refused.
    let tunnels =
        format!("[[tunnel]]\nlisten = '127.0.0.1:0'\n[[tunnel]]\nname = 'lan'\nlisten = '{address}'\n");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, tunnels).unwrap();
    let (code, _, stderr) = output(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{stderr}");
    let advice = format!("choose another port with listen under [[tunnel]] lan, in place of {address}.");
    assert!(stderr.contains(&advice), "{stderr}");
}

/// --listen IP:PORT would replace a gateway's listeners by an open SOCKS port.
#[cfg(target_os = "linux")]
#[test]
fn advice_for_an_address_that_is_missing_names_the_listener_and_never_replaces_others() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    for (listen, missing) in [
        ("'redirect:192.0.2.1:4451'", Some("redirect:192.0.2.1:4451")),
        ("'dns:192.0.2.1:5353'", Some("dns:192.0.2.1:5353")),
        ("['192.0.2.1:4450', 'dns:127.0.0.1:0']", Some("192.0.2.1:4450")),
        ("['192.0.2.1:4450', 'unix:/nonexistent/socks']", Some("192.0.2.1:4450")),
        ("['192.0.2.1:4450', '127.0.0.1:0']", None),
    ] {
        let text = format!("[[tunnel]]\nname = 'lan'\nlisten = {listen}\nopen-to-others = true\n");
        fs::write(&config, text).unwrap();
        let (code, stdout, stderr) = output(&["run", "--config", config.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{listen}: {stderr}");
        let with = match missing {
            Some(missing) => format!("listen under [[tunnel]] lan, in place of {missing}."),
            None => "--listen IP:PORT.".to_owned(),
        };
        let advice = format!("This machine does not have this address; choose one that it has with {with}");
        assert!(stderr.contains(&advice), "{listen}: {stderr}");
        assert_eq!(stderr.contains("--listen"), missing.is_none(), "{listen}: {stderr}");
    }
}

/// A file where the state directory should be, and a directory without a proxy: the error names the path.
#[cfg(unix)]
#[test]
fn a_wrong_state_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (file, missing) = (file.to_str().unwrap(), dir.path().join("missing"));
    for (words, path, says) in [
        (&["status"][..], file, "is not a directory"),
        (&["names", "list"], file, "is not a directory"),
        (
            &["run", "--router", "sam", "--sam", "127.0.0.1:1", "--listen", "127.0.0.1:0"],
            file,
            "is not a directory",
        ),
        (&["status"], missing.to_str().unwrap(), "no proxy is running with the state directory"),
    ] {
        let (code, stdout, stderr) = output(&[words, &["--state-dir", path]].concat());
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{words:?}\n{stderr}");
        assert!(stderr.contains(says) && stderr.contains(path), "{words:?}\n{stderr}");
    }
}

#[test]
fn a_missing_router_is_reported_with_advice() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, stdout, stderr) =
        output(&["run", "--router", "sam", "--sam", &free, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.is_empty());
    for part in [&format!("no SAM bridge answers at {free}"), "Start i2pd", "--sam HOST:PORT"] {
        assert!(stderr.contains(part), "{part:?} is not in\n{stderr}");
    }
}

#[cfg(not(feature = "embedded"))]
#[test]
fn a_build_without_the_embedded_router_says_so() {
    for args in [
        &["run", "--router", "embedded", "--listen", "127.0.0.1:0"][..],
        &["check", "--router", "embedded"],
        &["demo"],
    ] {
        let (code, _, stderr) = output(args);
        assert_eq!(code, Some(64), "{stderr}");
        assert!(stderr.contains("this build has no embedded router"), "{stderr}");
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = i2p_socks(&["run", "--listen", &address]);
    for name in ["LISTEN", "ROUTER", "SAM", "CONFIG", "STATE_DIR"] {
        command.env(format!("I2P_SOCKS_{name}"), "");
    }
    let stderr = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
}

/// This machine has no internet, or the tests' network namespace has no reseed servers. Either way, a first start finds no
/// routers.
#[cfg(feature = "embedded")]
#[test]
fn auto_falls_back_to_the_embedded_router_and_a_bad_reseed_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let reseed = dir.path().join("i2pseeds.su3");
    fs::write(&reseed, "not an su3 file").unwrap();
    let config = dir.path().join("i2p-socks.toml");
    fs::write(&config, format!("[router]\nreseed-file = '{}'\n", reseed.display())).unwrap();
    let (code, _, stderr) = output(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--sam",
        &free,
        "--config",
        config.to_str().unwrap(),
        "--state-dir",
        dir.path().join("state").to_str().unwrap(),
        "-o",
        "router.i2pd=/nonexistent",
    ]);
    assert_eq!(code, Some(1), "{stderr}");
    let advice = format!("hosts.txt --state-dir {}, or put", dir.path().join("state").display());
    for part in ["trying for 5 s", "starting the embedded router", &advice, "i2pseeds.su3", "as reseed file"]
    {
        assert!(stderr.contains(part), "{part:?} is not in\n{stderr}");
    }
}

#[test]
fn a_url_or_a_port_in_place_of_a_host_is_named() {
    let state = tempfile::tempdir().unwrap();
    let b32 = format!("{}.b32.i2p", "a".repeat(52));
    let (url, path) = ("Give a host name, not a URL: leave out http://", "not a URL: leave out the path");
    for (words, code, says) in [
        (&["names", "add", "http://bar.i2p/", &b32][..], 64, url),
        (
            &["names", "add", "bar.i2p:80", &b32],
            64,
            "Leave out the colon and the port: this command needs no port",
        ),
        (&["resolve", "http://bar.i2p/"], 64, url),
        (&["resolve", "bar.i2p:80"], 64, "this command needs no port"),
        (&["connect", "http://bar.i2p:80/"], 64, url),
        (&["connect", "bar.i2p/index.html"], 64, path),
        (&["connect", "bar.i2p:80"], 64, "Leave out the colon and the port: the port is a second argument"),
        (&["explain", "http://bar.i2p/", "80"], 0, url),
        (&["explain", "bar.i2p:80", "80"], 0, "the port is a second argument"),
    ] {
        let with_state =
            ["--router", "sam", "--sam", "127.0.0.1:1", "--state-dir", state.path().to_str().unwrap()];
        let (found, stdout, stderr) = output(&[words, &with_state].concat());
        assert_eq!(found, Some(code), "{words:?}: {stderr}");
        assert!(format!("{stdout}{stderr}").contains(says), "{words:?}: {stdout}{stderr}");
        assert!(!stderr.contains("127.0.0.1:1"), "the router has nothing to do with it: {stderr}");
    }
}

#[test]
fn a_missing_password_is_named() {
    for (words, stdin) in [
        (&["passwd"][..], ""),
        (&["passwd"], "anna\n"),
        (&["passwd", "anna"], ""),
        (&["passwd", "anna"], "\n"),
    ] {
        let mut command = i2p_socks(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.as_slice()), (Some(64), &b""[..]), "{words:?} {stdin:?}: {stderr}");
        assert!(stderr.contains("no password was given"), "{words:?} {stdin:?}: {stderr}");
        assert!(stderr.contains("without NAME, the first line is the user name"), "{stderr}");
    }
}

#[test]
fn the_help_says_which_router_is_started() {
    let (code, stdout, _) = output(&["--help"]);
    let words = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, Some(0));
    assert!(
        words.contains("it starts an installed i2pd, or if there is none, an embedded router"),
        "{stdout}"
    );
}
