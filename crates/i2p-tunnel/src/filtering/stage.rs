use std::{io, sync::Arc};

use stream_filters::{Filter, Next, Output, Protocol};

use super::guard::OutgoingGuard;
use crate::{
    account::Account,
    stream::{SharedStage, Side, Stage},
};

/// The filter and the guard of one stream. The guard sees what the filter lets pass.
pub(super) struct FilterStage {
    filter: Option<ProtocolFilter>,
    guard: Option<OutgoingGuard>,
}

/// A filter, until it lets go.
struct ProtocolFilter {
    protocol: Protocol,
    filter: Box<Filter>,
    account: Arc<Account>,
}

impl FilterStage {
    /// `None` if there is nothing to do.
    pub(super) fn shared(
        filter: Option<(Protocol, Filter, &Arc<Account>)>,
        guard: Option<OutgoingGuard>,
    ) -> Option<SharedStage> {
        let filter = filter.map(|(protocol, filter, account)| ProtocolFilter {
            protocol,
            filter: Box::new(filter),
            account: Arc::clone(account),
        });
        (filter.is_some() || guard.is_some()).then(|| SharedStage::new(Self { filter, guard }))
    }

    /// What the filter lets pass, and whether it ends the stream.
    fn filtered(&mut self, side: Side, sent: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        let Some(filter) = &mut self.filter else {
            output.extend_from_slice(sent);
            return Ok(());
        };
        match filter.pass(side, sent, output)? {
            Next::Filter => {}
            Next::Release => self.filter = None,
        }
        Ok(())
    }
}

impl ProtocolFilter {
    fn pass(&mut self, side: Side, sent: &[u8], output: &mut Vec<u8>) -> io::Result<Next> {
        let mut passed = Output { bytes: std::mem::take(output), events: Vec::new() };
        let next = match side {
            Side::Client => self.filter.client(sent, &mut passed),
            Side::Peer => self.filter.server(sent, &mut passed),
        };
        *output = passed.bytes;
        passed.events.into_iter().for_each(|event| self.account.filtered(self.protocol, event));
        next.map_err(|cut| {
            self.account.filter_cut(self.protocol, cut);
            io::ErrorKind::ConnectionAborted.into()
        })
    }
}

impl Stage for FilterStage {
    fn looks_at(&self, side: Side) -> bool {
        self.filter.is_some() || (side == Side::Client && self.guard.is_some())
    }

    fn pass(&mut self, side: Side, sent: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        let verdict = self.filtered(side, sent, output);
        if let (Side::Client, Some(guard)) = (side, &mut self.guard) {
            match guard.look(output) {
                Ok(true) => {}
                Ok(false) => self.guard = None,
                Err(error) => {
                    output.clear();
                    return Err(error);
                }
            }
        }
        verdict
    }

    fn finished(&mut self, side: Side) {
        if let (Side::Client, Some(guard)) = (side, &mut self.guard) {
            guard.finished();
        }
    }
}
