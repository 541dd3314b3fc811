//! The client reads the same lines, and the stream after them begins at the same byte, in whatever pieces a bridge's bytes
//! arrive.

use i2p_name::I2pName;
use i2p_sam::{Accepted, Bridge, Error, Ports, SamStream, Session, SessionOptions};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The stream's data, sent right after the last line.
const STREAM_BYTES: &[u8] = b"\nSTREAM STATUS RESULT=I2P_ERROR\n\x00\xff of the stream";

/// The answers of the bridge in one conversation.
#[derive(Clone, Copy)]
struct Answers {
    naming: &'static str,
    connect: &'static str,
    ping: &'static str,
}

/// Conversations with the answers that all routers give, with PINGs in between, and with refusals of each kind.
const CONVERSATIONS: [Answers; 4] = [
    Answers { naming: "KEY_NOT_FOUND NAME={NAME}\n", connect: "STREAM STATUS RESULT=OK\n", ping: "" },
    Answers {
        naming: "INVALID_KEY NAME={NAME}\r\n",
        connect: "STREAM STATUS RESULT=OK\r\n",
        ping: "PING 17 63\n",
    },
    Answers {
        naming: "KEY_NOT_FOUND NAME={NAME}\n",
        connect: "STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"a \\\"quoted\\\" word\"\n",
        ping: "PING\n",
    },
    // The last line of the connection has no newline.
    Answers {
        naming: "KEY_NOT_FOUND NAME={NAME}\n",
        connect: "STREAM STATUS RESULT=CANT_REACH_PEER",
        ping: "",
    },
];

/// A bridge that sends its answers in pieces of these lengths, repeated as needed, each in a segment of its own.
async fn bridge(answers: Answers, pieces: Vec<usize>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(talk(stream, answers, pieces.clone()));
        }
    });
    address
}

async fn talk(mut stream: TcpStream, answers: Answers, pieces: Vec<usize>) {
    stream.set_nodelay(true).unwrap();
    while let Some(command) = line(&mut stream).await {
        let name = command.split(' ').find_map(|word| word.strip_prefix("NAME=")).unwrap_or_default();
        let Answers { ping, connect, naming } = answers;
        let answer: Vec<u8> = match command.split(' ').take(2).collect::<Vec<_>>().as_slice() {
            ["HELLO", _] => b"HELLO REPLY RESULT=OK VERSION=3.3\n".to_vec(),
            ["SESSION", _] => {
                let key = sam_testkit::private_key();
                format!("{ping}SESSION STATUS RESULT=OK DESTINATION={key}\n").into_bytes()
            }
            ["NAMING", _] => {
                format!("{ping}NAMING REPLY RESULT={}", naming.replace("{NAME}", name)).into_bytes()
            }
            ["STREAM", "CONNECT"] if connect.contains("=OK") => {
                [ping.as_bytes(), connect.as_bytes(), STREAM_BYTES].concat()
            }
            ["STREAM", "CONNECT"] => connect.as_bytes().to_vec(),
            ["STREAM", "ACCEPT"] => {
                let peer = sam_testkit::destination();
                let lines = format!("STREAM STATUS RESULT=OK\n{ping}{peer} FROM_PORT=1 TO_PORT=65535\n");
                [lines.as_bytes(), STREAM_BYTES].concat()
            }
            // PONGs.
            _ => continue,
        };
        let mut rest = answer.as_slice();
        for &piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            stream.write_all(now).await.unwrap();
            // Let the client read this piece before the next is sent.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        if command.starts_with("STREAM") {
            return;
        }
    }
}

async fn line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await.ok()? {
            b'\n' => return String::from_utf8(line).ok(),
            byte => line.push(byte),
        }
    }
}

/// All that the client reads, as text.
async fn seen(answers: Answers, pieces: Vec<usize>) -> Vec<String> {
    let bridge = Bridge::new(bridge(answers, pieces).await);
    let capabilities = bridge.capabilities().await.map(|found| found.to_string());
    let session: Session = bridge.create_session(&SessionOptions::default()).await.unwrap();
    let lookup = session.lookup(&"name.i2p".parse().unwrap()).await;
    let connect = session.connect(&I2pName::parse("name.i2p").unwrap(), 80).await;
    let accept = session.accept().await.map(|Accepted { stream, peer, ports }| {
        assert_eq!(ports, Ports { from: 1, to: 65_535 });
        assert_eq!(peer.to_base64(), sam_testkit::destination());
        stream
    });
    let text = |result: Result<String, Error>| result.unwrap_or_else(|error| error.to_string());
    vec![
        text(capabilities),
        session.destination().to_base64(),
        text(lookup.map(|found| found.to_base64())),
        rest(connect).await,
        rest(accept).await,
    ]
}

/// The bytes of a stream up to its end.
async fn rest(stream: Result<SamStream, Error>) -> String {
    match stream {
        Ok(mut stream) => {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes, STREAM_BYTES, "the stream must begin at its first byte");
            format!("{bytes:?}")
        }
        Err(error) => error.to_string(),
    }
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_pieces_give_the_same_conversation(
        conversation in 0..CONVERSATIONS.len(),
        pieces in proptest::collection::vec(1_usize..60, 1..8),
    ) {
        let answers = CONVERSATIONS[conversation];
        let (whole, cut) = on_a_runtime(async { (seen(answers, vec![usize::MAX]).await, seen(answers, pieces).await) });
        prop_assert_eq!(whole, cut);
    }
}

#[test]
fn single_bytes_give_the_same_conversation() {
    for answers in CONVERSATIONS {
        let (whole, cut) =
            on_a_runtime(async { (seen(answers, vec![usize::MAX]).await, seen(answers, vec![1]).await) });
        assert_eq!(whole, cut);
    }
}
