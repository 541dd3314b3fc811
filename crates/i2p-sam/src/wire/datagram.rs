use i2p_name::{B32, Destination, base64};

use super::{dialect::Dialect, line::Malformed, ports::Ports, reply::is_base64, session_id::SessionId};

/// The longest line that a bridge may put before a datagram, in bytes.
const MAX_HEADER_BYTES: usize = 4096;

/// The kinds of I2P datagrams (datagram specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatagramStyle {
    /// `DATAGRAM`: names its sender and is signed; protocol 17.
    Datagram,
    /// `DATAGRAM2`: like `DATAGRAM`, and signed for its receiver, so that it cannot be replayed to another; protocol 19.
    Datagram2,
    /// `DATAGRAM3`: names the hash of its sender and is not signed, so that anybody can claim it; protocol 20.
    Datagram3,
    /// `RAW`: payload only.
    Raw {
        /// `PROTOCOL`, by default 18. 6, 17, 19 and 20 belong to streams and the other kinds, and bridges refuse them.
        protocol: Option<u8>,
    },
}

impl DatagramStyle {
    /// The value of `STYLE`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Datagram => "DATAGRAM",
            Self::Datagram2 => "DATAGRAM2",
            Self::Datagram3 => "DATAGRAM3",
            Self::Raw { .. } => "RAW",
        }
    }

    /// The longest payload, in bytes, that SAM carries. A router may carry less:
    /// [`Capabilities::max_payload`](crate::Capabilities::max_payload). About 11,000 bytes arrive reliably. i2pd 2.45 loses raw
    /// datagrams of fewer than three bytes.
    #[must_use]
    pub fn max_payload(self) -> usize {
        match self {
            Self::Raw { .. } => 32_768,
            _ => 31_744,
        }
    }
}

/// Writes the line before a payload that is sent to the bridge's UDP port (SAM v3, "Sending a datagram"): the session, the
/// destination and the ports. i2pd takes no ports.
pub(crate) fn write_send_header(
    buffer: &mut Vec<u8>,
    dialect: Dialect,
    id: &SessionId,
    destination: &str,
    ports: Ports,
) {
    use std::io::Write;
    // Writing to a Vec does not fail.
    let _ = match (dialect, ports) {
        (Dialect::I2pd, _) | (_, Ports { from: 0, to: 0 }) => {
            writeln!(buffer, "3.0 {} {destination}", id.as_str())
        }
        (_, Ports { from, to }) => {
            writeln!(buffer, "3.2 {} {destination} FROM_PORT={from} TO_PORT={to}", id.as_str())
        }
    };
}

/// The sender of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// A destination. A signature proves it, except on a session for [`DatagramStyle::Datagram3`].
    Destination(Destination),
    /// The hash of a destination. Nothing proves it.
    Hash(B32),
    /// The datagram does not name its sender.
    Unknown,
}

/// A datagram that a bridge has forwarded, with its sender and ports (SAM v3, "Receiving a repliable datagram").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'a> {
    /// The sender.
    pub sender: SenderText<'a>,
    /// The I2CP ports; 0 where the bridge does not report them (i2pd).
    pub ports: Ports,
    /// The payload.
    pub payload: &'a [u8],
}

/// The sender of a datagram as the bridge wrote it. It is decoded on demand, so that an unwanted datagram costs little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderText<'a> {
    /// A destination in base64.
    Destination(&'a str),
    /// The hash of a destination in base64.
    Hash(&'a str),
    /// The datagram does not name its sender.
    Unknown,
}

impl SenderText<'_> {
    /// Decodes the sender.
    ///
    /// # Errors
    /// [`Malformed`] when it is not a destination or a hash.
    pub fn decode(self) -> Result<Sender, Malformed> {
        match self {
            Self::Destination(text) => text.parse().map(Sender::Destination).map_err(|_| Malformed),
            Self::Hash(text) => {
                let bytes = base64::decode(text).map_err(|_| Malformed)?;
                let hash: [u8; 32] = bytes.try_into().map_err(|_| Malformed)?;
                Ok(Sender::Hash(B32::from_hash(hash)))
            }
            Self::Unknown => Ok(Sender::Unknown),
        }
    }
}

impl<'a> Received<'a> {
    /// Parses a packet that arrived at the UDP port of a session of this style.
    ///
    /// # Errors
    /// [`Malformed`] when the line before the payload is not one of this style.
    pub fn parse(style: DatagramStyle, dialect: Dialect, packet: &'a [u8]) -> Result<Self, Malformed> {
        // Only Java I2P puts a line before a raw datagram; the others do not, even with HEADER=true.
        if let (DatagramStyle::Raw { .. }, Dialect::I2pd | Dialect::Emissary) = (style, dialect) {
            return Ok(Self { sender: SenderText::Unknown, ports: Ports::default(), payload: packet });
        }
        let head = packet.get(..MAX_HEADER_BYTES).unwrap_or(packet);
        let end = head.iter().position(|&byte| byte == b'\n').ok_or(Malformed)?;
        let (Some(line), Some(payload)) = (packet.get(..end), packet.get(end + 1..)) else {
            return Err(Malformed);
        };
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        let mut words = line.trim_end_matches('\r').split(' ');
        let sender = match style {
            DatagramStyle::Raw { .. } => SenderText::Unknown,
            _ => {
                let word = words.next().filter(|word| is_base64(word)).ok_or(Malformed)?;
                match (style, word.len()) {
                    (DatagramStyle::Datagram3, 44) => SenderText::Hash(word),
                    // Also for DATAGRAM3: i2pd's master looks the hash up before it passes the datagram on.
                    (_, 516..) => SenderText::Destination(word),
                    _ => return Err(Malformed),
                }
            }
        };
        Ok(Self { sender, ports: Ports::in_words(words)?, payload })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RAW: DatagramStyle = DatagramStyle::Raw { protocol: None };

    #[test]
    fn the_headers_of_each_router_are_parsed() {
        let destination = sam_testkit::destination();
        let packet = format!("{destination} FROM_PORT=5 TO_PORT=6\nPING0");
        let received =
            Received::parse(DatagramStyle::Datagram, Dialect::Emissary, packet.as_bytes()).unwrap();
        assert_eq!(received.sender, SenderText::Destination(&destination));
        assert_eq!((received.ports, received.payload), (Ports { from: 5, to: 6 }, &b"PING0"[..]));
        assert_eq!(received.sender.decode(), Ok(Sender::Destination(destination.parse().unwrap())));
        // i2pd reports no ports.
        let packet = format!("{destination}\n\n");
        let received = Received::parse(DatagramStyle::Datagram2, Dialect::I2pd, packet.as_bytes()).unwrap();
        assert_eq!((received.ports, received.payload), (Ports::default(), &b"\n"[..]));
        // Java's order.
        let packet = b"PROTOCOL=18 FROM_PORT=1 TO_PORT=2\nx";
        let received = Received::parse(RAW, Dialect::Standard, packet).unwrap();
        assert_eq!((received.sender, received.ports), (SenderText::Unknown, Ports { from: 1, to: 2 }));
        // No header at all.
        for dialect in [Dialect::I2pd, Dialect::Emissary] {
            assert_eq!(Received::parse(RAW, dialect, b"a\nb").unwrap().payload, b"a\nb");
        }
        let hash = format!("{}=\nx", "A".repeat(43));
        let received = Received::parse(DatagramStyle::Datagram3, Dialect::Standard, hash.as_bytes()).unwrap();
        assert_eq!(received.sender.decode(), Ok(Sender::Hash(B32::from_hash([0; 32]))));
        // i2pd's master names the destination.
        let packet = format!("{destination}\nx");
        let received = Received::parse(DatagramStyle::Datagram3, Dialect::I2pd, packet.as_bytes()).unwrap();
        assert_eq!(received.sender, SenderText::Destination(&destination));
    }

    #[test]
    fn a_packet_without_a_valid_header_is_malformed() {
        for packet in [&b""[..], b"no newline", b"short\npayload", b"FROM_PORT=x\n"] {
            for style in [DatagramStyle::Datagram, DatagramStyle::Datagram3] {
                assert_eq!(Received::parse(style, Dialect::Standard, packet), Err(Malformed), "{packet:?}");
            }
        }
        assert_eq!(Received::parse(RAW, Dialect::Standard, b"FROM_PORT=70000\nx"), Err(Malformed));
    }

    #[test]
    fn the_header_before_a_payload_follows_the_dialect() {
        let id = SessionId::random().unwrap();
        for (dialect, ports, tail) in [
            (Dialect::Standard, Ports { from: 1, to: 2 }, " FROM_PORT=1 TO_PORT=2"),
            (Dialect::Standard, Ports::default(), ""),
            (Dialect::I2pd, Ports { from: 1, to: 2 }, ""),
        ] {
            let mut header = Vec::new();
            write_send_header(&mut header, dialect, &id, "AA", ports);
            let header = String::from_utf8(header).unwrap();
            assert!(header.starts_with("3."), "{header}");
            assert!(header.ends_with(&format!(" {} AA{tail}\n", id.as_str())), "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_packet_is_parsed_without_panic(packet in proptest::collection::vec(any::<u8>(), 0..700)) {
            for style in [DatagramStyle::Datagram, DatagramStyle::Datagram2, DatagramStyle::Datagram3, RAW] {
                if let Ok(received) = Received::parse(style, Dialect::Standard, &packet) {
                    prop_assert!(packet.ends_with(received.payload));
                    let _ = received.sender.decode();
                }
            }
        }
    }
}
