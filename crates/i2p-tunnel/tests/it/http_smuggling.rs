//! Requests that two parsers could read differently: they are refused before anything is dialled, and nothing behind them is read.

use sam_testkit::TestBridge;

use crate::common::{http::http_proxy, site::Site};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What follows each request: if it is taken for a request of its own, the site sees it.
const SMUGGLED: &str = "GET http://victim.i2p/smuggled HTTP/1.1\r\nHost: victim.i2p\r\n\r\n";

/// Heads whose fields, in the manner of the corpora of HTTP desync attacks, hide where the body ends or whose request it is.
#[tokio::test]
async fn ambiguous_heads_reach_nobody() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let sessions = bridge.commands().len();
    for fields in [
        // Lengths.
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 0\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: \r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length\t: 5\r\n",
        "Content-Length : 5\r\n",
        " Content-Length: 5\r\n",
        "X: y\r\n Content-Length: 5\r\n",
        "Content-Length:\r\n 5\r\n",
        "Content_Length\x0b: 5\r\n",
        "\x0bContent-Length: 5\r\n",
        "Content-Length: 5\n",
        "Content-Length: 5\r",
        // A length and a coding.
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ntransfer-encoding:chunked\r\n",
        // Codings that only one of two parsers takes for chunked.
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t:chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding:\x00chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: 'chunked'\r\n",
        "Transfer-Encoding: chunk\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \r\n chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\n\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding\u{a0}: chunked\r\n",
        "Transfer-Encoding: chunked\u{a0}\r\n",
        // Hosts.
        "Host: victim.i2p\r\n",
        "Host : victim.i2p\r\n",
        " Host: victim.i2p\r\n",
        // Names.
        "na me: x\r\n",
        "name\r\n",
        ": x\r\n",
        "na\x7fme: x\r\n",
        "name: \x01\r\n",
        "Expect: 200-ok\r\n",
    ] {
        let port = site.port;
        let request = format!(
            "POST http://known.i2p:{port}/ HTTP/1.1\r\nHost: known.i2p:{port}\r\n{fields}\r\n{SMUGGLED}"
        );
        let answer = proxy.exchange(request.as_bytes()).await;
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.get(..13).unwrap_or_default();
        let refused = ["HTTP/1.1 400 ", "HTTP/1.1 417 ", "HTTP/1.1 501 "].contains(&status);
        assert!(refused && answer.matches("HTTP/1.1").count() == 1, "{fields:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{fields:?}: {answer}");
        assert_eq!(site.seen().connections.len(), 0, "{fields:?}");
    }
    assert_eq!(bridge.commands().len(), sessions, "nothing was asked of the router");
}

#[tokio::test]
async fn request_lines_that_are_no_url_reach_nobody() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let port = site.port;
    let url = format!("http://known.i2p:{port}");
    for (line, status) in [
        (format!("GET {url}/ HTTP/1.1 "), "400"),
        (format!("GET  {url}/ HTTP/1.1"), "501"),
        (format!("GET {url}/  HTTP/1.1"), "400"),
        (format!("GET {url}/ x HTTP/1.1"), "400"),
        (format!("GET {url}/\tHTTP/1.1"), "400"),
        (format!("GET {url}/ HTTP/1.1\rX: y"), "400"),
        (format!("GET {url}/ HTTP/0.9"), "505"),
        (format!("GET {url}/"), "400"),
        (format!("GET {url}/ HTTP/2.0"), "505"),
        (format!("GET {url}/#/@victim.i2p HTTP/1.1"), "400"),
        (format!("GET http://victim.i2p@known.i2p:{port}/ HTTP/1.1"), "400"),
        (format!("GET http://victim.i2p:x@known.i2p:{port}/ HTTP/1.1"), "400"),
        (format!("GET http://known.i2p:{port}\\.victim.i2p/ HTTP/1.1"), "400"),
        (format!("GET http:known.i2p:{port}/ HTTP/1.1"), "400"),
        (format!("GET https://known.i2p:{port}/ HTTP/1.1"), "501"),
        (format!("GET ftp://known.i2p:{port}/ HTTP/1.1"), "501"),
        (format!("TRACE {url}/ HTTP/1.1"), "405"),
    ] {
        let request = format!("{line}\r\nHost: known.i2p\r\n\r\n{SMUGGLED}");
        let answer = String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{line:?}: {answer}");
        assert_eq!(site.seen().connections.len(), 0, "{line:?}");
    }
}

/// What a malformed chunk follows may have been passed on; the malformed part and what is behind it is not, and the body has no end.
#[tokio::test]
async fn a_body_that_turns_out_malformed_is_cut_before_that() {
    let bridge = TestBridge::start().await;
    for chunk in [
        "0\n\n",
        "5 \r\nhello\r\n",
        "1\r\nhello\r\n",
        "-1\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let site = Site::start_with(&bridge, |_| Vec::new()).await;
        let proxy = http_proxy(&bridge).await;
        let port = site.port;
        let request = format!(
            "POST http://known.i2p:{port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{chunk}{SMUGGLED}"
        );
        let answer = String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunk:?}: {answer}");
        site.until(|seen| seen.ended == seen.connections.len()).await;
        for connection in 0..site.seen().connections.len() {
            let got = site.text(connection);
            assert!(!got.contains("smuggled") && !got.contains("\r\n0\r\n"), "{chunk:?}: {got}");
            assert!(got.matches("HTTP/1.1").count() <= 1, "{chunk:?}: {got}");
        }
    }
}

/// A body that looks like a request stays a body, and a request behind it is one of its own.
#[tokio::test]
async fn bodies_and_requests_are_told_apart() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let port = site.port;
    let request = format!(
        "POST http://known.i2p:{port}/one HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{SMUGGLED}\
         GET http://known.i2p:{port}/two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    );
    let answer = String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    let all: String = (0..site.seen().connections.len()).map(|number| site.text(number)).collect();
    assert!(all.contains("POST /one HTTP/1.1") && all.contains("GET /two HTTP/1.1"), "{all}");
    assert_eq!(all.matches("smuggled").count(), 1, "in the body alone: {all}");
    assert!(all.contains(&format!("\r\n\r\n{SMUGGLED}")), "{all}");
}
