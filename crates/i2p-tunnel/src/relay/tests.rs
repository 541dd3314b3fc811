//! Whatever is said, in whatever pieces and at whatever pace, arrives byte for byte, and so does its end.

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::*;

/// A piece of what one side says.
#[derive(Debug, Clone)]
struct Piece {
    length: usize,
    /// Whether there is silence before it.
    pause: bool,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    // Small talk, chunks of ours and their neighbours, and what only a pipe can be quick with.
    let length =
        prop_oneof![0..100_usize, 16_300..16_500_usize, 60_000..70_000_usize, 200_000..3_000_000_usize];
    let piece = (length, any::<bool>()).prop_map(|(length, pause)| Piece { length, pause });
    prop::collection::vec(piece, 0..6)
}

/// Not periodic in any power of two.
fn bytes(from: usize, length: usize) -> Vec<u8> {
    (0..=250).cycle().skip(from % 251).take(length).collect()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

#[cfg(unix)]
fn unix_pair() -> (tokio::net::UnixStream, tokio::net::UnixStream) {
    tokio::net::UnixStream::pair().unwrap()
}

/// Says all of it and finishes; hears all of the other side, slowly or not, and gives what it heard.
async fn converse(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite,
    says: Vec<Piece>,
    slow: bool,
) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(stream);
    let saying = async {
        let mut said = 0;
        for Piece { length, pause } in says {
            if pause {
                sleep(Duration::from_millis(3)).await;
            }
            write.write_all(&bytes(said, length)).await.unwrap();
            said += length;
        }
        write.shutdown().await.unwrap();
    };
    let hearing = async {
        let mut heard = Vec::new();
        let mut chunk = vec![0; 300_000];
        loop {
            if slow && heard.len() % 7 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            match read.read(&mut chunk).await.unwrap() {
                0 => return heard,
                count => heard.extend_from_slice(&chunk[..count]),
            }
        }
    };
    tokio::join!(saying, hearing).1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_as_it_was_said(
        up in pieces(),
        down in pieces(),
        early in 0..2_000_usize,
        first in 0..2_000_usize,
        slow: bool,
        unix: bool,
    ) {
        #[cfg(target_os = "linux")]
        let _turn = splice::tests::TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let total = |pieces: &[Piece]| pieces.iter().map(|piece| piece.length).sum::<usize>();
        let (said_up, said_down) = (total(&up), total(&down));
        let (heard_below, heard_above, relayed) = runtime.block_on(async {
            let (peer, above) = pair().await;
            let mut opened = Opened {
                socket: peer.into(),
                first_data: bytes(0, first),
                client_end: ClientEnd::PassedOn,
                hold: None,
            };
            let (account, stop) = (Account::default(), Stop::new());
            let above = converse(above, down, slow);
            #[cfg(unix)]
            if unix {
                let (client, below) = unix_pair();
                let client = Socket::from(client);
                let relaying = relay(&client, &mut opened, bytes(0, early), Limits::default(), &account, &stop);
                let (below, above, relayed) = tokio::join!(converse(below, up, !slow), above, relaying);
                return (below, above, relayed);
            }
            let (client, below) = pair().await;
            let client = Socket::from(client);
            let relaying = relay(&client, &mut opened, bytes(0, early), Limits::default(), &account, &stop);
            let (below, above, relayed) = tokio::join!(converse(below, up, !slow), above, relaying);
            (below, above, relayed)
        });
        prop_assert!(heard_above == [bytes(0, early), bytes(0, said_up)].concat(), "up");
        prop_assert!(heard_below == [bytes(0, first), bytes(0, said_down)].concat(), "down");
        let (counts, end) = relayed;
        prop_assert!(matches!(end, End::Finished), "{end}");
        prop_assert_eq!(counts.to_peer, (early + said_up) as u64);
        prop_assert_eq!(counts.to_client, (first + said_down) as u64);
    }
}
