use std::{fmt, time::Duration};

use super::{
    dialect::{Dialect, EncodeError, LineWriter, Text},
    lease_set::LeaseSetDialect,
    private_key::PrivateKey,
};

/// How long Java I2P delays the packet that opens a stream, in milliseconds, so that the client's data can travel in it. A client
/// on the same machine has sent data by then. Where the far end speaks first, each stream begins this much later.
const CONNECT_DELAY_MS: u8 = 50;

/// The options of a session: tunnels, keys, publication.
///
/// The default is that of a client: transient keys, three hops, two tunnels each way, lease set not published.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionOptions {
    length: u8,
    quantity: u8,
    publish: bool,
    lend: bool,
    early_data: bool,
    reduce: Option<Reduce>,
    private_key: Option<PrivateKey>,
    others: Vec<(&'static str, Text)>,
}

/// Fewer tunnels while a session is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reduce {
    after: Duration,
    quantity: u8,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            length: 3,
            quantity: 2,
            publish: false,
            lend: false,
            early_data: false,
            reduce: None,
            private_key: None,
            others: Vec::new(),
        }
    }
}

impl SessionOptions {
    /// Sets the hops of each tunnel, both ways: 0 to 7. A larger number becomes 7. emissary does not answer when it is 0.
    #[must_use]
    pub fn length(mut self, hops: u8) -> Self {
        self.length = hops.min(7);
        self
    }

    /// Sets the number of tunnels each way: 1 to 16. Other numbers are moved into that range.
    #[must_use]
    pub fn quantity(mut self, tunnels: u8) -> Self {
        self.quantity = tunnels.clamp(1, 16);
        self
    }

    /// Sets whether the lease set is published, so that others can connect to the session.
    #[must_use]
    pub fn publish(mut self, publish: bool) -> Self {
        self.publish = publish;
        self
    }

    /// Sets whether a session for streams lends its destination to datagrams
    /// ([`Session::open_datagrams`](crate::Session::open_datagrams)). On a router that supports it, the session is a subsession
    /// then.
    #[must_use]
    pub fn lend(mut self, lend: bool) -> Self {
        self.lend = lend;
        self
    }

    /// Sets whether the router reports a stream as connected before the far end has answered (`i2p.streaming.connectDelay` of
    /// 50 ms). The client's first data then travels in the packet that opens the stream, which saves a round trip. In return, a
    /// far end that refuses or does not answer causes no error: the stream just ends. Only for routers that support it
    /// ([`Capabilities::early_data`](crate::Capabilities::early_data)); for others it is ignored, and a warning is logged once.
    #[must_use]
    pub fn early_data(mut self, early: bool) -> Self {
        self.early_data = early;
        self
    }

    pub(crate) fn has_early_data(&self) -> bool {
        self.early_data
    }

    pub(crate) fn lends(&self) -> bool {
        self.lend
    }

    /// Removes the keys, so that the session has new ones.
    #[must_use]
    pub fn without_private_key(mut self) -> Self {
        self.private_key = None;
        self
    }

    /// Has the router keep only `quantity` tunnels each way once the session has been idle for `after`, which is at least five
    /// minutes (`i2cp.reduceOnIdle`). Only Java I2P supports it; the others ignore it.
    #[must_use]
    pub fn reduce(mut self, after: Duration, quantity: u8) -> Self {
        let after = after.max(Duration::from_secs(300));
        self.reduce = Some(Reduce { after, quantity: quantity.clamp(1, 16) });
        self
    }

    /// Sets the keys, so that the session has their destination.
    #[must_use]
    pub fn private_key(mut self, key: PrivateKey) -> Self {
        self.private_key = Some(key);
        self
    }

    /// Adds an I2CP or streaming option that has no method here, such as `i2p.streaming.profile`. A later value replaces an
    /// earlier one.
    ///
    /// # Errors
    /// [`InvalidOption`] for a key that is or could be one of SAM's own, and for one that has a method here.
    pub fn option(mut self, key: &'static str, value: Text) -> Result<Self, InvalidOption> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
        // SAM's own keys are in capitals. `sam.udp.*` sets where datagrams are sent.
        let foreign = key.starts_with(|c: char| c.is_ascii_lowercase()) && !key.starts_with("sam.");
        if !foreign || key.len() > 255 || !key.bytes().all(plain) || OWN_KEYS.contains(&key) {
            return Err(InvalidOption);
        }
        self.others.retain(|(other, _)| *other != key);
        self.others.push((key, value));
        Ok(self)
    }

    /// The keys, if they are set.
    /// Whether sessions have given keys, and with them one identity.
    #[must_use]
    pub fn has_private_key(&self) -> bool {
        self.private_key.is_some()
    }

    pub(crate) fn key(&self) -> Option<&PrivateKey> {
        self.private_key.as_ref()
    }

    /// Writes the options into a line.
    pub(super) fn write(
        &self,
        line: LineWriter,
        lease_set: LeaseSetDialect,
    ) -> Result<LineWriter, EncodeError> {
        let line = line
            .plain("inbound.length", self.length)
            .plain("outbound.length", self.length)
            .plain("inbound.quantity", self.quantity)
            .plain("outbound.quantity", self.quantity)
            .plain("i2cp.leaseSetEncType", lease_set.encryption)
            .plain("inbound.nickname", "i2p-socks")
            .plain("outbound.nickname", "i2p-socks")
            .plain_if("i2cp.dontPublishLeaseSet", lease_set.publication.value(self.publish));
        let line = match self.reduce {
            Some(Reduce { after, quantity }) => line
                .plain("i2cp.reduceOnIdle", true)
                .plain("i2cp.reduceIdleTime", after.as_millis())
                .plain("i2cp.reduceQuantity", quantity),
            None => line,
        };
        let line = match line.dialect() {
            Dialect::Standard if self.early_data => {
                line.plain("i2p.streaming.connectDelay", CONNECT_DELAY_MS)
            }
            _ => line,
        };
        self.others.iter().try_fold(line, |line, (key, value)| line.quoted(key, value))
    }
}

/// The keys that [`SessionOptions::write`] writes. Java I2P refuses a line that holds a key twice.
const OWN_KEYS: [&str; 12] = [
    "inbound.length",
    "outbound.length",
    "inbound.quantity",
    "outbound.quantity",
    "inbound.nickname",
    "outbound.nickname",
    "i2cp.leaseSetEncType",
    "i2cp.dontPublishLeaseSet",
    "i2cp.reduceOnIdle",
    "i2cp.reduceIdleTime",
    "i2cp.reduceQuantity",
    "i2p.streaming.connectDelay",
];

/// Does not print the private key and the other options.
impl fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOptions")
            .field("length", &self.length)
            .field("quantity", &self.quantity)
            .field("publish", &self.publish)
            .field("lend", &self.lend)
            .field("early_data", &self.early_data)
            .field("reduce", &self.reduce)
            .finish_non_exhaustive()
    }
}

/// The error for a key that no option may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is not one of an I2CP or streaming option, or has a method of its own")]
pub struct InvalidOption;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Line;

    fn written(options: &SessionOptions, dialect: Dialect) -> Result<LineWriter, EncodeError> {
        let lease_set = LeaseSetDialect::of_router(None, dialect);
        options.write(LineWriter::new(dialect, "SESSION CREATE"), lease_set)
    }

    #[test]
    fn an_option_cannot_replace_one_of_sams_own() {
        let text = || Text::new("1").unwrap();
        for key in ["ID", "DESTINATION", "inbound.length", "a b", "a=b", "", "sam.udp.host", "x\n"] {
            assert!(SessionOptions::default().option(key, text()).is_err(), "{key:?}");
        }
        let options = SessionOptions::default()
            .option("i2p.streaming.profile", Text::new("1").unwrap())
            .and_then(|options| options.option("i2p.streaming.profile", Text::new("2").unwrap()))
            .unwrap()
            .reduce(Duration::from_secs(1), 1)
            .early_data(true);
        let line = written(&options, Dialect::Standard).unwrap().end().unwrap();
        let line = Line::parse(line.trim_end().as_bytes()).unwrap();
        assert_eq!(line.value("i2p.streaming.profile").as_deref(), Some("2"));
        assert_eq!(line.value("i2cp.reduceIdleTime").as_deref(), Some("300000"));
        let mut keys: Vec<_> = line.pairs().map(|pair| pair.unwrap().0).collect();
        assert!(OWN_KEYS.iter().all(|key| keys.contains(key)));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), line.pairs().count(), "a key is written twice");
    }

    #[test]
    fn early_data_is_requested_where_the_router_supports_it() {
        for (dialect, early, expected) in [
            (Dialect::Standard, true, Some("50")),
            (Dialect::Standard, false, None),
            (Dialect::I2pd, true, None),
            (Dialect::Emissary, true, None),
        ] {
            let options = SessionOptions::default().early_data(early);
            let line = written(&options, dialect).unwrap().end().unwrap();
            let line = Line::parse(line.trim_end().as_bytes()).unwrap();
            assert_eq!(line.value("i2p.streaming.connectDelay").as_deref(), expected, "{dialect} {early}");
        }
    }
}
