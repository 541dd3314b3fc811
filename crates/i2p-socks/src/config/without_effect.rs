//! Finds settings that have no effect. `check` warns of them.

use i2p_tunnel::ListenAt;

use super::{
    Config, RouterConfig, outproxy::OutproxyConfig, route::RouteConfig, tunnel::TunnelConfig, values::Backend,
};

impl Config {
    /// Every setting without effect, as a sentence.
    pub(crate) fn without_effect(&self) -> Vec<String> {
        let sockets = self.tunnels().iter().filter_map(permissions_without_socket).collect::<Vec<_>>();
        let dns = self.tunnels().iter().filter_map(addresses_that_nobody_takes).collect::<Vec<_>>();
        let others = self.spares_without_room().into_iter().chain(self.keys_of_other_routers());
        let filters = self.shadowed_filters().into_iter().map(|(idle, first)| {
            format!(
                "filter {idle} is never used: filter {first} comes before it and matches the same streams"
            )
        });
        let of_tunnels = sockets.into_iter().chain(self.fragments()).chain(dns);
        let outproxies = self.outproxies_without_route();
        let routes = self.routes_behind_others().into_iter();
        routes.chain(filters).chain(outproxies).chain(others).chain(of_tunnels).collect()
    }

    /// Outproxies that no route names.
    pub(crate) fn outproxies_without_route(&self) -> Option<String> {
        let unused = self.outproxy.iter().map(OutproxyConfig::name).filter(|name| !self.has_route_to(name));
        let unused: Vec<_> = unused.collect();
        (!unused.is_empty()).then(|| {
            format!("these outproxies are never used, because no route names them: {}", unused.join(", "))
        })
    }

    /// Whether a route names this outproxy.
    pub(crate) fn has_route_to(&self, outproxy: &str) -> bool {
        self.route.iter().flat_map(RouteConfig::outproxies).any(|name| **name == *outproxy)
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

    /// Keys of `[router]` that the chosen router does not have.
    fn keys_of_other_routers(&self) -> Vec<String> {
        let (router, default) = (&self.router, RouterConfig::default());
        let (sam, i2pd, embedded) = match router.backend {
            Backend::Auto => return Vec::new(),
            Backend::Sam => (true, false, false),
            Backend::I2pd => (false, true, false),
            Backend::Embedded => (false, false, true),
        };
        [
            ("network-id", i2pd || embedded, router.network_id != default.network_id),
            ("reseed-file", i2pd || embedded, router.reseed_file.is_some()),
            ("i2pd", i2pd, router.i2pd.is_some()),
            ("sam", sam, router.sam != default.sam),
            ("sam-certificate", sam, router.sam_certificate.is_some()),
            ("sam-udp", sam, router.sam_udp.is_some()),
            ("user", sam, router.user.is_some()),
        ]
        .into_iter()
        .filter(|(_, is_used, is_set)| *is_set && !is_used)
        .map(|(key, ..)| {
            let backend = router.backend.as_str();
            format!("{key} under [router] has no effect with backend = \"{backend}\"")
        })
        .collect()
    }

    /// What happens to fragments, for tunnels without datagrams.
    fn fragments(&self) -> Vec<String> {
        let without = self.tunnels().into_iter().filter(TunnelConfig::reassembles_nothing);
        without
            .map(|tunnel| {
                format!("udp-fragments of tunnel {} has no effect, because its udp is \"off\"", tunnel.name())
            })
            .collect()
    }
}

/// Answers to DNS for a tunnel that takes no connections to what it answers.
fn addresses_that_nobody_takes(tunnel: &TunnelConfig) -> Option<String> {
    let listen = tunnel.listen().ok()?;
    let has = |kind: fn(&ListenAt) -> bool| listen.iter().any(kind);
    let answers = has(|at| matches!(at, ListenAt::Dns(_)));
    (answers && !has(|at| matches!(at, ListenAt::Transparent(..)))).then(|| {
        format!(
            "dns: of tunnel {} answers with addresses that lead nowhere, because the tunnel has no transparent listener: add \
             redirect:IP:PORT or tproxy:IP:PORT to listen",
            tunnel.name()
        )
    })
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
        let filter = |of: &str| format!("[[filter]]\nport = 6667\nprotocol = 'irc'\n{of}");
        let exit = |name| format!("[[outproxy]]\nname = '{name}'\nat = 'exit.i2p'\nprotocol = 'socks5'\n");
        for (text, says) in [
            (reject.clone() + &one, Some("route 2 is never used: route 1 comes before it")),
            (one + &reject, None),
            (
                filter("") + &filter("host = 'x.i2p'\n"),
                Some("filter 2 is never used: filter 1 comes before it"),
            ),
            (filter("host = 'x.i2p'\n") + &filter(""), None),
            (filter("tunnel = 'default'\n") + &filter(""), None),
            ("[session]\nwarm-spares = 5\nmax-sessions = 3\n".to_owned(), Some("have 3 sessions at most")),
            ("[session]\nwarm-spares = 3\nmax-sessions = 3\n".to_owned(), None),
            (
                "[[tunnel]]\nunix-mode = '0660'\n".to_owned(),
                Some("unix-mode of tunnel default has no effect"),
            ),
            (
                exit("a") + &exit("b") + &exit("c") + "[[route]]\nvia = 'b'\n",
                Some("no route names them: a, c"),
            ),
            (exit("a") + "[[route]]\nvia = ['a']\n", None),
            ("[router]\nbackend = 'sam'\nnetwork-id = 77\n".to_owned(), Some("network-id under [router]")),
            ("[router]\nbackend = 'sam'\nreseed-file = '/a'\n".to_owned(), Some("with backend = \"sam\"")),
            ("[router]\nbackend = 'embedded'\nsam = '10.0.0.1:1'\n".to_owned(), Some("sam under [router]")),
            ("[router]\nbackend = 'i2pd'\ni2pd = '/a'\nnetwork-id = 77\n".to_owned(), None),
            ("[router]\nsam = '10.0.0.1:1'\nnetwork-id = 77\n".to_owned(), None),
            (
                "[[tunnel]]\nudp-fragments = 'reassemble'\n".to_owned(),
                Some("udp-fragments of tunnel default has no effect, because its udp is \"off\""),
            ),
        ] {
            let found = without_effect(&text);
            assert_eq!(found.len(), usize::from(says.is_some()), "{text}: {found:?}");
            assert!(found.iter().all(|found| found.contains(says.unwrap_or_default())), "{text}: {found:?}");
        }
        #[cfg(target_os = "linux")]
        {
            let [one] = &without_effect("[[tunnel]]\nlisten = 'dns:127.0.0.1:53'\n")[..] else {
                panic!("one")
            };
            assert!(
                one.starts_with("dns: of tunnel default answers with addresses that lead nowhere"),
                "{one}"
            );
            let both = "[[tunnel]]\nlisten = ['dns:127.0.0.1:53', 'redirect:127.0.0.1:1']\n";
            assert!(without_effect(both).is_empty());
        }
        #[cfg(unix)]
        assert!(without_effect("[[tunnel]]\nunix-mode = '0660'\nlisten = 'unix:/a'\n").is_empty());
    }
}
