//! A web site in this process that records what it receives, byte for byte.

use std::sync::{Arc, Mutex};

use sam_testkit::{Act, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// How a site answers a request head.
type Answer = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// A site that listens until this is dropped. It reads heads, and bodies of a given length; after each it sends an answer.
pub(crate) struct Site {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    answer: Mutex<Answer>,
    seen: watch::Sender<Seen>,
}

/// What a site has received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// All bytes of each connection.
    pub(crate) connections: Vec<Vec<u8>>,
    /// The number of connections that have ended.
    pub(crate) ended: usize,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    /// Starts a site that answers every head with these bytes. Streams of the bridge lead to it if their port is its port.
    pub(crate) async fn start(bridge: &TestBridge, answer: &str) -> Self {
        let answer = answer.as_bytes().to_vec();
        Self::start_with(bridge, move |_| answer.clone()).await
    }

    pub(crate) async fn start_with(
        bridge: &TestBridge,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer: Answer = Arc::new(answer);
        let shared = Arc::new(Shared { answer: Mutex::new(answer), seen: watch::Sender::default() });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { port, shared, task }
    }

    /// Changes the answer to later heads.
    pub(crate) fn set_answer(&self, answer: &'static str) {
        *self.shared.answer.lock().unwrap() = Arc::new(move |_| answer.as_bytes().to_vec());
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// All that one of its connections has received, as text.
    pub(crate) fn text(&self, connection: usize) -> String {
        String::from_utf8_lossy(&self.seen().connections[connection]).into_owned()
    }

    /// Waits until what was received meets a condition.
    pub(crate) async fn until(&self, is_so: impl FnMut(&Seen) -> bool) {
        let mut seen = self.shared.seen.subscribe();
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), seen.wait_for(is_so)).await;
        assert!(waited.is_ok(), "{:?}", self.seen());
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut number = 0;
        self.seen.send_modify(|seen| {
            number = seen.connections.len();
            seen.connections.push(Vec::new());
        });
        let (mut buffer, mut unanswered) = ([0; 4096], Vec::new());
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            self.seen.send_modify(|seen| seen.connections[number].extend_from_slice(&buffer[..count]));
            unanswered.extend_from_slice(&buffer[..count]);
            while let Some(end) = unanswered.windows(4).position(|end| end == b"\r\n\r\n") {
                let head = String::from_utf8(unanswered[..end + 4].to_vec()).unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if unanswered.len() < end + 4 + length {
                    break;
                }
                unanswered.drain(..end + 4 + length);
                let answer = (self.answer.lock().unwrap().clone())(&head);
                if answer.is_empty() {
                    continue;
                }
                let closes = String::from_utf8_lossy(&answer).contains("Connection: close");
                if stream.write_all(&answer).await.is_err() || closes {
                    let _ = stream.shutdown().await;
                    break;
                }
            }
        }
        self.seen.send_modify(|seen| seen.ended += 1);
    }
}
