//! Finds settings that have no effect. `check` warns of them.

use i2p_tunnel::ListenAt;

use super::{Config, tunnel::TunnelConfig};

impl Config {
    /// Every setting without effect, as a sentence.
    pub(crate) fn without_effect(&self) -> Vec<String> {
        let sockets = self.tunnels().iter().filter_map(permissions_without_socket).collect::<Vec<_>>();
        self.routes_behind_others().into_iter().chain(self.spares_without_room()).chain(sockets).collect()
    }

    /// Routes that no request reaches, because an earlier one takes all of theirs.
    fn routes_behind_others(&self) -> Vec<String> {
        let shadowed = self.routes().shadowed_routes().into_iter();
        shadowed
            .map(|(idle, first)| {
                format!(
                    "route {} is never used: route {} comes before it and matches the same requests",
                    idle + 1,
                    first + 1
                )
            })
            .collect()
    }

    /// More sessions in advance than sessions.
    fn spares_without_room(&self) -> Option<String> {
        let (spares, room) = (usize::from(self.session.warm_spares), self.shared_sessions()?.get());
        (spares > room).then(|| {
            format!(
                "warm-spares is {spares}, but tunnels without a persistent key have {room} sessions at most: raise max-sessions, or \
                 lower warm-spares"
            )
        })
    }
}

/// Permissions of Unix sockets for a tunnel that has none.
fn permissions_without_socket(tunnel: &TunnelConfig) -> Option<String> {
    let key = match (&tunnel.unix_mode, &tunnel.unix_group) {
        (Some(_), _) => "unix-mode",
        (None, Some(_)) => "unix-group",
        (None, None) => return None,
    };
    let has_socket = tunnel.listen().ok()?.iter().any(is_socket);
    (!has_socket).then(|| {
        format!(
            "{key} of tunnel {} has no effect, because the tunnel listens on no unix:/PATH",
            tunnel.name()
        )
    })
}

#[cfg(unix)]
fn is_socket(at: &ListenAt) -> bool {
    matches!(at, ListenAt::Unix(_))
}

/// This system has none.
#[cfg(not(unix))]
fn is_socket(_: &ListenAt) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_effect(text: &str) -> Vec<String> {
        Config::parse(text).unwrap().without_effect()
    }

    #[test]
    fn settings_without_effect_are_named() {
        let reject = "[[route]]\nvia = 'reject'\n".to_owned();
        let one = reject.clone() + "host = 'example.com'\n";
        for (text, says) in [
            (reject.clone() + &one, Some("route 2 is never used: route 1 comes before it")),
            (one + &reject, None),
            ("[session]\nwarm-spares = 5\nmax-sessions = 3\n".to_owned(), Some("have 3 sessions at most")),
            ("[session]\nwarm-spares = 3\nmax-sessions = 3\n".to_owned(), None),
            (
                "[[tunnel]]\nunix-mode = '0660'\n".to_owned(),
                Some("unix-mode of tunnel default has no effect"),
            ),
        ] {
            let found = without_effect(&text);
            assert_eq!(found.len(), usize::from(says.is_some()), "{text}: {found:?}");
            assert!(found.iter().all(|found| found.contains(says.unwrap_or_default())), "{text}: {found:?}");
        }
        #[cfg(unix)]
        assert!(without_effect("[[tunnel]]\nunix-mode = '0660'\nlisten = 'unix:/a'\n").is_empty());
    }
}
