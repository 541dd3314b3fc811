//! What a page can do through an outproxy.

use std::time::Duration;

use anyhow::{Result, ensure};
use sam_testkit::TestBridge;
use tokio::time::Instant;

use crate::{
    client::{CONNECT, Client},
    evil_outproxy::{EvilOutproxy, Language},
    proxy::Proxy,
    target::Target,
};

/// More than it takes to throw an outproxy out for everybody, when it fails before it knows the targets.
const HANGING_TARGETS: usize = 8;

/// Pages make clients ask for targets that never answer, to steer all others to the next outproxy. These clients are on two machines,
/// and each request has an identity of its own: an outproxy that fails one machine, or one identity, is suspected by nobody else.
pub(super) async fn hanging_targets(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let (first, second) = (
        EvilOutproxy::start(Language::HttpConnect).await?,
        // It serves every target. If it failed as well, the first one would be tried first again.
        EvilOutproxy::start_obliging(Language::HttpConnect).await?,
    );
    let configuration = format!(
        "[limits]\ndial = \"3s\"\n{}{}[[route]]\nvia = [\"first\", \"second\"]\n",
        first.definition("first", Language::HttpConnect),
        second.definition("second", Language::HttpConnect)
    );
    let proxy = Proxy::start(target, &bridge, &configuration).await?;
    let anna = Client::at(1).named("anna");
    let granted = anna.ask(proxy.address(), CONNECT, "before.example", 80).await?;
    ensure!(granted.code == 0, "refused with code {}", granted.code);
    let begin = Instant::now();
    for (number, machine) in (0..HANGING_TARGETS).zip([2, 3].into_iter().cycle()) {
        let eve = Client::at(machine).named(format!("eve{number}"));
        let answer = eve.ask(proxy.address(), CONNECT, &format!("hang{number}.example"), 80).await?;
        ensure!(answer.code == 0, "target {number} is refused with code {}", answer.code);
    }
    ensure!(begin.elapsed() < Duration::from_secs(60), "the attack took {:?}", begin.elapsed());
    anna.ask(proxy.address(), CONNECT, "after.example", 80).await?;
    ensure!(
        first.asked().iter().any(|host| host == "after.example"),
        "another client's request went to the second outproxy"
    );
    Ok(format!(
        "after {HANGING_TARGETS} hanging targets of two machines, another client still gets the first outproxy"
    ))
}
