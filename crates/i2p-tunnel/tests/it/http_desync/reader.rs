//! Reads requests as RFC 9112 has them and in no other way. It decides what a client has meant, and whether what arrives at a site can
//! be read in one way only. It shares nothing with the proxy.

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// The path with its query; of a URL, without the scheme and the host.
    pub(super) path: String,
    /// The names in lower case, and the values.
    pub(super) fields: Vec<(String, String)>,
    /// Without chunks.
    pub(super) body: Vec<u8>,
}

/// What the bytes after a request are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A request of this length.
    Request(usize, Request),
    /// The beginning of one.
    Incomplete,
    /// No request.
    Malformed(&'static str),
}

/// All requests at the beginning of what a client has sent, and what follows them. Empty lines before a request are ignored, as
/// section 2.2 has it.
pub(super) fn all(mut bytes: &[u8]) -> (Vec<Request>, Next) {
    let mut requests = Vec::new();
    loop {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        match next(bytes) {
            Next::Request(length, request) => {
                requests.push(request);
                bytes = &bytes[length..];
            }
            other => return (requests, other),
        }
    }
}

/// Reads one request.
pub(super) fn next(bytes: &[u8]) -> Next {
    let Some(end) = position(bytes, b"\r\n\r\n") else {
        // A line that has come to its end can already be malformed.
        return Next::Incomplete;
    };
    let head: String = bytes[..end].iter().map(|&byte| char::from(byte)).collect();
    match parse_head(&head) {
        Err(why) => Next::Malformed(why),
        Ok(mut request) => match body(&request, &bytes[end + 4..]) {
            Err(why) => Next::Malformed(why),
            Ok(None) => Next::Incomplete,
            Ok(Some((length, body))) => {
                request.body = body;
                Next::Request(end + 4 + length, request)
            }
        },
    }
}

fn parse_head(head: &str) -> Result<Request, &'static str> {
    let mut lines = head.split("\r\n");
    let line: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    let &[method, target, version] = line.as_slice() else { return Err("not three words") };
    let is_target = !target.is_empty() && target.bytes().all(|byte| byte > b' ' && byte != 0x7f);
    if !is_token(method) || !is_target || !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err("the first line");
    }
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
        None if target.starts_with('/') || target == "*" => target,
        None => return Err("the target"),
    };
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
        let value = value.trim_matches([' ', '\t']);
        if !is_token(name) {
            return Err("the name of a field");
        }
        if value.chars().any(|letter| letter != '\t' && letter.is_ascii_control()) {
            return Err("a control character");
        }
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let count = |name: &str| fields.iter().filter(|(given, _)| given == name).count();
    let (length, coding) = (count("content-length"), count("transfer-encoding"));
    if length + coding > 1 || (coding == 1 && version == "HTTP/1.0") {
        return Err("ambiguous length");
    }
    if count("host") > 1 || (count("host") == 0 && version == "HTTP/1.1") {
        return Err("not one Host");
    }
    Ok(Request { method: method.into(), path: path.into(), fields, body: Vec::new() })
}

/// The body, and how many bytes it takes; `None` if it has not ended.
fn body(request: &Request, bytes: &[u8]) -> Result<Option<(usize, Vec<u8>)>, &'static str> {
    let value =
        |name: &str| request.fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    if let Some(coding) = value("transfer-encoding") {
        return if coding.eq_ignore_ascii_case("chunked") { chunked(bytes) } else { Err("the coding") };
    }
    let Some(length) = value("content-length") else { return Ok(Some((0, Vec::new()))) };
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the length");
    }
    let length: usize = length.parse().map_err(|_| "the length")?;
    Ok(bytes.get(..length).map(|body| (length, body.to_vec())))
}

fn chunked(bytes: &[u8]) -> Result<Option<(usize, Vec<u8>)>, &'static str> {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let Some(end) = position(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = &bytes[at..at + end];
        at += end + 2;
        let digits = line.iter().position(|&byte| byte == b';').unwrap_or(line.len());
        let (digits, extension) = line.split_at(digits);
        let digits = std::str::from_utf8(digits).map_err(|_| "the size of a chunk")?;
        let is_size =
            !digits.is_empty() && digits.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_extension = extension.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        if !is_size || !is_extension {
            return Err("the size of a chunk");
        }
        let size = usize::from_str_radix(digits, 16).map_err(|_| "the size of a chunk")?;
        if size == 0 {
            break;
        }
        let Some(chunk) = at.checked_add(size).and_then(|end| bytes.get(at..end)) else { return Ok(None) };
        data.extend_from_slice(chunk);
        at += size;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err("the end of a chunk"),
            None => return Ok(None),
        }
    }
    loop {
        let Some(end) = position(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line: String = bytes[at..at + end].iter().map(|&byte| char::from(byte)).collect();
        at += end + 2;
        if line.is_empty() {
            return Ok(Some((at, data)));
        }
        if !line.split_once(':').is_some_and(|(name, _)| is_token(name)) {
            return Err("a trailer");
        }
    }
}

fn is_token(word: &str) -> bool {
    !word.is_empty()
        && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter))
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
