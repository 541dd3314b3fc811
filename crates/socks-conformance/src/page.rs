//! What is on `docs/conformance.md` beside the results.

use std::time::Duration;

use conformance_table::{
    command::Subject,
    page::{Measured, Page},
    recorded::Recording,
};

use crate::{rows, servers::Kind};

/// What Java I2P's proxy has done.
pub(crate) const JAVA: Recording =
    Recording { file: "crates/socks-conformance/recorded/java.txt", title: "Java I2P" };

const INTRODUCTION: &str = "\
# How SOCKS servers behave

Written by `cargo xtask socks-conformance --write`; do not edit. `cargo xtask socks-conformance`, a step of `cargo xtask ci`,
runs the suite again and compares its results with this page. It fails if the rows differ or if a mark of i2p-socks differs. It
only reports different marks of other servers, since their versions may differ. `SOCKS_CONFORMANCE_SUBJECT` (`ours`,
`microsocks`, `dante`, `i2pd`) chooses one server.

Each row is a conversation in raw bytes (`crates/socks-conformance/src/rows/`). All servers run on one machine, in a network
namespace that no packet leaves. They are all asked to connect to the same services on loopback. microsocks and Dante dial these
services and resolve their name with a name server of the suite. i2p-socks uses the project's test SAM bridge. i2pd has a
private network of two routers with tunnels of no hops, so its rows on relaying show the behaviour of both routers.

Debian has no Java I2P, so its column is a recording (`crates/socks-conformance/recorded/java.txt`) of a router that has the proxy
and the services on two destinations. [http-conformance.md](http-conformance.md) has how Java I2P is built. With its jars,
`JAVA_I2P=CHECKOUT/build SOCKS_CONFORMANCE_SUBJECT=java cargo xtask socks-conformance` records again; then write this page.

| mark | meaning |
|---|---|
| ✓ | the server behaves like this |
| ✗ | it does not; the notes below the table tell what it does instead |
| – | the row does not apply; the notes tell why |

A ✗ is not always a fault. The second column names the rule; if no RFC demands the behaviour, it names the reason.

";

const NOTE: &str = "\
The last column is measured but not judged. The target sends data as soon as it is connected, so the reply and this data are
two small packets. A server that leaves Nagle's algorithm on holds the second one back until the client acknowledges the
first one, about 40 ms later.";

/// The page of this suite.
pub(crate) fn page() -> Page<'static> {
    Page {
        file: "docs/conformance.md",
        introduction: INTRODUCTION,
        measured: Some(Measured { title: "time from the reply to data", note: NOTE }),
        ours: Kind::Ours.title(),
        rows: rows::all().map(|row| row.name).collect(),
    }
}

/// Rounds a time so that it does not change with every run.
pub(crate) fn roughly(time: Duration) -> String {
    match time.as_millis() {
        0..5 => "under 5 ms".into(),
        5..20 => "under 20 ms".into(),
        more => format!("about {} ms", (more + 5) / 10 * 10),
    }
}

#[cfg(test)]
mod tests {
    use programs::Workspace;

    use super::*;

    #[test]
    fn the_page_has_the_recording() {
        let differ = JAVA.differences(&Workspace::of_this_program().unwrap(), &page()).unwrap();
        assert!(differ.is_empty(), "write the page again: {differ:?}");
    }
}
