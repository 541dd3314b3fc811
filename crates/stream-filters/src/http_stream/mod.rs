//! HTTP/1.1 (RFC 9112) in clear text, as a client speaks it with a site itself.
//!
//! A request whose head or body could be read in two ways is cut: the rules would hold for one reading only. Each head is written anew, by
//! the same rules and in the same order as the proxy of i2p-tunnel writes it. Bodies pass as they come. Once a server has agreed to another
//! protocol that the client asked for, or to CONNECT, both directions are let go.

mod answer;
mod answers;
mod body;
mod forward;
mod heads;
mod request;
mod rules;
mod syntax;

pub(crate) use self::rules::rules;
use self::{
    answer::Kind,
    answers::{Answered, Answers},
    body::Body,
    heads::Heads,
    request::RequestHead,
};
use crate::{Cut, Next, Output, http::Via};

/// The filter of a connection.
#[derive(Debug)]
pub(crate) struct Http {
    via: Via,
    heads: Heads,
    /// The body that the client sends.
    body: Option<Body>,
    /// The client has asked for another protocol, and has to wait for the answer.
    waits: bool,
    answers: Answers,
}

impl Default for Http {
    fn default() -> Self {
        Self { via: Via::I2p, heads: Heads::default(), body: None, waits: false, answers: Answers::default() }
    }
}

impl Http {
    pub(crate) const fn set_via(&mut self, via: Via) {
        self.via = via;
    }

    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        loop {
            if let Some(body) = &mut self.body {
                if !body.take(&mut chunk, output)? {
                    return Ok(Next::Filter);
                }
                self.body = None;
            }
            if self.waits && !chunk.is_empty() {
                return Err(Cut::EarlyData);
            }
            let Some(head) = self.heads.next(&mut chunk)? else { return Ok(Next::Filter) };
            let head = RequestHead::parse(&head)?;
            let kind = forward::kind(&head);
            self.answers.expect(kind)?;
            forward::forward(&head, self.via, output);
            self.waits = matches!(kind, Kind::Connect | Kind::Upgrade);
            self.body = head.framing.map(Body::of_request);
        }
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(answered) = self.answers.next(&mut chunk, output)? {
            match answered {
                Answered::Switch => {
                    output.bytes.extend_from_slice(chunk);
                    return Ok(Next::Release);
                }
                Answered::Request(Kind::Connect | Kind::Upgrade) => self.waits = false,
                Answered::Request(_) => {}
            }
        }
        Ok(Next::Filter)
    }
}
