//! A client made of lines.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Long enough for anything on loopback, short enough to fail a test in.
const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    /// A connection that has said nothing.
    pub(crate) async fn connect(bridge: &TestBridge) -> Self {
        let stream = TcpStream::connect(bridge.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// A connection that has said HELLO, as far as the bridge goes.
    pub(crate) async fn hello(bridge: &TestBridge) -> Self {
        let mut client = Self::connect(bridge).await;
        let answer = client.ask("HELLO VERSION MIN=3.1 MAX=3.3").await;
        assert!(answer.starts_with("HELLO REPLY RESULT=OK VERSION=3."), "{answer}");
        client
    }

    /// A session of its own, with this style and these options.
    pub(crate) async fn session(bridge: &TestBridge, id: &str, rest: &str) -> (Self, String) {
        let mut client = Self::hello(bridge).await;
        let create = format!("SESSION CREATE ID={id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {rest}");
        let answer = client.ask(&create).await;
        assert!(answer.starts_with("SESSION STATUS RESULT=OK DESTINATION="), "{answer}");
        let me = client.ask("NAMING LOOKUP NAME=ME").await;
        let destination = me.strip_prefix("NAMING REPLY RESULT=OK NAME=ME VALUE=").unwrap().to_owned();
        (client, destination)
    }

    /// A stream of a session.
    pub(crate) async fn stream(bridge: &TestBridge, id: &str, to: &str) -> Self {
        let mut client = Self::hello(bridge).await;
        let answer = client.ask(&format!("STREAM CONNECT ID={id} DESTINATION={to}")).await;
        assert_eq!(answer, "STREAM STATUS RESULT=OK");
        client
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// One line, and the one that comes back.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n")).await;
        self.line().await
    }

    /// The next line; without its newline where it has one, with `<EOF>` where the connection ends first.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = async {
            loop {
                match self.0.read_u8().await {
                    Ok(b'\n') => return,
                    Ok(byte) => line.push(byte),
                    Err(_) => return line.extend(b"<EOF>"),
                }
            }
        };
        timeout(SOON, read).await.expect("a line or the end");
        String::from_utf8(line).unwrap()
    }

    pub(crate) async fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        timeout(SOON, self.0.read_exact(&mut bytes)).await.expect("bytes").unwrap();
        bytes
    }

    /// Everything up to the end.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = timeout(SOON, self.0.read_to_end(&mut rest)).await.expect("the end");
        rest
    }

    /// Nothing comes, and the connection stays open: the answer to a later line is the next thing.
    pub(crate) async fn is_silent(&mut self) {
        let limit = Duration::from_millis(50);
        assert!(timeout(limit, self.0.read_u8()).await.is_err(), "something came");
    }
}

/// A line with each key replaced by its length: `<524>`.
pub(crate) fn shape(line: &str) -> String {
    let is_key = |character: char| character.is_ascii_alphanumeric() || "-~".contains(character);
    let mut shape = String::new();
    for word in line.split_inclusive([' ', '=']) {
        // Padding looks like the end of a name: it belongs to the key before it.
        let key = word.trim_end_matches(['=', ' ']);
        if key.len() > 100 && key.chars().all(is_key) {
            let padding = (4 - key.len() % 4) % 4;
            shape += &format!("<{}>{}", key.len() + padding, if word.ends_with(' ') { " " } else { "" });
        } else if word == "=" {
            // The second `=` of a padding.
        } else {
            shape += word;
        }
    }
    shape
}

/// Waits until it is so, without sleeping.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.expect("it becomes so");
}

pub(crate) fn b32(destination: &str) -> String {
    destination.parse::<i2p_name::Destination>().unwrap().b32().to_string()
}
