//! Whatever is said, in whatever pieces and at whatever pace, arrives byte for byte, and so does its end; and what is not all
//! does not look so.

use proptest::prelude::*;
use socket2::SockRef;
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

/// What a side does when all is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// It finishes, and hears the other side out.
    Finish,
    /// It breaks.
    Reset,
    /// It finishes, and breaks a moment later.
    FinishAndReset,
}

fn last() -> impl Strategy<Value = Last> {
    prop_oneof![4 => Just(Last::Finish), 1 => Just(Last::Reset), 1 => Just(Last::FinishAndReset)]
}

/// What a side came to know of the other.
struct Heard {
    bytes: Vec<u8>,
    /// How it ended; nothing for a side that did not wait for it.
    end: Option<HeardEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeardEnd {
    Finished,
    Broken,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    // Small talk, chunks of ours and their neighbours, and what only a pipe can be quick with.
    let length =
        prop_oneof![0..100_usize, 16_300..16_500_usize, 60_000..70_000_usize, 200_000..1_500_000_usize];
    let piece = (length, any::<bool>()).prop_map(|(length, pause)| Piece { length, pause });
    prop::collection::vec(piece, 0..6)
}

/// Not periodic in any power of two.
fn bytes(from: usize, length: usize) -> Vec<u8> {
    (0..=250).cycle().skip(from % 251).take(length).collect()
}

/// Our end, and that of a side that does this last.
async fn pair(last: Last) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, far) = (near.unwrap(), far.unwrap().0);
    if last != Last::Finish {
        SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
    }
    (near, far)
}

#[cfg(unix)]
fn unix_pair() -> (tokio::net::UnixStream, tokio::net::UnixStream) {
    tokio::net::UnixStream::pair().unwrap()
}

/// Says all of it and does the last thing; hears the other side meanwhile, slowly or not.
async fn converse(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite,
    (says, last): (Vec<Piece>, Last),
    slow: bool,
) -> Heard {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut heard = Vec::new();
    let saying = async {
        let mut said = 0;
        for Piece { length, pause } in says {
            if pause {
                sleep(Duration::from_millis(3)).await;
            }
            write.write_all(&bytes(said, length)).await?;
            said += length;
        }
        if last != Last::Reset {
            write.shutdown().await?;
        }
        if last == Last::FinishAndReset {
            sleep(Duration::from_millis(2)).await;
        }
        io::Result::Ok(())
    };
    let hearing = async {
        let mut chunk = vec![0; 300_000];
        loop {
            if slow && heard.len() % 7 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            match read.read(&mut chunk).await {
                Ok(0) => return HeardEnd::Finished,
                Ok(count) => heard.extend_from_slice(&chunk[..count]),
                Err(_) => return HeardEnd::Broken,
            }
        }
    };
    let end = if last == Last::Finish {
        let (said, end) = tokio::join!(saying, hearing);
        // A reset is told once, to whoever asks first.
        Some(if said.is_ok() { end } else { HeardEnd::Broken })
    } else {
        let hearing = async {
            hearing.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = saying => None,
            () = hearing => None,
        }
    };
    Heard { bytes: heard, end }
}

/// Relays a conversation, and closes both sockets when it is over.
async fn relayed(
    client: impl Into<Socket>,
    peer: TcpStream,
    client_end: ClientEnd,
    (early_data, first_data): (Vec<u8>, Vec<u8>),
) -> (Relayed, End) {
    let client = client.into();
    let mut peer = Opened { socket: peer.into(), first_data, client_end, hold: None };
    let (to_peer, to_client) = (Counter::default(), Counter::default());
    let counters = [&to_peer, &to_client];
    relay(&client, &mut peer, early_data, &Limits::default(), counters, &Stop::new()).await
}

/// Whether a side has heard what it had to, of what the other said and did last.
fn check(heard: &Heard, said: &[u8], last: Last, resets_arrive: bool) -> Result<(), TestCaseError> {
    prop_assert!(said.starts_with(&heard.bytes), "other bytes");
    if !resets_arrive && last == Last::Reset {
        return Ok(());
    }
    let all = said.len() == heard.bytes.len();
    match heard.end {
        Some(HeardEnd::Finished) => prop_assert!(all && last != Last::Reset, "a part that looks like all"),
        Some(HeardEnd::Broken) => prop_assert!(last != Last::Finish, "an end that looks like none"),
        None => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_as_it_was_said_and_nothing_less_looks_like_it(
        (up, last_up) in (pieces(), last()),
        (down, last_down) in (pieces(), last()),
        early in 0..2_000_usize,
        first in 0..2_000_usize,
        slow: bool,
        unix: bool,
        held: bool,
    ) {
        #[cfg(target_os = "linux")]
        let _turn = splice::TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let total = |pieces: &[Piece]| pieces.iter().map(|piece| piece.length).sum::<usize>();
        let said_up = [bytes(0, early), bytes(0, total(&up))].concat();
        let said_down = [bytes(0, first), bytes(0, total(&down))].concat();
        let client_end = if held { ClientEnd::Held } else { ClientEnd::PassedOn };
        let unix = unix && cfg!(unix);
        let (below, above, (counts, end)) = runtime.block_on(async {
            let ahead = (bytes(0, early), bytes(0, first));
            let (peer, above) = pair(last_down).await;
            let above = converse(above, (down, last_down), slow);
            #[cfg(unix)]
            if unix {
                let (client, below) = unix_pair();
                let below = converse(below, (up, last_up), !slow);
                return tokio::join!(below, above, relayed(client, peer, client_end, ahead));
            }
            let (client, below) = pair(last_up).await;
            let below = converse(below, (up, last_up), !slow);
            tokio::join!(below, above, relayed(client, peer, client_end, ahead))
        });
        // A socket within this machine has no reset.
        check(&above, &said_up, last_up, !unix)?;
        check(&below, &said_down, last_down, !unix)?;
        if (last_up, last_down) == (Last::Finish, Last::Finish) {
            prop_assert!(matches!(end, End::Finished), "{end}");
            prop_assert_eq!(counts.to_peer, said_up.len() as u64);
            prop_assert_eq!(counts.to_client, said_down.len() as u64);
        }
    }
}

/// A reset is told once, to whoever asks first: that the one way knows of it must not make an end of it for the other.
#[test]
fn a_reset_that_is_heard_of_in_writing_is_no_end_of_reading() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Which way is first is left to chance.
        for _ in 0..32 {
            let ((peer, mut above), (client, mut below)) =
                (pair(Last::Reset).await, pair(Last::Finish).await);
            let client_side = async {
                below.write_all(b"1").await.unwrap();
                above.read_exact(&mut [0]).await.unwrap();
                // Both at once, as far as the relay can see.
                below.try_write(b"2").unwrap();
                drop(above);
                below.read(&mut [0]).await
            };
            let relaying = relayed(client, peer, ClientEnd::Held, (Vec::new(), Vec::new()));
            let (heard, (_, end)) = tokio::join!(client_side, relaying);
            assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            assert!(matches!(end, End::Broken(_)), "{end}");
        }
    });
}

/// The kernel ends a read at urgent data (tcp(7)), though there is more behind it: a read that was not full has not read all, and
/// the next one that finds nothing is what says so. It is kept for that, at 0.3 µs; proxies that leave it out stall here.
#[test]
fn what_follows_urgent_data_is_not_held_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ((peer, mut above), (client, below)) = (pair(Last::Finish).await, pair(Last::Finish).await);
        let socket = SockRef::from(&below);
        socket.send(b"ab").unwrap();
        socket.send_out_of_band(b"c").unwrap();
        socket.send(b"def").unwrap();
        // All of it is there before the relay reads.
        sleep(Duration::from_millis(50)).await;
        let relaying = relayed(client, peer, ClientEnd::Held, (Vec::new(), Vec::new()));
        let mut heard = [0; 5];
        let hearing = tokio::time::timeout(Duration::from_secs(10), above.read_exact(&mut heard));
        tokio::select! {
            all = hearing => all.expect("it is held back").unwrap(),
            _ = relaying => panic!("nobody has ended"),
        };
        // What is urgent is not in the stream.
        assert_eq!(&heard, b"abdef");
    });
}
