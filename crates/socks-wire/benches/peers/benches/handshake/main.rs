//! Measures a server's handshake with each crate. See `benches/README.md` of socks-wire.
#![allow(missing_docs, reason = "criterion's macros")]

#[path = "../../../../../instructions/src/count.rs"]
mod count;
#[path = "../../../wire/work.rs"]
mod work;

use std::{
    hint::black_box,
    io,
    pin::{Pin, pin},
    process::ExitCode,
    task::{Context, Poll, Waker},
};

use criterion::{Criterion, Throughput, criterion_group};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::work::Work;

const GREETING: &[u8] = b"\x05\x01\x00";
const REQUEST: &[u8] = b"\x05\x01\x00\x03\x0bexample.i2p\x00\x50";
/// Bytes of the method selection and the reply.
const ANSWER_BYTES: usize = 2 + 10;

/// Returns the number of bytes sent, which shows that the work was done. The assertion costs the same for every crate.
fn socks_wire() -> usize {
    use socks_wire::{ServerHandshake, Step};

    let mut handshake = ServerHandshake::new();
    let Step::Send { bytes: selection, .. } = handshake.step(black_box(GREETING)) else { return 0 };
    let Step::Request { request, .. } = handshake.step(black_box(REQUEST)) else { return 0 };
    assert_eq!(request.port, 80);
    black_box(selection).len() + black_box(request.responder().granted()).len()
}

fn tor_socksproto() -> usize {
    use tor_socksproto::{Buffer, Handshake, NextStep, SocksProxyHandshake, SocksStatus};

    let mut handshake = SocksProxyHandshake::new();
    let mut buffer = Buffer::new();
    let mut input = [GREETING, REQUEST].into_iter();
    let mut sent = 0;
    loop {
        match handshake.step(&mut buffer) {
            Ok(NextStep::Recv(mut receive)) => {
                let Some(bytes) = black_box(input.next()) else { return 0 };
                receive.buf()[..bytes.len()].copy_from_slice(bytes);
                if receive.note_received(bytes.len()).is_err() {
                    return 0;
                }
            }
            Ok(NextStep::Send(bytes)) => sent += black_box(bytes).len(),
            Ok(NextStep::Finished(finished)) => {
                let Ok(request) = finished.into_output_forbid_pipelining() else { return 0 };
                assert_eq!(request.port(), 80);
                let Ok(reply) = request.reply(SocksStatus::SUCCEEDED, None) else { return 0 };
                return sent + black_box(reply).len();
            }
            _ => return 0,
        }
    }
}

/// A stream in memory, which has all its input, counts its output and never waits.
struct Memory<'a> {
    input: &'a [&'a [u8]],
    offset: usize,
    sent: usize,
}

impl AsyncRead for Memory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(first) = self.input.first() {
            let rest = &first[self.offset..];
            let count = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..count]);
            self.offset += count;
            if self.offset == first.len() {
                self.input = &self.input[1..];
                self.offset = 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.sent += black_box(buf).len();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn fast_socks5() -> usize {
    use fast_socks5::server::Socks5ServerProtocol;

    let stream = Memory { input: black_box(&[GREETING, REQUEST]), offset: 0, sent: 0 };
    let work = async {
        let accepted = Socks5ServerProtocol::accept_no_auth(stream).await.ok()?;
        let (read, command, target) = accepted.read_command().await.ok()?;
        black_box((command, target));
        let stream = read.reply_success(([0, 0, 0, 0], 0).into()).await.ok()?;
        Some(stream.sent)
    };
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(sent) => sent.unwrap_or_default(),
        Poll::Pending => 0,
    }
}

/// Each crate must do all of the work, or its time means nothing.
const WORKS: &[Work] = &[
    Work { name: "socks-wire", run: socks_wire, expected: ANSWER_BYTES },
    Work { name: "tor-socksproto", run: tor_socksproto, expected: ANSWER_BYTES },
    Work { name: "fast-socks5", run: fast_socks5, expected: ANSWER_BYTES },
];

fn handshake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("socks5 handshake, CONNECT by name");
    group.throughput(Throughput::Elements(1));
    for work in WORKS {
        work.check();
        group.bench_function(work.name, |bencher| bencher.iter(work.run));
    }
    group.finish();
}

criterion_group!(benches, handshake);

fn main() -> ExitCode {
    if let Some(code) = count::run_if_requested(WORKS) {
        return code;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    ExitCode::SUCCESS
}
