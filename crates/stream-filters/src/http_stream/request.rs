use alloc::{string::String, vec::Vec};

use super::{
    body::Framing,
    syntax::{is_authority, is_token, length},
};
use crate::{Cut, http};

/// The first line of a request (RFC 9112 section 3).
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLine<'h> {
    pub(super) method: &'h [u8],
    pub(super) target: &'h str,
    pub(super) version: &'h [u8],
}

impl<'h> RequestLine<'h> {
    pub(super) const CONNECT: &'static [u8] = b"CONNECT";

    /// There is exactly one space between its parts.
    pub(super) fn parse(line: &'h [u8]) -> Result<Self, Cut> {
        let mut parts = line.splitn(3, |&byte| byte == b' ');
        let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Cut::NotHttp);
        };
        match (method, version) {
            (b"PRI", b"HTTP/2.0") => return Err(Cut::Http2),
            (_, b"HTTP/1.1" | b"HTTP/1.0") if is_token(method) => {}
            _ => return Err(Cut::NotHttp),
        }
        // Servers differ in what they make of a fragment, and of blanks.
        let is_target = |target: &&str| !target.contains(|c: char| c == '#' || c.is_whitespace());
        let target = core::str::from_utf8(target).ok().filter(is_target).ok_or(Cut::NotHttp)?;
        let is_form = match target.as_bytes() {
            authority if method == Self::CONNECT => is_authority(authority),
            b"*" => method == b"OPTIONS",
            [b'/', ..] => true,
            url => url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http://")),
        };
        if is_form { Ok(Self { method, target, version }) } else { Err(Cut::NotHttp) }
    }

    pub(super) fn is_old(&self) -> bool {
        self.version == b"HTTP/1.0"
    }

    pub(super) fn is_connect(&self) -> bool {
        self.method == Self::CONNECT
    }
}

/// The head of a request that has one meaning only.
#[derive(Debug)]
pub(super) struct RequestHead<'h> {
    pub(super) line: RequestLine<'h>,
    /// There is one, but in HTTP/1.0.
    pub(super) host: Option<&'h str>,
    /// `None` if the head says nothing about a body.
    pub(super) framing: Option<Framing>,
    /// All fields in the order of their names, which are in lower case.
    pub(super) fields: Vec<(String, &'h [u8])>,
}

impl<'h> RequestHead<'h> {
    /// Parses a head whose lines all end with CR and LF.
    pub(super) fn parse(head: &'h [u8]) -> Result<Self, Cut> {
        let mut lines =
            head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = RequestLine::parse(lines.next().unwrap_or_default())?;
        let fields = lines.take_while(|line| !line.is_empty()).map(field);
        let mut fields = fields.collect::<Result<Vec<_>, _>>()?;
        // Sorted as the proxy sorts them: programs differ in the order.
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut head = Self { line, host: None, framing: None, fields };
        head.host = head.parse_host(head.single("host", Cut::Host)?)?;
        head.framing = head.parse_framing()?;
        Ok(head)
    }

    /// Whether the connection can go on with another protocol after the answer: not with a body that could be on its way by then.
    pub(super) fn can_upgrade(&self) -> bool {
        let is_empty = matches!(self.framing, None | Some(Framing::Length(0)));
        is_empty && !self.line.is_old() && !self.line.is_connect() && self.line.method != b"HEAD"
    }

    /// The values of all fields with this name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.fields.iter().filter(move |(given, _)| given == name).map(|(_, value)| *value)
    }

    /// The value of the only field with this name.
    fn single(&self, name: &'static str, twice: Cut) -> Result<Option<&'h [u8]>, Cut> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() { Err(twice) } else { Ok(value) }
    }

    /// A URL as the target must have the same host as the field: servers differ in which of them they follow.
    fn parse_host(&self, host: Option<&'h [u8]>) -> Result<Option<&'h str>, Cut> {
        let line = &self.line;
        let host = host.map(core::str::from_utf8).transpose().map_err(|_| Cut::Host)?;
        let is_url = !line.is_connect() && !line.target.starts_with(['/', '*']);
        let is_same = |host| !is_url || http::is_of(line.target.as_bytes(), host);
        match host {
            None if line.is_old() && !is_url => Ok(None),
            Some("") if !is_url => Ok(host),
            Some(given) if is_authority(given.as_bytes()) && is_same(given) => Ok(host),
            _ => Err(Cut::Host),
        }
    }

    /// Where the body ends (RFC 9112 section 6.3).
    fn parse_framing(&self) -> Result<Option<Framing>, Cut> {
        let digits = self.single("content-length", Cut::AmbiguousLength)?;
        let coding = self.single("transfer-encoding", Cut::AmbiguousLength)?;
        let framing = match (digits, coding) {
            (None, None) => None,
            (Some(digits), None) => Some(Framing::Length(length(digits)?)),
            // HTTP/1.0 has no transfer codings.
            (None, Some(coding)) if !self.line.is_old() && coding.eq_ignore_ascii_case(b"chunked") => {
                Some(Framing::Chunked)
            }
            _ => return Err(Cut::AmbiguousLength),
        };
        let is_empty = matches!(framing, None | Some(Framing::Length(0)));
        // What follows CONNECT is the stream of the other protocol.
        if self.line.is_connect() && !is_empty { Err(Cut::AmbiguousLength) } else { Ok(framing) }
    }
}

/// The name of a field in lower case, and its value without the blanks around it.
fn field(line: &[u8]) -> Result<(String, &[u8]), Cut> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Cut::MalformedField)?;
    let (name, value) = line.split_at(colon);
    let name = core::str::from_utf8(name).ok().filter(|name| is_token(name.as_bytes()));
    let name = name.ok_or(Cut::MalformedField)?.to_ascii_lowercase();
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}
