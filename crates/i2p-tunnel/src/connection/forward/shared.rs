use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Waker},
};

use crate::{
    http_message::{Refusal, RequestHead},
    names::AddressLease,
    stream::OpenStream,
};

/// What the stream of a client and the exchange of its current request tell each other. There is one request at a time: the next one
/// is not read before this one is answered in full.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    activity: AtomicU64,
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
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request, or its refusal.
    pub(super) fn begin(&self, begun: Result<Box<RequestHead>, Refusal>) {
        let mut state = self.state();
        state.begun = Some(begun);
        state.in_flight = true;
        state.unanswered = true;
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

    pub(super) fn answered(&self) {
        self.state().unanswered = false;
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
