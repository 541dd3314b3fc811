//! Replays recorded input of real clients. `../vectors/README.md` says how it was recorded.

use std::{collections::BTreeMap, fs, net::IpAddr, path::Path};

use socks_wire::{Address, Authentication, Command, Protocol, ServerHandshake, Step, udp};

use crate::hex;

/// The number of recordings, so that a lost file is noticed.
const RECORDINGS: usize = 44;

/// One file of `vectors`.
struct Recording {
    name: String,
    authentication: Authentication,
    expected: Handshake,
    /// The start of the bytes after the request; `None` if there are none.
    data: Option<String>,
    chunks: Vec<Vec<u8>>,
    expected_datagrams: Vec<Datagram>,
    datagrams: Vec<Vec<u8>>,
}

/// The client's request and credentials.
#[derive(Debug, PartialEq, Eq)]
struct Handshake {
    protocol: Protocol,
    command: Command,
    host: Host,
    port: u16,
    user_id: String,
    credentials: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Datagram {
    host: Host,
    port: u16,
    data: String,
}

/// An [`Address`] that owns its content and shows it in `Debug`. An IP address as text is a domain.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Domain(String),
}

impl From<Address<'_>> for Host {
    fn from(address: Address<'_>) -> Self {
        match address {
            Address::Ip(ip) => Self::Ip(ip),
            Address::Domain(name) => Self::Domain(text(name)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_client_is_understood() {
    let recordings = recordings();
    assert!(recordings.len() >= RECORDINGS, "{} recordings of {RECORDINGS}", recordings.len());
    for recording in &recordings {
        let name = &recording.name;
        let input = recording.chunks.concat();
        let chunks: Vec<_> = recording.chunks.iter().map(Vec::len).collect();
        for (split, pieces) in
            [("whole", vec![input.len()]), ("as sent", chunks), ("byte by byte", vec![1; input.len()])]
        {
            let (handshake, rest) = replay(name, recording.authentication, &input, &pieces);
            assert_eq!(handshake, recording.expected, "{name}, {split}");
            match &recording.data {
                Some(data) => assert!(rest.starts_with(data.as_bytes()), "{name}, {split}: {rest:02x?}"),
                None => assert!(rest.is_empty(), "{name}, {split}: {rest:02x?}"),
            }
        }
        let datagrams = recording.datagrams.iter().map(|datagram| {
            let (header, data) = udp::Header::split(datagram).unwrap();
            assert_eq!(header.fragment, udp::Fragment::STANDALONE, "{name}");
            Datagram { host: header.address.into(), port: header.port, data: text(data) }
        });
        assert_eq!(datagrams.collect::<Vec<_>>(), recording.expected_datagrams, "{name}");
    }
}

/// Runs a handshake with input in pieces. Returns the client's request and the bytes after it.
fn replay<'a>(
    name: &str,
    authentication: Authentication,
    input: &'a [u8],
    pieces: &[usize],
) -> (Handshake, &'a [u8]) {
    let mut handshake = ServerHandshake::with_authentication(authentication);
    let (mut taken_so_far, mut given, mut given_credentials) = (0, 0, None);
    let mut pieces = pieces.iter();
    loop {
        match handshake.step(&input[taken_so_far..given]) {
            Step::Receive { at_least } => {
                assert!(at_least <= input.len() - given, "{name}: asks for more than the client sent");
                given += pieces.next().unwrap();
            }
            Step::Send { taken, .. } => taken_so_far += taken,
            Step::Authenticate { taken, credentials } => {
                taken_so_far += taken;
                given_credentials = Some([credentials.username, b":", credentials.password].concat());
                let _ = handshake.accept_credentials();
            }
            Step::Request { taken, request } => {
                let handshake = Handshake {
                    protocol: request.protocol,
                    command: request.command,
                    host: request.address.into(),
                    port: request.port,
                    user_id: text(request.user_id),
                    credentials: given_credentials.as_deref().map(text),
                };
                return (handshake, &input[taken_so_far + taken..]);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    texts.map(|path| Recording::parse(name(&path), &fs::read_to_string(&path).unwrap())).collect()
}

impl Recording {
    fn parse(name: String, text: &str) -> Self {
        let (mut keys, mut chunks, mut datagrams) = (BTreeMap::new(), Vec::new(), Vec::new());
        for line in text.lines() {
            if let Some(pairs) = line.strip_prefix("#:") {
                keys.extend(pairs.split_whitespace().map(|pair| {
                    pair.split_once('=').unwrap_or_else(|| panic!("{name}: {pair} is not key=value"))
                }));
            } else if let Some(datagram) = line.strip_prefix("udp:") {
                datagrams.push(bytes(&name, datagram));
            } else if !line.starts_with('#') {
                chunks.push(bytes(&name, line));
            }
        }
        assert!(!chunks.is_empty(), "{name}: nothing recorded");

        let mut keys = Keys { name: &name, keys };
        let expected = Handshake {
            protocol: match keys.needed("protocol") {
                "Socks4" => Protocol::Socks4,
                "Socks4a" => Protocol::Socks4a,
                "Socks5" => Protocol::Socks5,
                other => panic!("{name}: protocol {other}"),
            },
            command: match keys.needed("command") {
                "CONNECT" => Command::CONNECT,
                "BIND" => Command::BIND,
                "UDP_ASSOCIATE" => Command::UDP_ASSOCIATE,
                "RESOLVE" => Command::RESOLVE,
                "RESOLVE_PTR" => Command::RESOLVE_PTR,
                number => Command(number.parse().unwrap_or_else(|_| panic!("{name}: command {number}"))),
            },
            host: keys.host("ip", "domain"),
            port: keys.port("port"),
            user_id: keys.optional("user_id").unwrap_or_default().into(),
            credentials: keys.optional("credentials").map(Into::into),
        };
        let authentication = match keys.optional("authentication") {
            None => Authentication::default(),
            Some("IsolationLast") => Authentication::IsolationLast,
            Some(other) => panic!("{name}: authentication {other}"),
        };
        let data = keys.optional("data").map(Into::into);
        let expected_datagrams = keys.optional("udp_data").map(|data| Datagram {
            host: keys.host("udp_ip", "udp_domain"),
            port: keys.port("udp_port"),
            data: data.into(),
        });
        let expected_datagrams = expected_datagrams.into_iter().collect();
        assert!(keys.keys.is_empty(), "{name}: unknown keys {:?}", keys.keys);
        Self { authentication, expected, data, chunks, expected_datagrams, datagrams, name }
    }
}

/// The keys of a file that were not read yet.
struct Keys<'a> {
    name: &'a str,
    keys: BTreeMap<&'a str, &'a str>,
}

impl<'a> Keys<'a> {
    fn optional(&mut self, key: &str) -> Option<&'a str> {
        self.keys.remove(key)
    }

    fn needed(&mut self, key: &str) -> &'a str {
        self.optional(key).unwrap_or_else(|| panic!("{}: no {key}", self.name))
    }

    fn port(&mut self, key: &str) -> u16 {
        self.needed(key).parse().unwrap_or_else(|_| panic!("{}: bad {key}", self.name))
    }

    fn host(&mut self, ip: &str, domain: &str) -> Host {
        match self.optional(ip) {
            Some(text) => Host::Ip(text.parse().unwrap_or_else(|_| panic!("{}: bad {ip}", self.name))),
            None => Host::Domain(self.needed(domain).into()),
        }
    }
}

/// Parses the bytes of a line, which may have a comment at the end.
fn bytes(name: &str, line: &str) -> Vec<u8> {
    hex::parse(name, line.split('#').next().unwrap())
}
