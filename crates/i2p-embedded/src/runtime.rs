//! The [`Runtime`] that emissary-core runs on: tasks, time, randomness and gzip, with tokio's [sockets](crate::sockets).

use std::{
    future::Future,
    io::{Read, Write},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use emissary_core::runtime::{self as core, MetricType};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures_core::Stream;
use rand::{CryptoRng, RngExt};
use tokio::{task, time};

use crate::sockets::{TcpListener, TcpStream, UdpSocket};

/// More than any I2P message inflates to: an I2NP message has a length of 16 bits, and Java's router inflates to no more
/// than 40 KiB (`DataHelper.MAX_UNCOMPRESSED`). Without a limit, 60 KiB from a stranger become 60 MiB of our memory.
const MAX_INFLATED_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime;

impl core::Runtime for Runtime {
    type TcpStream = TcpStream;
    type UdpSocket = UdpSocket;
    type TcpListener = TcpListener;
    type JoinSet<T: Send + 'static> = JoinSet<T>;
    type MetricsHandle = NoMetrics;
    type Instant = Instant;
    type Timer = Pin<Box<time::Sleep>>;

    fn spawn<F>(future: F)
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        tokio::spawn(async move {
            future.await;
        });
    }

    fn time_since_epoch() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn now() -> Instant {
        Instant(time::Instant::now())
    }

    fn rng() -> impl CryptoRng + RngExt {
        rand::rng()
    }

    fn join_set<T: Send + 'static>() -> JoinSet<T> {
        JoinSet { tasks: task::JoinSet::new(), waker: None }
    }

    fn register_metrics(_: Vec<MetricType>, _: Option<u16>) -> NoMetrics {
        NoMetrics
    }

    fn timer(duration: Duration) -> Self::Timer {
        Box::pin(time::sleep(duration))
    }

    fn delay(duration: Duration) -> impl Future<Output = ()> + Send {
        time::sleep(duration)
    }

    fn gzip_compress(bytes: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes.as_ref()).ok()?;
        encoder.finish().ok()
    }

    fn gzip_decompress(bytes: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let mut inflated = Vec::new();
        let limit = MAX_INFLATED_BYTES as u64 + 1;
        GzDecoder::new(bytes.as_ref()).take(limit).read_to_end(&mut inflated).ok()?;
        (inflated.len() <= MAX_INFLATED_BYTES).then_some(inflated)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant(time::Instant);

impl core::Instant for Instant {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Tasks whose results are yielded in the order in which they end.
pub(crate) struct JoinSet<T> {
    tasks: task::JoinSet<T>,
    /// The caller that found no result, to be woken when another task is added.
    waker: Option<Waker>,
}

impl<T: Send + 'static> core::JoinSet<T> for JoinSet<T> {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn len(&self) -> usize {
        self.tasks.len()
    }

    fn push<F>(&mut self, future: F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.tasks.spawn(future);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<T: Send + 'static> Stream for JoinSet<T> {
    type Item = T;

    /// Is pending while there is no task, and ends at a task that panicked, as in emissary's own runtimes.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.tasks.poll_join_next(cx) {
            Poll::Pending | Poll::Ready(None) => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(Some(result)) => Poll::Ready(result.ok()),
        }
    }
}

/// Discards emissary's metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoMetrics;

impl core::MetricsHandle for NoMetrics {
    fn counter(&self, _: &'static str) -> impl core::Counter {
        Self
    }

    fn gauge(&self, _: &'static str) -> impl core::Gauge {
        Self
    }

    fn histogram(&self, _: &'static str) -> impl core::Histogram {
        Self
    }
}

impl core::Counter for NoMetrics {
    fn increment(&mut self, _: usize) {}

    fn increment_with_label(&mut self, _: usize, _: &'static str, _: &'static str) {}
}

impl core::Gauge for NoMetrics {
    fn increment(&mut self, _: usize) {}

    fn decrement(&mut self, _: usize) {}
}

impl core::Histogram for NoMetrics {
    fn record(&mut self, _: f64) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use emissary_core::runtime::Runtime as _;

    #[test]
    fn data_inflates_up_to_the_limit_and_a_bomb_does_not() {
        let most = vec![0u8; MAX_INFLATED_BYTES];
        let packed = Runtime::gzip_compress(&most).unwrap();
        assert!(Runtime::gzip_decompress(packed) == Some(most));
        let bomb = Runtime::gzip_compress(vec![0u8; 50 << 20]).unwrap();
        assert!(bomb.len() < 60_000);
        assert!(Runtime::gzip_decompress(bomb).is_none());
        assert_eq!(Runtime::gzip_decompress(b"no gzip"), None);
    }
}
