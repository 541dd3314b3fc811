//! Streams that cannot be connected, with the reason as far as the router reports it.

use i2p_name::{B32, I2pName};
use i2p_sam::Error;

use crate::{
    expected::ExpectedRefusal,
    pair::SessionPair,
    report::{CheckFailure, CheckResult, ConformanceReport, Promised, ensure, holds},
};

pub(crate) async fn check(pair: &SessionPair<'_>, report: &ConformanceReport) {
    let expected = &pair.bridges.expected;
    tokio::join!(
        report.check("a stream to an unknown host name", async {
            let name = I2pName::parse("nobody-has-this-name.i2p").promised("a name")?;
            refused(pair, &name, expected.connect_unknown_name).await
        }),
        report.check("a stream to an unknown base32 address", async {
            let name = I2pName::B32(B32::from_hash([9; 32]));
            refused(pair, &name, std::slice::from_ref(&expected.connect_unknown_b32)).await
        }),
        report.check("a stream to an unknown destination", async {
            let keys = pair.bridges.peer.near.generate_keys().await.promised("keys")?;
            let name = I2pName::Destination(Box::new(keys.destination().clone()));
            refused(pair, &name, std::slice::from_ref(&expected.connect_unknown_destination)).await
        }),
        report.check("base64 that is no destination is not sent to the router", malformed(pair)),
    );
}

async fn refused(pair: &SessionPair<'_>, name: &I2pName, expected: &[ExpectedRefusal]) -> CheckResult {
    let words: Vec<String> = expected.iter().map(ToString::to_string).collect();
    let words = words.join(" or ");
    let Err(error) = pair.near.connect(name, 80).await else {
        return Err(CheckFailure::new(format!("promised: {words}; it was connected")));
    };
    ensure(expected.iter().any(|refusal| refusal.is(&error)), || format!("promised: {words}; {error}"))?;
    ensure(pair.near.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds(match &error {
        Error::Refused { result, message: Some(message), .. } => format!("{result}, {message:?}"),
        Error::Refused { result, .. } => result.to_string(),
        error => error.to_string(),
    })
}

#[allow(clippy::unused_async, reason = "a check is a future")]
async fn malformed(pair: &SessionPair<'_>) -> CheckResult {
    let good = pair.far.destination().to_base64();
    let cut = good.get(..good.len() - 4).unwrap_or_default();
    for text in [cut.to_owned(), good.replacen(|c: char| c.is_ascii_alphanumeric(), "+", 1), "A".repeat(600)]
    {
        ensure(I2pName::parse(&text).is_err(), || format!("promised: NameError; accepted: {text}"))?;
    }
    holds("")
}
