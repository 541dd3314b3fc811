use std::{
    fmt, io,
    sync::{Arc, PoisonError, RwLock},
};

use stream_filters::{
    Next,
    leak::{Leak, LeakGuard, LeakPatterns},
};

use crate::account::Account;

/// What identifies this machine, for all guards. Clones share it. It can be replaced, since addresses change while a proxy runs.
#[derive(Clone, Default)]
pub struct OwnMachine(Arc<RwLock<Option<LeakPatterns>>>);

impl OwnMachine {
    /// Sets what new streams are searched for. Until it is set, they are not searched.
    pub fn set(&self, patterns: LeakPatterns) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(patterns);
    }

    fn guard(&self) -> Option<LeakGuard> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(LeakGuard::new)
    }
}

/// Shows nothing of it.
impl fmt::Debug for OwnMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnMachine(..)")
    }
}

/// What a leak guard does.
#[derive(Debug, Clone)]
pub struct LeakGuardPolicy {
    /// What it looks for.
    pub machine: OwnMachine,
    /// Whether it ends a stream that sends it. Otherwise, it warns. The name of an account is only warned of, since it can be a word.
    pub cuts: bool,
}

impl LeakGuardPolicy {
    pub(super) fn guard(&self, account: &Arc<Account>) -> Option<OutgoingGuard> {
        let guard = self.machine.guard()?;
        Some(OutgoingGuard { guard, cuts: self.cuts, account: Arc::clone(account) })
    }
}

/// Why a stream has ended: the guard has cut it.
#[derive(Debug, thiserror::Error)]
#[error("the leak guard has ended the stream")]
pub(crate) struct CutByGuard;

impl CutByGuard {
    /// Whether this is the cause of an error, or of what caused it.
    pub(crate) fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
            || error.source().is_some_and(Self::is_cause_of)
    }
}

/// The guard of one stream: looks at what leaves, counts what it finds, and warns of it.
pub(crate) struct OutgoingGuard {
    guard: LeakGuard,
    cuts: bool,
    account: Arc<Account>,
}

impl OutgoingGuard {
    /// Looks at bytes before they are sent. Returns whether it wants to see the next ones.
    ///
    /// # Errors
    /// If they must not be sent, and the stream must end.
    pub(crate) fn look(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let (leaks, next) = self.guard.look(bytes);
        match self.report(&leaks) {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, CutByGuard)),
            false => Ok(next == Next::Filter),
        }
    }

    /// A whole message has been sent: what stood at its end stands alone. It is too late to end the stream.
    pub(crate) fn message_ended(&mut self) {
        let (leaks, _) = self.guard.look(b"\n");
        leaks.into_iter().for_each(|leak| self.account.leaked(leak, false));
    }

    /// The stream has ended, or its client has finished sending. It is too late to end it.
    pub(crate) fn finished(&mut self) {
        let leaks = self.guard.end();
        leaks.into_iter().for_each(|leak| self.account.leaked(leak, false));
    }

    /// Returns whether the stream must end.
    fn report(&self, leaks: &[Leak]) -> bool {
        let is_cut = |leak: &Leak| self.cuts && *leak != Leak::Login;
        leaks.iter().for_each(|leak| self.account.leaked(*leak, is_cut(leak)));
        leaks.iter().any(is_cut)
    }
}
