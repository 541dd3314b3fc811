//! Values of a tunnel that contradict each other.

use i2p_tunnel::{Isolate, Protocols};

use super::{Auth, KeyMode, TunnelConfig, Udp};
use crate::config::problem::{Place, Problem};

/// The keys of a tunnel that contradict each other, the one to change first, and the reason.
type Contradiction = (&'static [&'static str], &'static str);

impl TunnelConfig {
    /// The contradictions between its values, if it is the tunnel of this number.
    pub(in crate::config) fn contradictions(&self, index: usize) -> Vec<Problem> {
        let of_users = self.contradiction_of_users().into_iter().chain(self.nobody_can_log_in());
        let of_others = self.contradiction_of_isolation().into_iter().chain(self.gateway_with_passwords());
        let tunnel = self.name();
        of_users
            .chain(of_others)
            .map(|(keys, text)| {
                let places = keys.iter().map(|key| Place::nth("tunnel", index, key));
                Problem::new(format!("tunnel {tunnel}: {text}"), places)
            })
            .collect()
    }

    /// Keys about users that contradict each other, and the reason.
    fn contradiction_of_users(&self) -> Option<Contradiction> {
        match (self.auth, &self.users_file) {
            (Auth::Required, None) => Some((
                &["auth", "users-file"],
                "auth = \"required\" needs a users-file, with lines made by i2p-socks passwd",
            )),
            (Auth::Isolation, Some(_)) => Some((
                &["users-file", "auth"],
                "users-file has no effect without auth = \"required\": set auth = \"required\", or remove users-file",
            )),
            (Auth::Required, _) if self.prefer_no_auth => Some((
                &["prefer-no-auth", "auth"],
                "prefer-no-auth has no effect with auth = \"required\", which demands a password of everyone: remove \
                 prefer-no-auth",
            )),
            _ => None,
        }
    }

    /// Passwords that are required of clients who know nothing of the proxy.
    fn gateway_with_passwords(&self) -> Option<Contradiction> {
        (self.requires_password() && self.is_gateway()).then_some((
            &["auth", "listen"],
            "clients of a redirect:, tproxy: or dns: listener cannot send the password that auth = \"required\" demands: give these \
             listeners a tunnel of their own, without auth",
        ))
    }

    /// Passwords that are required of clients whose protocol has none.
    fn nobody_can_log_in(&self) -> Option<Contradiction> {
        let Protocols { socks5, http_connect, http, .. } = self.protocols.0;
        let no_passwords = !(socks5 || http_connect || http);
        (self.requires_password() && no_passwords).then_some((
            &["protocols", "auth"],
            "nobody could connect: protocols allows SOCKS4 and SOCKS4a alone, which have no passwords, and auth = \"required\" demands \
             one. Add \"socks5\" or \"http-connect\" to protocols, or remove auth",
        ))
    }

    /// Why clients cannot be isolated as `isolate` says.
    fn contradiction_of_isolation(&self) -> Option<Contradiction> {
        let isolate = self.isolate();
        if (isolate.dest_host || isolate.site || isolate.dest_port) && (self.udp != Udp::Off || self.incoming)
        {
            return Some((
                &["isolate", "udp", "incoming"],
                "datagrams and incoming streams have no destination host or port, so \"dest-host\", \"site\" and \"dest-port\" \
                 cannot keep them apart: remove these from isolate, or set udp = \"off\" and incoming = false",
            ));
        }
        (self.key == KeyMode::Persistent && isolate != Isolate::NONE).then_some((
            &["isolate", "key"],
            "a persistent key is one identity, which isolated clients cannot share: set isolate = [], or key = \"transient\"",
        ))
    }
}
