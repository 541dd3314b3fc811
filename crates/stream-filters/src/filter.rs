use alloc::vec::Vec;
use core::net::Ipv4Addr;

use crate::{
    Cut, ListedRule, Next, Output, ftp, http, http_stream, irc,
    mail::{imap, pop3, smtp},
    sip, xmpp,
};

/// The protocols that a [`Filter`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Internet Relay Chat: RFC 1459, RFC 2812, IRCv3.
    Irc,
    /// Submission of mail: RFC 5321, RFC 6409.
    Smtp,
    /// Reading of mail: RFC 1939.
    Pop3,
    /// Reading of mail: RFC 3501, RFC 9051.
    Imap,
    /// The control connection of FTP: RFC 959.
    Ftp,
    /// Chat: RFC 6120, RFC 6121.
    Xmpp,
    /// Calls over a stream: RFC 3261, RFC 8866.
    Sip,
    /// HTTP/1.1 in clear text: RFC 9112.
    Http,
}

impl Protocol {
    /// All protocols.
    pub const ALL: &'static [Self] =
        &[Self::Irc, Self::Smtp, Self::Pop3, Self::Imap, Self::Ftp, Self::Xmpp, Self::Sip, Self::Http];

    /// The protocol's name in lower case, for configuration and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Irc => "irc",
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
            Self::Ftp => "ftp",
            Self::Xmpp => "xmpp",
            Self::Sip => "sip",
            Self::Http => "http",
        }
    }

    /// The rules of the filter, with their reasons and an example each. What a client says and no rule names does not pass, but for the
    /// header fields of HTTP.
    #[must_use]
    pub fn rules(self) -> Vec<ListedRule> {
        match self {
            Self::Irc => irc::rules(),
            Self::Smtp => smtp::rules(),
            Self::Pop3 => pop3::rules(),
            Self::Imap => imap::rules(),
            Self::Ftp => ftp::rules(),
            Self::Xmpp => xmpp::rules(),
            Self::Sip => sip::rules(),
            Self::Http => http_stream::rules(),
        }
    }
}

/// A filter for one connection, for both of its directions.
///
/// The caller gives it each chunk that it has read, in the order in which it reads them, and sends on what it gets in place of it. How
/// the bytes are split into chunks does not matter. A line that is judged is held until its end has come, so one without an end does not
/// pass. What is not judged, such as the body of a message, passes as it comes.
/// [`Next::Release`] is for both directions.
#[derive(Debug)]
pub struct Filter {
    machine: Machine,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The client has not sent anything.
    New,
    Open,
    Released,
    Cut(Cut),
}

#[derive(Debug)]
enum Machine {
    Irc(irc::Irc),
    Smtp(smtp::Smtp),
    Pop3(pop3::Pop3),
    Imap(imap::Imap),
    Ftp(ftp::Ftp),
    Xmpp(xmpp::Xmpp),
    Sip(sip::Sip),
    Http(http_stream::Http),
}

/// The first byte of TLS records with a ClientHello. No line of a protocol begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

impl Filter {
    /// A filter for a new connection.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let machine = match protocol {
            Protocol::Irc => Machine::Irc(irc::Irc::default()),
            Protocol::Smtp => Machine::Smtp(smtp::Smtp::default()),
            Protocol::Pop3 => Machine::Pop3(pop3::Pop3::default()),
            Protocol::Imap => Machine::Imap(imap::Imap::default()),
            Protocol::Ftp => Machine::Ftp(ftp::Ftp::default()),
            Protocol::Xmpp => Machine::Xmpp(xmpp::Xmpp::default()),
            Protocol::Sip => Machine::Sip(sip::Sip::default()),
            Protocol::Http => Machine::Http(http_stream::Http::default()),
        };
        Self { machine, state: State::New }
    }

    /// Sets the address that a client of FTP gets in place of the server's own, when it asks with PASV where to connect for a file.
    /// Without it, that is 0.0.0.0, for which curl, lftp and Python take the address of the control connection; wget does not. Other
    /// protocols have no such address.
    #[must_use]
    pub fn with_passive_address(mut self, address: Ipv4Addr) -> Self {
        if let Machine::Ftp(ftp) = &mut self.machine {
            ftp.set_passive_address(address);
        }
        self
    }

    /// Sets how requests of HTTP reach their site, on which the User-Agent depends. Without it, that is within I2P. It means nothing for
    /// other protocols.
    #[must_use]
    pub fn with_via(mut self, via: http::Via) -> Self {
        if let Machine::Http(http) = &mut self.machine {
            http.set_via(via);
        }
        self
    }

    /// Filters a chunk from the client, and appends to the output what the server gets.
    ///
    /// # Errors
    /// If the stream must end. The server still gets what is in the output. Each further call fails, too.
    pub fn client(&mut self, chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        if let (State::New, Some(first)) = (self.state, chunk.first()) {
            self.state = if *first == TLS_HANDSHAKE { State::Cut(Cut::Tls) } else { State::Open };
        }
        self.step(chunk, output, |machine, output| match machine {
            Machine::Irc(irc) => irc.client(chunk, output),
            Machine::Smtp(smtp) => smtp.client(chunk, output),
            Machine::Pop3(pop3) => pop3.client(chunk, output),
            Machine::Imap(imap) => imap.client(chunk, output),
            Machine::Ftp(ftp) => ftp.client(chunk, output),
            Machine::Xmpp(xmpp) => xmpp.client(chunk, output),
            Machine::Sip(sip) => sip.client(chunk, output),
            Machine::Http(http) => http.client(chunk, output),
        })
    }

    /// Filters a chunk from the server, and appends to the output what the client gets.
    ///
    /// # Errors
    /// If the stream must end. The client still gets what is in the output. Each further call fails, too.
    pub fn server(&mut self, chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        self.step(chunk, output, |machine, output| match machine {
            Machine::Irc(irc) => irc.server(chunk, output),
            Machine::Smtp(smtp) => smtp.server(chunk, output),
            Machine::Pop3(pop3) => pop3.server(chunk, output),
            Machine::Imap(imap) => imap.server(chunk, output),
            Machine::Ftp(ftp) => ftp.server(chunk, output),
            Machine::Xmpp(xmpp) => xmpp.server(chunk, output),
            Machine::Sip(sip) => sip.server(chunk, output),
            Machine::Http(http) => http.server(chunk, output),
        })
    }

    fn step(
        &mut self,
        chunk: &[u8],
        output: &mut Output,
        filter: impl FnOnce(&mut Machine, &mut Output) -> Result<Next, Cut>,
    ) -> Result<Next, Cut> {
        match self.state {
            State::Cut(cut) => return Err(cut),
            State::Released => {
                output.bytes.extend_from_slice(chunk);
                return Ok(Next::Release);
            }
            State::New | State::Open => {}
        }
        let next = filter(&mut self.machine, output);
        match next {
            Ok(Next::Filter) => {}
            Ok(Next::Release) => self.state = State::Released,
            Err(cut) => self.state = State::Cut(cut),
        }
        next
    }
}
