//! Kinds of answers with which a site could make the proxy take something for the answer to another request.

/// An answer, to a request with this method. One that ends with `THE END` is followed by the end of the connection.
pub(super) struct Hostile {
    pub(super) method: &'static str,
    pub(super) answer: String,
}

/// What the site wants somebody to take for the answer to another request.
const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

/// All of them.
pub(super) fn all() -> Vec<Hostile> {
    let mut all = Vec::new();
    let mut add = |method, answer: String| all.push(Hostile { method, answer });
    // More than was asked for.
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 None\r\n\r\n",
        "HTTP/1.1 204 None\r\nContent-Length: 61\r\n\r\n",
        "HTTP/1.1 304 Same\r\n\r\n",
        "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early\r\nContent-Length: 61\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 102 Wait\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        for more in [
            EVIL.to_owned(),
            EVIL.repeat(3),
            format!("\r\n{EVIL}"),
            format!("HTTP/1.1 100 Continue\r\n\r\n{EVIL}"),
            "\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nX: ".into(),
            "x".repeat(100),
        ] {
            add("GET", format!("{first}{more}"));
            add("HEAD", format!("{first}{more}"));
        }
    }
    // Other protocols that nobody asked for.
    for head in [
        "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Yes\r\n\r\n",
        "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "",
    ] {
        add("GET", format!("{head}{EVIL}"));
    }
    // A flood of interim answers.
    add("GET", format!("{}{EVIL}", "HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n".repeat(2000)));
    add("GET", format!("{}{EVIL}", "HTTP/1.1 100 Continue\r\n\r\n".repeat(2000)));
    // Lengths that can be read in two ways.
    for fields in [
        "Content-Length: 2\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\ncontent-length: 2\r\n",
        "Content-Length: 2, 0\r\n",
        "Content-Length: 2, 2\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 2a\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551618\r\n",
        "Content-Length : 2\r\n",
        " Content-Length: 2\r\n",
        "X: y\r\n Content-Length: 2\r\n",
        "Content-Length: 2\n",
        "Content-Length: 2\r",
        "X: y\rContent-Length: 2\r\n",
        "X: y\nContent-Length: 2\r\n",
        "Content-Length\0: 2\r\n",
        "Content-Length: 2\0\r\n",
        "Content-Length:\u{b}2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\u{b}chunked\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Connection: Content-Length\r\nContent-Length: 2\r\n",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        "Set-Cookie: a=b\r\n\r\n",
        "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n",
    ] {
        for body in [format!("ok{EVIL}THE END"), format!("2\r\nok\r\n0\r\n\r\n{EVIL}THE END")] {
            add("GET", format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"));
        }
    }
    // Chunks.
    for chunk in [
        "0\n\n",
        "0\r\n\n",
        "2\nok\r\n0\r\n\r\n",
        "2\r\nokay\r\n0\r\n\r\n",
        "-2\r\nok\r\n",
        "0x2\r\nok\r\n",
        "2 \r\nok\r\n0\r\n\r\n",
        "2;\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nContent-Length: 61\r\n\r\n",
        "0\r\n\r\r\n",
        "\r\n",
    ] {
        add("GET", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{EVIL}THE END"));
    }
    // First lines.
    for line in [
        "HTTP/1.1 99 x",
        "HTTP/1.1 1000 x",
        "HTTP/1.1 20 x",
        "HTTP/1.1 2 00",
        "HTTP/1.1  200",
        "HTTP/1.1 200",
        "HTTP/1.1\t200 OK",
        "HTTP/11 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.2 200 OK",
        "\r\nHTTP/1.1 200 OK",
    ] {
        add("GET", format!("{line}\r\nContent-Length: 2\r\n\r\nok{EVIL}THE END"));
    }
    all
}
