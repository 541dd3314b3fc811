//! A client that speaks SAM line by line.

use std::time::Duration;

use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Long enough for anything on loopback, short enough for a test to fail.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    /// Opens a connection and sends nothing.
    pub(crate) async fn connect(bridge: &TestBridge) -> Self {
        let stream = TcpStream::connect(bridge.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Opens a connection and says HELLO.
    pub(crate) async fn hello(bridge: &TestBridge) -> Self {
        let mut client = Self::connect(bridge).await;
        let answer = client.ask("HELLO VERSION MIN=3.1 MAX=3.3").await;
        assert!(answer.starts_with("HELLO REPLY RESULT=OK VERSION=3."), "{answer}");
        client
    }

    /// Creates a session with this style and these options, and returns its destination.
    pub(crate) async fn session(bridge: &TestBridge, id: &str, rest: &str) -> (Self, String) {
        let mut client = Self::hello(bridge).await;
        let create = format!("SESSION CREATE ID={id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {rest}");
        let answer = client.ask(&create).await;
        assert!(answer.starts_with("SESSION STATUS RESULT=OK DESTINATION="), "{answer}");
        let me = client.ask("NAMING LOOKUP NAME=ME").await;
        let destination = me.strip_prefix("NAMING REPLY RESULT=OK NAME=ME VALUE=").unwrap().to_owned();
        (client, destination)
    }

    /// Connects a stream of a session.
    pub(crate) async fn stream(bridge: &TestBridge, id: &str, to: &str) -> Self {
        let mut client = Self::hello(bridge).await;
        let answer = client.ask(&format!("STREAM CONNECT ID={id} DESTINATION={to}")).await;
        assert_eq!(answer, "STREAM STATUS RESULT=OK");
        client
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a line and returns the answer.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n")).await;
        self.line().await
    }

    /// The next line without its newline, or with `<EOF>` if the connection ends first.
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
        timeout(ANSWER_TIMEOUT, read).await.expect("a line or the end");
        String::from_utf8(line).unwrap()
    }

    pub(crate) async fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        timeout(ANSWER_TIMEOUT, self.0.read_exact(&mut bytes)).await.expect("bytes").unwrap();
        bytes
    }

    /// All bytes up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset counts as an end.
        let _ = timeout(ANSWER_TIMEOUT, self.0.read_to_end(&mut rest)).await.expect("the end");
        rest
    }

    /// Asserts that nothing arrives for a moment and the connection stays open.
    pub(crate) async fn is_silent(&mut self) {
        let limit = Duration::from_millis(50);
        assert!(timeout(limit, self.0.read_u8()).await.is_err(), "something arrived");
    }
}

/// The line with each key replaced by its length, such as `<524>`.
pub(crate) fn shape(line: &str) -> String {
    let is_key = |character: char| character.is_ascii_alphanumeric() || "-~".contains(character);
    let mut shape = String::new();
    for word in line.split_inclusive([' ', '=']) {
        // Padding looks like the end of a name, and belongs to the key before it.
        let key = word.trim_end_matches(['=', ' ']);
        if key.len() > 100 && key.chars().all(is_key) {
            let padding = (4 - key.len() % 4) % 4;
            shape += &format!("<{}>{}", key.len() + padding, if word.ends_with(' ') { " " } else { "" });
        } else if word == "=" {
            // The second `=` of the padding.
        } else {
            shape += word;
        }
    }
    shape
}

/// Waits until the condition is true, without sleeping.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(ANSWER_TIMEOUT, wait).await.expect("the condition becomes true");
}

pub(crate) fn b32(destination: &str) -> String {
    destination.parse::<i2p_name::Destination>().unwrap().b32().to_string()
}

/// What happens to a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It stays open.
    Open,
    /// The bridge closes it.
    Closed,
}
