//! The log at its most verbose, while everything happens that can happen: it names no host, no destination, no client, no URL and no
//! credential.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use i2p_name::Destination;
use sam_testkit::{Act, Endpoint, TestBridge};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::common::{
    self, Running,
    site::{Site, response},
};

/// Where the clients of this test connect from.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
/// Every name, path and credential of this test contains this.
const SECRET: &str = "hush";
/// base64 of `hush-user:hush-pass`.
const BASIC: &str = "aHVzaC11c2VyOmh1c2gtcGFzcw==";

/// What the proxy runs on: its files, and addresses that must not be logged.
struct Place {
    dir: tempfile::TempDir,
    bridge: String,
    secrets: Vec<String>,
}

impl Place {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn configure(&self, text: &str) {
        fs::write(self.path("config.toml"), text).unwrap();
    }

    /// Remembers a destination as a secret, in all its forms.
    fn keep_secret(&mut self, destination: &str) {
        let parsed: Destination = destination.parse().unwrap();
        self.secrets.push(parsed.b32().label());
        self.secrets.push(destination.chars().take(60).collect());
    }

    fn args(&self, words: &[&str]) -> Vec<String> {
        let shared = [
            "--state-dir",
            &self.path("state"),
            "--config",
            &self.path("config.toml"),
            "--sam",
            &self.bridge,
        ];
        words.iter().chain(&shared).map(|word| (*word).to_owned()).collect()
    }

    /// Runs a command of the program. What it says is for the user's eyes and is not looked at.
    fn command(&self, words: &[&str]) {
        let args = self.args(words);
        common::output(&args.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// A client of the proxy, from an address of its own.
fn client(proxy: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::from(SocketAddr::from((CLIENT, 0)))).unwrap();
    socket.connect(&SockAddr::from(proxy)).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends bytes, and reads what the proxy answers until it is done or has said nothing for a moment.
fn exchange(proxy: SocketAddr, bytes: &[u8]) {
    let mut stream = client(proxy);
    stream.write_all(bytes).unwrap();
    while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    }
}

fn domain(host: &str) -> Vec<u8> {
    [&[3, u8::try_from(host.len()).unwrap()], host.as_bytes()].concat()
}

/// A request of SOCKS5 with user name and password.
fn socks5(command: u8, address: &[u8]) -> Vec<u8> {
    let login = [&[5, 1, 2, 1, 9][..], b"hush-user", &[9], b"hush-pass"].concat();
    [&login[..], &[5, command, 0], address, &[0, 80]].concat()
}

/// All protocols and commands for one host.
fn visit(proxy: SocketAddr, host: &str) {
    for command in [1, 0xf0] {
        exchange(proxy, &socks5(command, &domain(host)));
    }
    exchange(proxy, &[&[4, 1, 0, 80, 0, 0, 0, 1][..], b"hush-id\0", host.as_bytes(), &[0]].concat());
    for credentials in [BASIC, "hush"] {
        let head = format!("CONNECT {host}:80 HTTP/1.1\r\nProxy-Authorization: Basic {credentials}\r\n\r\n");
        exchange(proxy, head.as_bytes());
    }
    exchange(
        proxy,
        format!("GET http://{host}/hush HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
    );
}

/// Datagrams to all kinds of hosts.
fn send_datagrams(proxy: SocketAddr, hosts: &[&str]) {
    let mut control = client(proxy);
    control.write_all(&socks5(3, &[1, 0, 0, 0, 0])).unwrap();
    let mut reply = [0; 14];
    control.read_exact(&mut reply).unwrap();
    assert_eq!(reply[5], 0, "{reply:?}");
    let relay = SocketAddr::from((IpAddr::from([127, 0, 0, 1]), u16::from_be_bytes([reply[12], reply[13]])));
    let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    for host in hosts {
        let datagram = [&[0, 0, 0][..], &domain(host), &[0, 7], b"hush"].concat();
        socket.send_to(&datagram, relay).unwrap();
        // Most are dropped.
        let _ = socket.recv(&mut [0; 1024]);
    }
}

fn config(place: &Place, bridge: &TestBridge, feed: &str, jump: &str) -> String {
    format!(
        "[router]\nsam-udp = '{}'\n[log]\nlevel = 'trace'\n[admin]\nlisten = '127.0.0.1:0'\n\
         [[tunnel]]\nlisten = ['127.0.0.1:0']\nudp = 'datagram'\nincoming = true\n\
         [names]\nupdate-every = '0'\nsubscriptions = ['http://{feed}/hush.txt', 'http://hush-gone.i2p/hush']\n\
         jump = ['http://{jump}/hush-jump?a=']\n\
         [names.static]\n'hush-static.i2p' = '{}.b32.i2p'\n\
         [[outproxy]]\nname = 'http'\nat = '127.0.0.1:9'\nvia = 'tcp'\nprotocol = 'http-connect'\n\
         username = 'hush-name'\npassword-file = '{}'\n\
         [[outproxy]]\nname = 'inside'\nat = 'hush-exit.i2p'\nprotocol = 'socks5'\n\
         [[route]]\nhost = '*'\nvia = ['http', 'inside']\n",
        bridge.udp_address(),
        place.secrets[0],
        place.path("password"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_anybody_does_is_in_the_most_verbose_log() {
    let mut bridge = TestBridge::start().await;
    let mut place =
        Place { dir: tempfile::tempdir().unwrap(), bridge: bridge.address(), secrets: Vec::new() };
    fs::write(place.path("password"), "hush-password").unwrap();
    for name in ["hush-echo.i2p", "hush-exit.i2p"] {
        let destination = bridge.host(name, Endpoint::Echo);
        place.keep_secret(&destination);
    }
    let page = bridge.host("hush-page.i2p", Endpoint::Http("hush".into()));
    place.keep_secret(&page);
    let site = Site::start(&bridge.address(), move |head| match head {
        head if head.contains("hush-jump?a=hush-jumped.i2p") => response(
            "302 Found",
            &format!("Location: http://hush-jumped.i2p/?i2paddresshelper={page}\r\n"),
            "",
        ),
        head if head.starts_with("get /hush.txt") => {
            response("200 OK", "ETag: \"hush\"\r\n", &format!("hush-fed.i2p={page}\nhush nonsense\n"))
        }
        _ => response("404 hush", "", "hush"),
    })
    .await;
    place.keep_secret(&site.destination);
    // Java I2P repeats names in its messages.
    bridge.once(
        "STREAM CONNECT",
        Act::refuse("STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Host name not found: hush.i2p\""),
    );
    bridge.once(
        "SESSION CREATE",
        Act::refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"hush.i2p is in use\""),
    );
    let text = config(&place, &bridge, &site.b32, &site.b32);
    place.configure(&text);
    let args = place.args(&["run", "--router", "sam", "-vvv"]);
    let mut proxy = Running::start(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let address = proxy.ready();

    let hash = format!("{}.b32.i2p", place.secrets[0]);
    let unknown_hash = format!("{}.b32.i2p", "a".repeat(52));
    let hosts = [
        "hush-echo.i2p",
        "hush-page.i2p",
        "hush-unknown.i2p",
        "hush-static.i2p",
        "hush-jumped.i2p",
        "hush_malformed.i2p",
        "hush.example.com",
        "198.51.100.77",
        &hash,
        &unknown_hash,
    ];
    tokio::task::block_in_place(|| {
        hosts.iter().for_each(|host| visit(address, host));
        exchange(address, &socks5(0xf1, &[1, 250, 7, 7, 7]));
        exchange(address, b"hush hush\r\n\r\n");
        exchange(address, &[0x16, 3, 1, 0, 50, 1]);
        send_datagrams(address, &hosts);
        // BIND for a peer by name, given up.
        let mut waiting = client(address);
        waiting.write_all(&socks5(2, &domain("hush-echo.i2p"))).unwrap();
        waiting.read_exact(&mut [0; 10]).unwrap();
        drop(waiting);
        use_names(&place);
        let said = proxy.stderr_line("a subscription was read");
        assert!(said.contains("added=1"), "{said}");
    });
    bridge.kill().await;
    tokio::task::block_in_place(|| proxy.stderr_line("the router has closed"));
    bridge.restart().await;
    tokio::task::block_in_place(|| {
        visit(address, "hush-echo.i2p");
        let bad = "[names.static]\n'hush-broken.i2p' = 'hush-other.i2p'\n";
        place.configure(&text.replace("[names.static]\n", bad));
        proxy.send("HUP");
        proxy.stderr_line("the new configuration was refused");
        place.configure(&text.replace("hush-exit.i2p", "hush-other-exit.i2p"));
        proxy.send("HUP");
        proxy.stderr_line("the new configuration is in effect");
        proxy.send("USR1");
        proxy.stderr_line("new identities");
        visit(address, "hush.example.com");
        place.command(&["status"]);
        assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    });
    check(&proxy.said(), &place);
}

/// Uses the address book through the running proxy.
fn use_names(place: &Place) {
    let destination = [&[3; 384][..], &[5, 0, 4, 0, 7, 0, 4]].concat();
    let destination = Destination::from_bytes(destination).unwrap().to_base64();
    fs::write(place.path("hush-hosts.txt"), format!("hush-imported.i2p={destination}\nhush\n")).unwrap();
    place.command(&["names", "add", "hush-added.i2p", &destination]);
    place.command(&["names", "import", &place.path("hush-hosts.txt")]);
    place.command(&["names", "update"]);
    place.command(&["names", "remove", "hush-added.i2p"]);
    place.command(&["resolve", "hush-imported.i2p"]);
}

fn check(said: &str, place: &Place) {
    for shown in ["client=[scrubbed]", "requested=[scrubbed]", "url=[scrubbed]", "a jump service knew"] {
        assert!(said.contains(shown), "{shown} is not in the log: {said}");
    }
    let secrets = place.secrets.iter().map(String::as_str);
    let client = CLIENT.to_string();
    let fixed = [SECRET, BASIC, "198.51", "aaaaaaaa", "example", "250.", &client];
    for secret in secrets.chain(fixed) {
        let lines: Vec<_> = said.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{secret} is in the log:\n{}", lines.join("\n"));
    }
}
