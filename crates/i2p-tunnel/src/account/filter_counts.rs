use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use stream_filters::{Cut, Event, Protocol, leak::Leak};

use super::families::{CutLabels, Families, FilteredLabels, LeakLabels};
use crate::log_throttle::LogThrottle;

/// The label of streams that the leak guard has ended.
const LEAK_GUARD: &str = "leak-guard";

/// What filters and the leak guard of a tunnel did: counted, and logged at a bounded rate. Nothing here knows what was sent.
pub(super) struct FilterCounts {
    /// What each filter removed or replaced, and how many streams it ended.
    of_protocols: Vec<(Protocol, [Counter; 2])>,
    /// Streams that the leak guard ended.
    cut_by_guard: Counter,
    /// In the order of [`Leak::ALL`].
    leaks: [Counter; Leak::ALL.len()],
    filtered_log: LogThrottle<(Protocol, Event)>,
    cut_log: LogThrottle<(Protocol, Cut)>,
    leak_log: LogThrottle<(Leak, bool)>,
}

/// A kind of thing that identifies this machine and that clients have sent in clear text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenLeak {
    /// The kind.
    pub leak: Leak,
    /// Whether the streams that sent it were ended.
    pub was_cut: bool,
    /// How many streams sent it since the start.
    pub count: u64,
    /// How long ago one sent it last.
    pub ago: Duration,
}

impl FilterCounts {
    pub(super) fn new(families: &Families, tunnel: &str) -> Self {
        let of_leak = |leak: Leak| {
            let labels = LeakLabels { tunnel: tunnel.to_owned(), kind: leak.as_str() };
            families.leaks.get_or_create_owned(&labels)
        };
        let cut = |by| families.streams_cut.get_or_create_owned(&CutLabels { tunnel: tunnel.to_owned(), by });
        let of_protocol = |protocol: &Protocol| {
            let labels = FilteredLabels { tunnel: tunnel.to_owned(), protocol: protocol.as_str() };
            (*protocol, [families.filtered.get_or_create_owned(&labels), cut(protocol.as_str())])
        };
        Self {
            of_protocols: Protocol::ALL.iter().map(of_protocol).collect(),
            cut_by_guard: cut(LEAK_GUARD),
            leaks: Leak::ALL.map(of_leak),
            filtered_log: LogThrottle::new(),
            cut_log: LogThrottle::new(),
            leak_log: LogThrottle::new(),
        }
    }

    pub(super) fn filtered(&self, protocol: Protocol, event: Event) {
        let protocol_label = protocol.as_str();
        if let Some([filtered, _]) = self.of(protocol) {
            filtered.inc();
        }
        match self.filtered_log.record((protocol, event)) {
            Some(0) => tracing::info!("the {protocol_label} filter {event}"),
            Some(more) => {
                tracing::info!("the {protocol_label} filter {event} ({more} more since the last such line)");
            }
            None => tracing::debug!("the {protocol_label} filter {event}"),
        }
    }

    pub(super) fn filter_cut(&self, protocol: Protocol, cut: Cut) {
        let protocol_label = protocol.as_str();
        if let Some([_, cut]) = self.of(protocol) {
            cut.inc();
        }
        self.cut_log.warn(
            (protocol, cut),
            format_args!(
                "the {protocol_label} filter ended a stream: {cut}. If such streams may pass unfiltered, add a [[filter]] with their \
                 port and protocol = \"none\""
            ),
        );
    }

    pub(super) fn leaked(&self, leak: Leak, is_cut: bool) {
        if let Some((_, counter)) = Leak::ALL.iter().zip(&self.leaks).find(|(of, _)| **of == leak) {
            counter.inc();
        }
        let outcome = if is_cut { "was about to send" } else { "sent" };
        let end = if is_cut { "The stream was ended" } else { "The far end may know it now" };
        if is_cut {
            self.cut_by_guard.inc();
        }
        self.leak_log.warn(
            (leak, is_cut),
            format_args!(
                "a client {outcome} what identifies this machine, in clear text: {leak}. {end}. docs/filters.md says what to do"
            ),
        );
    }

    fn of(&self, protocol: Protocol) -> Option<&[Counter; 2]> {
        self.of_protocols.iter().find(|(of, _)| *of == protocol).map(|(_, counters)| counters)
    }

    pub(super) fn leaks(&self) -> Vec<SeenLeak> {
        let kinds = self.leak_log.kinds();
        let seen = kinds.iter().map(|kind| {
            let (leak, was_cut) = kind.what;
            SeenLeak { leak, was_cut, count: kind.count, ago: kind.last.elapsed() }
        });
        let mut seen: Vec<_> = seen.collect();
        seen.sort_by_key(|seen| seen.ago);
        seen
    }
}
