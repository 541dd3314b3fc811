#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod datagrams;
mod expected;
mod identity;
mod lab;
mod lookups;
mod peer;
mod primary;
mod refusals;
mod relay;
mod report;
mod retry;
mod service;
mod streams;
mod supervision;

pub use peer::{Host, Peer};
pub use report::Report;

/// Runs every check against `peer`, those that do not need each other at once, and prints a line for each.
pub async fn run(peer: &Peer) -> Report {
    let report = Report::new(&peer.name);
    let Some(bridges) = lab::Bridges::ask(peer, &report).await else { return report };
    let on_streams = async {
        let Some(lab) = lab::Lab::open(&bridges, &report).await else { return };
        tokio::join!(
            Box::pin(streams::check(&lab, &report)),
            Box::pin(lookups::check(&lab, &report)),
            Box::pin(refusals::check(&lab, &report)),
            Box::pin(identity::check(&lab, &report)),
            Box::pin(primary::check(&lab, &report)),
        );
    };
    tokio::join!(
        Box::pin(on_streams),
        Box::pin(datagrams::check(&bridges, &report)),
        Box::pin(supervision::check(&bridges, &report)),
    );
    report
}
