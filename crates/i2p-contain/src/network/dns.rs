//! DNS over a stream (RFC 7766): each message after its length.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

use super::outside::{DnsTransport, Outside};

/// The port of DNS.
pub(super) const PORT: u16 = 53;
/// The longest query. Longer ones are not read, as i2p-socks does not answer them.
pub(super) const MAX_QUERY_BYTES: usize = 4_096;
/// How long a stream may be idle, and how long it may take to read an answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers the messages of a stream, one after the other, while `queries` allows it.
pub(super) async fn serve<O: Outside>(mut program: TcpStream, outside: &O, queries: &Semaphore) {
    while let Ok(Some(query)) = timeout(IDLE_TIMEOUT, read(&mut program)).await {
        // Held until the answer is written, which bounds the memory of answers.
        let Ok(_permit) = queries.acquire().await else { return };
        let Some(answer) = outside.resolve(query, DnsTransport::Tcp).await else { return };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        let message = [&length.to_be_bytes()[..], &answer].concat();
        let Ok(Ok(())) = timeout(IDLE_TIMEOUT, program.write_all(&message)).await else { return };
    }
}

/// The next message; `None` at the end, or if it is too long.
async fn read(program: &mut TcpStream) -> Option<Vec<u8>> {
    let length = usize::from(program.read_u16().await.ok()?);
    if length > MAX_QUERY_BYTES {
        return None;
    }
    let mut message = vec![0; length];
    program.read_exact(&mut message).await.ok()?;
    Some(message)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, SocketAddr},
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        gate::Refusal,
        network::outside::{Datagram, Replies},
        packet::Unreachable,
    };

    /// Answers each query with this many bytes, and counts them.
    struct Resolver {
        answer_bytes: usize,
        queries: AtomicUsize,
    }

    impl Outside for Resolver {
        type Stream = TcpStream;

        async fn dial(&self, _client: SocketAddr, _target: SocketAddr) -> Result<TcpStream, Refusal> {
            Err(Refusal::Denied)
        }

        async fn resolve(&self, _query: Vec<u8>, _transport: DnsTransport) -> Option<Vec<u8>> {
            self.queries.fetch_add(1, Relaxed);
            Some(vec![7; self.answer_bytes])
        }

        fn datagram(&self, _datagram: Datagram, _replies: &Replies) -> Result<(), Unreachable> {
            Err(Unreachable::Prohibited)
        }
    }

    fn resolver(answer_bytes: usize) -> Resolver {
        Resolver { answer_bytes, queries: AtomicUsize::new(0) }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_waits_while_too_many_are_answered() {
        let (mut program, stream) = pair().await;
        let (outside, queries) = (resolver(3), Semaphore::new(0));
        program.write_all(b"\x00\x01q").await.unwrap();
        let asking = async {
            let mut answer = [0; 5];
            let early = timeout(Duration::from_millis(100), program.read_exact(&mut answer)).await;
            assert!(early.is_err(), "it was answered");
            assert_eq!(outside.queries.load(Relaxed), 0);
            queries.add_permits(1);
            program.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, [0, 3, 7, 7, 7]);
            drop(program);
        };
        tokio::join!(serve(stream, &outside, &queries), asking);
        assert_eq!(queries.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_query_may_have_four_kibibytes() {
        let (mut program, stream) = pair().await;
        let (outside, queries) = (resolver(1), Semaphore::new(1));
        let asking = async {
            program.write_all(&[&[0x10, 0][..], &[1; 4_096]].concat()).await.unwrap();
            let mut answer = [0; 3];
            program.read_exact(&mut answer).await.unwrap();
            program.write_all(&[&[0x10, 1][..], &[1; 4_097]].concat()).await.unwrap();
            let end = program.read(&mut answer).await;
            assert!(!end.is_ok_and(|count| count > 0), "it was answered");
        };
        tokio::join!(serve(stream, &outside, &queries), asking);
        assert_eq!(outside.queries.load(Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_reads_no_answers_is_left() {
        let (mut program, stream) = pair().await;
        let (outside, queries) = (resolver(65_000), Semaphore::new(1));
        // More answers than the kernel buffers.
        program.write_all(&b"\x00\x01q".repeat(1_000)).await.unwrap();
        timeout(IDLE_TIMEOUT * 100, serve(stream, &outside, &queries)).await.unwrap();
        assert_eq!(queries.available_permits(), 1);
        let answered = outside.queries.load(Relaxed);
        assert!((1..1_000).contains(&answered), "{answered}");
    }
}
