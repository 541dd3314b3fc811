use std::str::FromStr;

use hyper::{Method, http::uri::PathAndQuery};

use super::{
    refusal::Refusal,
    syntax::{is_token, split_field},
};

/// The port of `http://` addresses without one.
pub(crate) const HTTP_PORT: u16 = 80;

/// The head of a request in absolute form (RFC 9112 section 3.2.2) that has passed all checks.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// The host of the target as the client wrote it. An IPv6 address is in brackets.
    pub(crate) host: Vec<u8>,
    pub(crate) port: u16,
    /// The target in origin form (section 3.2.1); `*` for OPTIONS of a whole server (section 3.2.4).
    pub(crate) path: PathAndQuery,
    pub(crate) framing: Framing,
    /// Whether the client can go on with another protocol (RFC 9110 section 7.8).
    pub(crate) upgrades: bool,
    /// The head as hyper is given it: with a fixed path, since all that hyper does with the target is to check it once more.
    pub(super) for_hyper: Vec<u8>,
}

impl RequestHead {
    /// The host and the port as the client asked for them, as a URL has them: without the default port.
    pub(crate) fn authority(&self) -> String {
        let host = String::from_utf8_lossy(&self.host);
        if self.port == HTTP_PORT { host.into_owned() } else { format!("{host}:{}", self.port) }
    }
}

/// Where the body of a request ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes; 0 without a body.
    Length(u64),
    /// Where its chunks end.
    Chunked,
}

impl RequestHead {
    /// Parses a complete head, from the method to the empty line. All its lines end with CR and LF, and it has no other control
    /// characters than tabs.
    pub(super) fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let mut lines =
            head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let request_line = lines.next().unwrap_or_default();
        let RequestLine { method, target, version } = RequestLine::parse(request_line)?;
        let (host, port, path) = parse_target(&method, target)?;
        let mut fields = Fields::default();
        for line in lines.take_while(|line| !line.is_empty()) {
            fields.add(line)?;
        }
        let framing = fields.framing(version)?;
        fields.check(version)?;
        if method == Method::TRACE {
            return Err(Refusal::Trace);
        }
        let rest = head.get(request_line.len()..).unwrap_or_default();
        let for_hyper = [method.as_str().as_bytes(), b" / HTTP/1.", version.digit(), rest].concat();
        let upgrades = fields.upgrades && version == Version::Http11;
        Ok(Self { method, host: host.to_vec(), port, path, framing, upgrades, for_hyper })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl Version {
    fn digit(self) -> &'static [u8] {
        match self {
            Self::Http10 => b"0",
            Self::Http11 => b"1",
        }
    }
}

/// A request line (RFC 9112 section 3), with exactly one space between its parts.
struct RequestLine<'a> {
    method: Method,
    target: &'a [u8],
    version: Version,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Refusal> {
        let parts: Vec<_> = line.splitn(4, |&byte| byte == b' ').collect();
        let &[method, target, version] = parts.as_slice() else { return Err(Refusal::RequestLine) };
        let is_target =
            !target.is_empty() && target.iter().all(|byte| (b'!'..=b'~').contains(byte) || *byte >= 128);
        if !is_token(method) || !is_target {
            return Err(Refusal::RequestLine);
        }
        let version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            other if other.starts_with(b"HTTP/") => return Err(Refusal::Version),
            _ => return Err(Refusal::RequestLine),
        };
        if method == b"CONNECT" {
            return Err(Refusal::LateConnect);
        }
        let method = Method::from_bytes(method).map_err(|_| Refusal::RequestLine)?;
        Ok(Self { method, target, version })
    }
}

/// Splits an `http://` URL into host, port, and path with query. Returns `None` for others, and for what is no URL.
pub(crate) fn parse_url(url: &[u8]) -> Option<(&[u8], u16, PathAndQuery)> {
    parse_target(&Method::GET, url).ok()
}

/// Splits an `http://` URL into host, port, and path with query.
fn parse_target<'a>(method: &Method, target: &'a [u8]) -> Result<(&'a [u8], u16, PathAndQuery), Refusal> {
    let rest = without_scheme(target)?;
    // A fragment is never sent (RFC 9110 section 4.2.5), and servers differ in what they make of it.
    if rest.contains(&b'#') {
        return Err(Refusal::Target);
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = parse_authority(authority)?;
    let path = match path {
        [] if method == Method::OPTIONS => "*".to_owned(),
        [b'/', ..] => text(path)?.to_owned(),
        query => format!("/{}", text(query)?),
    };
    Ok((host, port, PathAndQuery::from_str(&path).map_err(|_| Refusal::Target)?))
}

fn without_scheme(target: &[u8]) -> Result<&[u8], Refusal> {
    if matches!(target.first(), Some(b'/' | b'*')) {
        return Err(Refusal::PathOnly);
    }
    let colon = target.iter().position(|&byte| byte == b':').ok_or(Refusal::Target)?;
    let (scheme, rest) = target.split_at(colon);
    let Some(rest) = rest.strip_prefix(b"://") else { return Err(Refusal::Target) };
    match scheme {
        scheme if scheme.eq_ignore_ascii_case(b"http") => Ok(rest),
        scheme if scheme.eq_ignore_ascii_case(b"https") => Err(Refusal::Https),
        scheme if scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)) => {
            Err(Refusal::Scheme)
        }
        _ => Err(Refusal::Target),
    }
}

fn parse_authority(authority: &[u8]) -> Result<(&[u8], u16), Refusal> {
    if authority.contains(&b'@') {
        return Err(Refusal::UserInfo);
    }
    let after_brackets = authority.iter().position(|&byte| byte == b']').unwrap_or_default();
    let tail = authority.get(after_brackets..).unwrap_or_default();
    let (host, port) = match tail.iter().position(|&byte| byte == b':') {
        None => (authority, HTTP_PORT),
        Some(colon) => {
            let (host, port) = authority.split_at(after_brackets + colon);
            (host, parse_port(port.get(1..).unwrap_or_default())?)
        }
    };
    if is_host(host) { Ok((host, port)) } else { Err(Refusal::Target) }
}

/// A colon without a port behind it is allowed (RFC 3986 section 3.2.3).
fn parse_port(digits: &[u8]) -> Result<u16, Refusal> {
    if digits.is_empty() {
        return Ok(HTTP_PORT);
    }
    let number = digits.iter().all(u8::is_ascii_digit).then(|| text(digits).ok()?.parse().ok()).flatten();
    number.filter(|&port: &u16| port != 0).ok_or(Refusal::Target)
}

/// Whether a text could be a host. Whether it is a valid name is found out where names are parsed.
fn is_host(host: &[u8]) -> bool {
    let inside = match host {
        [b'[', inside @ .., b']'] => inside,
        host if host.contains(&b':') => return false,
        host => host,
    };
    !inside.is_empty() && !inside.iter().any(|byte| b" \t/\\?#@[],;\"<>%".contains(byte))
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::Target)
}

/// The fields of a head that decide how it is read.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    expectation: Option<&'a [u8]>,
    upgrades: bool,
}

impl<'a> Fields<'a> {
    fn add(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        let (name, value) = split_field(line)?;
        let (slot, twice) = match name.to_ascii_lowercase().as_slice() {
            b"host" => (&mut self.host, Refusal::Host),
            b"content-length" => (&mut self.length, Refusal::AmbiguousLength),
            b"transfer-encoding" => (&mut self.coding, Refusal::AmbiguousLength),
            b"expect" => (&mut self.expectation, Refusal::Expectation),
            b"upgrade" => {
                self.upgrades = true;
                return Ok(());
            }
            _ => return Ok(()),
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(twice),
        }
    }

    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.length, self.coding) {
            (None, None) => Ok(Framing::Length(0)),
            (Some(_), Some(_)) => Err(Refusal::AmbiguousLength),
            (Some(length), None) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let number = digits.then(|| text(length).ok()?.parse().ok()).flatten();
                number.map(Framing::Length).ok_or(Refusal::ContentLength)
            }
            // HTTP/1.0 has no transfer codings: the end of such a body is unknown (RFC 9112 section 6.1).
            (None, Some(_)) if version == Version::Http10 => Err(Refusal::AmbiguousLength),
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (None, Some(_)) => Err(Refusal::TransferCoding),
        }
    }

    fn check(&self, version: Version) -> Result<(), Refusal> {
        match self.host {
            None if version == Version::Http11 => return Err(Refusal::Host),
            Some(host) if !host.is_empty() && parse_authority(host).is_err() => return Err(Refusal::Host),
            _ => {}
        }
        match self.expectation {
            Some(expectation) if !expectation.eq_ignore_ascii_case(b"100-continue") => {
                Err(Refusal::Expectation)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, fields: &str) -> Result<RequestHead, Refusal> {
        RequestHead::parse(format!("{line}\r\n{fields}\r\n").as_bytes())
    }

    fn target(target: &str) -> Result<(String, u16, String), Refusal> {
        let head = parse(&format!("GET {target} HTTP/1.1"), "Host: x\r\n")?;
        Ok((String::from_utf8(head.host).unwrap(), head.port, head.path.to_string()))
    }

    #[test]
    fn targets_are_split() {
        for (url, host, port, path) in [
            ("http://site.i2p/", "site.i2p", 80, "/"),
            ("HTTP://Site.I2P:81/a/b?c=d&e", "Site.I2P", 81, "/a/b?c=d&e"),
            ("http://site.i2p", "site.i2p", 80, "/"),
            ("http://site.i2p:", "site.i2p", 80, "/"),
            ("http://site.i2p?query", "site.i2p", 80, "/?query"),
            ("http://[2001:db8::1]:8080/x", "[2001:db8::1]", 8080, "/x"),
            ("http://site.i2p/@:http://other/", "site.i2p", 80, "/@:http://other/"),
        ] {
            assert_eq!(target(url), Ok((host.into(), port, path.into())), "{url}");
        }
        let options = parse("OPTIONS http://site.i2p HTTP/1.1", "Host: x\r\n").unwrap();
        assert_eq!(options.path, "*");
    }

    #[test]
    fn other_targets_are_refused_with_their_reason() {
        for (url, refusal) in [
            ("/", Refusal::PathOnly),
            ("*", Refusal::PathOnly),
            ("site.i2p", Refusal::Target),
            ("site.i2p:80", Refusal::Target),
            ("http:/site.i2p/", Refusal::Target),
            ("http:///path", Refusal::Target),
            ("http://:80/", Refusal::Target),
            ("http://site.i2p:0/", Refusal::Target),
            ("http://site.i2p:65536/", Refusal::Target),
            ("http://site.i2p:+80/", Refusal::Target),
            ("http://site.i2p:80:81/", Refusal::Target),
            ("http://2001:db8::1/", Refusal::Target),
            ("http://[2001:db8::1]x/", Refusal::Target),
            ("http://site.i2p/#fragment", Refusal::Target),
            ("http://site.i2p#@other/", Refusal::Target),
            ("http://site.i2p\\@other/", Refusal::UserInfo),
            ("http://site.i2p\\other/", Refusal::Target),
            ("http://site%2ei2p/", Refusal::Target),
            ("http://user@site.i2p/", Refusal::UserInfo),
            ("http://user:word@site.i2p/", Refusal::UserInfo),
            ("https://site.i2p/", Refusal::Https),
            ("ftp://site.i2p/", Refusal::Scheme),
            ("ws://site.i2p/", Refusal::Scheme),
        ] {
            assert_eq!(target(url), Err(refusal), "{url}");
        }
    }

    #[test]
    fn a_request_line_has_three_parts_and_one_space_between_them() {
        for (line, refusal) in [
            ("", Refusal::RequestLine),
            ("GET http://a/", Refusal::RequestLine),
            ("GET  http://a/ HTTP/1.1", Refusal::RequestLine),
            ("GET http://a/  HTTP/1.1", Refusal::RequestLine),
            ("GET http://a/ HTTP/1.1 ", Refusal::RequestLine),
            (" GET http://a/ HTTP/1.1", Refusal::RequestLine),
            ("GET\thttp://a/\tHTTP/1.1", Refusal::RequestLine),
            ("GET http://a/b c HTTP/1.1", Refusal::RequestLine),
            ("G(T http://a/ HTTP/1.1", Refusal::RequestLine),
            ("GET http://a/ HTTP/1.2", Refusal::Version),
            ("GET http://a/ HTTP/2.0", Refusal::Version),
            ("GET http://a/ HTTP/11", Refusal::Version),
            ("GET http://a/ http/1.1", Refusal::RequestLine),
            ("CONNECT a:80 HTTP/1.1", Refusal::LateConnect),
            ("TRACE http://a/ HTTP/1.1", Refusal::Trace),
        ] {
            assert_eq!(parse(line, "Host: a\r\n").err(), Some(refusal), "{line:?}");
        }
    }

    #[test]
    fn the_length_of_a_body_is_given_once_at_most() {
        let framing = |version: &str, fields: &str| {
            parse(&format!("POST http://a/ HTTP/1.{version}"), &format!("Host: a\r\n{fields}"))
                .map(|head| head.framing)
        };
        assert_eq!(framing("1", ""), Ok(Framing::Length(0)));
        assert_eq!(framing("1", "Content-Length: 0012\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("0", "content-length:12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("1", "Transfer-Encoding: Chunked \r\n"), Ok(Framing::Chunked));
        for (fields, refusal) in [
            ("Content-Length: 1\r\nContent-Length: 1\r\n", Refusal::AmbiguousLength),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Refusal::AmbiguousLength),
            ("Transfer-Encoding: chunked\r\ncontent-length: 1\r\n", Refusal::AmbiguousLength),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Refusal::AmbiguousLength),
            ("Content-Length: 1, 1\r\n", Refusal::ContentLength),
            ("Content-Length: +1\r\n", Refusal::ContentLength),
            ("Content-Length: -1\r\n", Refusal::ContentLength),
            ("Content-Length: 0x1\r\n", Refusal::ContentLength),
            ("Content-Length: \r\n", Refusal::ContentLength),
            ("Content-Length: 99999999999999999999\r\n", Refusal::ContentLength),
            ("Transfer-Encoding: gzip, chunked\r\n", Refusal::TransferCoding),
            ("Transfer-Encoding: identity\r\n", Refusal::TransferCoding),
            ("Transfer-Encoding: \"chunked\"\r\n", Refusal::TransferCoding),
            ("Transfer-Encoding: chunked;a\r\n", Refusal::TransferCoding),
            ("Transfer-Encoding:\x0bchunked\r\n", Refusal::TransferCoding),
            ("Transfer-Encoding :chunked\r\n", Refusal::FieldName),
            (" Transfer-Encoding: chunked\r\n", Refusal::FoldedLine),
            ("a: b\r\n\tc\r\n", Refusal::FoldedLine),
            ("Content-Length\u{a0}: 1\r\n", Refusal::FieldName),
            (": 1\r\n", Refusal::FieldName),
            ("no colon\r\n", Refusal::FieldName),
            ("Expect: 200-ok\r\n", Refusal::Expectation),
        ] {
            assert_eq!(framing("1", fields), Err(refusal), "{fields:?}");
        }
        assert_eq!(framing("0", "Transfer-Encoding: chunked\r\n"), Err(Refusal::AmbiguousLength));
    }

    #[test]
    fn there_is_one_host() {
        let with = |version: &str, fields: &str| {
            parse(&format!("GET http://a/ HTTP/1.{version}"), fields).map(|head| head.host).err()
        };
        assert_eq!(with("1", "Host: other:81\r\n"), None, "it is replaced by the target's");
        assert_eq!(with("1", "Host:\r\n"), None);
        assert_eq!(with("0", ""), None);
        for fields in
            ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: a, b\r\n", "Host: u@a\r\n", "Host: a/\r\n"]
        {
            assert_eq!(with("1", fields), Some(Refusal::Host), "{fields:?}");
        }
    }
}
