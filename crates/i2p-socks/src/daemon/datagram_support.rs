//! Whether the router supports the kinds of datagrams that tunnels carry. Some versions do not tell, so the router is asked.

use i2p_sam::{Bridge, DatagramStyle, DatagramSupport, Error, Router};

use crate::config::{Config, tunnel::TunnelConfig};

/// The kinds of datagrams that not every router supports, as SAM names them.
const KINDS: [(DatagramStyle, &str); 2] =
    [(DatagramStyle::Datagram2, "DATAGRAM2"), (DatagramStyle::Datagram3, "DATAGRAM3")];

/// One kind of datagrams that not every router supports, and the tunnels that carry it.
pub(crate) struct DatagramKind {
    style: DatagramStyle,
    /// The kind as SAM names it.
    pub(crate) name: &'static str,
    /// The tunnels that carry it.
    pub(crate) tunnels: Vec<String>,
}

impl DatagramKind {
    /// All kinds, with the tunnels of a configuration.
    pub(crate) fn all(config: &Config) -> [Self; 2] {
        KINDS.map(|(style, name)| {
            let carries = |tunnel: &&TunnelConfig| {
                tunnel.dedicated_sessions().is_some_and(|sessions| sessions.datagrams == Some(style))
            };
            let tunnels = config.tunnels();
            let tunnels = tunnels.iter().filter(carries).map(|tunnel| tunnel.name().to_owned()).collect();
            Self { style, name, tunnels }
        })
    }

    /// Whether the router supports it. Asks the router if its version does not tell and a tunnel carries this kind. `None`: it was not
    /// asked.
    pub(crate) async fn support(&self, router: &Router) -> Option<Result<(), Error>> {
        let is_told = router.capabilities().datagram_support(self.style) != DatagramSupport::NotKnown;
        if is_told || !self.tunnels.is_empty() { Some(router.try_datagrams(self.style).await) } else { None }
    }
}

/// Starts to find out whether the router refuses what tunnels carry, and warns then. Clients would only learn that no session can be
/// opened.
pub(crate) fn warn_of_refused(bridge: &Bridge, config: &Config) {
    let kinds = DatagramKind::all(config);
    let bridge = bridge.clone();
    if kinds.iter().all(|kind| kind.tunnels.is_empty()) {
        return;
    }
    tokio::spawn(async move {
        // Whether a router answers at all is reported elsewhere.
        let Ok(router) = bridge.router().await else { return };
        for kind in kinds {
            let Some(Err(error)) = kind.support(&router).await else { continue };
            for tunnel in kind.tunnels {
                tracing::warn!(
                    "tunnel {tunnel}: UDP does not work with {}: {}. Every router supports udp = \"datagram\"",
                    kind.name,
                    error.for_log()
                );
            }
        }
    });
}
