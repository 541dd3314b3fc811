//! Filters and the leak guard: what a stream may tell of its user. Decides which filter a stream gets, and applies it in the relay.
//!
//! Imports `account`, `route` and `stream`. The rules of each protocol are in the crate stream-filters.

mod guard;
mod rules;
mod stage;

use std::{fmt, sync::Arc};

use i2p_name::Target;
use stream_filters::{Filter, http::Via};
pub use stream_filters::{
    Protocol as FilterProtocol,
    leak::{Leak, LeakPatterns, Machine},
};

pub(crate) use self::guard::{CutByGuard, OutgoingGuard};
use self::stage::FilterStage;
pub use self::{
    guard::{LeakGuardPolicy, OwnMachine},
    rules::{FilterRule, FilterVerdict, Filters, filter_of_port},
};
use crate::{account::Account, stream::SharedStage};

/// How the streams of a tunnel are filtered. By default, they are not.
#[derive(Clone, Default)]
pub struct Filtering {
    /// Which streams get a filter.
    pub filters: Arc<Filters>,
    /// Whether streams that no rule matches get the filter of their port, as those of contained programs do.
    pub by_port: bool,
    /// What happens to streams that identify this machine; `None`: nobody looks.
    pub leak_guard: Option<LeakGuardPolicy>,
}

impl Filtering {
    /// The filter and the guard of a stream to a host, for its relay. `None` if it has neither.
    #[must_use]
    pub fn stage(&self, (target, port): (&Target, u16), account: &Arc<Account>) -> Option<SharedStage> {
        let protocol = self.filters.decide(target, port, self.by_port).protocol();
        let via = if matches!(target, Target::I2p(_)) { Via::I2p } else { Via::Outproxy };
        let filter = protocol.map(|protocol| (protocol, Filter::new(protocol).with_via(via), account));
        FilterStage::shared(filter, self.guard(account))
    }

    /// The guard alone, for the relay of a stream that a peer has opened.
    pub(crate) fn incoming_stage(&self, account: &Arc<Account>) -> Option<SharedStage> {
        FilterStage::shared(None, self.guard(account))
    }

    /// The guard of a stream that is not relayed.
    pub(crate) fn guard(&self, account: &Arc<Account>) -> Option<OutgoingGuard> {
        self.leak_guard.as_ref()?.guard(account)
    }
}

impl fmt::Debug for Filtering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filtering").field("by_port", &self.by_port).finish_non_exhaustive()
    }
}
