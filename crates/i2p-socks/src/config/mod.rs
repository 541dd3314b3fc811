//! The configuration: defaults, then the file, then the environment and the command line. One file for each table.
//! May import `command_error` and the libraries whose options it fills in; nothing else of this crate.

pub(crate) mod admin;
mod changes;
mod embedded_router;
mod faulty;
pub(crate) mod file;
pub(crate) mod filter;
mod filters;
pub(crate) mod findings;
mod from_text;
pub(crate) mod i2p_url;
mod isolate;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod login;
mod mistakes;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod outproxy;
pub(crate) mod overlap;
pub(crate) mod overrides;
pub(crate) mod problem;
mod risks;
pub(crate) mod route;
pub(crate) mod session;
pub(crate) mod shutdown;
#[cfg(test)]
mod tests;
pub(crate) mod tunnel;
mod unique;
pub(crate) mod values;
pub(crate) mod verbosity;
pub(crate) mod virtual_addresses;
mod without_effect;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use i2p_tunnel::{OutproxyDefinition, Routes, datagram_descriptors};
use serde::Deserialize;
use toml::{Table, Value};

use self::{
    admin::AdminConfig,
    faulty::is_written,
    file::ConfigFile,
    filter::FilterConfig,
    limits::LimitsConfig,
    log::{LogConfig, LogFormat},
    mistakes::Mistake,
    names::NamesConfig,
    options::Options,
    outproxy::OutproxyConfig,
    overlap::TunnelListener,
    overrides::{DEFAULT_TUNNEL, LISTEN_VARIABLE, Override, origin},
    problem::{Place, Problem},
    route::RouteConfig,
    session::SessionConfig,
    shutdown::ShutdownConfig,
    tunnel::{KeyMode, SessionPurpose, TunnelConfig, TunnelName},
    values::{Backend, BridgeAddress, SamCertificate, in_range, socket_address, tables},
    virtual_addresses::VirtualAddressesConfig,
};
use crate::command_error::CommandError;

/// Every key with its default and its meaning, as `generate config` prints it.
pub(crate) const EXAMPLE: &str = include_str!("../../dist/i2p-socks.toml");

/// The network ID of I2P itself.
pub(crate) const PUBLIC_NETWORK: u8 = 2;

/// The whole configuration file. Every key has a default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) router: RouterConfig,
    pub(crate) session: SessionConfig,
    pub(crate) names: NamesConfig,
    /// The SOCKS tunnels. Empty: one tunnel with the defaults.
    #[serde(deserialize_with = "tables")]
    pub(crate) tunnel: Vec<TunnelConfig>,
    /// Proxies to hosts outside I2P.
    #[serde(deserialize_with = "tables")]
    pub(crate) outproxy: Vec<OutproxyConfig>,
    /// Where requests for hosts outside I2P go, for all tunnels. Empty: they are refused.
    #[serde(deserialize_with = "tables")]
    pub(crate) route: Vec<RouteConfig>,
    /// Which streams are filtered.
    #[serde(deserialize_with = "tables")]
    pub(crate) filter: Vec<FilterConfig>,
    /// Limits of all tunnels together.
    pub(crate) limits: LimitsConfig,
    /// Addresses that stand for names, for all tunnels.
    pub(crate) virtual_addresses: VirtualAddressesConfig,
    /// Status page, metrics and proxy.pac.
    pub(crate) admin: AdminConfig,
    /// What is logged, and how.
    pub(crate) log: LogConfig,
    /// How the proxy stops.
    pub(crate) shutdown: ShutdownConfig,
    /// The state directory on the command line. `None`: that of systemd or of the platform.
    #[serde(skip)]
    state_dir: Option<PathBuf>,
    /// The file that it was read from.
    #[serde(skip)]
    file: Option<PathBuf>,
    /// The keys that file, environment and command line set.
    #[serde(skip)]
    settings: Table,
    /// That `--listen` has replaced listeners of a gateway, as a sentence.
    #[serde(skip)]
    lost_gateway: Option<String>,
}

/// `[router]`: how I2P is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RouterConfig {
    /// Which router.
    pub(crate) backend: Backend,
    /// The address of the SAM bridge.
    pub(crate) sam: BridgeAddress,
    /// The certificate of a bridge with TLS. `None`: one that an authority of the system has signed.
    pub(crate) sam_certificate: Option<SamCertificate>,
    /// The UDP address of the bridge, for datagrams. `None`: one port below `sam`; a Unix socket and TLS have none.
    #[serde(deserialize_with = "socket_address")]
    pub(crate) sam_udp: Option<SocketAddr>,
    /// The user name for a bridge with a login.
    pub(crate) user: Option<String>,
    /// A file that holds the password and nothing else.
    pub(crate) password_file: Option<PathBuf>,
    /// The i2pd that is started. `None`: the one in PATH or in the usual directories.
    pub(crate) i2pd: Option<PathBuf>,
    /// The first routers that a router of our own knows, in place of those from a reseed server: an `i2pseeds.su3`, or the netDb
    /// directory of another router (not with i2pd).
    pub(crate) reseed_file: Option<PathBuf>,
    /// The network that a router of our own joins: 2 is I2P, any other a private network without anonymity.
    #[serde(deserialize_with = "in_range::<_, 0, 255>")]
    pub(crate) network_id: u8,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            sam: BridgeAddress::default(),
            sam_certificate: None,
            sam_udp: None,
            user: None,
            password_file: None,
            i2pd: None,
            reseed_file: None,
            network_id: PUBLIC_NETWORK,
        }
    }
}

impl RouterConfig {
    /// What this tunnel, the one of this number, needs and the router cannot give.
    fn contradiction(&self, tunnel: &TunnelConfig, index: usize) -> Option<Problem> {
        let datagrams = tunnel.dedicated_sessions().is_some_and(|sessions| sessions.datagrams.is_some());
        let has_udp_address = self.sam.tells_udp_address() || self.sam_udp.is_some();
        let uses_sam = matches!(self.backend, Backend::Auto | Backend::Sam);
        (datagrams && !has_udp_address && uses_sam).then(|| {
            let (name, address) = (tunnel.name(), &self.sam.0);
            let text = match self.sam.0.expects_tls() {
                true => format!(
                    "tunnel {name} carries datagrams, which the router exchanges over UDP, and TLS to {address} does not protect \
                     them: set udp = \"off\", or sam-udp to the UDP address of the SAM bridge if the way there is safe"
                ),
                false => format!(
                    "tunnel {name} carries datagrams, which the router exchanges over UDP, and the Unix socket {address} has no UDP \
                     port: set sam-udp to the one of the SAM bridge, or udp = \"off\""
                ),
            };
            let of_router = ["sam", "sam-udp", "backend"].map(|key| Place::of("router", key));
            Problem::new(text, [Place::nth("tunnel", index, "udp")].into_iter().chain(of_router))
        })
    }

    /// A certificate that is named and would not be checked.
    fn certificate_without_tls(&self) -> Option<Problem> {
        (self.sam_certificate.is_some() && !self.sam.0.expects_tls()).then(|| {
            let text = format!(
                "sam-certificate is for a SAM bridge with TLS, and {} has none: write sam = \"tls:HOST:PORT\", or remove \
                 sam-certificate",
                self.sam.0
            );
            Problem::new(text, ["sam-certificate", "sam"].map(|key| Place::of("router", key)))
        })
    }
}

/// The same problem with each earlier table that has the same name as this one. A mistake in one of them does not hide the others.
fn with_earlier<T>(
    list: &'static str,
    index: usize,
    tables: &[T],
    same_name: impl Fn(&T) -> bool,
    text: impl Fn() -> String,
) -> Vec<Problem> {
    let earlier = tables.iter().take(index).enumerate().filter(|(_, other)| same_name(other));
    let place = |index| Place::nth(list, index, "name");
    earlier.map(|(first, _)| Problem::new(text(), [place(index), place(first)])).collect()
}

impl Config {
    /// Loads the configuration, and checks that its values fit together.
    pub(crate) fn load(options: &Options) -> Result<Self, CommandError> {
        ConfigFile::read(options)?.load(options)
    }

    /// The defaults, for a command that needs no more than the state directory and the format of the log.
    pub(crate) fn without_file(options: &Options, format: LogFormat) -> Self {
        let log = LogConfig { format, ..LogConfig::default() };
        Self { log, state_dir: options.state_dir.clone(), ..Self::default() }
    }

    /// The keys that environment and command line set, and what is wrong with options. `-o` comes last, so that it wins.
    fn overrides(&self, options: &Options) -> (Vec<Override>, Vec<Mistake>) {
        let (mut overrides, mut mistakes) = (Vec::new(), Vec::new());
        let mut of_tunnel =
            |option, variable, key, value: Value| match self.only_tunnel(&origin(option, variable)) {
                Ok(tunnel) => overrides.push(Override::from_option(
                    option,
                    variable,
                    &["tunnel", tunnel.name(), key],
                    value,
                )),
                Err(text) => mistakes.push(Mistake { span: None, log: text.clone(), text }),
            };
        if !options.listen.is_empty() {
            let places: Vec<_> = options.listen.iter().map(|place| place.0.to_string()).collect();
            of_tunnel("--listen", Some(LISTEN_VARIABLE), "listen", places.into());
        }
        if options.open_to_others {
            of_tunnel("--open-to-others", None, "open-to-others", true.into());
        }
        let of_router = |option, variable, key, value: String| {
            Override::from_option(option, Some(variable), &["router", key], value)
        };
        overrides.extend(options.router.map(|backend| {
            of_router("--router", "I2P_SOCKS_ROUTER", "backend", backend.as_str().to_owned())
        }));
        let sam = options.sam.as_ref();
        overrides.extend(sam.map(|sam| of_router("--sam", "I2P_SOCKS_SAM", "sam", sam.0.to_string())));
        overrides.extend(options.overrides.iter().cloned());
        (overrides, mistakes)
    }

    /// The tunnel that an option such as `--listen` changes. With several tunnels, the option is ambiguous.
    fn only_tunnel(&self, option: &str) -> Result<TunnelConfig, String> {
        match <[TunnelConfig; 1]>::try_from(self.tunnels()) {
            Ok([tunnel]) => Ok(tunnel),
            Err(tunnels) => Err(format!(
                "{option} is ambiguous, because the configuration file has {} tunnels: set the key in the file, or with -o \
                 tunnel.NAME.KEY=VALUE",
                tunnels.len()
            )),
        }
    }

    /// The configuration of a command that opens sessions of its own: with the named tunnel, or the first one, and no other.
    pub(crate) fn for_command(
        mut self,
        tunnel: Option<&TunnelName>,
        purpose: SessionPurpose,
    ) -> Result<Self, CommandError> {
        let wanted = |found: &TunnelConfig| tunnel.is_none_or(|name| name.as_str() == found.name());
        let Some(mut one) = self.tunnels().into_iter().find(wanted) else {
            return Err(CommandError::usage("the configuration has no tunnel of this name"));
        };
        one.prepare_for_command(purpose);
        self.tunnel = vec![one];
        Ok(self)
    }

    /// Every contradiction.
    pub(crate) fn contradictions(&self) -> Vec<Problem> {
        let tunnels = self.tunnels();
        let mut found = self.contradictions_of_listeners(&tunnels);
        found.extend(self.router.certificate_without_tls());
        found.extend(self.limits.mistakes());
        for (index, tunnel) in tunnels.iter().enumerate() {
            let same_name = |other: &TunnelConfig| other.name() == tunnel.name();
            let text = || match tunnel.name() {
                DEFAULT_TUNNEL => {
                    "two tunnels are called default, as one without a name is: give each its own name"
                        .to_owned()
                }
                name => format!("two tunnels are called {name}: give each its own name"),
            };
            found.extend(with_earlier("tunnel", index, &tunnels, same_name, text));
            found.extend(tunnel.contradictions(index));
            found.extend(self.router.contradiction(tunnel, index));
        }
        if self.router.backend == Backend::Embedded {
            found.extend(self.refused_by_embedded_router());
        }
        found.extend(self.route_contradictions());
        found.extend(self.filter_contradictions(&tunnels));
        found.extend(self.names.contradiction());
        if self.shared_sessions().is_none() {
            let text = format!(
                "max-sessions is {}, which is too low: each tunnel with a persistent key needs one session, and the other tunnels \
                 together need at least one",
                self.session.max_sessions()
            );
            found
                .push(Problem::new(text, [Place::of("session", "max-sessions"), Place::of("tunnel", "key")]));
        }
        found
    }

    /// What is wrong with the addresses that it listens on.
    fn contradictions_of_listeners(&self, tunnels: &[TunnelConfig]) -> Vec<Problem> {
        let (mut found, mut listeners) = (Vec::new(), Vec::new());
        for (index, tunnel) in tunnels.iter().enumerate() {
            let place = |key| Place::nth("tunnel", index, key);
            let is_default = !is_written(place("listen"), &self.settings);
            let of_tunnel =
                |at| TunnelListener { at, tunnel: tunnel.name(), place: place("listen"), is_default };
            if let Err(error) = tunnel.listen() {
                found.push(Problem::new(error, [place("unix-group")]));
            }
            let at = tunnel.addresses();
            if let Err(error) = tunnel.refuse_if_exposed(&at) {
                let places = ["listen", "open-to-others", "auth"].map(place);
                found.push(Problem::new(error, places).of_entries());
            }
            listeners.extend(at.into_iter().map(of_tunnel));
        }
        found.extend(overlap::contradictions(&listeners, &self.admin.listen));
        found
    }

    /// Contradictions between outproxies and routes. A route that cannot be followed is an error, never skipped silently.
    fn route_contradictions(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (index, outproxy) in self.outproxy.iter().enumerate() {
            let same_name = |other: &OutproxyConfig| other.name() == outproxy.name();
            let text = || format!("two outproxies are called {}: give each its own name", outproxy.name());
            found.extend(with_earlier("outproxy", index, &self.outproxy, same_name, text));
            let place = |key: &&'static str| Place::nth("outproxy", index, key);
            found.extend(
                outproxy
                    .mistakes()
                    .into_iter()
                    .map(|(keys, text)| Problem::new(text, keys.iter().map(place))),
            );
            let password = outproxy.credentials().err();
            found.extend(password.map(|error| Problem::new(error, [place(&"password-file")])));
        }
        for (index, route) in self.route.iter().enumerate() {
            let unknown =
                |name: &&Arc<str>| !self.outproxy.iter().any(|outproxy| *outproxy.name() == ***name);
            found.extend(route.outproxies().iter().filter(unknown).map(|name| {
                Problem::new(
                    format!(
                        "route {} names the outproxy {name}, but there is no [[outproxy]] of this name",
                        index + 1
                    ),
                    [Place::nth("route", index, "via"), Place::of("outproxy", "name")],
                )
            }));
        }
        found
    }

    /// The outproxies. Reads their password files.
    pub(crate) fn outproxies(&self) -> Result<Vec<OutproxyDefinition>, CommandError> {
        self.outproxy.iter().map(OutproxyConfig::definition).collect()
    }

    /// The routes for hosts outside I2P.
    pub(crate) fn routes(&self) -> Routes {
        Routes::new(self.route.iter().map(RouteConfig::route).collect())
    }

    /// A number for where requests go and what filters them: equal if routes, outproxies, virtual addresses and filters are. It is for
    /// processes of one version.
    pub(crate) fn routing_number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", (&self.route, &self.outproxy, &self.virtual_addresses, &self.filter))
            .hash(&mut hasher);
        hasher.finish()
    }

    /// The parts that differ and that cannot change while the proxy is running, in the words of the configuration file.
    pub(crate) fn changes_needing_restart(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("[router]", self.router != other.router),
            ("[names]", self.names != other.names),
            ("listen of [admin]", self.admin.listen != other.admin.listen),
            ("format or journald of [log]", !self.log.same_output(&other.log)),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
    }

    /// The maximum of sessions with transient keys: `max-sessions` less one for each tunnel with a persistent key.
    pub(crate) fn shared_sessions(&self) -> Option<NonZeroUsize> {
        let tunnels = self.tunnels();
        let persistent = tunnels.iter().filter(|tunnel| tunnel.key == KeyMode::Persistent).count();
        let left = self.session.max_sessions().get().checked_sub(persistent)?;
        // If all tunnels have persistent keys, the shared pool exists but stays empty.
        NonZeroUsize::new(if persistent == tunnels.len() { left.max(1) } else { left })
    }

    /// The names of the tunnels that have a persistent identity.
    pub(crate) fn persistent_keys(&self) -> Vec<String> {
        let tunnels = self.tunnels();
        let persistent = tunnels.iter().filter(|tunnel| tunnel.key == KeyMode::Persistent);
        persistent.map(|tunnel| tunnel.name().to_owned()).collect()
    }

    /// How many file descriptors clients with datagrams may need on top of those of their connections. Each such client has a session.
    pub(crate) fn datagram_descriptors(&self) -> u64 {
        let tunnels = self.tunnels();
        let with_datagrams = |tunnel: &&TunnelConfig| {
            tunnel.dedicated_sessions().is_some_and(|sessions| sessions.datagrams.is_some())
        };
        let clients = tunnels.iter().filter(with_datagrams).count() * self.session.max_sessions().get();
        (clients * datagram_descriptors(self.outproxy.len())) as u64
    }

    /// The tunnels; one with the defaults if the file has none.
    pub(crate) fn tunnels(&self) -> Vec<TunnelConfig> {
        if self.tunnel.is_empty() { vec![TunnelConfig::default()] } else { self.tunnel.clone() }
    }

    /// The same with its state directory at this place within the one that it has.
    #[cfg(feature = "embedded")]
    pub(crate) fn within_state_dir(mut self, place: &str) -> Self {
        // Without a state directory, the parts that need one report it.
        self.state_dir = self.state_dir().ok().map(|state_dir| state_dir.join(place));
        self
    }

    /// The contradictions of a text that has no other mistakes, one per line.
    #[cfg(test)]
    fn check(&self) -> Result<(), String> {
        let texts: Vec<_> = self.contradictions().into_iter().map(|problem| problem.text).collect();
        if texts.is_empty() { Ok(()) } else { Err(texts.join("\n")) }
    }

    #[cfg(test)]
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The file that it was read from, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The state directory: the one on the command line, else that of systemd, else the platform's directory for state.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, CommandError> {
        if let Some(dir) = &self.state_dir {
            return Ok(dir.clone());
        }
        if let Some(dir) = std::env::var_os("STATE_DIRECTORY").filter(|dir| !dir.is_empty()) {
            return Ok(dir.into());
        }
        let project = directories::ProjectDirs::from("", "", "i2p-socks").ok_or_else(|| {
            CommandError::usage(
                "there is no home directory for the state directory: choose one with --state-dir DIR",
            )
        })?;
        Ok(project.state_dir().unwrap_or_else(|| project.data_local_dir()).to_owned())
    }

    /// The [state directory](Self::state_dir) for secrets, with links followed. Creates it if it does not exist.
    ///
    /// # Errors
    /// Another user could read or replace what is put there.
    pub(crate) fn private_state_dir(&self) -> Result<PathBuf, CommandError> {
        let state_dir = self.state_dir()?;
        private_directory::open(&state_dir).map_err(|error| {
            CommandError::run_time(format_args!(
                "the state directory {} cannot be used: {error}; choose another directory with --state-dir DIR",
                state_dir.display()
            ))
        })
    }
}
