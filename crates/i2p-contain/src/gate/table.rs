//! All flows, found by number and by addresses, and forgotten in time.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use super::{
    addresses::FLOW_NUMBERS,
    expiries::{Expiries, Expiry},
    flow::{Flow, FlowId, Pair, Phase, Progress, Side},
    limits::Limits,
    verdict::Refusal,
};
use crate::packet::TcpFlags;

/// Whether a new flow has a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted(FlowId),
    Full,
}

#[derive(Debug)]
pub(super) struct FlowTable {
    flows: HashMap<FlowId, Flow>,
    by_pair: HashMap<Pair, FlowId>,
    expiries: Expiries,
    /// Flows that have ended before their stream was accepted.
    ended: VecDeque<FlowId>,
    dials: usize,
    next: u32,
}

impl FlowTable {
    pub(super) fn new() -> Self {
        Self {
            flows: HashMap::new(),
            by_pair: HashMap::new(),
            expiries: Expiries::default(),
            ended: VecDeque::new(),
            dials: 0,
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn dials(&self) -> usize {
        self.dials
    }

    pub(super) fn get(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.flows.get_mut(&id)
    }

    pub(super) fn find(&self, pair: Pair) -> Option<(FlowId, &Flow)> {
        let id = *self.by_pair.get(&pair)?;
        self.flows.get(&id).map(|flow| (id, flow))
    }

    /// Makes a flow that is dialled, unless the limits forbid it.
    pub(super) fn admit(
        &mut self,
        limits: &Limits,
        now: Instant,
        pair: Pair,
        sequence: u32,
        syn: &[u8],
    ) -> Admission {
        if self.dials >= limits.dials || self.flows.len() >= limits.flows && !self.evict() {
            return Admission::Full;
        }
        let id = self.unused();
        let phase = Phase::Dialling { syn: syn.to_vec() };
        let give_up = Expiry::Deadline(now + limits.dial);
        self.flows.insert(id, Flow { pair, sequence, phase, expires: Some(give_up) });
        self.by_pair.insert(pair, id);
        self.expiries.insert(give_up, id);
        self.dials += 1;
        Admission::Admitted(id)
    }

    /// Holds this SYN in the place of another one.
    pub(super) fn replace_syn(&mut self, id: FlowId, sequence: u32, frame: &[u8]) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.sequence = sequence;
            flow.phase = Phase::Dialling { syn: frame.to_vec() };
        }
    }

    pub(super) fn become_open(&mut self, accept_by: Instant, id: FlowId) {
        let phase = Phase::Open { progress: Progress::default(), accept_by: Some(accept_by) };
        self.become_phase(id, phase, Expiry::Deadline(accept_by));
    }

    pub(super) fn become_refused(&mut self, limits: &Limits, now: Instant, id: FlowId, refusal: Refusal) {
        self.become_phase(id, Phase::Refused(refusal), Expiry::Linger(now + limits.refusal(refusal)));
    }

    fn become_phase(&mut self, id: FlowId, phase: Phase, expires: Expiry) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if matches!(flow.phase, Phase::Dialling { .. }) {
            self.dials -= 1;
        }
        flow.phase = phase;
        reschedule(&mut self.expiries, id, flow, Some(expires));
    }

    /// Takes note of a segment. A flow that has ended is forgotten at `linger_until`.
    pub(super) fn saw(&mut self, linger_until: Instant, id: FlowId, side: Side, flags: TcpFlags) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let Phase::Open { progress, accept_by } = &mut flow.phase else { return };
        let had_ended = progress.has_ended();
        progress.saw(side, flags);
        if progress.has_ended() != had_ended {
            let lives_until = accept_by.map(Expiry::Deadline);
            let expires = if had_ended { lives_until } else { Some(Expiry::Linger(linger_until)) };
            reschedule(&mut self.expiries, id, flow, expires);
        }
    }

    /// Marks the stream of a flow as accepted; `false` if the flow is not open or its stream was accepted before.
    pub(super) fn accept(&mut self, id: FlowId) -> bool {
        let Some(flow) = self.flows.get_mut(&id) else { return false };
        let Phase::Open { progress, accept_by } = &mut flow.phase else { return false };
        let is_first = accept_by.take().is_some();
        if !progress.has_ended() {
            reschedule(&mut self.expiries, id, flow, None);
        }
        is_first
    }

    pub(super) fn next_ended(&mut self) -> Option<FlowId> {
        self.ended.pop_front()
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| at)
    }

    /// Forgets what has expired, and gives up dials that take too long: the program hears as much as if the target were silent.
    pub(super) fn expire(&mut self, limits: &Limits, now: Instant) {
        while let Some((at, id)) = self.expiries.first()
            && at <= now
        {
            if self.is_dialled(id) {
                self.ended.push_back(id);
                self.become_refused(limits, now, id, Refusal::TimedOut);
            } else {
                self.remove(id);
            }
        }
    }

    /// Removes a flow.
    pub(super) fn remove(&mut self, id: FlowId) {
        let Some(flow) = self.flows.remove(&id) else { return };
        if let Some(expires) = flow.expires {
            self.expiries.remove(expires, id);
        }
        if self.by_pair.get(&flow.pair) == Some(&id) {
            self.by_pair.remove(&flow.pair);
        }
        match flow.phase {
            Phase::Dialling { .. } => self.dials -= 1,
            Phase::Refused(_) | Phase::Open { accept_by: None, .. } => return,
            Phase::Open { accept_by: Some(_), .. } => {}
        }
        self.ended.push_back(id);
    }

    fn is_dialled(&self, id: FlowId) -> bool {
        self.flows.get(&id).is_some_and(|flow| matches!(flow.phase, Phase::Dialling { .. }))
    }

    /// Makes room for a flow: removes the one that expires first, of those that have ended or were refused.
    fn evict(&mut self) -> bool {
        self.expiries.first_lingering().inspect(|id| self.remove(*id)).is_some()
    }

    /// The next flow number without a flow.
    fn unused(&mut self) -> FlowId {
        loop {
            let id = FlowId(self.next);
            self.next = (self.next + 1) % FLOW_NUMBERS;
            if !self.flows.contains_key(&id) {
                return id;
            }
        }
    }
}

fn reschedule(expiries: &mut Expiries, id: FlowId, flow: &mut Flow, expires: Option<Expiry>) {
    if let Some(old) = flow.expires {
        expiries.remove(old, id);
    }
    if let Some(new) = expires {
        expiries.insert(new, id);
    }
    flow.expires = expires;
}
