//! One end of a TCP connection, as text. Each byte is the character with its number, so that any bytes can be sent and compared.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// How long the other side may take. i2pd builds tunnels for the first stream.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks at a connection.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(4);

/// An end of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    received: String,
    ended: bool,
}

/// An answer, as its framing has it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// From the status line to the empty line.
    pub(crate) head: String,
    pub(crate) body: Body,
}

/// A body, decoded if it was chunked.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) content: String,
    /// Whether it has ended as its framing says.
    pub(crate) is_complete: bool,
    /// The lines behind the last chunk.
    pub(crate) trailers: String,
}

impl Wire {
    pub(crate) fn on(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, received: String::new(), ended: false })
    }

    /// Sends a text.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        let bytes: Vec<u8> =
            text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
        let mut left = bytes.as_slice();
        let start = Instant::now();
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ensure!(start.elapsed() < PATIENCE, "nobody reads what is sent");
                    // Otherwise both sides could wait for each other.
                    self.look();
                    thread::sleep(LOOK_INTERVAL);
                }
                Err(error) => return Err(anyhow!("sending failed: {}", error.kind())),
            }
        }
        Ok(())
    }

    /// Another handle, for a thread that sends while this one reads.
    pub(crate) fn clone_for_sending(&self) -> Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, received: String::new(), ended: true })
    }

    /// Sends nothing more.
    pub(crate) fn half_close(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).context("no half-close")
    }

    /// Takes in what has come, without waiting.
    pub(crate) fn look(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(count @ 1..) => {
                    self.received.extend(buffer.iter().take(count).map(|&byte| char::from(byte)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // A reset also ends it.
                Ok(0) | Err(_) => self.ended = true,
            }
        }
    }

    /// What has come and was not taken.
    pub(crate) fn received(&self) -> &str {
        &self.received
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Waits until `take` takes something. Its second argument tells whether the connection has ended.
    fn until<T>(
        &mut self,
        limit: Duration,
        mut take: impl FnMut(&mut String, bool) -> Option<T>,
    ) -> Option<T> {
        let start = Instant::now();
        loop {
            self.look();
            if let Some(taken) = take(&mut self.received, self.ended) {
                return Some(taken);
            }
            if self.ended || start.elapsed() > limit {
                return None;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Takes a head, with the empty line at its end.
    pub(crate) fn head(&mut self) -> Result<String> {
        self.head_within(PATIENCE)
    }

    pub(crate) fn head_within(&mut self, limit: Duration) -> Result<String> {
        let head = self.until(limit, |received, _| take_head(received));
        head.ok_or_else(|| anyhow!("{} before a head had come", self.state(limit)))
    }

    /// Takes this many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<String> {
        let taken = self.until(PATIENCE, |received, _| take(received, count));
        taken
            .ok_or_else(|| anyhow!("{} after {} of {count} bytes", self.state(PATIENCE), self.received.len()))
    }

    /// Takes all that comes until the connection ends.
    pub(crate) fn rest(&mut self) -> Result<String> {
        let all = self.until(PATIENCE, |received, ended| ended.then(|| std::mem::take(received)));
        all.ok_or_else(|| anyhow!("still open after {} s", PATIENCE.as_secs()))
    }

    /// Takes all that comes within this time.
    pub(crate) fn for_a_while(&mut self, time: Duration) -> String {
        self.until(time, |_, ended| ended.then_some(()));
        std::mem::take(&mut self.received)
    }

    fn state(&self, limit: Duration) -> String {
        match self.ended {
            true => "closed".to_owned(),
            false => format!("nothing within {} s", limit.as_secs()),
        }
    }

    /// Takes an answer to a request with this method. Interim answers are skipped.
    pub(crate) fn answer(&mut self, method: &str) -> Result<Answer> {
        loop {
            let head = self.head()?;
            let status = status_of(&head)?;
            if matches!(status, 102..=199 | 100) {
                continue;
            }
            let is_empty = method == "HEAD" || matches!(status, 101 | 204 | 304);
            let body = match is_empty {
                true => Body { is_complete: true, ..Body::default() },
                false => self.body(&head, true),
            };
            return Ok(Answer { status, head, body });
        }
    }

    /// Takes the body that belongs to a head. If nothing says where it ends, that is the end of the connection or, for a request,
    /// at once.
    pub(crate) fn body(&mut self, head: &str, is_answer: bool) -> Body {
        if fields(head, "Transfer-Encoding")
            .last()
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.chunked_body();
        }
        match field(head, "Content-Length").and_then(|length| length.parse().ok()) {
            Some(length) => match self.until(PATIENCE, |received, _| take(received, length)) {
                Some(content) => Body { content, is_complete: true, ..Body::default() },
                None => Body { content: std::mem::take(&mut self.received), ..Body::default() },
            },
            None if is_answer => {
                let all = self.until(PATIENCE, |received, ended| ended.then(|| std::mem::take(received)));
                Body { is_complete: all.is_some(), content: all.unwrap_or_default(), ..Body::default() }
            }
            None => Body { is_complete: true, ..Body::default() },
        }
    }

    fn chunked_body(&mut self) -> Body {
        let mut body = Body::default();
        loop {
            let Some(line) = self.until(PATIENCE, |received, _| take_line(received)) else { return body };
            let digits = line.split([';', ' ']).next().unwrap_or_default();
            match usize::from_str_radix(digits, 16) {
                Err(_) => return body,
                Ok(0) => break,
                Ok(size) => {
                    let Some(data) = self.until(PATIENCE, |received, _| take(received, size + 2)) else {
                        body.content += &std::mem::take(&mut self.received);
                        return body;
                    };
                    body.content.extend(data.chars().take(size));
                }
            }
        }
        while let Some(line) = self.until(PATIENCE, |received, _| take_line(received)) {
            if line.is_empty() {
                body.is_complete = true;
                break;
            }
            body.trailers += &format!("{line}\r\n");
        }
        body
    }
}

impl Answer {
    /// Fails unless it has this status and this body.
    pub(crate) fn expect(&self, status: u16, content: &str) -> Result<()> {
        ensure!(self.status == status, "answered {}", self.status);
        ensure!(self.body.is_complete, "the body has no end");
        ensure!(self.body.content == content, "the body is {:?}", shown(&self.body.content));
        Ok(())
    }
}

/// The first characters of a text, for messages.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN: usize = 60;
    let more = if text.chars().count() > SHOWN { "..." } else { "" };
    format!("{}{more}", text.chars().take(SHOWN).collect::<String>())
}

fn take(received: &mut String, count: usize) -> Option<String> {
    let end = match received.char_indices().nth(count) {
        Some((end, _)) => end,
        None if received.chars().count() == count => received.len(),
        None => return None,
    };
    Some(received.drain(..end).collect())
}

fn take_head(received: &mut String) -> Option<String> {
    let end = received.find("\r\n\r\n")? + 4;
    Some(received.drain(..end).collect())
}

fn take_line(received: &mut String) -> Option<String> {
    let end = received.find("\r\n")?;
    let line = received.get(..end)?.to_owned();
    received.drain(..end + 2);
    Some(line)
}

/// The status of an answer.
pub(crate) fn status_of(head: &str) -> Result<u16> {
    let code =
        head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    match code {
        Some(code) => Ok(code),
        None => bail!("{:?} is no status line", shown(head)),
    }
}

/// The values of a field, in order.
pub(crate) fn fields<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines
        .filter(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_matches([' ', '\t']))
        .collect()
}

/// The value of a field that comes once.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    match fields(head, name).as_slice() {
        [value] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Wire, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Wire::on(one).unwrap(), Wire::on(listener.accept().unwrap().0).unwrap())
    }

    #[test]
    fn an_answer_is_taken_as_its_framing_says_and_no_further() {
        let (mut site, mut client) = pair();
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\n\u{e9}bc\r\n0\r\nX: 1\r\n\r\n";
        let counted = "HTTP/1.1 201 OK\r\ncontent-length: 2\r\n\r\nok";
        site.send(&format!(
            "HTTP/1.1 103 Early\r\n\r\n{chunked}{counted}HTTP/1.1 204 None\r\n\r\nHTTP/1.0 200 OK\r\n\r\nrest"
        ))
        .unwrap();
        site.half_close().unwrap();
        let first = client.answer("GET").unwrap();
        first.expect(200, "\u{e9}bc").unwrap();
        assert_eq!(first.body.trailers, "X: 1\r\n");
        client.answer("GET").unwrap().expect(201, "ok").unwrap();
        client.answer("GET").unwrap().expect(204, "").unwrap();
        client.answer("GET").unwrap().expect(200, "rest").unwrap();
        assert!(client.answer("GET").is_err());
    }

    #[test]
    fn what_is_cut_off_is_not_complete() {
        for cut in [
            "Content-Length: 5\r\n\r\nok",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nok",
            "Transfer-Encoding: chunked\r\n\r\n0\r\n",
        ] {
            let (mut site, mut client) = pair();
            site.send(&format!("HTTP/1.1 200 OK\r\n{cut}")).unwrap();
            drop(site);
            assert!(!client.answer("GET").unwrap().body.is_complete, "{cut}");
        }
    }
}
