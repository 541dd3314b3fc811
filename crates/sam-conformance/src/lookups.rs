//! NAMING LOOKUP.

use std::time::Duration;

use i2p_name::{B32, HostName, I2pName};
use i2p_sam::Error;

use crate::{
    lab::Lab,
    report::{Failure, Outcome, Promised, Report, Verdict, ensure, holds},
    retry::{until, within},
};

/// A name that no address book has.
const UNKNOWN: &str = "nobody-has-this-name.i2p";
/// So short that a router's answer crosses the end of the wait.
const GIVEN_UP: Duration = Duration::from_micros(200);
/// For a lookup in an address book.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn check(lab: &Lab<'_>, report: &Report) {
    // One after the other: what one of them leaves behind, the next would find.
    report.check("lookup of a name", known(lab)).await;
    report.check("lookup of a name that nobody has", unknown(lab)).await;
    report.check("two lookups at once", two(lab)).await;
    report.check("a lookup that is given up leaves the next alone", given_up(lab)).await;
    report.check("lookup of an own base32 address, without a session", own_address(lab)).await;
    report.check("lookup of a base32 address that nobody has", unknown_address(lab)).await;
}

fn name(text: &str) -> Result<HostName, Failure> {
    text.parse().promised("a host name")
}

async fn known(lab: &Lab<'_>) -> Outcome {
    let Some(host) = lab.host else {
        return Ok(Verdict::NotApplicable("the near router's address book has no name for us".into()));
    };
    let found = lab.near.lookup(&host.name).await.promised("the destination of a name")?;
    ensure(found == host.destination, || "promised: the name's destination; another came".into())?;
    holds("")
}

/// That it was refused as this router does, and what it said.
fn refused<T>(lab: &Lab<'_>, result: Result<T, Error>) -> Result<String, Failure> {
    let expected = &lab.bridges.expected.lookup_unknown;
    match result {
        Err(error) if expected.is(&error) => Ok(expected.to_string()),
        Err(error) => Err(Failure::new(format!("promised: {expected}; {error}"))),
        Ok(_) => Err(Failure::new(format!("promised: {expected}; a destination came"))),
    }
}

async fn unknown(lab: &Lab<'_>) -> Outcome {
    let said = refused(lab, lab.near.lookup(&name(UNKNOWN)?).await)?;
    ensure(lab.near.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds(said)
}

async fn two(lab: &Lab<'_>) -> Outcome {
    let unknown = [name(UNKNOWN)?, name("nor-this-one.i2p")?];
    let [first, second] = &unknown;
    // The same twice, too: emissary loses one of two such lookups.
    let (a, b, c, known) =
        tokio::join!(lab.near.lookup(first), lab.near.lookup(second), lab.near.lookup(first), async {
            match lab.host {
                Some(host) => lab.near.lookup(&host.name).await.map(|found| found == host.destination),
                None => Ok(true),
            }
        });
    for result in [a, b, c] {
        refused(lab, result)?;
    }
    ensure(known.promised("the destination of a name")?, || "the answers were mixed up".into())?;
    holds("")
}

async fn given_up(lab: &Lab<'_>) -> Outcome {
    for _ in 0..3 {
        // Given up, or answered just in time: either may be.
        let _ = tokio::time::timeout(GIVEN_UP, lab.near.lookup(&name("given-up.i2p")?)).await;
        let next = name(UNKNOWN)?;
        let next = within(SOON, "the lookup after one that was given up", lab.near.lookup(&next));
        refused(lab, next.await?)?;
    }
    ensure(lab.near.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds("")
}

async fn own_address(lab: &Lab<'_>) -> Outcome {
    let address = I2pName::B32(lab.far.destination().b32());
    let near = &lab.bridges.peer.near;
    if !lab.bridges.expected.lookups_anywhere {
        return unsupported(near.lookup(&address).await);
    }
    let tried = until(lab.bridges.patience(), async || {
        near.lookup(&address).await.promised("the destination of an address")
    });
    let tried = tried.await?;
    ensure(tried.value == *lab.far.destination(), || "another destination came".into())?;
    holds(tried.seen())
}

async fn unknown_address(lab: &Lab<'_>) -> Outcome {
    let result = lab.bridges.peer.near.lookup(&I2pName::B32(B32::from_hash([7; 32]))).await;
    if lab.bridges.expected.lookups_anywhere { holds(refused(lab, result)?) } else { unsupported(result) }
}

fn unsupported<T>(result: Result<T, Error>) -> Outcome {
    match result {
        Err(error @ Error::Unsupported { .. }) => Ok(Verdict::NotApplicable(error.to_string())),
        Err(error) => Err(Failure::new(format!("promised: Error::Unsupported; {error}"))),
        Ok(_) => Err(Failure::new("promised: Error::Unsupported; a destination came")),
    }
}
