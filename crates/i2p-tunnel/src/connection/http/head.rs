//! Parsing the head of a request.

use data_encoding::BASE64;
use socks_wire::stream::OwnedAddress;

/// Most header fields of a request.
const MAX_FIELDS: usize = 64;
/// The only method that is served. Methods are case-sensitive (RFC 9110 section 9.1).
const CONNECT: &[u8] = b"CONNECT ";
/// A method whose answer has no content (RFC 9110 section 9.3.2).
const HEAD: &[u8] = b"HEAD ";

/// Longer than any registered method.
const MAX_METHOD_BYTES: usize = 32;

/// What a buffer starts with.
pub(super) enum Head {
    /// A CONNECT request.
    Connect {
        address: OwnedAddress,
        port: u16,
        credentials: ProxyCredentials,
        /// The length of the head in bytes.
        length: usize,
    },
    /// A request with another method, whose target begins like a URL.
    Forwarded,
    /// A request with another method and only a path.
    Path {
        /// Whether its answer has content: not that to HEAD.
        has_content: bool,
        /// Whether the client is a browser: it accepts HTML.
        accepts_html: bool,
    },
    /// No request at all.
    Other,
    /// A request with the method CONNECT in other letters than capitals.
    ConnectInLowerCase,
    /// An incomplete head.
    More,
    /// A head with too many fields.
    TooLong,
    /// No valid request.
    Malformed,
}

/// The credentials of a client (`Proxy-Authorization`, RFC 9110 section 11.7.2).
pub(crate) enum ProxyCredentials {
    Missing,
    /// Username and password (RFC 7617).
    Basic(Vec<u8>, Vec<u8>),
    /// Another scheme, or malformed.
    Other,
}

/// Parses a head. A request other than CONNECT is recognised by its first bytes and not parsed any further.
pub(super) fn parse(bytes: &[u8]) -> Head {
    let line = without_empty_lines(bytes);
    if !begins(line, CONNECT, u8::eq) {
        return other_request(line);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Head::More,
        Err(httparse::Error::TooManyHeaders) => return Head::TooLong,
        Err(_) => return Head::Malformed,
    };
    let Some((address, port)) = request.path.and_then(target) else { return Head::Malformed };
    Head::Connect { address, port, credentials: proxy_credentials(request.headers), length }
}

/// Skips empty lines before the request line, which a server ignores (RFC 9112 section 2.2).
fn without_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n").or_else(|| bytes.strip_prefix(b"\n")) {
        bytes = rest;
    }
    bytes
}

/// Tells what a request line is that does not begin with CONNECT.
fn other_request(line: &[u8]) -> Head {
    match line {
        b"\r" => Head::More,
        // The end of a line without its beginning.
        [b'\r', ..] => Head::Malformed,
        line if begins(line, CONNECT, u8::eq_ignore_ascii_case) => {
            if line.len() < CONNECT.len() {
                Head::More
            } else {
                Head::ConnectInLowerCase
            }
        }
        line => match target_begins_with(line) {
            Target::Url => Head::Forwarded,
            Target::Unknown => Head::More,
            Target::Path => path_request(line),
            Target::Other => Head::Other,
        },
    }
}

/// Reads a request for a path up to the end of its head, if there is one: a line alone, as people type it, gets its answer at once.
fn path_request(head: &[u8]) -> Head {
    let has_content = !begins(head, HEAD, u8::eq);
    let is_alone = || {
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        line.len() < head.len() && !line.windows(6).any(|part| part == b" HTTP/")
    };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if !is_alone() => Head::More,
        Ok(_) | Err(_) => Head::Path { has_content, accepts_html: accepts_html(request.headers) },
    }
}

fn accepts_html(fields: &[httparse::Header<'_>]) -> bool {
    let mut accepted = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("Accept"));
    accepted.any(|field| field.value.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html")))
}

/// What the target of a request line is, as far as the line has been received.
enum Target {
    Url,
    Path,
    Other,
    Unknown,
}

/// The method of a request is a word of letters, as all registered ones are. Nothing else is forwarded.
fn target_begins_with(line: &[u8]) -> Target {
    let method = line.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-').count();
    match line.get(method..).unwrap_or_default() {
        [] | [b' '] if method <= MAX_METHOD_BYTES => Target::Unknown,
        [b' ', first, ..] if method > 0 && first.is_ascii_alphabetic() => Target::Url,
        [b' ', b'/' | b'*', ..] if method > 0 => Target::Path,
        _ => Target::Other,
    }
}

/// Whether a line begins with this method, as far as it has been received.
fn begins(line: &[u8], method: &[u8], is_same: fn(&u8, &u8) -> bool) -> bool {
    line.iter().zip(method).all(|(given, wanted)| is_same(given, wanted))
}

/// Parses `host:port`, the only form that CONNECT allows (RFC 9112 section 3.2.3). IPv6 addresses are in brackets. The host
/// itself is parsed later, like that of any request.
fn target(text: &str) -> Option<(OwnedAddress, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let in_brackets = host.starts_with('[') && host.ends_with(']');
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|&port: &u16| digits && port != 0)?;
    let plain = !host.is_empty() && (in_brackets || !host.contains(':'));
    plain.then(|| (OwnedAddress::Domain(host.as_bytes().to_vec()), port))
}

fn proxy_credentials(fields: &[httparse::Header<'_>]) -> ProxyCredentials {
    let fields = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("Proxy-Authorization"));
    ProxyCredentials::of(fields.map(|field| field.value))
}

impl ProxyCredentials {
    /// Takes the values of `Proxy-Authorization`. There must be one at most: with two, it is unclear which one counts.
    pub(crate) fn of<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Missing,
            (Some(value), None) => basic(value).unwrap_or(Self::Other),
            (Some(_), Some(_)) => Self::Other,
        }
    }
}

fn basic(value: &[u8]) -> Option<ProxyCredentials> {
    let (scheme, rest) = value.split_at_checked(5)?;
    let token = rest.strip_prefix(b" ")?.trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return None;
    }
    let mut username = BASE64.decode(token).ok()?;
    let colon = username.iter().position(|&byte| byte == b':')?;
    let password = username.split_off(colon).split_off(1);
    // As long as SOCKS5 allows, so that a client has the same identity in both protocols.
    (username.len() <= 255 && password.len() <= 255).then_some(ProxyCredentials::Basic(username, password))
}

/// A head from a client: it takes as many bytes as it has, whatever follows, and one byte less is incomplete. Credentials are as long
/// as SOCKS5 allows.
///
/// # Panics
/// If the property does not hold.
#[cfg(feature = "fuzzing")]
pub fn check_http_head(input: &[u8]) {
    let Head::Connect { address, port, credentials, length } = parse(input) else { return };
    let (head, rest) = input.split_at(length);
    assert!(port != 0 && matches!(&address, OwnedAddress::Domain(host) if !host.is_empty()), "no target");
    if let ProxyCredentials::Basic(username, password) = credentials {
        assert!(username.len() <= 255 && password.len() <= 255, "longer than SOCKS5 allows");
    }
    let (shorter, _) = head.split_at(length - 1);
    assert!(matches!(parse(shorter), Head::More), "complete with a byte less");
    let longer = [head, b"x".as_slice(), rest].concat();
    assert!(
        matches!(parse(&longer), Head::Connect { length: other, .. } if other == length),
        "what follows counts"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(head: &str) -> Option<(String, u16)> {
        match parse(head.as_bytes()) {
            Head::Connect { address: OwnedAddress::Domain(host), port, length, .. } => {
                assert_eq!(length, head.len());
                Some((String::from_utf8(host).unwrap(), port))
            }
            _ => None,
        }
    }

    #[test]
    fn targets() {
        let long = "x".repeat(3868);
        for (target, expected) in [
            ("example.i2p:80", Some(("example.i2p", 80))),
            ("[::1]:443", Some(("[::1]", 443))),
            (&format!("{long}:65535"), Some((long.as_str(), 65535))),
            ("a-b~c==:1", Some(("a-b~c==", 1))),
            ("example.i2p", None),
            ("example.i2p:", None),
            ("example.i2p:0", None),
            ("example.i2p:65536", None),
            ("example.i2p:+80", None),
            ("::1:80", None),
            (":80", None),
            ("http://example.i2p/", None),
        ] {
            let head = format!("CONNECT {target} HTTP/1.1\r\nHost: other.i2p:1\r\n\r\n");
            assert_eq!(connect(&head), expected.map(|(host, port)| (host.to_owned(), port)), "{target}");
        }
        assert_eq!(connect("CONNECT a.i2p:80 HTTP/1.0\r\n\r\n"), Some(("a.i2p".into(), 80)));
    }

    #[test]
    fn every_prefix_is_incomplete_and_other_methods_are_recognised_at_once() {
        let head = b"CONNECT a.i2p:80 HTTP/1.1\r\nHost: a.i2p:80\r\n\r\n";
        for end in 0..head.len() {
            assert!(matches!(parse(&head[..end]), Head::More), "{end}");
        }
        for other in
            ["connected\r\n", "SSH-2.0-x", "G\r\n", "GET  http://a.i2p/", &"G".repeat(MAX_METHOD_BYTES + 1)]
        {
            assert!(matches!(parse(other.as_bytes()), Head::Other), "{other}");
        }
        for url in ["GET http://a.i2p/ HTTP/1.1\r\n", "M-SEARCH h", "get HTTP:", "HEAD http://a.i2p/"] {
            assert!(matches!(parse(url.as_bytes()), Head::Forwarded), "{url}");
        }
        for path in [
            "GET /\n",
            "get /x\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET /\0",
            "HEADS /\n",
            "CONNECTED /\n",
        ] {
            let parsed = parse(path.as_bytes());
            assert!(matches!(parsed, Head::Path { has_content: true, accepts_html: false }), "{path}");
        }
        for incomplete in ["G", "GET", "GET ", "CONNECTED", "HEADS ", "GET /", "GET / HTTP/1.1\r\nAccept: "] {
            assert!(matches!(parse(incomplete.as_bytes()), Head::More), "{incomplete}");
        }
        for malformed in [
            "\rCONNECT",
            "\r\n\r\r",
            "CONNECT \r\n\r\n",
            "CONNECT a b c\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\n\0: x\r\n\r\n",
        ] {
            assert!(matches!(parse(malformed.as_bytes()), Head::Malformed), "{malformed}");
        }
        let many = format!("CONNECT a:1 HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(matches!(parse(many.as_bytes()), Head::TooLong));
    }

    #[test]
    fn empty_lines_before_the_request_line_are_skipped() {
        for empty in ["\r\n", "\n", "\r\n\r\n\n"] {
            let head = format!("{empty}CONNECT a.i2p:80 HTTP/1.1\r\n\r\n");
            assert_eq!(connect(&head), Some(("a.i2p".into(), 80)), "{empty:?}");
            for end in 0..head.len() {
                assert!(matches!(parse(&head.as_bytes()[..end]), Head::More), "{empty:?} {end}");
            }
            let path = format!("{empty}GET / HTTP/1.1\r\n\r\n");
            assert!(matches!(parse(path.as_bytes()), Head::Path { .. }), "{empty:?}");
        }
    }

    #[test]
    fn head_and_lower_case_are_told_apart_from_other_methods() {
        let head = parse(b"HEAD / HTTP/1.1\r\naccept: a/b, Text/HTML;q=1\r\n\r\n");
        assert!(matches!(head, Head::Path { has_content: false, accepts_html: true }));
        assert!(matches!(parse(b"connect a.i2p:80 HTTP/1.1\r\n"), Head::ConnectInLowerCase));
        assert!(matches!(parse(b"Connect a.i2p:80 HTTP/1.1\r\n"), Head::ConnectInLowerCase));
        for incomplete in ["HEA", "HEAD", "connect", "Conn"] {
            assert!(matches!(parse(incomplete.as_bytes()), Head::More), "{incomplete}");
        }
    }

    #[test]
    fn credentials() {
        let parsed = |fields: &str| {
            let head = format!("CONNECT a:1 HTTP/1.1\r\n{fields}\r\n");
            match parse(head.as_bytes()) {
                Head::Connect { credentials: ProxyCredentials::Basic(user, password), .. } => {
                    format!("{} {}", String::from_utf8(user).unwrap(), String::from_utf8(password).unwrap())
                }
                Head::Connect { credentials: ProxyCredentials::Missing, .. } => "nothing".into(),
                Head::Connect { credentials: ProxyCredentials::Other, .. } => "other".into(),
                _ => "malformed".into(),
            }
        };
        let field =
            |text: &str| format!("Proxy-Authorization: {} {}\r\n", "Basic", BASE64.encode(text.as_bytes()));
        assert_eq!(parsed(""), "nothing");
        assert_eq!(parsed("Authorization: Basic eDp5\r\n"), "nothing");
        assert_eq!(parsed(&field("user:pass:word")), "user pass:word");
        assert_eq!(parsed("proxy-authorization:bAsIc  eDp5 \r\n"), "x y");
        assert_eq!(parsed(&field(":")), " ");
        for other in [
            &field("no colon"),
            &field(&format!("{}:x", "u".repeat(256))),
            &(field("a:b") + &field("a:b")),
            "Proxy-Authorization: Bearer eDp5\r\n",
            "Proxy-Authorization: Basic e\r\n",
            "Proxy-Authorization: Basic\r\n",
            "Proxy-Authorization: \r\n",
        ] {
            assert_eq!(parsed(other), "other", "{other}");
        }
    }
}
