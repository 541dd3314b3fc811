//! What the embedded router cannot serve. A stranger who can send to a session can end that router (emissary 0.4.0), and tunnels with
//! `udp` or `incoming` ask strangers to send to them.

use super::{
    Config,
    problem::{Place, Problem},
    tunnel::{TunnelConfig, Udp},
};

impl Config {
    /// Why the embedded router cannot serve these tunnels: a problem for each that it refuses.
    pub(crate) fn refused_by_embedded_router(&self) -> Vec<Problem> {
        self.tunnels().iter().enumerate().filter_map(|(index, tunnel)| refused(index, tunnel)).collect()
    }
}

fn refused(index: usize, tunnel: &TunnelConfig) -> Option<Problem> {
    let key = match (tunnel.udp, tunnel.incoming) {
        (Udp::Off, false) => return None,
        (Udp::Off, true) => "incoming = true",
        (_, false) => "udp",
        (_, true) => "udp and incoming = true",
    };
    let text = format!(
        "tunnel {}: {key} cannot be used with the embedded router, because a stranger who can send to such a tunnel can end that \
         router. Use i2pd or Java I2P (backend = \"i2pd\" or \"sam\" under [router]), or set udp = \"off\" and incoming = false",
        tunnel.name()
    );
    let key = if tunnel.udp == Udp::Off { "incoming" } else { "udp" };
    Some(Problem::new(text, [Place::nth("tunnel", index, key), Place::of("router", "backend")]))
}
