//! Header fields of HTTP (RFC 9110 section 5), and targets of requests to BitTorrent trackers. Names are compared without regard to
//! case.

mod announce;
mod answer;
mod origin;
mod request;
pub(crate) mod rules;

pub(crate) use self::origin::is_of;
pub use self::{
    announce::{Announce, announce},
    answer::answer_field,
    request::Request,
};

/// What happens to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It passes as it is.
    Pass,
    /// It is removed.
    Drop,
    /// It gets this value: a fixed one, or a part of its own.
    Replace(&'a [u8]),
    /// It gets the origin of the site as the site knows it: `http://` and the value of Host.
    OwnOrigin,
}

/// How a request reaches its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Within I2P.
    I2p,
    /// Through an outproxy, to a site outside.
    Outproxy,
}

impl Via {
    /// The User-Agent of everybody. In I2P it is that of Java I2P's proxy. Sites outside refuse that; there it is the one of most people
    /// who hide theirs, the users of Tor Browser.
    #[must_use]
    pub const fn user_agent(self) -> &'static str {
        match self {
            Self::I2p => "MYOB/6.66 (AN/ON)",
            Self::Outproxy => "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0",
        }
    }
}
