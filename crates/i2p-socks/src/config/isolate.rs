//! `isolate` of a tunnel: what keeps its clients apart.

use i2p_tunnel::Isolate;
use serde::Deserialize;

use super::{tunnel::KeyMode, values::OneOrMore};

/// `isolate`. The default is `client` and `socks-auth`; with a persistent key, nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "OneOrMore<IsolateField>")]
pub(super) struct IsolateFields(pub(super) Option<Vec<IsolateField>>);

/// The default equals the same fields written out.
impl PartialEq for IsolateFields {
    fn eq(&self, other: &Self) -> bool {
        let normalized = |fields: &Self| {
            let mut fields = fields.0.clone().unwrap_or_else(|| DEFAULT_ISOLATE.to_vec());
            fields.sort_unstable();
            fields.dedup();
            fields
        };
        normalized(self) == normalized(other)
    }
}

impl Eq for IsolateFields {}

impl From<OneOrMore<IsolateField>> for IsolateFields {
    fn from(OneOrMore(fields): OneOrMore<IsolateField>) -> Self {
        Self(Some(fields))
    }
}

/// The default of `isolate` with transient keys.
const DEFAULT_ISOLATE: [IsolateField; 2] = [IsolateField::Client, IsolateField::SocksAuth];

/// One of `isolate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IsolateField {
    /// The address of the client.
    Client,
    /// Its credentials.
    SocksAuth,
    /// The listener that it connected to.
    Listener,
    /// The host that it asks for.
    DestHost,
    /// The site of that host, or of the page that asks for it.
    Site,
    /// The port that it asks for.
    DestPort,
    /// The protocol that it speaks.
    Protocol,
}

impl IsolateFields {
    /// The isolation of a tunnel whose identity is kept like this.
    pub(super) fn with_key(&self, key: KeyMode) -> Isolate {
        let fields = match (&self.0, key) {
            (Some(fields), _) => fields,
            (None, KeyMode::Transient) => return Isolate::default(),
            (None, KeyMode::Persistent) => return Isolate::NONE,
        };
        let has = |field| fields.contains(&field);
        Isolate {
            client: has(IsolateField::Client),
            socks_auth: has(IsolateField::SocksAuth),
            listener: has(IsolateField::Listener),
            dest_host: has(IsolateField::DestHost),
            site: has(IsolateField::Site),
            dest_port: has(IsolateField::DestPort),
            protocol: has(IsolateField::Protocol),
        }
    }
}
