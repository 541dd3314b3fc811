//! Streams that cannot be, each told apart as far as the router tells them apart.

use i2p_name::{B32, I2pName};
use i2p_sam::Error;

use crate::{
    expected::Refusal,
    lab::Lab,
    report::{Failure, Outcome, Promised, Report, ensure, holds},
};

pub(crate) async fn check(lab: &Lab<'_>, report: &Report) {
    let expected = &lab.bridges.expected;
    tokio::join!(
        report.check("a stream to a host name that nobody has", async {
            let name = I2pName::parse("nobody-has-this-name.i2p").promised("a name")?;
            refused(lab, &name, expected.connect_unknown_name).await
        }),
        report.check("a stream to a base32 address of nobody", async {
            let name = I2pName::B32(B32::from_hash([9; 32]));
            refused(lab, &name, std::slice::from_ref(&expected.connect_unknown_b32)).await
        }),
        report.check("a stream to a destination of nobody", async {
            let keys = lab.bridges.peer.near.generate_keys().await.promised("keys")?;
            let name = I2pName::Destination(Box::new(keys.destination().clone()));
            refused(lab, &name, std::slice::from_ref(&expected.connect_nobody)).await
        }),
        report.check("base64 that is no destination is not even said to the router", malformed(lab)),
    );
}

async fn refused(lab: &Lab<'_>, name: &I2pName, expected: &[Refusal]) -> Outcome {
    let words: Vec<String> = expected.iter().map(ToString::to_string).collect();
    let words = words.join(" or ");
    let Err(error) = lab.near.connect(name, 80).await else {
        return Err(Failure::new(format!("promised: {words}; it was granted")));
    };
    ensure(expected.iter().any(|refusal| refusal.is(&error)), || format!("promised: {words}; {error}"))?;
    ensure(lab.near.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds(match &error {
        Error::Refused { result, message: Some(message), .. } => format!("{result}, {message:?}"),
        Error::Refused { result, .. } => result.to_string(),
        error => error.to_string(),
    })
}

#[allow(clippy::unused_async, reason = "a check is a future")]
async fn malformed(lab: &Lab<'_>) -> Outcome {
    let good = lab.far.destination().to_base64();
    let cut = good.get(..good.len() - 4).unwrap_or_default();
    for text in [cut.to_owned(), good.replacen(|c: char| c.is_ascii_alphanumeric(), "+", 1), "A".repeat(600)]
    {
        ensure(I2pName::parse(&text).is_err(), || format!("promised: NameError; taken: {text}"))?;
    }
    holds("")
}
