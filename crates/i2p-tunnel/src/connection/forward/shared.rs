use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Waker},
};

use tokio_util::sync::CancellationToken;

use crate::{
    client::Admitted,
    http_message::{Refusal, RequestHead},
    names::AddressLease,
    stream::OpenStream,
};

/// How many interim answers to one request are passed on. Sites send one or two.
const MAX_INTERIM_ANSWERS: usize = 8;

/// What the stream of a client and the exchange of its current request tell each other. There is one request at a time: the next one
/// is not read before this one is answered in full.
pub(super) struct Shared {
    state: Mutex<State>,
    activity: AtomicU64,
    /// The place of the connection. While there is no request, others may have it.
    admitted: Arc<Admitted>,
    /// Cancelled once the connection has to end because others need its place.
    ended: CancellationToken,
}

#[derive(Default)]
struct State {
    /// The head that hyper is being given.
    begun: Option<Result<Box<RequestHead>, Refusal>>,
    in_flight: bool,
    unanswered: bool,
    /// Why the body of the current request cannot go on.
    refused: Option<Refusal>,
    waiting: Option<Waker>,
    upgraded: Option<(OpenStream, Option<AddressLease>)>,
    /// Interim answers to the current request that the client has not been sent, and how many there were.
    interim: Vec<u8>,
    interim_answers: usize,
    writing: Option<Waker>,
}

impl Shared {
    pub(super) fn new(admitted: Arc<Admitted>, ended: CancellationToken) -> Self {
        Self { state: Mutex::default(), activity: AtomicU64::new(0), admitted, ended }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request, or its refusal. Returns `false` if the connection is about to end, because others need its place.
    pub(super) fn begin(&self, begun: Result<Box<RequestHead>, Refusal>) -> bool {
        if !self.is_kept() {
            return false;
        }
        let mut state = self.state();
        state.begun = Some(begun);
        state.in_flight = true;
        state.unanswered = true;
        state.interim_answers = 0;
        state.interim.clear();
        true
    }

    /// Lets others have the place of the connection, unless a request is in flight. All that was sent must have reached the socket.
    pub(super) fn rest(&self) {
        if !self.state().in_flight {
            let ended = self.ended.clone();
            self.admitted.make_expendable(move || ended.cancel());
        }
    }

    /// Takes the place back. Returns `false` if others have it.
    pub(super) fn is_kept(&self) -> bool {
        self.admitted.keep()
    }

    /// Takes the request that was begun.
    pub(super) fn take_begun(&self) -> Option<Result<Box<RequestHead>, Refusal>> {
        self.state().begun.take()
    }

    /// Whether a request is in flight. If so, the task is woken once it no longer is.
    pub(super) fn is_in_flight(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        if state.in_flight {
            state.waiting = Some(context.waker().clone());
        }
        state.in_flight
    }

    /// Whether the client waits for the beginning of an answer.
    pub(super) fn is_unanswered(&self) -> bool {
        self.state().unanswered
    }

    /// Whether an answer has begun and is not complete.
    pub(super) fn is_answering(&self) -> bool {
        let state = self.state();
        state.in_flight && !state.unanswered
    }

    /// Notes that the answer begins.
    pub(super) fn answered(&self) {
        self.state().unanswered = false;
    }

    /// Adds an interim answer to the current request, if the answer has not begun.
    pub(super) fn add_interim(&self, text: &[u8]) {
        let writing = {
            let mut state = self.state();
            if !state.unanswered || state.interim_answers >= MAX_INTERIM_ANSWERS {
                return;
            }
            state.interim_answers += 1;
            state.interim.extend_from_slice(text);
            state.writing.take()
        };
        if let Some(waker) = writing {
            waker.wake();
        }
    }

    /// Takes the interim answers that the client has not been sent, in front of the answer or of another one.
    pub(super) fn take_interim(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().interim)
    }

    /// The same while there is no answer yet. If there are none, the task is woken once there are. Behind the beginning of the answer
    /// they come too late.
    pub(super) fn take_early_interim(&self, context: &Context<'_>) -> Vec<u8> {
        let mut state = self.state();
        let interim = std::mem::take(&mut state.interim);
        if interim.is_empty() {
            state.writing = Some(context.waker().clone());
        }
        if state.unanswered { interim } else { Vec::new() }
    }

    /// Notes why the body of the current request cannot go on.
    pub(super) fn refuse_body(&self, refusal: Refusal) {
        self.state().refused = Some(refusal);
    }

    pub(super) fn refused_body(&self) -> Option<Refusal> {
        self.state().refused
    }

    /// Keeps the stream that the client goes on with in another protocol.
    pub(super) fn set_upgraded(&self, stream: OpenStream, address: Option<AddressLease>) {
        self.state().upgraded = Some((stream, address));
    }

    pub(super) fn take_upgraded(&self) -> Option<(OpenStream, Option<AddressLease>)> {
        self.state().upgraded.take()
    }

    /// Notes that the client's connection has moved data.
    pub(super) fn moved(&self) {
        self.activity.fetch_add(1, Relaxed);
    }

    /// A number that changes whenever the client's connection moves data.
    pub(super) fn activity(&self) -> u64 {
        self.activity.load(Relaxed)
    }
}

/// A request that is not answered in full. It is in flight until this is dropped.
pub(super) struct InFlight(Arc<Shared>);

impl InFlight {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.in_flight = false;
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}
