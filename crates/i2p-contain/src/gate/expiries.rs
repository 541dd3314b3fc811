//! When flows are forgotten.

use std::{collections::BTreeSet, time::Instant};

use super::flow::FlowId;

/// When a flow is forgotten, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Its dial, or its stream, has to get on by then.
    Deadline(Instant),
    /// It has ended or was refused, and is remembered for late packets.
    Linger(Instant),
}

/// The expiries of all flows, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    deadlines: BTreeSet<(Instant, FlowId)>,
    lingering: BTreeSet<(Instant, FlowId)>,
}

impl Expiries {
    pub(super) fn insert(&mut self, expiry: Expiry, id: FlowId) {
        let (set, at) = self.set(expiry);
        set.insert((at, id));
    }

    pub(super) fn remove(&mut self, expiry: Expiry, id: FlowId) {
        let (set, at) = self.set(expiry);
        set.remove(&(at, id));
    }

    /// The flow that expires first, and when.
    pub(super) fn first(&self) -> Option<(Instant, FlowId)> {
        let firsts = [self.deadlines.first(), self.lingering.first()];
        firsts.into_iter().flatten().min().copied()
    }

    /// The flow that expires first, of those that have ended or were refused.
    pub(super) fn first_lingering(&self) -> Option<FlowId> {
        self.lingering.first().map(|(_, id)| *id)
    }

    fn set(&mut self, expiry: Expiry) -> (&mut BTreeSet<(Instant, FlowId)>, Instant) {
        match expiry {
            Expiry::Deadline(at) => (&mut self.deadlines, at),
            Expiry::Linger(at) => (&mut self.lingering, at),
        }
    }
}
