//! SIGHUP: the new configuration takes effect as a whole or not at all, and streams do not notice.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use sam_testkit::TestBridge;

use crate::common::{
    LIMIT, activated, connect, echo,
    reloadable::{Proxy, tunnel},
};

const IN_FORCE: &str = "the new configuration is in effect";
const REFUSED: &str = "the new configuration was refused";

fn sessions_created(bridge: &TestBridge) -> usize {
    bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_nothing_is_dropped() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, &(tunnel("a", "") + &tunnel("b", "")));
    // Either may be ready first.
    proxy.running.ready();
    let address = proxy.address("a").unwrap();
    let b = proxy.address("b").unwrap();
    let (code, mut on_b) = connect(b, "echo.i2p");
    assert_eq!(code, 0);
    let (stop, streams, requests) = (Arc::new(AtomicBool::new(false)), 4, Arc::new(AtomicUsize::new(0)));
    let long: Vec<_> = (0..streams)
        .map(|_| {
            let stop = Arc::clone(&stop);
            let (code, mut stream) = connect(address, "echo.i2p");
            assert_eq!(code, 0);
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    echo(&mut stream);
                }
            })
        })
        .collect();
    let short: Vec<_> = (0..2)
        .map(|_| {
            let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    let (code, mut stream) = connect(address, "echo.i2p");
                    assert_eq!(code, 0);
                    echo(&mut stream);
                    requests.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=10 {
        let before = requests.load(Relaxed);
        let text = match round % 2 {
            1 => tunnel("c", "session = 'dedicated'") + &tunnel("a", "isolate = ['client', 'dest-port']"),
            _ => tunnel("a", "") + &tunnel("d", ""),
        };
        proxy.reload(&text);
        proxy.running.stderr_lines(IN_FORCE, round);
        let begin = Instant::now();
        while requests.load(Relaxed) < before + 2 {
            assert!(begin.elapsed() < LIMIT, "clients are served: {}", proxy.running.said());
            thread::yield_now();
        }
    }
    stop.store(true, Relaxed);
    for client in long.into_iter().chain(short) {
        client.join().expect("no stream broke and no request failed");
    }
    assert_eq!(proxy.address("a"), Some(address), "the listener stayed");
    assert!(proxy.address("b").is_none());
    assert!(TcpStream::connect(b).is_err(), "the listener that is not configured any more is gone");
    echo(&mut on_b);
    assert_eq!(connect(proxy.address("d").unwrap(), "known.i2p").0, 0, "a new one is served");
    let line = proxy.running.stdout_line(&format!("socks {}", proxy.address("d").unwrap()));
    assert!(line.ends_with(" ready"), "and announced: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_changes_nothing_and_is_reported() {
    let bridge = TestBridge::start().await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let mut proxy = Proxy::start(&bridge, &tunnel("a", ""));
    let address = proxy.running.ready();
    let (_, mut open) = connect(address, "echo.i2p");
    let new = tunnel("new", "");
    for (count, (text, says)) in [
        (format!("{new}nonsense = 1\n"), "unknown key [scrubbed]"),
        (new.clone() + &tunnel("new", ""), "two tunnels are called new"),
        (
            format!("{new}[[tunnel]]\nname = 'x'\nlisten = ['{taken}']\n"),
            "choose another port with listen under [[tunnel]]",
        ),
        (format!("{new}[admin]\nlisten = '127.0.0.1:0'\n"), "[admin] cannot change"),
        (
            format!("{new}[admin]\nlisten = '127.0.0.1:0'\n[names]\nrouter = false\n[log]\nformat = 'json'\n"),
            ": [names], listen of [admin], format or journald of [log] cannot change while the proxy is running: restart it",
        ),
        (tunnel("new", "key = 'persistent'") + "[names]\nrouter = 1\n", "expected a boolean"),
    ]
    .into_iter()
    .enumerate()
    {
        proxy.reload(&text);
        proxy.running.stderr_lines(REFUSED, count + 1);
        // Some errors have several lines; wait for the one that is compared.
        proxy.running.stderr_line(says);
        assert_eq!(proxy.address("a"), Some(address));
        assert_eq!(proxy.address("new"), None);
    }
    echo(&mut open);
    assert_eq!(connect(address, "known.i2p").0, 0);
    assert_eq!(proxy.running.stdout().len(), 1, "nothing new is announced: {}", proxy.running.said());
    assert_eq!(sessions_created(&bridge), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_stay_unless_their_options_change() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, &tunnel("a", ""));
    let address = proxy.running.ready();
    proxy.reload(&(tunnel("a", "") + &tunnel("b", "") + "[names.static]\n"));
    proxy.running.stderr_lines(IN_FORCE, 1);
    assert_eq!(connect(address, "known.i2p").0, 0);
    assert_eq!(sessions_created(&bridge), 1);
    proxy.reload(&(tunnel("a", "") + "[session]\nquantity = 3\n"));
    proxy.running.stderr_lines(IN_FORCE, 2);
    assert_eq!(connect(address, "known.i2p").0, 0);
    let commands = bridge.commands();
    let last = commands.iter().rfind(|line| line.starts_with("SESSION CREATE")).unwrap();
    assert!(last.contains("inbound.quantity=3"), "{last}");
    assert_eq!(sessions_created(&bridge), 2);
}

/// A user with sessions of its own: the reply's code, and the stream.
fn connect_as(proxy: SocketAddr, user: usize) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    let login = format!("\x01\x02{user:02}\x01x");
    stream
        .write_all(&[b"\x05\x01\x02", login.as_bytes(), b"\x05\x01\0\x03\x08echo.i2p\0\x50"].concat())
        .unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    (answer[5], stream)
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < LIMIT, "{what}");
        thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// However often the configuration and the identities change, sessions of all generations count towards one limit.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_earlier_configurations_are_bounded_and_end_with_their_streams() {
    let bridge = TestBridge::start().await;
    let text = |round: usize| {
        let session = ["", "session = 'dedicated'", "udp = 'datagram'"][round % 3];
        let (max, quantity) = ([4, 12][round % 2], 1 + round % 5);
        format!("{}[session]\nmax-sessions = {max}\nquantity = {quantity}\n", tunnel("a", session))
    };
    let mut proxy = Proxy::start(&bridge, &text(0));
    let address = proxy.running.ready();
    let (mut open, mut most) = (Vec::new(), 0);
    for round in 1..=30 {
        proxy.reload(&text(round));
        proxy.running.stderr_lines(IN_FORCE, round);
        for part in 0..2 {
            for user in 0..3 {
                let (code, stream) = connect_as(address, user);
                open.extend((code == 0).then_some(stream));
            }
            proxy.running.send("USR1");
            proxy.running.stderr_lines("new identities", 2 * round - 1 + part);
        }
        most = most.max(bridge.open_sessions());
    }
    // Twice as many as allowed at any time, in the pool that tunnels share and in that of the tunnel.
    assert!(most <= 2 * 2 * 12, "{most} sessions");
    println!("at most {most} sessions, {} streams", open.len());
    drop(open);
    until("old sessions end", || bridge.open_sessions() <= 2);
    assert_eq!(connect(address, "known.i2p").0, 0);
}

/// Trying outproxies ends before the client's limit, also after the limit has changed.
#[tokio::test(flavor = "multi_thread")]
async fn outproxies_are_asked_within_the_new_limit() {
    let bridge = TestBridge::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let routes = format!(
        "[[outproxy]]\nname = 'silent'\nat = '{}'\nvia = 'tcp'\nprotocol = 'socks5'\n[[route]]\nvia = ['silent']\n",
        silent.local_addr().unwrap()
    );
    let mut proxy = Proxy::start(&bridge, &(tunnel("a", "") + &routes));
    let address = proxy.running.ready();
    proxy.reload(&(tunnel("a", "") + &routes + "[limits]\ndial = '2s'\n"));
    proxy.running.stderr_lines(IN_FORCE, 1);
    // 04 and not 06, which would mean that the limit was reached.
    assert_eq!(connect(address, "example.com").0, 4);
}

/// Settings on the command line override the file after every reload.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_command_line_stay_in_force() {
    let bridge = TestBridge::start().await;
    let more = ["-o", "tunnel.a.protocols=['socks5']", "-o", "admin.listen=127.0.0.1:0"];
    let mut proxy = Proxy::start_with(&bridge, &tunnel("a", "protocols = ['socks4']"), &more);
    let address = proxy.running.ready();
    let line = proxy.running.stderr_line("status page and metrics: http://");
    let admin: SocketAddr = line.split(['/', ' ']).find_map(|word| word.parse().ok()).unwrap();
    let pac = || {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.write_all(b"GET /proxy.pac HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(pac().contains(&format!("SOCKS5 {address}")) && !pac().contains("DIRECT"), "{}", pac());
    proxy.reload(&(tunnel("a", "protocols = ['socks4a']") + "[admin]\npac-rest = 'direct'\n"));
    proxy.running.stderr_lines(IN_FORCE, 1);
    assert_eq!(connect(address, "known.i2p").0, 0, "by SOCKS5 still");
    assert!(pac().contains(&format!("SOCKS5 {address}")) && pac().contains("DIRECT"), "{}", pac());
    // A setting that no longer fits the file makes the reload fail as a whole.
    proxy.reload(&tunnel("b", ""));
    proxy.running.stderr_lines(REFUSED, 1);
    proxy.running.stderr_line("there is no [[tunnel]] a; there are: b");
    assert_eq!(connect(address, "known.i2p").0, 0);
}

/// A socket that was handed down may listen at addresses that the configuration does not show.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_others_reach_never_loses_its_password() {
    let bridge = TestBridge::start().await;
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], socket.local_addr().unwrap().port()));
    let users = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        users.path(),
        "anna:$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    )
    .unwrap();
    let fd = "[[tunnel]]\nname = 'a'\nlisten = ['fd:socks']\n";
    let closed = format!("{fd}auth = 'required'\nusers-file = '{}'\n", users.path().display());
    let mut proxy =
        Proxy::start_by(&bridge, &closed, |args| activated(socket.into(), "LISTEN_FDNAMES=socks", args));
    proxy.running.stdout_line("socks ");
    let is_asked_for_a_password = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&[5, 1, 0]).unwrap();
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).unwrap();
        answer == [5, 0xff]
    };
    assert!(is_asked_for_a_password());
    // In both cases the password goes: in the same tunnel, and in another one.
    for (count, text) in [fd.to_owned(), fd.replace("'a'", "'b'")].iter().enumerate() {
        proxy.reload(text);
        proxy.running.stderr_lines(REFUSED, count + 1);
        proxy
            .running
            .stderr_lines("can be reached from other machines, and anyone who can reach it could", count + 1);
        assert!(is_asked_for_a_password());
    }
    proxy.reload(&format!("{fd}open-to-others = true\n"));
    proxy.running.stderr_lines(IN_FORCE, 1);
    proxy.running.stderr_lines("anyone who can reach it can use I2P in your name", 1);
    assert_eq!(connect(address, "known.i2p").0, 0);
}

/// The mode changes in place: the socket and its connections stay.
#[tokio::test(flavor = "multi_thread")]
async fn the_mode_of_a_unix_socket_changes_with_the_whole_reload_or_not_at_all() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let text = |name: &str, path: &Path, mode: &str| {
        let path = path.display();
        format!("[[tunnel]]\nname = '{name}'\nlisten = ['unix:{path}']\nunix-mode = '{mode}'\n")
    };
    let of = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap();
        (metadata.permissions().mode() & 0o777, metadata.ino())
    };
    let mut proxy = Proxy::start(&bridge, &(text("a", &a, "0600") + &text("b", &b, "0600")));
    proxy.running.stdout_line("socks unix:");
    let before = of(&a);
    assert_eq!(before.0, 0o600);
    proxy.reload(&(text("a", &a, "0660") + &text("b", &b, "0600")));
    proxy.running.stderr_lines(IN_FORCE, 1);
    assert_eq!(of(&a), (0o660, before.1));
    // The second mode cannot be changed any more, so the first one is restored.
    fs::remove_file(&b).unwrap();
    proxy.reload(&(text("a", &a, "0666") + &text("b", &b, "0666")));
    proxy.running.stderr_lines(REFUSED, 1);
    proxy.running.stderr_line("cannot change the permissions of unix:");
    assert_eq!(of(&a), (0o660, before.1));
    UnixStream::connect(&a).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_with_our_own_listener_is_named() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, &tunnel("a", ""));
    let address = proxy.running.ready();
    proxy.reload(&format!(
        "[[tunnel]]\nname = 'a'\nlisten = ['0.0.0.0:{}']\nopen-to-others = true\n",
        address.port()
    ));
    proxy.running.stderr_lines(REFUSED, 1);
    let line = proxy.running.stderr_line(&format!("this proxy listens on {address}"));
    assert!(line.contains("restart i2p-socks") && !line.contains("nother program"), "{line}");
    assert_eq!(connect(address, "known.i2p").0, 0);
}
