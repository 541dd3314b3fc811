mod mistakes;

use std::{fs, time::Duration};

use i2p_sam::Identity;
#[cfg(unix)]
use i2p_tunnel::ListenAt;
use i2p_tunnel::{
    Authentication, BookAccess, Caps, HeaderPolicy, Isolate, Limits, PerClient, PoolOptions, Protocols,
    SessionPolicy, datagram_descriptors,
};

use super::{
    findings::Findings,
    mistakes::{Reading, read},
    *,
};

/// The error for a text that has mistakes.
fn error_of(text: &str) -> CommandError {
    let Reading { mistakes, faulty, keys, .. } = read::<Config>(text);
    Findings::new(None, text, mistakes, faulty, keys).into_error()
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = Config::parse("").unwrap();
    assert_eq!(config.router.backend, Backend::Auto);
    assert_eq!(config.router.sam.0.to_string(), "127.0.0.1:7656");
    assert_eq!(config.router.network_id, 2);
    let [tunnel] = &config.tunnels()[..] else { panic!("one tunnel") };
    assert_eq!(tunnel.name(), "default");
    assert_eq!(tunnel.listen().unwrap(), ["127.0.0.1:4450".parse().unwrap()]);
    let terms = tunnel.access_policy().unwrap();
    assert_eq!((terms.protocols, terms.extended_errors), (Protocols::default(), false));
    assert!(matches!(terms.authentication, Authentication::Isolation) && !tunnel.accepts_other_machines());
    assert_eq!(config.limits.times(), Limits::default());
    let possible = NonZeroUsize::new(100_000).unwrap();
    let caps = Caps { connections: 65_536, per_client: PerClient::Share, per_tunnel: None };
    assert_eq!(config.limits.caps(possible), (caps, None));
    assert_eq!(
        (tunnel.session_policy().isolate, tunnel.session_policy().dedicated),
        (Isolate::default(), None)
    );
    assert_eq!((config.session.length, config.session.quantity), (3, 2));
    assert!(!config.session.early_data && tunnel.dedicated_sessions().is_none());
    let pool = config.session.pool(config.shared_sessions().unwrap());
    let defaults = PoolOptions::default();
    assert_eq!(pool.max_sessions, defaults.max_sessions);
    assert_eq!((pool.idle_close, pool.warm_spares), (defaults.idle_close, defaults.warm_spares));
    assert_eq!((pool.delay_open, pool.identity), (defaults.delay_open, defaults.identity));
}

#[test]
fn all_keys() {
    let config = Config::parse(
        "[router]\nbackend = 'sam'\nsam = 'router.lan:7656'\nreseed-file = '/tmp/i2pseeds.su3'\nnetwork-id = 99\n\
         sam-udp = '127.0.0.1:7000'\nuser = 'me'\npassword-file = '/tmp/password'\n\
         [session]\nlength = 1\nquantity = 16\nearly-data = true\nidle-close = '1h 30m'\nreduce-after = '10m'\ndelay-open = true\n\
         max-sessions = 5\nwarm-spares = 2\nreopen-with = 'same-keys'\n\
         [[tunnel]]\nname = 'a'\nlisten = ['127.0.0.1:1', '[::1]:2']\nsession = 'dedicated'\n\
         isolate = ['client', 'socks-auth', 'listener', 'dest-host', 'dest-port', 'protocol']\n\
         [[tunnel]]\nname = 'b'\nlisten = ['127.0.0.1:3']\nkey = 'persistent'\nearly-data = false\n",
    )
    .unwrap();
    assert_eq!(config.router.backend, Backend::Sam);
    assert_eq!(config.router.sam.0.to_string(), "router.lan:7656");
    assert_eq!(config.router.reseed_file, Some("/tmp/i2pseeds.su3".into()));
    assert_eq!(config.router.network_id, 99);
    assert_eq!((config.session.length, config.session.quantity), (1, 16));
    assert!(config.session.early_data);
    config.check().unwrap();
    let pool = config.session.pool(config.shared_sessions().unwrap());
    assert_eq!(pool.max_sessions.get(), 4, "one is for the tunnel with keys of its own");
    assert_eq!((pool.idle_close, pool.warm_spares), (Some(Duration::from_secs(5400)), 2));
    assert_eq!((pool.delay_open, pool.identity), (true, Identity::Same));
    let [a, b] = &config.tunnels()[..] else { panic!("two tunnels") };
    assert_eq!(b.dedicated_sessions().unwrap().early_data, Some(false));
    let expected: Vec<ListenAt> = vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
    assert_eq!(a.listen().unwrap(), expected);
    let SessionPolicy { isolate, dedicated, .. } = a.session_policy();
    let all = isolate.client && isolate.socks_auth && isolate.listener && isolate.dest_host;
    assert!(all && isolate.dest_port && isolate.protocol);
    assert_eq!(dedicated.as_deref(), Some("a"));
    assert_eq!((b.key, b.session_policy().isolate), (KeyMode::Persistent, Isolate::NONE));
    assert_eq!(b.session_policy().dedicated.as_deref(), Some("b"));
}

#[test]
fn all_keys_about_clients() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, i2p_tunnel::Users::entry("anna", b"secret").unwrap()).unwrap();
    let config = Config::parse(&format!(
        "[limits]\nconnections = 500\nper-client = 10\nper-tunnel = 20\nhandshake = '1s'\ndial = '2s'\n\
         half-close = '3s'\nlinger = '4s'\nidle = '5s'\nkeepalive = '6s'\nuser-timeout = '0'\n\
         [[tunnel]]\nlisten = ['0.0.0.0:1', 'fd:some.socket', 'unix:/run/socks']\nunix-mode = '0660'\n\
         unix-group = '12'\nprotocols = ['socks5', 'http-connect', 'http']\nheaders = 'as-sent'\nkeep-names = true\nauth = 'required'\n\
         users-file = '{}'\nextended-errors = true\n\
         [[tunnel]]\nname = 'b'\nlisten = ['0.0.0.0:2']\nopen-to-others = true\nprefer-no-auth = true\n",
        users.display()
    ))
    .unwrap();
    config.check().unwrap();
    let [a, b] = &config.tunnels()[..] else { panic!("two tunnels") };
    let places: Vec<_> = a.listen().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(places, ["0.0.0.0:1", "fd:some.socket", "unix:/run/socks"]);
    #[cfg(unix)]
    {
        let file = i2p_tunnel::SocketFile { path: "/run/socks".into(), mode: 0o660, group: Some(12) };
        assert_eq!(a.listen().unwrap()[2], ListenAt::Unix(file));
    }
    let terms = a.access_policy().unwrap();
    let protocols = Protocols { socks5: true, http_connect: true, http: true, ..Protocols::NONE };
    assert_eq!([a.headers(), b.headers()], [HeaderPolicy::AsSent, HeaderPolicy::Filtered]);
    assert_eq!(a.book_access(), BookAccess::Everybody);
    #[cfg(unix)]
    assert_eq!(b.book_access(), BookAccess::User(rustix::process::geteuid().as_raw()));
    assert_eq!((terms.protocols, terms.extended_errors), (protocols, true));
    assert!(!terms.prefer_no_authentication && b.access_policy().unwrap().prefer_no_authentication);
    assert!(matches!(terms.authentication, Authentication::Required(users) if users.len() == 1));
    assert!(
        a.accepts_other_machines()
            && a.requires_password()
            && b.accepts_other_machines()
            && !b.requires_password()
    );
    let seconds = Duration::from_secs;
    let times = Limits {
        bind: Duration::from_secs(600),
        handshake: seconds(1),
        dial: seconds(2),
        half_close: seconds(3),
        linger: seconds(4),
        idle: Some(seconds(5)),
        keepalive: Some(seconds(6)),
        user_timeout: None,
    };
    assert_eq!(config.limits.times(), times);
    let caps = |connections| Caps { connections, per_client: PerClient::AtMost(10), per_tunnel: Some(20) };
    let possible = |number| NonZeroUsize::new(number).unwrap();
    assert_eq!(config.limits.caps(possible(1000)), (caps(500), None));
    assert_eq!(config.limits.caps(possible(300)), (caps(300), Some(500)), "and it is said");
    let config = Config::parse("[limits]\nper-client = 0\n").unwrap();
    assert_eq!(config.limits.caps(possible(1)).0.per_client, PerClient::Unlimited);
}

#[test]
fn descriptors_are_kept_for_as_many_datagrams_as_there_are_sessions_for_them() {
    let tunnel = |name: &str, udp: &str| {
        format!("[[tunnel]]\nname = '{name}'\nlisten = ['127.0.0.1:0']\nudp = '{udp}'\n")
    };
    let outproxy = "[[outproxy]]\nname = 'exit'\nat = '127.0.0.1:9050'\nvia = 'tcp'\nprotocol = 'socks5'\n";
    let few = "[session]\nmax-sessions = 2\n";
    for (text, clients, outproxies) in [
        (String::new(), 0, 0),
        (tunnel("a", "off"), 0, 0),
        (tunnel("a", "datagram"), 12, 0),
        ([few, &tunnel("a", "datagram"), &tunnel("b", "raw"), &tunnel("c", "off")].concat(), 4, 0),
        ([few, &tunnel("a", "datagram"), outproxy].concat(), 2, 1),
    ] {
        let needed = (clients * datagram_descriptors(outproxies)) as u64;
        assert_eq!(Config::parse(&text).unwrap().datagram_descriptors(), needed, "{text}");
    }
}

#[test]
fn values_that_contradict_each_other_are_said_so() {
    let listen = |port: u16| format!("listen = ['127.0.0.1:{port}']\n");
    let persistent = format!("[[tunnel]]\nname = 'a'\nkey = 'persistent'\n{}", listen(1));
    for (text, says) in [
        ("[names]\nbook = false\nsubscriptions = ['http://a.i2p/']\n".to_owned(), "book = false"),
        ("[names]\nbook = false\nsubscriptions = ['http://a.i2p/']\n".to_owned(), "book = false"),
        (format!("[[tunnel]]\n{}[[tunnel]]\n{}", listen(1), listen(2)), "two tunnels are called default"),
        (
            format!("[[tunnel]]\nname = 'a'\n{0}[[tunnel]]\nname = 'b'\n{0}", listen(1)),
            "tunnels a and b both listen on 127.0.0.1:1: choose another address for one of them",
        ),
        (
            "[[tunnel]]\nlisten = ['127.0.0.1:1', '0.0.0.0:1']\nopen-to-others = true\n".into(),
            "127.0.0.1:1 and 0.0.0.0:1 cannot both be under listen",
        ),
        #[cfg(target_os = "linux")]
        (
            format!("{persistent}[[tunnel]]\nlisten = '[::]:1'\nopen-to-others = true\n"),
            "127.0.0.1:1 and [::]:1 cannot both be under listen",
        ),
        (
            format!("[admin]\nlisten = '127.0.0.1:1'\n[[tunnel]]\n{}", listen(1)),
            "listen under [admin] overlaps with 127.0.0.1:1",
        ),
        (
            "[admin]\nlisten = '[::1]:1'\n[[tunnel]]\nlisten = '[::]:1'\nopen-to-others = true\n".into(),
            "listen under [admin] overlaps with [::]:1",
        ),
        #[cfg(unix)]
        (
            "[admin]\nlisten = 'unix:/a'\n[[tunnel]]\nlisten = 'unix:/a'\n".into(),
            "listen under [admin] overlaps with unix:/a",
        ),
        (format!("{persistent}isolate = ['client']\n"), "set isolate = []"),
        ("[[tunnel]]\nlisten = ['0.0.0.0:1']\n".into(), "open-to-others = true"),
        (
            "[[tunnel]]\nlisten = ['127.0.0.1:1', '[::ffff:192.0.2.1]:1']\n".into(),
            "auth = \\\"required\\\"",
        ),
        ("[[tunnel]]\nauth = 'required'\n".into(), "needs a users-file"),
        ("[[tunnel]]\nusers-file = '/x'\n".into(), "has no effect without auth"),
        (
            "[[tunnel]]\nauth = 'required'\nusers-file = '/x'\nlisten = 'dns:127.0.0.1:1'\n".into(),
            "cannot send the password that auth",
        ),
        ("[[tunnel]]\nlisten = 'dns:0.0.0.0:1'\n".into(), "open-to-others = true"),
        ("[[tunnel]]\nlisten = ['dns:127.0.0.1:1', '127.0.0.1:1']\n".into(), "cannot both be under listen"),
        (
            "[[tunnel]]\nauth = 'required'\nusers-file = '/x'\nprefer-no-auth = true\n".into(),
            "tunnel default: prefer-no-auth has no effect",
        ),
        ("[[tunnel]]\nlisten = ['fd:a', 'fd:a']\n".into(), "listed twice under listen"),
        ("[limits]\nkeepalive = '1s'\n".into(), "keepalive must be between 4s and 9h 6m 7s"),
        ("[limits]\nuser-timeout = '2days'\n".into(), "user-timeout must be between"),
        #[cfg(unix)]
        ("[[tunnel]]\nunix-group = 'no such group'\n".into(), "no group"),
        (
            "[[outproxy]]\nname = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\n".repeat(2),
            "two outproxies are called a",
        ),
        (
            "[router]\nsam = 'unix:/run/sam'\n[[tunnel]]\nname = 'games'\nudp = 'datagram'\n".into(),
            "tunnel games carries datagrams, which the router exchanges over UDP, and the Unix socket unix:/run/sam has no UDP \
             port: set sam-udp",
        ),
        (
            "[[route]]\nvia = 'reject'\n[[route]]\nvia = ['exit']\n".into(),
            "route 2 names the outproxy exit, but there is no",
        ),
        (
            "[[outproxy]]\nname = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\nusername = 'x'\npassword-file = '/nonexistent'"
                .into(),
            "outproxy a: cannot use the password file /nonexistent",
        ),
        (
            format!("[session]\nmax-sessions = 1\n{persistent}[[tunnel]]\nname = 'b'\n{}", listen(2)),
            "too low",
        ),
    ] {
        let config = Config::parse(&text).unwrap();
        let error = format!("{:?}", config.check().unwrap_err());
        assert!(error.contains(says), "{text}\n{error}");
    }
    let one = Config::parse(&format!("[session]\nmax-sessions = 1\n{persistent}")).unwrap();
    one.check().unwrap();
    let udp = "[router]\nsam = 'unix:/run/sam'\nsam-udp = '127.0.0.1:7655'\n[[tunnel]]\nudp = 'datagram'\n";
    Config::parse(udp).unwrap().check().unwrap();
}

#[test]
fn an_exposed_listener_is_told_of_passwords_if_its_clients_can_send_them() {
    for (listen, has_passwords) in [
        ("192.168.7.1:4450", true),
        ("dns:192.168.7.1:5353", false),
        ("redirect:192.168.7.1:4451", false),
        ("tproxy:192.168.7.1:4451", false),
    ] {
        let config = Config::parse(&format!("[[tunnel]]\nlisten = '{listen}'\n")).unwrap();
        let error = format!("{:?}", config.check().unwrap_err());
        assert!(error.contains("set open-to-others = true"), "{listen}: {error}");
        assert_eq!(error.contains("require passwords"), has_passwords, "{listen}: {error}");
    }
}

/// Every configuration in the documentation is valid, and the first one is the example.
#[test]
fn the_configurations_of_the_documentation_are_valid() {
    let pages = [
        include_str!("../../../../docs/configuration.md"),
        include_str!("../../../../docs/clients.md"),
        include_str!("../../../../docs/http.md"),
        include_str!("../../../../docs/filters.md"),
        include_str!("../../../../docs/names.md"),
        include_str!("../../../../docs/datagrams.md"),
        include_str!("../../../../docs/gateway.md"),
        include_str!("../../../../docs/outproxies.md"),
        include_str!("../../../../docs/service.md"),
        include_str!("../../../../docs/operating.md"),
        include_str!("../../../../README.md"),
    ];
    let blocks = pages.iter().flat_map(|page| page.split("```toml\n").skip(1));
    let blocks: Vec<_> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    for block in &blocks {
        let config = Config::parse(block).unwrap_or_else(|error| panic!("{block}\n{error}"));
        config.check().unwrap_or_else(|error| panic!("{block}\n{error:?}"));
    }
    assert!(blocks.first() == Some(&EXAMPLE), "the first of docs/configuration.md is dist/i2p-socks.toml");
}

#[test]
fn the_example_is_the_defaults() {
    let example = Config::parse(EXAMPLE).unwrap();
    assert_eq!(example.tunnels(), Config::default().tunnels());
    assert_eq!(Config { tunnel: Vec::new(), ..example }, Config::default());
}

/// The parser's error about an unknown key lists the keys that it knows.
#[test]
fn the_example_has_every_key() {
    let keys = |table: &str| {
        let error = Config::parse(&format!("{table}\nnonsense = 1")).unwrap_err().to_string();
        let expected = error.split("expected ").nth(1).unwrap_or_else(|| panic!("{error}"));
        let keys: Vec<_> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(!keys.is_empty(), "{error}");
        keys
    };
    // Optional tables are commented out in the example.
    let example = EXAMPLE.replace("\n# [", "\n[");
    let mut sections = example.split("\n[").map(|section| section.trim_start_matches('['));
    for table in keys("") {
        let head = [format!("[{table}]"), format!("[[{table}]]")];
        let is_it = |head: &&String| {
            let error = Config::parse(&format!("{head}\nnonsense = 1")).unwrap_err();
            error.to_string().contains("unknown field `nonsense`")
        };
        let head = head.iter().find(is_it).unwrap();
        let of_table = |section: &&str| section.starts_with(&format!("{table}]"));
        let text = sections.clone().find(of_table).unwrap_or_else(|| panic!("{head} is not there"));
        for key in keys(head) {
            let is_it = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
            let own_table = || sections.clone().any(|other| other.starts_with(&format!("{table}.{key}]")));
            assert!(text.lines().any(is_it) || own_table(), "{key} of {head} is not there");
        }
    }
    assert!(sections.next().is_some());
}

#[test]
fn a_single_text_is_a_list_of_one() {
    let list = "[names]\nsubscriptions = ['http://a.i2p/']\njump = ['http://b.i2p/?a=']\n[[tunnel]]\n\
                listen = ['127.0.0.1:1']\nisolate = ['client']\nprotocols = ['socks5']\n\
                [[outproxy]]\nname = 'o'\nat = 'o.i2p'\nprotocol = 'socks5'\n[[route]]\nvia = ['o']\n";
    let single = list.replace(['[', ']'], "").replace("names\n", "[names]\n");
    let single = single.replace("tunnel\n", "[[tunnel]]\n").replace("outproxy\n", "[[outproxy]]\n");
    let single = single.replace("route\n", "[[route]]\n");
    assert_eq!(Config::parse(&single).unwrap(), Config::parse(list).unwrap());
}
