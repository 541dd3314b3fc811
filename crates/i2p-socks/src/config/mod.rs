//! The configuration: defaults, then the file, then the environment and the command line. One file for each table.
//! May import `failure` and the libraries whose options it fills in; nothing else of this crate.

pub(crate) mod admin;
pub(crate) mod i2p_url;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod login;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod outproxy;
pub(crate) mod overrides;
pub(crate) mod route;
pub(crate) mod session;
pub(crate) mod shutdown;
#[cfg(test)]
mod tests;
pub(crate) mod tunnel;
pub(crate) mod values;
pub(crate) mod verbosity;
pub(crate) mod virtual_addresses;

use std::{
    fmt, fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use i2p_tunnel::{ListenAt, OutproxyDefinition, Routes, datagram_descriptors};
use serde::Deserialize;

use self::{
    admin::AdminConfig,
    limits::LimitsConfig,
    log::LogConfig,
    names::NamesConfig,
    options::Options,
    outproxy::OutproxyConfig,
    overrides::Given,
    route::RouteConfig,
    session::SessionConfig,
    shutdown::ShutdownConfig,
    tunnel::{KeyMode, TunnelConfig, TunnelName},
    values::{Backend, BridgeAddress, ranged, several},
    virtual_addresses::VirtualAddressesConfig,
};
use crate::failure::Failure;

/// Every key with its default and what it is, as `generate config` prints it.
pub(crate) const EXAMPLE: &str = include_str!("../../dist/i2p-socks.toml");

/// Largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The network ID of I2P itself.
pub(crate) const PUBLIC_NETWORK: u8 = 2;

/// The whole configuration file. Every key has a default.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) router: RouterConfig,
    pub(crate) session: SessionConfig,
    pub(crate) names: NamesConfig,
    /// One SOCKS tunnel each; none: one with the defaults.
    #[serde(deserialize_with = "several")]
    pub(crate) tunnel: Vec<TunnelConfig>,
    /// Ways out of I2P.
    #[serde(deserialize_with = "several")]
    pub(crate) outproxy: Vec<OutproxyConfig>,
    /// Where what is not of I2P goes, for all tunnels; none: nowhere.
    #[serde(deserialize_with = "several")]
    pub(crate) route: Vec<RouteConfig>,
    /// For all tunnels together.
    pub(crate) limits: LimitsConfig,
    /// The same for all tunnels.
    pub(crate) virtual_addresses: VirtualAddressesConfig,
    /// Pages on how it does.
    pub(crate) admin: AdminConfig,
    /// What it says of itself, and how.
    pub(crate) log: LogConfig,
    /// How it ends.
    pub(crate) shutdown: ShutdownConfig,
    /// Where keys are kept, and what the embedded router knows; none: the platform's place for state.
    #[serde(skip)]
    state_dir: Option<PathBuf>,
}

/// `[router]`: the way into I2P.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RouterConfig {
    /// Which of the two.
    pub(crate) backend: Backend,
    /// Where the SAM bridge is.
    pub(crate) sam: BridgeAddress,
    /// Where the bridge takes datagrams; none: one port below the bridge itself.
    pub(crate) sam_udp: Option<SocketAddr>,
    /// Who we are, to a bridge that asks.
    pub(crate) user: Option<String>,
    /// A file that holds the password and nothing else.
    pub(crate) password_file: Option<PathBuf>,
    /// What the embedded router starts from instead of asking a reseed server: an `i2pseeds.su3`, or the netDb directory
    /// of another router.
    pub(crate) reseed_file: Option<PathBuf>,
    /// The network that the embedded router is part of: 2 is I2P, others are private networks without anonymity.
    #[serde(deserialize_with = "ranged::<_, 0, 255>")]
    pub(crate) network_id: u8,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            sam: BridgeAddress::default(),
            sam_udp: None,
            user: None,
            password_file: None,
            reseed_file: None,
            network_id: PUBLIC_NETWORK,
        }
    }
}

impl Config {
    /// What is to be done, all layers put together.
    pub(crate) fn load(options: &Options) -> Result<Self, Failure> {
        let text = options.config.as_deref().map(text).transpose()?.unwrap_or_default();
        // First as it is written, for mistakes to be said with line and column.
        let mut config = Self::parse(&text).map_err(|error| mistake_in(options.config.as_deref(), &error))?;
        let given = config.given(options)?;
        if !given.is_empty() {
            let file =
                toml::from_str(&text).map_err(|error| mistake_in(options.config.as_deref(), &error))?;
            config = overrides::put_together(&file, &given)?;
        }
        config.state_dir.clone_from(&options.state_dir);
        config.check()?;
        Ok(config)
    }

    /// The keys that the environment and the command line give; `-o`, which can be about any, last.
    fn given(&self, options: &Options) -> Result<Vec<Given>, Failure> {
        let mut given = Vec::new();
        if !options.listen.is_empty() {
            let places: Vec<_> = options.listen.iter().map(|place| place.0.to_string()).collect();
            given.push(Given::by(
                "--listen",
                &["tunnel", self.the_tunnel("--listen")?.name(), "listen"],
                places,
            ));
        }
        if options.open_to_others {
            let tunnel = self.the_tunnel("--open-to-others")?;
            given.push(Given::by("--open-to-others", &["tunnel", tunnel.name(), "open-to-others"], true));
        }
        if let Some(backend) = options.router {
            given.push(Given::by("--router", &["router", "backend"], backend.as_str()));
        }
        if let Some(sam) = &options.sam {
            given.push(Given::by("--sam", &["router", "sam"], sam.as_str()));
        }
        given.extend(options.given.iter().cloned());
        Ok(given)
    }

    /// The one tunnel that the command line is about. What the file says of it counts: it may ask for passwords.
    fn the_tunnel(&self, option: &str) -> Result<TunnelConfig, Failure> {
        match <[TunnelConfig; 1]>::try_from(self.tunnels()) {
            Ok([tunnel]) => Ok(tunnel),
            Err(tunnels) => Err(Failure::usage(format_args!(
                "{option} does not say which of the {} tunnels of the configuration file it is about: write it there, or say -o \
                 tunnel.NAME.KEY=VALUE",
                tunnels.len()
            ))),
        }
    }

    /// Only the tunnel of this name, or the first: what a command uses that has sessions of its own, with datagrams, or peers,
    /// where it wants them.
    pub(crate) fn for_a_command(
        mut self,
        tunnel: Option<&TunnelName>,
        datagrams: bool,
        incoming: bool,
    ) -> Result<Self, Failure> {
        let wanted = |found: &TunnelConfig| tunnel.is_none_or(|name| name.as_str() == found.name());
        let Some(mut one) = self.tunnels().into_iter().find(wanted) else {
            return Err(Failure::usage("the configuration has no tunnel of that name"));
        };
        one.for_a_command(datagrams, incoming);
        self.tunnel = vec![one];
        Ok(self)
    }

    /// What no single value can be wrong about.
    fn check(&self) -> Result<(), Failure> {
        match self.contradictions().as_slice() {
            [] => Ok(()),
            contradictions => Err(Failure::usage(contradictions.join("\n"))),
        }
    }

    /// All of it, each for a person to read.
    fn contradictions(&self) -> Vec<String> {
        let tunnels = self.tunnels();
        let mut found = Vec::new();
        let mut seen = Vec::new();
        for tunnel in &tunnels {
            let places = tunnel.listen().and_then(|places| tunnel.check_open(&places).map(|()| places));
            let places = places.unwrap_or_else(|failure| {
                found.push(failure.to_string());
                Vec::new()
            });
            for at in places {
                // Port 0 is another one each time.
                if matches!(&at, ListenAt::Tcp(address) if address.port() == 0) {
                    continue;
                }
                let at = at.to_string();
                if seen.contains(&at) {
                    found.push(format!("{at} is to be listened on twice: give each address once"));
                }
                seen.push(at);
            }
        }
        found.extend(self.limits.mistake());
        for (index, tunnel) in tunnels.iter().enumerate() {
            if tunnels.iter().take(index).any(|other| other.name() == tunnel.name()) {
                found.push(format!("two tunnels are called {}: give each a name of its own", tunnel.name()));
            }
            found.extend(tunnel.contradiction());
        }
        found.extend(self.route_contradictions());
        found.extend(self.names.contradiction().map(str::to_owned));
        if self.shared_sessions().is_none() {
            found.push(format!(
                "max-sessions is {}, and tunnels with persistent keys need one each, the others at least one in all: raise it",
                self.session.max_sessions()
            ));
        }
        found
    }

    /// What outproxies and routes say of each other. A rule that cannot be followed is never passed over in silence.
    fn route_contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (index, outproxy) in self.outproxy.iter().enumerate() {
            if self.outproxy.iter().take(index).any(|other| other.name() == outproxy.name()) {
                found.push(format!(
                    "two outproxies are called {}: give each a name of its own",
                    outproxy.name()
                ));
            }
        }
        for (index, route) in self.route.iter().enumerate() {
            let unknown =
                |name: &&Arc<str>| !self.outproxy.iter().any(|outproxy| *outproxy.name() == ***name);
            found.extend(route.outproxies().iter().find(unknown).map(|name| {
                format!(
                    "route {} names the outproxy {name}, and there is no [[outproxy]] of that name",
                    index + 1
                )
            }));
        }
        found.extend(self.outproxies().err().map(|failure| failure.to_string()));
        found
    }

    /// The outproxies, with what is in their password files.
    pub(crate) fn outproxies(&self) -> Result<Vec<OutproxyDefinition>, Failure> {
        self.outproxy.iter().map(OutproxyConfig::definition).collect()
    }

    /// The rules for what is not of I2P.
    pub(crate) fn routes(&self) -> Routes {
        Routes::new(self.route.iter().map(RouteConfig::rule).collect())
    }

    /// What is another here and cannot be changed while the proxy runs, as a user calls it.
    pub(crate) fn differs_in_what_is_fixed(&self, other: &Self) -> Option<&'static str> {
        let differs = [
            ("[router]", self.router != other.router),
            ("[names]", self.names != other.names),
            ("listen of [admin]", self.admin.listen != other.admin.listen),
            ("format or journald of [log]", !self.log.goes_where(&other.log)),
        ];
        differs.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
    }

    /// The cap for sessions with transient keys: what tunnels with persistent keys leave of it.
    pub(crate) fn shared_sessions(&self) -> Option<NonZeroUsize> {
        let tunnels = self.tunnels();
        let persistent = tunnels.iter().filter(|tunnel| tunnel.key == KeyMode::Persistent).count();
        let left = self.session.max_sessions().get().checked_sub(persistent)?;
        // Where all are persistent, the pool of the others exists and has nothing to do.
        NonZeroUsize::new(if persistent == tunnels.len() { left.max(1) } else { left })
    }

    /// The most file descriptors that clients with datagrams need beside those of their connections. Each of them has a session.
    pub(crate) fn datagram_descriptors(&self) -> u64 {
        let tunnels = self.tunnels();
        let with_datagrams =
            |tunnel: &&TunnelConfig| tunnel.own_sessions().is_some_and(|own| own.datagrams.is_some());
        let clients = tunnels.iter().filter(with_datagrams).count() * self.session.max_sessions().get();
        (clients * datagram_descriptors(self.outproxy.len())) as u64
    }

    /// All tunnels; without any in the file, one with the defaults.
    pub(crate) fn tunnels(&self) -> Vec<TunnelConfig> {
        if self.tunnel.is_empty() { vec![TunnelConfig::default()] } else { self.tunnel.clone() }
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Where keys are kept, and what the embedded router knows: what the command line says, systemd's directory, or the
    /// platform's place for state.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.state_dir {
            return Ok(dir.clone());
        }
        if let Some(dir) = std::env::var_os("STATE_DIRECTORY").filter(|dir| !dir.is_empty()) {
            return Ok(dir.into());
        }
        let project = directories::ProjectDirs::from("", "", "i2p-socks").ok_or_else(|| {
            Failure::usage("there is no home directory to keep keys in; say where with --state-dir DIR")
        })?;
        Ok(project.state_dir().unwrap_or_else(|| project.data_local_dir()).to_owned())
    }
}

/// What a configuration file holds.
fn text(path: &Path) -> Result<String, Failure> {
    let cannot = |what: &dyn fmt::Display| {
        let shown = path.display();
        Failure::usage(format_args!("cannot read the configuration file {shown}: {what}"))
    };
    let length = fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if length > MAX_FILE {
        return Err(cannot(&"it is larger than 1 MiB"));
    }
    fs::read_to_string(path).map_err(|error| cannot(&error))
}

fn mistake_in(path: Option<&Path>, error: &toml::de::Error) -> Failure {
    let shown = path.unwrap_or(Path::new("")).display();
    Failure::usage(format_args!("the configuration file {shown} has a mistake\n{error}"))
}
