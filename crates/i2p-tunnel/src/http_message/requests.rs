use super::{
    chunked::ChunkedBody,
    head::{Framing, RequestHead},
    refusal::Refusal,
    scanner::{HeadScanner, Scanned},
};

/// Follows the requests of one connection: where each head and each body ends, and whether all of it is well-formed.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    state: State,
    scanner: HeadScanner,
}

#[derive(Debug, Default)]
enum State {
    /// Before or in a head.
    #[default]
    Head,
    /// In a body, with this many bytes left.
    Length(u64),
    Chunked(ChunkedBody),
}

/// What the next bytes are.
#[derive(Debug)]
pub(crate) enum Event {
    /// The beginning of a head. The same bytes are to be given again, with more behind them.
    More,
    /// A head of this length.
    Head(usize, Box<RequestHead>),
    /// This many bytes of a body.
    Body(usize),
    /// Nothing that may be passed on. Nor may anything behind it.
    Refused(Refusal),
}

impl Requests {
    /// Whether a body is not complete yet.
    pub(crate) fn is_in_body(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Tells what these bytes are, which follow those of the last event. There is at least one.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Event {
        match &mut self.state {
            State::Head => match self.scanner.scan(bytes) {
                Scanned::More => Event::More,
                Scanned::Refused(refusal) => Event::Refused(refusal),
                Scanned::Head { start, end } => self.head(bytes.get(start..end).unwrap_or_default(), end),
            },
            State::Length(left) => {
                let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(*left);
                *left -= here;
                if *left == 0 {
                    self.state = State::Head;
                }
                // No more than a slice has.
                Event::Body(usize::try_from(here).unwrap_or(usize::MAX))
            }
            State::Chunked(body) => match body.follow(bytes) {
                Err(refusal) => Event::Refused(refusal),
                Ok(count) => {
                    if body.is_done() {
                        self.state = State::Head;
                    }
                    Event::Body(count)
                }
            },
        }
    }

    fn head(&mut self, head: &[u8], length: usize) -> Event {
        match RequestHead::parse(head) {
            Err(refusal) => Event::Refused(refusal),
            Ok(head) => {
                self.state = match head.framing {
                    Framing::Length(0) => State::Head,
                    Framing::Length(length) => State::Length(length),
                    Framing::Chunked => State::Chunked(ChunkedBody::new()),
                };
                Event::Head(length, Box::new(head))
            }
        }
    }
}

impl RequestHead {
    /// Takes the head as hyper is given it.
    pub(crate) fn take_for_hyper(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.for_hyper)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::syntax::{MAX_FIELDS, MAX_HEAD_BYTES},
        *,
    };

    /// The heads and the bodies in a text, in pieces of this size.
    fn read(text: &str, piece: usize) -> Result<Vec<String>, Refusal> {
        let (mut requests, mut pending, mut found) = (Requests::default(), Vec::new(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            pending.extend_from_slice(piece);
            while !pending.is_empty() {
                let taken = match requests.next(&pending) {
                    Event::More => break,
                    Event::Head(length, head) => {
                        found.push(format!("{} {}|", head.method, head.path));
                        length
                    }
                    Event::Body(count) => {
                        let body = String::from_utf8(pending[..count].to_vec()).unwrap();
                        found.last_mut().unwrap().push_str(&body);
                        count
                    }
                    Event::Refused(refusal) => return Err(refusal),
                };
                pending.drain(..taken);
            }
        }
        Ok(found)
    }

    #[test]
    fn requests_that_follow_each_other_are_told_apart_however_they_are_cut() {
        let text = "GET http://a/1 HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST http://a/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /\
                    \r\nPUT http://a/3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                    HEAD http://a/4 HTTP/1.0\r\n\r\n";
        let expected = ["GET /1|", "POST /2|GET /", "PUT /3|3\r\nabc\r\n0\r\n\r\n", "HEAD /4|"];
        for piece in 1..text.len() {
            assert_eq!(read(text, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn lines_end_with_cr_and_lf_and_nothing_else_controls() {
        for (text, refusal) in [
            ("GET http://a/ HTTP/1.1\nHost: a\r\n\r\n", Refusal::BareLineEnd),
            ("GET http://a/ HTTP/1.1\r\nHost: a\n\n", Refusal::BareLineEnd),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\r\n\r\n", Refusal::BareLineEnd),
            ("GET http://a/ HTTP/1.1\r\nA: b\rHost: a\r\n\r\n", Refusal::BareLineEnd),
            ("\nGET http://a/ HTTP/1.1\r\n", Refusal::BareLineEnd),
            ("GET http://a/\0 HTTP/1.1\r\n", Refusal::ControlByte),
            ("GET http://a/ HTTP/1.1\r\nA: \x0b\r\n", Refusal::ControlByte),
            ("GET http://a/ HTTP/1.1\r\nA: \x7f\r\n", Refusal::ControlByte),
            ("\r\n\r\n\r\n\r\n\r\nGET", Refusal::RequestLine),
        ] {
            for piece in 1..text.len() {
                assert_eq!(read(text, piece), Err(refusal), "{text:?} {piece}");
            }
        }
    }

    #[test]
    fn heads_are_bounded() {
        let head = |fields: &str| format!("GET http://a/ HTTP/1.1\r\nHost: a\r\n{fields}");
        let endless = head(&format!("A: {}", "b".repeat(MAX_HEAD_BYTES)));
        assert_eq!(read(&endless, 1024), Err(Refusal::HeadTooLong));
        let many = head(&"a: b\r\n".repeat(MAX_FIELDS));
        assert_eq!(read(&many, 1024), Err(Refusal::TooManyFields));
        let most = head(&"a: b\r\n".repeat(MAX_FIELDS - 1)) + "\r\n";
        assert_eq!(read(&most, 1024).unwrap().len(), 1);
        let long = head(&format!("A: {}\r\n\r\n", "b".repeat(MAX_HEAD_BYTES - 200)));
        assert_eq!(read(&long, 1024).unwrap().len(), 1);
    }
}
