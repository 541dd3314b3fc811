use std::fmt;

use i2p_name::{Destination, I2pName, NameError};

/// The versions this client can speak. i2pd takes the minimum when it does not know the maximum, so the
/// minimum is the least that is enough: 3.1 has SIGNATURE_TYPE.
const VERSIONS: &str = "MIN=3.1 MAX=3.3";

/// `HELLO VERSION`: the first line on every connection (SAM v3, "SAM connection handshake").
#[derive(Debug, Clone, Copy)]
pub struct Hello;

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "HELLO VERSION {VERSIONS}")
    }
}

/// A session's ID: unique on the bridge, so random; letters, digits and `-` only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// A random one, of 80 bits.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 10];
        getrandom::fill(&mut bytes)?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("i2p-socks-{digits}")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a session is to be: tunnels, keys, publication.
///
/// The default is a client: transient keys, three hops, two tunnels each way, lease set not published.
#[derive(Clone)]
pub struct SessionOptions {
    length: u8,
    quantity: u8,
    publish: bool,
    private_key: Option<String>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { length: 3, quantity: 2, publish: false, private_key: None }
    }
}

impl SessionOptions {
    /// Hops of each tunnel, both ways: 0 to 7. More is cut to 7. emissary does not answer to 0.
    #[must_use]
    pub fn length(mut self, hops: u8) -> Self {
        self.length = hops.min(7);
        self
    }

    /// Tunnels each way: 1 to 16; other numbers are moved into that range.
    #[must_use]
    pub fn quantity(mut self, tunnels: u8) -> Self {
        self.quantity = tunnels.clamp(1, 16);
        self
    }

    /// Whether the lease set is published, so that others can connect to the session.
    #[must_use]
    pub fn publish(mut self, publish: bool) -> Self {
        self.publish = publish;
        self
    }

    /// The keys to use instead of new ones, as base64 in the form of a `SESSION STATUS` or `DEST REPLY`.
    ///
    /// # Errors
    /// [`NameError`] when it is not base64, or no destination with keys behind it: a session with other keys than the
    /// ones asked for would be another identity.
    pub fn private_key(mut self, key: impl Into<String>) -> Result<Self, NameError> {
        let key = key.into();
        Destination::from_private_key(&key)?;
        self.private_key = Some(key);
        Ok(self)
    }
}

/// Without the private key.
impl fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOptions")
            .field("length", &self.length)
            .field("quantity", &self.quantity)
            .field("publish", &self.publish)
            .finish_non_exhaustive()
    }
}

/// `SESSION CREATE STYLE=STREAM` (SAM v3, "Creating a session").
#[derive(Debug)]
pub struct SessionCreate<'a> {
    /// The session's ID.
    pub id: &'a SessionId,
    /// What it is to be.
    pub options: &'a SessionOptions,
}

impl fmt::Display for SessionCreate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SessionOptions { length, quantity, publish, private_key } = self.options;
        write!(f, "SESSION CREATE STYLE=STREAM ID={} ", self.id.as_str())?;
        match private_key {
            Some(key) => write!(f, "DESTINATION={key} ")?,
            // Routers would make a DSA key by default.
            None => f.write_str("DESTINATION=TRANSIENT SIGNATURE_TYPE=7 ")?,
        }
        write!(f, "inbound.length={length} outbound.length={length} ")?;
        write!(f, "inbound.quantity={quantity} outbound.quantity={quantity} ")?;
        // 4 is ECIES-X25519, 0 ElGamal for old peers. A list that starts with 6 crashes i2pd 2.45.
        f.write_str("i2cp.leaseSetEncType=4,0 inbound.nickname=i2p-socks outbound.nickname=i2p-socks ")?;
        writeln!(f, "i2cp.dontPublishLeaseSet={}", !publish)
    }
}

/// `STREAM CONNECT` (SAM v3, "SAM virtual streams: CONNECT").
#[derive(Debug)]
pub struct StreamConnect<'a> {
    /// The session that connects.
    pub id: &'a SessionId,
    /// Where to.
    pub destination: &'a I2pName,
    /// The I2CP port of the far end; 0 is "any". i2pd ignores it.
    pub port: u16,
}

impl fmt::Display for StreamConnect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "STREAM CONNECT ID={} DESTINATION={} SILENT=false", self.id.as_str(), self.destination)?;
        if self.port != 0 {
            write!(f, " TO_PORT={}", self.port)?;
        }
        f.write_str("\n")
    }
}

/// `STREAM ACCEPT` (SAM v3, "SAM virtual streams: ACCEPT").
#[derive(Debug)]
pub struct StreamAccept<'a> {
    /// The session that accepts.
    pub id: &'a SessionId,
}

impl fmt::Display for StreamAccept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "STREAM ACCEPT ID={} SILENT=false", self.id.as_str())
    }
}

/// `NAMING LOOKUP` (SAM v3, "SAM utility commands").
#[derive(Debug)]
pub struct NamingLookup<'a> {
    /// The name to look up.
    pub name: &'a I2pName,
}

impl fmt::Display for NamingLookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "NAMING LOOKUP NAME={}", self.name)
    }
}

/// `PONG`: the answer to a bridge's `PING`, with the same text.
#[derive(Debug)]
pub struct Pong<'a> {
    /// The text of the `PING`; without newlines, since it was a part of a line.
    pub text: &'a str,
}

impl fmt::Display for Pong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text {
            "" => f.write_str("PONG\n"),
            text => writeln!(f, "PONG {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_portable_profile() {
        let id = SessionId("i2p-socks-1".into());
        assert_eq!(Hello.to_string(), "HELLO VERSION MIN=3.1 MAX=3.3\n");
        assert_eq!(
            SessionCreate { id: &id, options: &SessionOptions::default() }.to_string(),
            "SESSION CREATE STYLE=STREAM ID=i2p-socks-1 DESTINATION=TRANSIENT SIGNATURE_TYPE=7 \
             inbound.length=3 outbound.length=3 inbound.quantity=2 outbound.quantity=2 \
             i2cp.leaseSetEncType=4,0 inbound.nickname=i2p-socks outbound.nickname=i2p-socks \
             i2cp.dontPublishLeaseSet=true\n"
        );
        let host = I2pName::parse("a.i2p").unwrap();
        assert_eq!(
            StreamConnect { id: &id, destination: &host, port: 80 }.to_string(),
            "STREAM CONNECT ID=i2p-socks-1 DESTINATION=a.i2p SILENT=false TO_PORT=80\n"
        );
        assert_eq!(StreamAccept { id: &id }.to_string(), "STREAM ACCEPT ID=i2p-socks-1 SILENT=false\n");
        assert_eq!(NamingLookup { name: &host }.to_string(), "NAMING LOOKUP NAME=a.i2p\n");
        assert_eq!(Pong { text: "12 3" }.to_string(), "PONG 12 3\n");
        assert_eq!(Pong { text: "" }.to_string(), "PONG\n");
    }

    #[test]
    fn a_private_key_cannot_carry_options() {
        let id = SessionId("x".into());
        let key = sam_testkit::private_key();
        for wrong in ["", "AAAA", &format!("{key} inbound.length=0"), &format!("{key}\nQUIT")] {
            assert!(SessionOptions::default().private_key(wrong).is_err(), "{wrong:?}");
        }
        let options = SessionOptions::default().private_key(&key).unwrap().publish(true);
        let line = SessionCreate { id: &id, options: &options }.to_string();
        assert!(line.contains(&format!("DESTINATION={key} inbound")), "{line}");
        assert!(line.ends_with("i2cp.dontPublishLeaseSet=false\n"), "{line}");
        assert!(!format!("{options:?}").contains(&key));
    }

    #[test]
    fn session_ids_are_random_and_plain() {
        let (a, b) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_ne!(a, b);
        assert!(a.as_str().bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
    }
}
