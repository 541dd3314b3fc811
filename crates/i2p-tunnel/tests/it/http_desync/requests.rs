//! Kinds of requests with which attackers have made two programs disagree about where a request ends or whose it is.

/// A kind of requests, each with what it shows.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) requests: Vec<String>,
}

/// What an attacker wants the site to take for a request of its own. It has 64 bytes, which is 0x40.
const INNER: &str = "GET /INNER HTTP/1.1\r\nHost: known.i2p\r\nX-Pad: 012345678901234\r\n\r\n";

/// A chunked body that contains it, and one that ends before it.
fn chunks() -> [String; 2] {
    [format!("40\r\n{INNER}\r\n0\r\n\r\n"), format!("0\r\n\r\n{INNER}")]
}

/// Bytes that some parsers skip, or take for a space, a colon or the end of a line.
fn odd_bytes() -> impl Iterator<Item = char> {
    (0..=0x20_u8)
        .chain([0x22, 0x27, 0x2c, 0x3a, 0x3b, 0x5c, 0x7f, 0x80, 0x85, 0xa0, 0xad, 0xff])
        .map(char::from)
}

/// A POST with these fields and a body.
fn post(fields: &str, body: &str) -> String {
    format!("POST URL HTTP/1.1\r\nHost: known.i2p\r\n{fields}\r\n{body}")
}

/// All kinds. `URL` stands for the target of the request, and `/INNER` for a path of the same length.
pub(super) fn kinds() -> Vec<Kind> {
    let kind = |name, requests| Kind { name, requests };
    vec![
        kind("a length and chunks", length_and_chunks()),
        kind("several lengths", lengths()),
        kind("codings that are chunked for some", codings()),
        kind("an odd byte in Transfer-Encoding", odd_in("Transfer-Encoding", "chunked", &chunks()[1])),
        kind("an odd byte in Content-Length", odd_in("Content-Length", "64", INNER)),
        kind("an odd byte in a field before", odd_before()),
        kind("ends of lines", line_ends()),
        kind("chunks", malformed_chunks()),
        kind("lengths that nobody expects", unexpected_lengths()),
        kind("first lines", first_lines()),
        kind("hosts", hosts()),
        kind("fields that Connection names", connections()),
        kind("other protocols", protocols()),
    ]
}

fn length_and_chunks() -> Vec<String> {
    let mut all = Vec::new();
    for body in chunks() {
        for length in [0, 4, body.len() - INNER.len().min(body.len() - 1), body.len()] {
            let length = format!("Content-Length: {length}\r\n");
            for coding in [
                "Transfer-Encoding: chunked\r\n",
                "transfer-encoding:chunked\r\n",
                "Transfer-Encoding: identity\r\n",
                "Transfer-Encoding:\r\n",
            ] {
                all.push(post(&format!("{length}{coding}"), &body));
                all.push(post(&format!("{coding}{length}"), &body));
            }
        }
    }
    all
}

fn lengths() -> Vec<String> {
    let values = [
        "0\r\nContent-Length: 64",
        "64\r\nContent-Length: 0",
        "64\r\ncontent-length: 64",
        "0, 64",
        "64, 64",
        "64,",
        ",64",
        "0;64",
        "+64",
        "-64",
        "0x40",
        "0b1",
        "064",
        "00000000000000000000064",
        "64.0",
        "6 4",
        "6_4",
        "64e0",
        "64\u{b}",
        "\u{c}64",
        "64 HTTP/1.1",
        "\"64\"",
        "'64'",
        "",
        " ",
        "NaN",
        "Infinity",
        "18446744073709551616",
        "18446744073709551680",
        "4294967360",
        "9223372036854775872",
        "\u{ff16}\u{ff14}",
        "64\t\t",
        "\t64",
    ];
    values.iter().map(|value| post(&format!("Content-Length: {value}\r\n"), INNER)).collect()
}

fn codings() -> Vec<String> {
    let values = [
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "chunked; x",
        "gzip, chunked",
        "chunked, gzip",
        "chunk",
        "chun ked",
        "\"chunked\"",
        "'chunked'",
        "CHUNKED\u{0}",
        "cow",
        "identity",
        "Chunked",
        "chunKed",
        "\u{212a}",
        "chunked\r\nTransfer-Encoding: cow",
        "cow\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "identity\r\nTransfer-Encoding: chunked",
        "\r\n chunked",
        "\r\n\tchunked",
        "chunked\r\n ",
        "chunked\r\n , identity",
        " chunked",
        "\tchunked",
        "chunked\t",
        "chunked \t ",
    ];
    let mut all = Vec::new();
    for body in chunks() {
        for value in values {
            all.push(post(&format!("Transfer-Encoding: {value}\r\n"), &body));
        }
        for name in [
            "Transfer_Encoding",
            "Transfer-Encodin",
            "TransferEncoding",
            "Transfer.Encoding",
            "X-Transfer-Encoding",
            "Transfer-Encoding-X",
            "TRANSFER-ENCODING",
        ] {
            all.push(post(&format!("{name}: chunked\r\n"), &body));
            all.push(post(&format!("Content-Length: {}\r\n{name}: chunked\r\n", body.len()), &body));
        }
    }
    all
}

/// An odd byte at each place of a field.
fn odd_in(name: &str, value: &str, body: &str) -> Vec<String> {
    let (half_name, rest_of_name) = name.split_at(name.len() / 2);
    let (half_value, rest_of_value) = value.split_at(1);
    let mut all = Vec::new();
    for odd in odd_bytes() {
        for field in [
            format!("{odd}{name}: {value}\r\n"),
            format!("{half_name}{odd}{rest_of_name}: {value}\r\n"),
            format!("{name}{odd}: {value}\r\n"),
            format!("{name}:{odd}{value}\r\n"),
            format!("{name}: {odd}{value}\r\n"),
            format!("{name}: {half_value}{odd}{rest_of_value}\r\n"),
            format!("{name}: {value}{odd}\r\n"),
            format!("{name}: {value}\r{odd}\r\n"),
        ] {
            all.push(post(&field, body));
        }
    }
    all
}

fn odd_before() -> Vec<String> {
    let mut all = Vec::new();
    for odd in odd_bytes() {
        for (field, body) in
            [("Transfer-Encoding: chunked", chunks()[1].clone()), ("Content-Length: 64", INNER.to_owned())]
        {
            for before in [
                format!("X: y{odd}"),
                format!("X: y\r{odd}"),
                format!("X: y\r\n{odd}"),
                format!("X{odd}\r\n"),
                format!("X: y\r\n{odd}\r\n"),
            ] {
                all.push(post(&format!("{before}{field}\r\n"), &body));
            }
        }
    }
    all
}

fn line_ends() -> Vec<String> {
    let mut all = Vec::new();
    for end in ["\n", "\r", "\n\r", "\r\r\n", "\r\n\n", "\u{85}", "\u{b}\r\n"] {
        all.push(format!("POST URL HTTP/1.1{end}Host: known.i2p\r\nContent-Length: 64\r\n\r\n{INNER}"));
        all.push(format!("POST URL HTTP/1.1\r\nHost: known.i2p{end}Content-Length: 64\r\n\r\n{INNER}"));
        all.push(format!("POST URL HTTP/1.1\r\nHost: known.i2p\r\nContent-Length: 64{end}\r\n{INNER}"));
        all.push(format!("POST URL HTTP/1.1\r\nHost: known.i2p\r\nContent-Length: 64\r\n{end}{INNER}"));
        all.push(format!("GET URL HTTP/1.1\r\nHost: known.i2p\r\nX: y{end}{end}{INNER}"));
    }
    all
}

fn malformed_chunks() -> Vec<String> {
    let begin = |chunk: &str| post("Transfer-Encoding: chunked\r\n", &format!("2\r\nok\r\n{chunk}"));
    let mut all: Vec<_> = [
        "0\n\n",
        "0\r\n\n",
        "0\n\r\n",
        "0\r\r\n\r\n",
        "0\r\n\r\r\n",
        "40\n",
        "40\r",
        "40\u{b}\r\n",
        " 40\r\n",
        "40 \r\n",
        "\t40\r\n",
        "0x40\r\n",
        "+40\r\n",
        "-40\r\n",
        "4_0\r\n",
        "40h\r\n",
        "\r\n",
        "00000000000000000040\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000040\r\n",
        "FFFFFFFFFFFFFFC0\r\n",
        "40;\r\n",
        "40;a\r\n",
        "40;a=b\r\n",
        "40; a = \"b\"\r\n",
        "40;a=\"\n\r\n",
        "40;\n",
        "40;a\nb\r\n",
        "40;a\rb\r\n",
        "40;a\0\r\n",
        "40;\u{ff}\r\n",
        "0;a\n\n",
        "1\r\nGG\r\n",
        "1\r\nG",
        "41\r\n",
        "3f\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nContent-Length: 64\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: victim.i2p\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0000\r\n\r\n",
        "00;a=b\r\n\r\n",
    ]
    .iter()
    .map(|chunk| begin(&format!("{chunk}{INNER}\r\n0\r\n\r\n")))
    .collect();
    // A second end, and bytes of a chunk that look like one.
    all.push(begin("0\r\n\r\n0\r\n\r\n"));
    all.push(begin("5\r\n0\r\n\r\n\r\n0\r\n\r\n"));
    // Where a line of a size does not end.
    all.push(begin(&format!("40;{}\r\n{INNER}\r\n0\r\n\r\n", "x".repeat(100_000))));
    all
}

fn unexpected_lengths() -> Vec<String> {
    let mut all = Vec::new();
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "PUT", "CONNECT", "get", "GPOST"] {
        for (fields, body) in [
            ("Content-Length: 64\r\n", INNER.to_owned()),
            ("Transfer-Encoding: chunked\r\n", chunks()[0].clone()),
            ("", INNER.to_owned()),
        ] {
            all.push(format!("{method} URL HTTP/1.1\r\nHost: known.i2p\r\n{fields}\r\n{body}"));
            all.push(format!(
                "{method} URL HTTP/1.0\r\nHost: known.i2p\r\nConnection: keep-alive\r\n{fields}\r\n{body}"
            ));
        }
    }
    for expectation in
        ["100-continue", "100-Continue", "100-continue, x", "y 100-continue", "\r\n 100-continue", "x", ""]
    {
        all.push(post(&format!("Expect: {expectation}\r\nContent-Length: 64\r\n"), INNER));
        all.push(post(&format!("Expect: {expectation}\r\nTransfer-Encoding: chunked\r\n"), &chunks()[1]));
        all.push(post(&format!("Expect: {expectation}\r\n"), INNER));
    }
    all
}

fn first_lines() -> Vec<String> {
    let rest = format!("\r\nHost: known.i2p\r\n\r\n{INNER}");
    [
        "GET  URL HTTP/1.1",
        "GET URL  HTTP/1.1",
        "GET URL HTTP/1.1 ",
        " GET URL HTTP/1.1",
        "GET\tURL\tHTTP/1.1",
        "GET\u{b}URL HTTP/1.1",
        "GET URL\u{a0}HTTP/1.1",
        "GET URL",
        "GET URL HTTP/0.9",
        "GET URL HTTP/1.2",
        "GET URL HTTP/01.1",
        "GET URL HTTP/1.01",
        "GET URL HTTP/1.1.1",
        "GET URL http/1.1",
        "GET URL HTTP/2",
        "GET URL HTTP 1.1",
        "GET URL XTTP/1.1",
        "GET URL/ HTTP/1.1/../ HTTP/1.1",
        "GET URL?a b HTTP/1.1",
        "GET URL\0 HTTP/1.1",
        "GET URL\u{7f} HTTP/1.1",
        "GET URL#a HTTP/1.1",
        "GET URL\r HTTP/1.1",
        "G\0ET URL HTTP/1.1",
        "GET: URL HTTP/1.1",
        "GET /path HTTP/1.1",
        "GET //known.i2p/ HTTP/1.1",
        "GET known.i2p HTTP/1.1",
        "GET http:/known.i2p/ HTTP/1.1",
        "GET http://user@known.i2p/ HTTP/1.1",
        "GET http://known.i2p@victim.i2p/ HTTP/1.1",
        "GET http://known.i2p\\@victim.i2p/ HTTP/1.1",
        "GET http://known.i2p:80:80/ HTTP/1.1",
        "GET http://known.i2p%00.victim.i2p/ HTTP/1.1",
        "GET http://known.i2p,victim.i2p/ HTTP/1.1",
        "GET https://known.i2p/ HTTP/1.1",
        "PRI * HTTP/2.0",
    ]
    .iter()
    .map(|line| format!("{line}{rest}"))
    .collect()
}

fn hosts() -> Vec<String> {
    [
        "",
        "Host: known.i2p\r\nHost: victim.i2p\r\n",
        "Host: known.i2p\r\nhost: known.i2p\r\n",
        "Host: known.i2p, victim.i2p\r\n",
        "Host: known.i2p victim.i2p\r\n",
        "Host: victim.i2p\r\n",
        "Host:\r\n",
        "Host: \t\r\n",
        "Host : known.i2p\r\n",
        " Host: known.i2p\r\n",
        "Host\0: known.i2p\r\n",
        "Host: known.i2p\0victim.i2p\r\n",
        "Host: http://known.i2p/\r\n",
        "Host: user@known.i2p\r\n",
        "Host: known.i2p/path\r\n",
        "Host: known.i2p:80:81\r\n",
        "Host: known.i2p:x\r\n",
        "Host: known.i2p#\r\n",
        "Host: known.i2p?\r\n",
        "Host: \u{b}known.i2p\r\n",
        "X: y\r\n Host: victim.i2p\r\nHost: known.i2p\r\n",
        "Host: [::1\r\n",
        "Ho\u{17f}t: victim.i2p\r\nHost: known.i2p\r\n",
        "X-Forwarded-Host: victim.i2p\r\nHost: known.i2p\r\n",
    ]
    .iter()
    .map(|fields| format!("GET URL HTTP/1.1\r\n{fields}\r\n{INNER}"))
    .collect()
}

fn connections() -> Vec<String> {
    let mut all = Vec::new();
    for named in [
        "Content-Length",
        "content-length, close",
        "Transfer-Encoding",
        "Host",
        "Cookie, Host, Content-Length",
        "close, keep-alive",
        "upgrade",
        "\u{ff}",
        "x y",
        "Connection",
        ",,,",
        "Proxy-Authorization",
    ] {
        for (fields, body) in
            [("Content-Length: 64\r\n", INNER), ("Transfer-Encoding: chunked\r\n", &chunks()[0]), ("", "")]
        {
            all.push(post(&format!("Connection: {named}\r\n{fields}"), body));
            all.push(post(&format!("Proxy-Connection: {named}\r\n{fields}"), body));
        }
    }
    all
}

fn protocols() -> Vec<String> {
    let mut all = Vec::new();
    for token in [
        "h2c",
        "h2",
        "HTTP/2.0",
        "websocket",
        "websocket, h2c",
        "TLS/1.2",
        "x\r\nUpgrade: websocket",
        "",
        "WebSocket/13",
    ] {
        let upgrade = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {token}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        );
        all.push(post(&upgrade, INNER));
        all.push(post(&format!("{upgrade}Content-Length: 64\r\n"), INNER));
        all.push(post(&format!("{upgrade}Transfer-Encoding: chunked\r\n"), &chunks()[1]));
    }
    all.push(format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{INNER}"));
    all.push(format!(
        "CONNECT known.i2p:80 HTTP/1.1\r\nHost: known.i2p\r\nContent-Length: 64\r\n\r\n{INNER}"
    ));
    all
}

#[test]
fn the_inner_request_has_the_length_that_the_others_give_it() {
    assert_eq!(INNER.len(), 64);
}
