//! A site that records what it gets, and how the requests on each of its connections are read by a strict reader.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use sam_testkit::{Act, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::reader::{self, Next, Request};

/// What a site has got on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Connection {
    /// All bytes.
    pub(super) bytes: Vec<u8>,
    /// The requests among them.
    pub(super) requests: Vec<Request>,
    /// Why the bytes behind them are none.
    pub(super) malformed: Option<&'static str>,
}

/// A site that answers every request with its own path, or with the bytes that were set for the path. It listens until it is dropped.
pub(super) struct Site {
    pub(super) port: u16,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    connections: Vec<Connection>,
    answers: HashMap<String, Vec<u8>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    /// Starts it. Streams of the bridge lead to it if their port is its port.
    pub(super) async fn start(bridge: &TestBridge) -> Self {
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { port, shared, task }
    }

    /// Sets the bytes with which it answers a path.
    pub(super) fn answer(&self, path: String, bytes: Vec<u8>) {
        self.shared.lock().unwrap().answers.insert(path, bytes);
    }

    pub(super) fn connections(&self) -> Vec<Connection> {
        self.shared.lock().unwrap().connections.clone()
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Mutex<Shared>>) {
    let number = {
        let mut shared = shared.lock().unwrap();
        shared.connections.push(Connection::default());
        shared.connections.len() - 1
    };
    let (mut buffer, mut unread) = (vec![0; 16 * 1024], Vec::new());
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        unread.extend_from_slice(&buffer[..count]);
        shared.lock().unwrap().connections[number].bytes.extend_from_slice(&buffer[..count]);
        loop {
            let answer = match reader::next(&unread) {
                Next::Incomplete => break,
                Next::Malformed(why) => {
                    shared.lock().unwrap().connections[number].malformed = Some(why);
                    return;
                }
                Next::Request(length, request) => {
                    unread.drain(..length);
                    let mut shared = shared.lock().unwrap();
                    let answer = shared.answers.get(&request.path).cloned();
                    let answer = answer.unwrap_or_else(|| own_path(&request));
                    shared.connections[number].requests.push(request);
                    answer
                }
            };
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            // What ends like this is to end with the connection.
            if answer.ends_with(b"THE END") {
                return;
            }
        }
    }
}

/// The answer that names the request.
fn own_path(request: &Request) -> Vec<u8> {
    let body = if request.method == "HEAD" { "" } else { &request.path };
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", request.path.len()).into_bytes()
}
