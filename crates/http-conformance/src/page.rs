//! What is on `docs/http-conformance.md` beside the results.

use conformance_table::{command::Subject, page::Page, recorded::Recording};

use crate::{rows, servers::Kind};

/// What Java I2P's proxy has done.
pub(crate) const JAVA: Recording =
    Recording { file: "crates/http-conformance/recorded/java.txt", title: "Java I2P" };

const INTRODUCTION: &str = "\
# How HTTP proxies behave

Written by `cargo xtask http-conformance --write`; do not edit. `cargo xtask http-conformance`, a step of `cargo xtask ci`, runs
the suite again and compares its results with this page. It fails if the rows differ or if a mark of i2p-socks differs. It only
reports different marks of other proxies, since their versions may differ. `HTTP_CONFORMANCE_SUBJECT` (`ours`, `i2pd`,
`privoxy`, `tinyproxy`) chooses one proxy.

Each row is a conversation in raw bytes (`crates/http-conformance/src/rows/`): a client that sends requests for
`http://` URLs, and the site, which records what it gets. All proxies run on one machine, in a network namespace that no
packet leaves. i2p-socks uses the project's test SAM bridge. i2pd's HTTP proxy has a private network of two routers with tunnels
of no hops, so its rows show the behaviour of its streams too. privoxy and tinyproxy are configured as in Debian, and dial the
sites.

Debian has no Java I2P, so its column is a recording (`crates/http-conformance/recorded/java.txt`) of a router that has the proxy
and the sites on two destinations. Its tunnels have no hops, and its server accepts any number of streams. To record again, build
Java I2P in a checkout of its sources, and run the suite with the jars. Then write this page.

```sh
ant -Dno.bundle=true buildrouter buildI2PTunnelJars buildAddressbookJar
JAVA_I2P=CHECKOUT/build HTTP_CONFORMANCE_SUBJECT=java cargo xtask http-conformance
```

| mark | meaning |
|---|---|
| ✓ | the proxy behaves like this |
| ✗ | it does not; the notes below the table tell what it does instead |
| – | the row does not apply; the notes tell why |

A ✗ is not always a fault. The second column names the rule; if no RFC demands the behaviour, it names the reason. A row of bad
input is held by a proxy that refuses it, and also by one that mends it before it passes it on.

";

/// The page of this suite.
pub(crate) fn page() -> Page<'static> {
    Page {
        file: "docs/http-conformance.md",
        introduction: INTRODUCTION,
        measured: None,
        ours: Kind::Ours.title(),
        rows: rows::all().map(|row| row.name).collect(),
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
