//! The first line of a request.

use anyhow::{Context, Result, bail, ensure};

use super::{Row, row};
use crate::{
    conversation::{Conversation, OK},
    wire::shown,
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row("a URL becomes a path and a query at the site", "RFC 9112 §3.2.1", |talk| {
        expect_path(talk, "GET {url}/path?query", "GET /path?query")
    }),
    row("a URL without a path: `/`", "RFC 9112 §3.2.1", |talk| expect_path(talk, "GET {url}", "GET /")),
    row("a URL with a query and no path: `/?query`", "RFC 9112 §3.2.1", |talk| {
        expect_path(talk, "GET {url}?query", "GET /?query")
    }),
    row("OPTIONS of a URL without a path: `*`", "RFC 9112 §3.2.4", |talk| {
        expect_path(talk, "OPTIONS {url}", "OPTIONS *")
    }),
    row(
        "escapes, dots and odd characters of a path stay as they are",
        "RFC 9110 §7.7: must not be changed",
        |talk| {
            let path = "/a/../%41%2f//b;c=d/:@!$&'()*+,~?%zz=[1]{2}";
            expect_path(talk, &format!("GET {{url}}{path}"), &format!("GET {path}"))
        },
    ),
    row("a URL of 8000 characters", "RFC 9110 §4.1: should be supported", |talk| {
        let path = format!("/{}", "x".repeat(8000));
        expect_path(talk, &format!("GET {{url}}{path}"), &format!("GET {path}"))
    }),
    row("the scheme in capitals", "RFC 3986 §3.1: case does not matter", |talk| {
        let url = talk.filled("{url}")?.replace("http", "HTTP");
        expect_path(talk, &format!("GET {url}/x"), "GET /x")
    }),
    row(
        "PUT, DELETE, PATCH and a method that nobody knows pass",
        "RFC 9110 §9.1: methods are extensible",
        |talk| {
            for method in ["PUT", "DELETE", "PATCH", "FROBNICATE"] {
                expect_path(talk, &format!("{method} {{url}}/x"), &format!("{method} /x")).context(method)?;
            }
            Ok(())
        },
    ),
    row("an empty line before the request is ignored", "RFC 9112 §2.2", |talk| {
        let head = talk.head_at_site("\r\nGET {url}/x HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        ensure!(head.starts_with("GET /x "), "the site gets {:?}", shown(&head));
        Ok(())
    }),
    row(
        "a user name in a URL does not reach the site",
        "RFC 9110 §4.2.4: disguises where a link leads",
        |talk| {
            let url = talk.filled("http://user:secret@{host}/x")?;
            talk.expect_refusal_or(&format!("GET {url} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"), |got| {
                ensure!(!got.contains("secret"), "the site gets {:?}", shown(got));
                Ok(())
            })
        },
    ),
    row("the fragment of a URL does not reach the site", "RFC 9110 §4.2.5: it is never sent", |talk| {
        talk.expect_refusal_or("GET {url}/x#secret HTTP/1.1\r\nHost: {host}\r\n\r\n", |got| {
            ensure!(!got.contains("secret"), "the site gets {:?}", shown(got));
            Ok(())
        })
    }),
    row("port 0, one over 65535, and one that is no number: refused", "RFC 3986 §3.2.3", |talk| {
        for port in ["0", "65616", "http", "-80", "8 0", "80:80"] {
            let url = format!("http://{}:{port}/", talk.host);
            talk.expect_refusal(&format!("GET {url} HTTP/1.1\r\nHost: {}\r\n\r\n", talk.host))
                .context(port)?;
        }
        Ok(())
    }),
    row("whitespace in a URL: refused", "RFC 9112 §3: 400, not guessed", |talk| {
        expect_all_refused(talk, &["GET {url}/a b HTTP/1.1", "GET  {url}/ HTTP/1.1", "GET\t{url}/ HTTP/1.1"])
    }),
    row("a URL without a host: refused", "RFC 9110 §4.2.1: invalid", |talk| {
        expect_all_refused(talk, &["GET http:///x HTTP/1.1", "GET http:// HTTP/1.1"])
    }),
    row("only a path: refused", "RFC 9112 §3.2.2: a proxy gets URLs", |talk| {
        expect_all_refused(talk, &["GET /x HTTP/1.1"])
    }),
    row("a word instead of a URL: refused", "RFC 9112 §3.2", |talk| {
        expect_all_refused(talk, &["GET x HTTP/1.1"])
    }),
    row("https in a URL: refused, never sent in the clear", "RFC 9110 §4.2.2: TLS is required", |talk| {
        let host = talk.filled("{host}")?;
        expect_all_refused(talk, &[&format!("GET https://{host}/ HTTP/1.1")])
    }),
    row("HTTP/2 and HTTP/3 in the first line: refused", "RFC 9110 §2.5: 505", |talk| {
        expect_all_refused(talk, &["GET {url}/ HTTP/2.0", "GET {url}/ HTTP/3"])
    }),
    row("a malformed version: refused", "RFC 9112 §2.3", |talk| {
        expect_all_refused(talk, &["GET {url}/ HTTQ/1.1", "GET {url}/ HTTP/1.1x", "GET {url}/ HTTP/1"])
    }),
    row("the preface of HTTP/2: an error, or closed", "RFC 9113 §3.4: must fail on other servers", |talk| {
        talk.expect_refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    }),
    row("TRACE shows the client nothing that the proxy adds", "RFC 9110 §9.3.8", |talk| {
        talk.expect_refusal_or("TRACE {url}/ HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 0\r\n\r\n", |got| {
            bail!("passed on, in spite of Max-Forwards: {:?}", shown(got))
        })
    }),
    row("OPTIONS with Max-Forwards 0 is answered by the proxy", "RFC 9110 §7.6.2", |talk| {
        match talk.outcome("OPTIONS {url}/ HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 0\r\n\r\n")? {
            crate::conversation::Outcome::Refused(200..=299) => Ok(()),
            other => bail!("{other:?}"),
        }
    }),
    row("OPTIONS: Max-Forwards is counted down", "RFC 9110 §7.6.2", |talk| {
        let head = talk.head_at_site("OPTIONS {url}/ HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 5\r\n\r\n")?;
        let left = crate::wire::field(&head, "Max-Forwards");
        ensure!(left == Some("4"), "the site gets {left:?}");
        Ok(())
    }),
    row("CONNECT: a stream in both directions", "RFC 9110 §9.3.6", connect),
    row("CONNECT without a port, or with a bad one: refused", "RFC 9112 §3.2.3", |talk| {
        for target in [talk.host.to_owned(), format!("{}:0", talk.host), format!("{}:x", talk.host)] {
            talk.expect_refusal(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"))
                .context(target)?;
        }
        Ok(())
    }),
];

/// Fails unless this first line becomes that one at the site.
fn expect_path(talk: &mut Conversation<'_>, line: &str, expected: &str) -> Result<()> {
    let head = talk.head_at_site(&format!("{line} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))?;
    ensure!(head.starts_with(&format!("{expected} HTTP/1.")), "the site gets {:?}", shown(&head));
    Ok(())
}

fn expect_all_refused(talk: &mut Conversation<'_>, lines: &[&str]) -> Result<()> {
    for line in lines {
        talk.expect_refusal(&format!("{line}\r\nHost: {{host}}\r\n\r\n"))
            .with_context(|| (*line).to_owned())?;
    }
    Ok(())
}

fn connect(talk: &mut Conversation<'_>) -> Result<()> {
    let mut client = talk.sent("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    let head = client.head()?;
    ensure!(head.starts_with("HTTP/1.") && head.contains(" 200 "), "answered {:?}", shown(&head));
    client.send("GET /inside HTTP/1.1\r\n\r\n")?;
    let (head, _) = talk.exchange_on(&mut client, "GET", OK)?;
    ensure!(head == "GET /inside HTTP/1.1\r\n\r\n", "the site gets {:?}", shown(&head));
    Ok(())
}
