use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A side of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client of the proxy, or the local program.
    Client,
    /// The far end.
    Peer,
}

/// A filter in a relay. It sees what a side sends before the other side gets it, and may change it, for as long as it wants to look.
/// After that, the relay moves the data without it, and without a copy.
pub trait Stage: Send + 'static {
    /// Whether it still looks at what this side sends. Once it does not, it never does again.
    fn looks_at(&self, side: Side) -> bool;

    /// Takes bytes that a side has sent, and appends to `output` what the other side gets in their place.
    ///
    /// # Errors
    /// If the stream must end. The other side still gets what is in `output`, and then both sides are reset.
    fn pass(&mut self, side: Side, sent: &[u8], output: &mut Vec<u8>) -> io::Result<()>;

    /// A side has finished sending. What was held back of an incomplete line does not pass.
    fn finished(&mut self, side: Side) {
        let _ = side;
    }
}

/// A [`Stage`] for both directions of one relay.
#[derive(Clone)]
pub struct SharedStage(Arc<Mutex<dyn Stage>>);

impl SharedStage {
    /// Makes a stage for one relay.
    #[must_use]
    pub fn new(stage: impl Stage) -> Self {
        Self(Arc::new(Mutex::new(stage)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, dyn Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStage(..)")
    }
}
