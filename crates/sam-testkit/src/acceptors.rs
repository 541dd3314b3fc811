//! The STREAM ACCEPTs of a session, and the streams that wait for one.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use crate::{dialect::Dialect, registry::Offer};

/// A STREAM ACCEPT that waits for its peer.
pub(crate) type Acceptor = oneshot::Sender<Offer>;

/// i2pd closes the STREAM ACCEPTs that it has queued for less than this whenever it looks into its queue: recorded of 2.56 and
/// 2.59. Their sources compare the wrong way round.
const I2PD_MIN_QUEUED: Duration = Duration::from_secs(3);

/// The STREAM ACCEPTs of a session, and the streams that wait for one.
#[derive(Default)]
pub(crate) struct Acceptors {
    /// Those that get the next peers, the oldest first. i2pd has one at a time since 2.50.
    serving: VecDeque<Acceptor>,
    /// Those that i2pd has agreed to beyond that one.
    queued: VecDeque<(Acceptor, Instant)>,
    /// Those that i2pd 2.45 serves no more, since the client of one of them has gone.
    forgotten: Vec<Acceptor>,
    /// The streams that i2pd keeps for an acceptor to come, the oldest first.
    streams: VecDeque<oneshot::Sender<Acceptor>>,
}

impl Acceptors {
    /// Whether one waits.
    pub(crate) fn is_accepting(&self) -> bool {
        self.serving.iter().any(|acceptor| !acceptor.is_closed())
    }

    /// Adds one.
    pub(crate) fn add(&mut self, mut acceptor: Acceptor, dialect: Dialect, is_forwarding: bool) {
        self.drop_closed(dialect);
        if has_queue(dialect) && (is_forwarding || !self.serving.is_empty()) {
            self.close_queued_recently();
            self.queued.push_back((acceptor, Instant::now()));
            return;
        }
        while let Some(stream) = self.streams.pop_front() {
            match stream.send(acceptor) {
                Ok(()) => return self.serve_next(),
                Err(back) => acceptor = back,
            }
        }
        self.serving.push_back(acceptor);
    }

    /// Takes the one that gets the next peer.
    pub(crate) fn next(&mut self, dialect: Dialect) -> Option<Acceptor> {
        self.drop_closed(dialect);
        let acceptor = self.serving.pop_front()?;
        self.serve_next();
        Some(acceptor)
    }

    /// Drops those whose clients have gone. As recorded, i2pd 2.45 then serves none of the others.
    fn drop_closed(&mut self, dialect: Dialect) {
        let before = self.serving.len();
        self.serving.retain(|acceptor| !acceptor.is_closed());
        if dialect == Dialect::I2pd245 && self.serving.len() < before {
            self.forgotten.retain(|acceptor| !acceptor.is_closed());
            self.forgotten.extend(self.serving.drain(..));
        }
    }

    /// Keeps a stream for an acceptor to come, as i2pd does.
    pub(crate) fn keep_stream(&mut self) -> oneshot::Receiver<Acceptor> {
        let (stream, acceptor) = oneshot::channel();
        self.streams.retain(|stream| !stream.is_closed());
        self.streams.push_back(stream);
        acceptor
    }

    /// Serves the next one of i2pd's queue, after a peer came.
    fn serve_next(&mut self) {
        self.close_queued_recently();
        self.serving.extend(self.queued.pop_front().map(|(acceptor, _)| acceptor));
    }

    fn close_queued_recently(&mut self) {
        self.queued.retain(|(acceptor, _)| !acceptor.is_closed());
        while self.queued.front().is_some_and(|(_, since)| since.elapsed() < I2PD_MIN_QUEUED) {
            self.queued.pop_front();
        }
    }
}

/// Whether the router serves one STREAM ACCEPT of a session at a time, and queues the others.
fn has_queue(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::I2pd256 | Dialect::I2pd259)
}
