//! NAMING LOOKUP.

use std::time::Duration;

use i2p_name::{B32, HostName, I2pName};
use i2p_sam::Error;

use crate::{
    pair::SessionPair,
    report::{CheckFailure, CheckOutcome, CheckResult, ConformanceReport, Promised, ensure, holds},
    retry::{until, within},
};

/// A name that no address book holds.
const UNKNOWN_NAME: &str = "nobody-has-this-name.i2p";
/// So short that the router's answer arrives about when the lookup is given up.
const GIVE_UP_AFTER: Duration = Duration::from_micros(200);
/// How long to wait for a lookup in an address book.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn check(pair: &SessionPair<'_>, report: &ConformanceReport) {
    // One after the other, so that none disturbs the next.
    report.check("lookup of a name", known(pair)).await;
    report.check("lookup of an unknown name", unknown(pair)).await;
    report.check("two lookups at once", two(pair)).await;
    report.check("a lookup that is given up does not disturb the next", given_up(pair)).await;
    report.check("lookup of the far session's base32 address, without a session", own_address(pair)).await;
    report.check("lookup of an unknown base32 address", unknown_address(pair)).await;
}

fn name(text: &str) -> Result<HostName, CheckFailure> {
    text.parse().promised("a host name")
}

async fn known(pair: &SessionPair<'_>) -> CheckResult {
    let Some(host) = pair.host else {
        return Ok(CheckOutcome::NotApplicable("the near router's address book has no name for us".into()));
    };
    let found = pair.near.lookup(&host.name).await.promised("the destination of a name")?;
    ensure(found == host.destination, || "promised: the name's destination; another was returned".into())?;
    holds("")
}

/// Checks that a lookup was refused as expected of this router, and returns the refusal.
fn refused<T>(pair: &SessionPair<'_>, result: Result<T, Error>) -> Result<String, CheckFailure> {
    let expected = &pair.bridges.expected.lookup_unknown;
    match result {
        Err(error) if expected.is(&error) => Ok(expected.to_string()),
        Err(error) => Err(CheckFailure::new(format!("promised: {expected}; {error}"))),
        Ok(_) => Err(CheckFailure::new(format!("promised: {expected}; a destination was returned"))),
    }
}

async fn unknown(pair: &SessionPair<'_>) -> CheckResult {
    let said = refused(pair, pair.near.lookup(&name(UNKNOWN_NAME)?).await)?;
    ensure(pair.near.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds(said)
}

async fn two(pair: &SessionPair<'_>) -> CheckResult {
    let unknown = [name(UNKNOWN_NAME)?, name("nor-this-one.i2p")?];
    let [first, second] = &unknown;
    // One name twice, too: emissary loses one of two such lookups.
    let (a, b, c, known) =
        tokio::join!(pair.near.lookup(first), pair.near.lookup(second), pair.near.lookup(first), async {
            match pair.host {
                Some(host) => pair.near.lookup(&host.name).await.map(|found| found == host.destination),
                None => Ok(true),
            }
        });
    for result in [a, b, c] {
        refused(pair, result)?;
    }
    ensure(known.promised("the destination of a name")?, || {
        "promised: each lookup its own answer; they were mixed up".into()
    })?;
    holds("")
}

async fn given_up(pair: &SessionPair<'_>) -> CheckResult {
    for _ in 0..3 {
        // It may be given up, or answered just in time.
        let _ = tokio::time::timeout(GIVE_UP_AFTER, pair.near.lookup(&name("given-up.i2p")?)).await;
        let next = name(UNKNOWN_NAME)?;
        let next = within(LOOKUP_TIMEOUT, "the lookup after one that was given up", pair.near.lookup(&next));
        refused(pair, next.await?)?;
    }
    ensure(pair.near.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds("")
}

async fn own_address(pair: &SessionPair<'_>) -> CheckResult {
    let address = I2pName::B32(pair.far.destination().b32());
    let near = &pair.bridges.peer.near;
    if !pair.bridges.expected.lookups_without_session {
        return unsupported(near.lookup(&address).await);
    }
    let tried = until(pair.bridges.patience(), async || {
        near.lookup(&address).await.promised("the destination of an address")
    });
    let tried = tried.await?;
    ensure(tried.value == *pair.far.destination(), || {
        "promised: the far session's destination; another was returned".into()
    })?;
    holds(tried.seen())
}

async fn unknown_address(pair: &SessionPair<'_>) -> CheckResult {
    let result = pair.bridges.peer.near.lookup(&I2pName::B32(B32::from_hash([7; 32]))).await;
    if pair.bridges.expected.lookups_without_session {
        holds(refused(pair, result)?)
    } else {
        unsupported(result)
    }
}

fn unsupported<T>(result: Result<T, Error>) -> CheckResult {
    match result {
        Err(error @ Error::Unsupported { .. }) => Ok(CheckOutcome::NotApplicable(error.to_string())),
        Err(error) => Err(CheckFailure::new(format!("promised: Error::Unsupported; {error}"))),
        Ok(_) => Err(CheckFailure::new("promised: Error::Unsupported; a destination was returned")),
    }
}
