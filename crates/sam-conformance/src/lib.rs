#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod datagrams;
mod expected;
mod identity;
mod lookups;
mod pair;
mod peer;
mod primary;
mod refusals;
mod relay;
mod report;
mod retry;
mod service;
mod streams;
mod supervision;

pub use peer::{KnownHost, Peer};
pub use report::ConformanceReport;

/// Runs every check against `peer` and prints a line for each. Checks that do not depend on each other run at once.
pub async fn run(peer: &Peer) -> ConformanceReport {
    let report = ConformanceReport::new(&peer.name);
    let Some(bridges) = pair::Bridges::ask(peer, &report).await else { return report };
    let on_streams = async {
        let Some(pair) = pair::SessionPair::open(&bridges, &report).await else { return };
        tokio::join!(
            Box::pin(streams::check(&pair, &report)),
            Box::pin(lookups::check(&pair, &report)),
            Box::pin(refusals::check(&pair, &report)),
            Box::pin(identity::check(&pair, &report)),
            Box::pin(primary::check(&pair, &report)),
        );
    };
    tokio::join!(
        Box::pin(on_streams),
        Box::pin(datagrams::check(&bridges, &report)),
        Box::pin(supervision::check(&bridges, &report)),
    );
    report
}
