//! HTTP/1.1 as a client speaks it with a site itself.

use proptest::prelude::*;
use stream_filters::{Cut, Filter, Next, Output, Protocol, http::Via};

use crate::session::{Outcome, Words, check_chunks, client, conversations, holds, run, run_in, sent, server};

const HTTP: Protocol = Protocol::Http;

/// What a request begins with.
const GET: &str = "GET / HTTP/1.1\r\nHost: forum.i2p\r\n";
/// What becomes of it.
const GOT: &str = "GET / HTTP/1.1\r\nHost: forum.i2p\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n";

/// What a site gets of these fields.
fn fields(fields: &str) -> String {
    let got = sent(HTTP, &format!("{GET}{fields}\r\n"));
    got.strip_prefix(GOT).and_then(|got| got.strip_suffix("\r\n")).unwrap_or(&got).to_owned()
}

/// How a client ends that says this.
fn end(text: &str) -> Result<Next, Cut> {
    run(HTTP, &[client(text)]).end
}

/// A request with these fields and what the server says then.
fn answered(request: &str, answer: &str) -> Outcome {
    run(HTTP, &[client(request), server(answer)])
}

fn event_texts(outcome: &Outcome) -> Vec<String> {
    outcome.events.iter().map(ToString::to_string).collect()
}

#[test]
fn programs_look_the_same() {
    // As curl, wget and Firefox send them.
    let requests = [
        "GET /a HTTP/1.1\r\nHost: forum.i2p\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nCookie: b=c\r\n\r\n",
        "GET /a HTTP/1.1\r\nCookie: b=c\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\nHost: forum.i2p\r\n\
         Connection: Keep-Alive\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost:forum.i2p\r\nAccept:\t*/* \r\nAccept-Language: de-CH\r\nDNT: 1\r\n\
         Connection: keep-alive\r\nPriority: u=0, i\r\nCookie: b=c\r\nReferer: http://search.i2p/?q=forum\r\n\r\n",
    ];
    for request in requests {
        let expected = "GET /a HTTP/1.1\r\nHost: forum.i2p\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\nAccept: */*\r\n\
                        Cookie: b=c\r\n\r\n";
        assert_eq!(sent(HTTP, request), expected, "{request}");
    }
    let mut output = Output::default();
    Filter::new(HTTP).with_via(Via::Outproxy).client(requests[0].as_bytes(), &mut output).unwrap();
    assert!(holds(&output.bytes, Via::Outproxy.user_agent()));
}

#[test]
fn the_site_is_that_of_each_request() {
    let request = |host: &str| {
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://a.i2p\r\nReferer: http://a.i2p/x\r\n\r\n")
    };
    let got = |host: &str, fields: &str| {
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n{fields}\r\n")
    };
    assert_eq!(
        sent(HTTP, &(request("A.i2p") + &request("b.i2p"))),
        got("A.i2p", "Origin: http://A.i2p\r\nReferer: /x\r\n") + &got("b.i2p", "Origin: null\r\n")
    );
    let outcome = run(HTTP, &[client(&request("b.i2p"))]);
    assert_eq!(
        event_texts(&outcome),
        ["replaced: site that the person comes from", "removed: site that the person comes from"]
    );
}

#[test]
fn what_is_about_the_connection_ends_here() {
    for (said, got) in [
        ("Connection: keep-alive, X-Secret\r\nX-Secret: laptop\r\nKeep-Alive: 300\r\n", ""),
        ("Connection: close\r\nProxy-Connection: close\r\n", "Connection: close\r\n"),
        ("TE: gzip, trailers\r\nConnection: TE, Close\r\nTrailer: a\r\n", "Connection: close\r\n"),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", ""),
        ("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", ""),
        ("Connection: upgrade\r\nUpgrade: TLS/1.0\r\n", ""),
        ("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", ""),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 9\r\n", "Content-Length: 9\r\n"),
        ("Expect: 100-Continue\r\nExpect: laptop\r\n", "Expect: 100-Continue\r\n"),
        ("Connection: content-length, host\r\nContent-Length: 0\r\n", "Content-Length: 0\r\n"),
    ] {
        assert_eq!(fields(said), got, "{said}");
    }
    // Their answers have a form of their own.
    for line in ["HEAD / HTTP/1.1", "CONNECT forum.i2p HTTP/1.1"] {
        let said = format!("{line}\r\nHost: forum.i2p\r\n{WEB_SOCKET}");
        assert!(!holds(&run(HTTP, &[client(&said)]).to_server, "upgrade"), "{line}");
    }
    let old = "GET / HTTP/1.0\r\nConnection: Keep-Alive, upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(
        sent(HTTP, old),
        "GET / HTTP/1.0\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\nConnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn trackers_learn_no_address() {
    let announce = "GET /a?info_hash=%12&IP=192.0.2.1&port=1&ip=own.i2p HTTP/1.1\r\nHost: t.i2p\r\n\r\n";
    let outcome = run(HTTP, &[client(announce)]);
    assert!(outcome.server_text().starts_with("GET /a?info_hash=%12&port=1&ip=own.i2p HTTP/1.1\r\n"));
    assert_eq!(event_texts(&outcome), ["removed: address in an announce"]);
    let other = "GET /a?ip=192.0.2.1 HTTP/1.1\r\n";
    assert!(sent(HTTP, &format!("{other}Host: a\r\n\r\n")).starts_with(other));
}

#[test]
fn bodies_pass() {
    let post = |fields: &str, body: &str| {
        sent(HTTP, &format!("{GET}{fields}\r\n{body}{GET}\r\n"))
            .strip_prefix(GOT)
            .and_then(|rest| rest.strip_suffix(&format!("{GOT}\r\n")))
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(post("Content-Length: 10\r\n", "GET laptop"), "Content-Length: 10\r\n\r\nGET laptop");
    assert_eq!(
        post(
            "Transfer-Encoding: Chunked\r\n",
            "003;name=laptop\r\na\r\n\r\nA\r\n0123456789\r\n0\r\nFrom: mary\r\n\r\n"
        ),
        "Transfer-Encoding: chunked\r\n\r\n3\r\na\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"
    );
    // What is there of a body passes at once.
    let part = run(HTTP, &[client(&format!("{GET}Content-Length: 10\r\n\r\nabc"))]);
    assert!(part.server_text().ends_with("\r\n\r\nabc"));
}

#[test]
fn what_could_be_read_in_two_ways_is_cut() {
    use Cut::{AmbiguousLength, Chunks, Host, LineEnd, MalformedField, NotHttp};
    for (fields, cut) in [
        ("Content-Length: 1\r\nContent-Length: 1\r\n\r\n", AmbiguousLength),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", AmbiguousLength),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", AmbiguousLength),
        ("Transfer-Encoding: chunked, gzip\r\n\r\n", AmbiguousLength),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n", AmbiguousLength),
        ("Transfer-Encoding: identity\r\n\r\n", AmbiguousLength),
        ("Content-Length: 1, 1\r\n\r\n", AmbiguousLength),
        ("Content-Length: +1\r\n\r\n", AmbiguousLength),
        ("Content-Length:\r\n\r\n", AmbiguousLength),
        ("Content-Length: 99999999999999999999\r\n\r\n", AmbiguousLength),
        ("Content-Length : 1\r\n\r\n", MalformedField),
        (" folded: 1\r\n\r\n", MalformedField),
        ("a: b\r\n\tc\r\n\r\n", MalformedField),
        ("no colon\r\n\r\n", MalformedField),
        (": b\r\n\r\n", MalformedField),
        ("a: \0\r\n\r\n", MalformedField),
        ("a: \u{7f}", MalformedField),
        ("a: b\n\r\n", LineEnd),
        ("a: b\rc: d\r\n\r\n", LineEnd),
        ("a: b\r\r\n\r\n", LineEnd),
        ("Host: forum.i2p\r\n\r\n", Host),
        ("Transfer-Encoding: chunked\r\n\r\n\r\n", Chunks),
        ("Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", Chunks),
        ("Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", Chunks),
        ("Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", Chunks),
        ("Transfer-Encoding: chunked\r\n\r\n00000000000000005\r\nhello\r\n0\r\n\r\n", Chunks),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n", Chunks),
        ("Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", LineEnd),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", LineEnd),
        ("\r\nhello", NotHttp),
    ] {
        let text = format!("{GET}{fields}laptop\r\n");
        assert_eq!(end(&text), Err(cut), "{fields:?}");
        assert!(!holds(&run(HTTP, &[client(&text)]).to_server, "laptop"), "{fields:?}");
    }
    for (line, cut) in [
        ("GET  / HTTP/1.1", NotHttp),
        ("GET / HTTP/1.1 ", NotHttp),
        (" GET / HTTP/1.1", NotHttp),
        ("GET /a b HTTP/1.1", NotHttp),
        ("GET\t/\tHTTP/1.1", NotHttp),
        ("GET /a\tb HTTP/1.1", NotHttp),
        ("GET /a\u{85}b HTTP/1.1", NotHttp),
        ("G(T / HTTP/1.1", NotHttp),
        ("GET /", NotHttp),
        ("GET /#laptop HTTP/1.1", NotHttp),
        ("GET laptop HTTP/1.1", NotHttp),
        ("GET * HTTP/1.1", NotHttp),
        ("GET https://a/ HTTP/1.1", NotHttp),
        ("GET / HTTP/1.2", NotHttp),
        ("GET / http/1.1", NotHttp),
        ("GET / HTTP/1.1\u{b}", NotHttp),
        ("GET http://b/ HTTP/1.1", Host),
        ("GET http://laptop@a/ HTTP/1.1", Host),
        ("CONNECT / HTTP/1.1", NotHttp),
    ] {
        assert_eq!(end(&format!("{line}\r\nHost: a\r\n\r\n")), Err(cut), "{line:?}");
    }
    for host in
        ["Host: a b", "Host: u@a", "Host: a/", "Host: a, b", "Host: a:b", "Host: [::1", "Host: :80", "A: b"]
    {
        assert_eq!(end(&format!("GET / HTTP/1.1\r\n{host}\r\n\r\n")), Err(Host), "{host}");
    }
    for version in ["Content-Length: 1", "Transfer-Encoding: chunked"] {
        let connect = format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n{version}\r\n\r\n");
        assert_eq!(end(&connect), Err(AmbiguousLength), "{version}");
    }
    assert_eq!(end("GET http://a/ HTTP/1.0\r\n\r\n"), Err(Host));
    assert_eq!(end("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(AmbiguousLength));
}

#[test]
fn targets_of_every_form_pass() {
    for head in [
        "OPTIONS * HTTP/1.1\r\nHost: a",
        "GET http://a/b HTTP/1.1\r\nHost: a",
        "GET HTTP://A:80/b HTTP/1.1\r\nHost: a",
        "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80",
        "GET /\u{e4} HTTP/1.1\r\nHost: a:8080",
        "GET / HTTP/1.1\r\nHost: AAAA~-a=.i2p",
        "GET / HTTP/1.1\r\nHost: ",
    ] {
        assert!(sent(HTTP, &format!("{head}\r\n\r\n")).starts_with(head), "{head}");
    }
}

#[test]
fn other_protocols_are_cut() {
    assert_eq!(end("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(Cut::Http2));
    // Before a second line, for which such a client would not begin to wait.
    for text in
        ["SSH-2.0-OpenSSH_9.6\r\n", "\u{13}BitTorrent protocol", "EHLO laptop\r\n", "\r\n\r\n\r\n\r\n\r\n"]
    {
        assert_eq!((end(text), sent(HTTP, text).as_str()), (Err(Cut::NotHttp), ""), "{text:?}");
    }
    assert_eq!(sent(HTTP, &format!("\r\n\r\n{GET}\r\n")), format!("{GOT}\r\n"));
}

#[test]
fn heads_are_bounded() {
    let long = format!("{GET}a: {}", "b".repeat(70_000));
    assert_eq!(end(&long), Err(Cut::HeadTooLong { limit: 65_536 }));
    let lines = format!("{GET}{}\r\n", "a: b\r\n".repeat(128));
    assert_eq!(end(&lines), Err(Cut::TooManyFields { limit: 128 }));
    let lines = format!("{GET}{}\r\n", "a: b\r\n".repeat(127));
    assert_eq!(end(&lines), Ok(Next::Filter));
    let trailers = format!("{GET}Transfer-Encoding: chunked\r\n\r\n0\r\n{}", "a: b\r\n".repeat(129));
    assert_eq!(end(&trailers), Err(Cut::Chunks));
    assert_eq!(end(&format!("{GET}\r\n").repeat(4097)), Err(Cut::TooManyCommands { limit: 4096 }));
}

#[test]
fn answers_are_told_apart() {
    let head = GET.replace("GET", "HEAD") + "\r\n";
    let get = format!("{GET}\r\n");
    let outcome = run(
        HTTP,
        &[
            client(&(head.clone() + &get + &get)),
            server(
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nAlt-Svc: a\r\n\r\nHTTP/1.1 304 \r\nalt-svc: b\r\n\r\n",
            ),
            server(
                "HTTP/1.1 103 Early\r\nNEL: x\r\n\r\nHTTP/1.1 200\r\nContent-Length: 11, 11\r\n\r\nAlt-Svc: no",
            ),
            client(&(get.clone() + &get + &get)),
            server("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n"),
            server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
            server(
                "3;x\r\nabc\r\n0 \r\nAlt-Svc: c\r\n\r\n\r\nHTTP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nAlt-Svc: no\r\n",
            ),
        ],
    );
    assert_eq!(
        outcome.client_text(),
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 304 \r\n\r\n\
         HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200\r\nContent-Length: 11\r\n\r\nAlt-Svc: no\
         HTTP/1.1 204 No\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nAlt-Svc: no\r\n"
    );
    assert_eq!(outcome.end, Ok(Next::Filter));
}

#[test]
fn the_body_follows_once_the_site_wants_it() {
    let outcome = run(
        HTTP,
        &[
            client(&format!("{GET}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")),
            server("HTTP/1.1 100 Continue\r\n\r\n"),
            client("abc"),
            server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
    );
    assert!(outcome.server_text().ends_with("\r\nExpect: 100-continue\r\n\r\nabc"));
    assert_eq!(
        outcome.client_text(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    );
}

const WEB_SOCKET: &str =
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

#[test]
fn web_sockets_are_let_go() {
    let request = client(&format!("{GET}\r\n{GET}{WEB_SOCKET}"));
    let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{switched}\u{1}raw\n");
    let outcome = run(HTTP, &[request.clone(), server(&answer), client("raw laptop\n")]);
    assert_eq!(
        outcome.server_text(),
        format!(
            "{GOT}\r\n{GOT}Sec-Websocket-Key: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nraw laptop\n"
        )
    );
    assert_eq!((outcome.client_text(), outcome.end), (answer, Ok(Next::Release)));
    // What follows before the answer can be either protocol.
    assert_eq!(run(HTTP, &[request, client("G")]).end, Err(Cut::EarlyData));
    let refused = server("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    let outcome = run(
        HTTP,
        &[client(&format!("{GET}{WEB_SOCKET}")), refused, client(&format!("{GET}From: mary\r\n\r\n"))],
    );
    assert!(outcome.server_text().ends_with(&format!("{GOT}\r\n")));
    // Nobody asked.
    for request in [format!("{GET}\r\n"), format!("{GET}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")] {
        let outcome = answered(&request, switched);
        assert_eq!((outcome.client_text().as_str(), outcome.end), ("", Err(Cut::UnaskedAnswer)), "{request}");
    }
}

#[test]
fn tunnels_are_let_go() {
    let connect = "CONNECT a.i2p:443 HTTP/1.1\r\nHost: a.i2p:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n";
    let outcome = run(
        HTTP,
        &[
            client(connect),
            server("HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx"),
            client(connect),
            server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw"),
            client("\u{16}laptop"),
        ],
    );
    let got = "CONNECT a.i2p:443 HTTP/1.1\r\nHost: a.i2p:443\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\
               Proxy-Authorization: Basic eDp5\r\n\r\n";
    assert_eq!(outcome.server_text(), format!("{got}{got}\u{16}laptop"));
    assert_eq!(
        (outcome.client_text().as_str(), outcome.end),
        ("HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\nraw", Ok(Next::Release))
    );
    assert_eq!(run(HTTP, &[client(connect), client("\u{16}")]).end, Err(Cut::EarlyData));
}

#[test]
fn heads_of_answers_are_read_as_any_client_reads_them() {
    for (said, got) in [
        ("A: b\nAlt-Svc: c\nD: e\n\n", "A: b\r\nD: e\r\n\r\n"),
        ("A: b\rAlt-Svc: c\r\n\r\n", "A: b\r\n\r\n"),
        ("Alt-Svc : c\r\nA : b\r\n\r\n", "A: b\r\n\r\n"),
        ("A:\r\n b\r\n \r\nB:\r\n\r\n", "A: b\r\nB:\r\n\r\n"),
        ("Alt-Svc: c\r\n d\r\nA: b\r\n \tc \r\n\r\n", "A: b c\r\n\r\n"),
        ("no colon\r\nA\0: b\r\nA: b\0\r\nA: b\r\n \0\r\n\r\n", "A: b\r\n\r\n"),
        ("Upgrade: h2,h2c\r\nUpgrade: foo\r\n\r\n", "Upgrade: foo\r\n\r\n"),
        ("Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding: gzip\r\n\r\n"),
        ("Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0\r\n\r\n"),
    ] {
        let outcome = answered(&format!("{GET}\r\n"), &format!("HTTP/1.1 200 OK\r\n{said}"));
        assert_eq!(outcome.client_text(), format!("HTTP/1.1 200 OK\r\n{got}"), "{said:?}");
        assert_eq!(outcome.end, Ok(Next::Filter));
    }
    for (said, cut) in [
        ("1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Cut::AmbiguousLength),
        ("1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Cut::AmbiguousLength),
        ("1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\n", Cut::MalformedAnswer),
        ("1.1 200 OK\r\nUpgrade: \r\n h2c\r\n\r\n", Cut::MalformedAnswer),
        ("1.1 200 OK\r\n Alt-Svc: a\r\n\r\n", Cut::MalformedAnswer),
        ("1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", Cut::AmbiguousLength),
        (
            "1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Cut::AmbiguousLength,
        ),
        ("1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Cut::AmbiguousLength),
        ("1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", Cut::Chunks),
        ("1.1 2000 OK\r\n", Cut::MalformedAnswer),
        ("1.1 099 OK\r\n", Cut::MalformedAnswer),
        ("1.1 200OK\r\n", Cut::MalformedAnswer),
        ("1.1  200 OK\r\n", Cut::MalformedAnswer),
        ("1.1 200 \0\r\n", Cut::MalformedAnswer),
        ("2 200\r\n", Cut::MalformedAnswer),
        ("\r\n", Cut::MalformedAnswer),
    ] {
        assert_eq!(answered(&format!("{GET}\r\n"), &format!("HTTP/{said}")).end, Err(cut), "{said:?}");
    }
}

#[test]
fn answers_that_are_not_http_pass_and_let_nobody_go() {
    let request = format!("{GET}{WEB_SOCKET}");
    for said in ["ICY 200 OK\r\nicy-name: x\r\n\r\ndata", "hello\n", "HTT", "HTTx/1.1 101 a\r\n\r\n"] {
        let again = client(&format!("{GET}\r\n"));
        let outcome = run(
            HTTP,
            &[client(&format!("{GET}\r\n")), server(said), server("HTTP/1.1 101 a\r\n\r\n"), again],
        );
        let expected = if said == "HTT" {
            "HTTHTTP/1.1 101 a\r\n\r\n".to_owned()
        } else {
            format!("{said}HTTP/1.1 101 a\r\n\r\n")
        };
        assert_eq!(outcome.client_text(), expected);
        assert_eq!((outcome.server_text(), outcome.end), (format!("{GOT}\r\n{GOT}\r\n"), Ok(Next::Filter)));
    }
    assert_eq!(answered(&request, "http/1.1 101 a\r\n\r\n").end, Ok(Next::Release));
}

#[test]
fn an_answer_needs_a_request() {
    for said in ["SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 408 Timeout\r\n\r\n"] {
        let outcome = run(HTTP, &[server("\r\n"), server(said)]);
        assert_eq!((outcome.client_text().as_str(), outcome.end), ("", Err(Cut::UnaskedAnswer)));
    }
    let twice = "HTTP/1.1 204 No\r\n\r\n".repeat(2);
    assert_eq!(answered(&format!("{GET}\r\n"), &twice).end, Err(Cut::UnaskedAnswer));
}

const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "HEAD /?info_hash=x&ip=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nb\r\n0\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 101 a\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n",
    "HTTP/1.1 204\r\n\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "From: a\r\n",
    "Alt-Svc: a\r\n",
    " a\r\n",
    "3\r\n",
    "0\r\n\r\n",
    "\r\n",
];

/// Conversations whose client speaks first.
fn sessions() -> impl Strategy<Value = Vec<Words>> {
    let requests = prop::collection::vec(prop::sample::select(&PIECES[..5]), 1..4);
    (requests, conversations(PIECES))
        .prop_map(|(requests, rest)| [vec![client(&(requests.concat() + "\r\n"))], rest].concat())
}

proptest! {
    #[test]
    fn chunks_change_nothing(words in sessions(), sizes in prop::collection::vec(1_usize..40, 1..5)) {
        check_chunks(HTTP, &words, &sizes)?;
    }

    #[test]
    fn what_a_rule_removes_does_not_go_out(
        names in prop::collection::vec(
            prop::sample::select(&[
                "From", "USER-AGENT", "accept-language", "Via", "X-Forwarded-Foo", "Sec-CH-UA", "Referer", "Origin", "TE", "Upgrade", "Expect", "Keep-Alive", "Connection",
            ][..]),
            1..9,
        ),
        body in prop::sample::select(&["\r\n", "Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1;laptop\r\na\r\n0;laptop\r\nlaptop: laptop\r\n\r\n"][..]),
        sizes in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let said: String = names.iter().map(|name| format!("{name}: laptop\r\n")).collect();
        let outcome = run_in(HTTP, &[client(&format!("{GET}{said}{body}{GET}\r\n"))], &sizes);
        prop_assert!(!holds(&outcome.to_server, "laptop"), "{}", outcome.server_text());
        let is_last_whole = outcome.server_text().ends_with(&format!("{GOT}\r\n"));
        prop_assert!(is_last_whole);
    }

    #[test]
    fn what_a_rule_removes_does_not_come_in(
        names in prop::collection::vec(
            prop::sample::select(&["Alt-Svc", "NEL", "report-to", "Accept-CH", "alt-svc ", "Alt-Svc\t"][..]), 1..9,
        ),
        line_end in prop::sample::select(&["\r\n", "\n", "\r", "\r\n \r\n"][..]),
        sizes in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let said: String = names.iter().map(|name| format!("{name}: laptop{line_end}")).collect();
        let answer = server(&format!("HTTP/1.1 200 OK\r\nA: b{line_end}{said}\r\n"));
        let outcome = run_in(HTTP, &[client(&format!("{GET}\r\n")), answer], &sizes);
        prop_assert!(!holds(&outcome.to_client, "laptop"), "{}", outcome.client_text());
        prop_assert_eq!(outcome.end, Ok(Next::Filter));
    }
}
