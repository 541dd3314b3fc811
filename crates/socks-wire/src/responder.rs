use core::net::IpAddr;

use crate::{
    address::Address,
    encode::{Encode, EncodeError},
    encoded::Encoded,
    protocol::Protocol,
    v4, v5,
};

/// Makes replies in the protocol of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responder {
    protocol: Protocol,
}

impl Responder {
    /// Makes a responder for requests of this protocol.
    #[must_use]
    pub const fn new(protocol: Protocol) -> Self {
        Self { protocol }
    }

    /// The protocol of the request.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Makes the reply to a request that has succeeded, with the address `0.0.0.0:0`.
    #[must_use]
    pub fn granted(&self) -> Encoded {
        self.reply(v5::ReplyCode::SUCCEEDED, v4::ReplyCode::GRANTED)
    }

    /// Makes the reply to a request that has failed, with the code for the client's protocol. The server then closes the
    /// connection.
    #[must_use]
    pub fn failed(&self, v5: v5::ReplyCode, v4: v4::ReplyCode) -> Encoded {
        self.reply(v5, v4)
    }

    /// Writes the reply to a request that has succeeded, with an address: of a BIND or UDP relay, or the answer to RESOLVE and
    /// RESOLVE_PTR. SOCKS4 replies have room for an IPv4 address only; other addresses become `0.0.0.0`.
    ///
    /// # Errors
    /// The errors of [`Encode::encode`]. A buffer of [`Responder::MAX_LENGTH`] bytes is always large enough.
    pub fn granted_at(
        &self,
        address: Address<'_>,
        port: u16,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        match (self.protocol, address) {
            (Protocol::Socks5, address) => {
                v5::Reply { code: v5::ReplyCode::SUCCEEDED, address, port }.encode(buffer)
            }
            (_, Address::Ip(IpAddr::V4(address))) => {
                v4::Reply { code: v4::ReplyCode::GRANTED, port, address }.encode(buffer)
            }
            _ => v4::Reply { port, ..v4::Reply::new(v4::ReplyCode::GRANTED) }.encode(buffer),
        }
    }

    /// The length of the longest reply in bytes.
    pub const MAX_LENGTH: usize = <v5::Reply<'_> as Encode>::MAX_LENGTH;

    fn reply(self, v5: v5::ReplyCode, v4: v4::ReplyCode) -> Encoded {
        match self.protocol {
            Protocol::Socks4 | Protocol::Socks4a => Encoded::of(&v4::Reply::new(v4)),
            Protocol::Socks5 => Encoded::of(&v5::Reply::new(v5)),
        }
    }
}
