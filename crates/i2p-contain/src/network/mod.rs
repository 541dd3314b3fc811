//! Runs the network of a namespace: moves frames through the gate, dials and resolves. A connection that was dialled relays itself.
//!
//! ```no_run
//! # use i2p_contain::{gate::Limits, link::{Link, LinkSettings}, network::{Network, Outside}};
//! # async fn contain(outside: impl Outside) -> Result<(), Box<dyn std::error::Error>> {
//! let link = Link::open(&LinkSettings::default()).await?;
//! Network::new(link, outside, Limits::default())?.run().await?;
//! # Ok(())
//! # }
//! ```

mod accepting;
mod device;
mod dns;
mod ending;
mod outside;
mod pipe;
mod splice;
#[cfg(test)]
mod turns;

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet, yield_now},
    time::{Instant, sleep_until},
};

pub use self::outside::{Datagram, DnsTransport, Outside, OutsideStream, Replies};
use self::{
    accepting::Listener,
    device::{Device, Ready},
};
use crate::{
    gate::{Datagrams, FlowId, Gate, Limits, Refusal, Verdict},
    link::Link,
    packet::MAX_FRAME_BYTES,
};

/// Most DNS messages that are being answered. Further ones are dropped, and programs repeat them; those of streams wait.
const MAX_QUERIES: usize = 1_024;
/// Most datagrams that wait to be written to the device.
const MAX_REPLIES: usize = 1_024;
/// How many frames are read before other events have their turn.
const FRAMES_PER_TURN: usize = 64;
/// How often the gate forgets what has expired, at most.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);

/// The network of a namespace, with its way out.
#[derive(Debug)]
pub struct Network<O: Outside> {
    device: Arc<Device>,
    listener_v4: Listener,
    listener_v6: Listener,
    gate: Gate,
    outside: Arc<O>,
    /// Dials under way.
    dials: HashMap<FlowId, AbortHandle>,
    /// Far ends whose flow is open and was not accepted yet.
    dialled: HashMap<FlowId, FarEnd<O::Stream>>,
    tasks: JoinSet<Finished<O::Stream>>,
    queries: Arc<Semaphore>,
    replies: Replies,
    answers: mpsc::Receiver<Datagram>,
    buffer: Vec<u8>,
}

/// Who serves a flow.
#[derive(Debug)]
enum FarEnd<S> {
    Stream(S),
    Dns,
}

/// The end of a task.
enum Finished<S> {
    Dial(FlowId, Result<S, Refusal>),
    /// A datagram for a program.
    Answer(Option<Datagram>),
    Relay,
}

impl<O: Outside> Network<O> {
    /// A network over this link. It has to be called in a Tokio runtime.
    ///
    /// # Errors
    /// If the runtime cannot watch the descriptors.
    pub fn new(link: Link, outside: O, limits: Limits) -> io::Result<Self> {
        let gate = Gate::new(link.addresses(), limits);
        let descriptors = link.into_descriptors();
        let (replies, answers) = mpsc::channel(MAX_REPLIES);
        Ok(Self {
            device: Arc::new(Device::new(descriptors.device)?),
            listener_v4: Listener::new(Some(descriptors.listener_v4))?,
            listener_v6: Listener::new(descriptors.listener_v6)?,
            gate,
            outside: Arc::new(outside),
            dials: HashMap::new(),
            dialled: HashMap::new(),
            tasks: JoinSet::new(),
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
            replies: Replies(replies),
            answers,
            buffer: vec![0; MAX_FRAME_BYTES],
        })
    }

    /// Runs until the device is gone. All connections end with it, also if this future is dropped.
    ///
    /// # Errors
    /// Why the device cannot be read any more.
    pub async fn run(mut self) -> io::Result<()> {
        let device = self.device.clone();
        let mut soonest = Instant::now();
        loop {
            let expiry = self.gate.next_expiry().map(|at| soonest.max(at.into()));
            // Frames come last: there may always be more of them.
            tokio::select! {
                biased;
                () = at(expiry) => {
                    let now = Instant::now();
                    self.gate.expire(now.into_std());
                    soonest = now + EXPIRY_PAUSE;
                }
                Some(finished) = self.tasks.join_next() => {
                    // A dial that panicked stays unanswered: the gate gives it up.
                    if let Ok(finished) = finished {
                        self.finished(finished);
                    }
                }
                (program, peer) = self.listener_v4.accept() => self.accepted(program, peer),
                (program, peer) = self.listener_v6.accept() => self.accepted(program, peer),
                Some(answer) = self.answers.recv() => self.answer(&answer),
                ready = device.ready() => {
                    // So that the runtime also looks for new events while there are always frames.
                    if self.read_frames(ready?)? == FRAMES_PER_TURN {
                        yield_now().await;
                    }
                }
            }
            while let Some(flow) = self.gate.next_ended() {
                self.give_up(flow);
            }
        }
    }

    /// Reads the frames of a turn. Returns their number.
    fn read_frames(&mut self, mut ready: Ready<'_>) -> io::Result<usize> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let now = Instant::now().into_std();
        let mut result = Ok(FRAMES_PER_TURN);
        for read in 0..FRAMES_PER_TURN {
            match ready.read(&mut buffer) {
                Ok(Some(length)) => self.frame(now, buffer.get_mut(..length).unwrap_or_default()),
                none => {
                    result = none.map(|_| read);
                    break;
                }
            }
        }
        self.buffer = buffer;
        result
    }

    fn frame(&mut self, now: std::time::Instant, frame: &mut [u8]) {
        match self.gate.frame(now, frame) {
            Verdict::Forward => self.device.write(frame),
            Verdict::Reply(answer) => self.device.write(&answer),
            Verdict::Dial { flow, client, target } => self.dial(flow, client, target),
            Verdict::Datagrams(datagrams) => self.datagrams(&datagrams),
            Verdict::Drop(_) => {}
        }
    }

    fn dial(&mut self, flow: FlowId, client: SocketAddr, target: SocketAddr) {
        if target.port() == dns::PORT {
            self.open(flow, FarEnd::Dns);
            return;
        }
        let outside = self.outside.clone();
        // The gate limits its time.
        let dial = self.tasks.spawn(async move { Finished::Dial(flow, outside.dial(client, target).await) });
        self.dials.insert(flow, dial);
    }

    /// Ends what was done for a flow that has ended before its stream was accepted.
    fn give_up(&mut self, flow: FlowId) {
        if let Some(dial) = self.dials.remove(&flow) {
            dial.abort();
        }
        if let Some(FarEnd::Stream(far)) = self.dialled.remove(&flow) {
            far.abort();
        }
    }

    fn datagrams(&mut self, datagrams: &Datagrams<'_>) {
        let (client, target) = (datagrams.client, datagrams.target);
        for payload in datagrams.payloads() {
            let payload = payload.to_vec();
            if target.port() == dns::PORT {
                self.resolve(client, target, payload);
                continue;
            }
            let sent = self.outside.datagram(Datagram { client, target, payload }, &self.replies);
            if let Err(why) = sent {
                if let Some(error) = datagrams.unreachable(why) {
                    self.device.write(&error);
                }
                return;
            }
        }
    }

    fn resolve(&mut self, client: SocketAddr, target: SocketAddr, query: Vec<u8>) {
        if query.len() > dns::MAX_QUERY_BYTES {
            return;
        }
        let Ok(permit) = self.queries.clone().try_acquire_owned() else { return };
        let outside = self.outside.clone();
        self.tasks.spawn(async move {
            let answer = outside.resolve(query, DnsTransport::Udp).await;
            drop(permit);
            Finished::Answer(answer.map(|payload| Datagram { client, target, payload }))
        });
    }

    fn finished(&mut self, finished: Finished<O::Stream>) {
        if let Finished::Dial(flow, _) = &finished {
            self.dials.remove(flow);
        }
        match finished {
            Finished::Dial(flow, Ok(far)) => self.open(flow, FarEnd::Stream(far)),
            Finished::Dial(flow, Err(refusal)) => {
                if let Some(answer) = self.gate.refuse(Instant::now().into_std(), flow, refusal) {
                    self.device.write(&answer);
                }
            }
            Finished::Answer(Some(answer)) => self.answer(&answer),
            Finished::Answer(None) | Finished::Relay => {}
        }
    }

    fn open(&mut self, flow: FlowId, far: FarEnd<O::Stream>) {
        if let Some(syn) = self.gate.open(Instant::now().into_std(), flow) {
            self.dialled.insert(flow, far);
            self.device.write(&syn);
        } else if let FarEnd::Stream(far) = far {
            far.abort();
        }
    }

    fn accepted(&mut self, program: TcpStream, peer: SocketAddr) {
        let far = self.gate.accepted(peer).and_then(|flow| self.dialled.remove(&flow));
        match far {
            Some(FarEnd::Stream(far)) => {
                self.tasks.spawn(async move {
                    far.relay(program).await;
                    Finished::Relay
                });
            }
            Some(FarEnd::Dns) => {
                let (outside, queries) = (self.outside.clone(), self.queries.clone());
                self.tasks.spawn(async move {
                    dns::serve(program, &*outside, &queries).await;
                    Finished::Relay
                });
            }
            // A program that has connected to the listener itself.
            None => {
                let _ = program.set_zero_linger();
            }
        }
    }

    fn answer(&self, answer: &Datagram) {
        if let Ok(frame) = Gate::datagram(answer.target, answer.client, &answer.payload) {
            self.device.write(&frame);
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpListener},
        pin::pin,
    };

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::{turns::polled_once, *};
    use crate::{link::Descriptors, packet::Unreachable};

    /// A world that nobody reaches.
    struct Nowhere;

    impl Outside for Nowhere {
        type Stream = TcpStream;

        async fn dial(&self, _: SocketAddr, _: SocketAddr) -> Result<TcpStream, Refusal> {
            std::future::pending().await
        }

        async fn resolve(&self, _: Vec<u8>, _: DnsTransport) -> Option<Vec<u8>> {
            None
        }

        fn datagram(&self, _: Datagram, _: &Replies) -> Result<(), Unreachable> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn frames_without_a_pause_leave_others_their_turn() {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (programs, device) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let listener_v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener_v4.set_nonblocking(true).unwrap();
        let link = Link::from_descriptors(Descriptors { device, listener_v4, listener_v6: None }).unwrap();
        let network = Network::new(link, Nowhere, Limits::default()).unwrap();
        let mut running = pin!(network.run());
        let fill = || (0..).take_while(|_| rustix::io::write(&programs, &[0]).is_ok()).count();
        let sent = fill();
        assert!(sent > 2 * FRAMES_PER_TURN, "{sent}");
        let mut read = 0;
        // The first polls come before the runtime knows of the frames.
        while read == 0 {
            assert!(polled_once(running.as_mut()).await.is_pending());
            yield_now().await;
            read = fill();
        }
        assert!(read < 2 * FRAMES_PER_TURN, "{read} of {sent} frames in one turn");
    }
}
