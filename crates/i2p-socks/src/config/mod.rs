//! The configuration: defaults, then the file, then the environment and the command line.

mod admin;
mod limits;
mod log;
mod names;
mod outproxy;
mod route;
mod session;
mod shutdown;
mod tunnel;
mod values;
mod virtual_addresses;

use std::{
    fmt, fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use i2p_tunnel::{ListenAt, OutproxyDefinition, Routes};
use serde::Deserialize;

use self::values::ranged;
pub(crate) use self::{
    admin::{AdminConfig, AdminListen},
    limits::LimitsConfig,
    log::{Journald, Level, LogConfig, LogFormat},
    names::NamesConfig,
    outproxy::OutproxyConfig,
    route::RouteConfig,
    session::SessionConfig,
    shutdown::ShutdownConfig,
    tunnel::{KeyMode, OwnSessions, TunnelConfig, TunnelName},
    values::{Backend, BridgeAddress, ListenAddress},
    virtual_addresses::VirtualAddressesConfig,
};

use crate::{cli::Options, exit::Failure};

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
    pub(crate) tunnel: Vec<TunnelConfig>,
    /// Ways out of I2P.
    pub(crate) outproxy: Vec<OutproxyConfig>,
    /// Where what is not of I2P goes, for all tunnels; none: nowhere.
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
        let mut config = match &options.config {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        if !options.listen.is_empty() {
            config.the_tunnel("--listen")?.listen_at(options.listen.clone());
        }
        if options.open_to_others {
            config.the_tunnel("--open-to-others")?.open_to_others();
        }
        if let Some(backend) = options.router {
            config.router.backend = backend;
        }
        if let Some(sam) = &options.sam {
            config.router.sam = sam.clone();
        }
        config.state_dir.clone_from(&options.state_dir);
        config.check()?;
        Ok(config)
    }

    /// The one tunnel that the command line is about. What the file says of it counts: it may ask for passwords.
    fn the_tunnel(&mut self, option: &str) -> Result<&mut TunnelConfig, Failure> {
        if self.tunnel.is_empty() {
            self.tunnel.push(TunnelConfig::default());
        }
        match &mut self.tunnel[..] {
            [tunnel] => Ok(tunnel),
            tunnels => Err(Failure::usage(format_args!(
                "{option} does not say which of the {} tunnels of the configuration file it is about: write it there",
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
            ("[admin]", self.admin != other.admin),
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

    /// All tunnels; without any in the file, one with the defaults.
    pub(crate) fn tunnels(&self) -> Vec<TunnelConfig> {
        if self.tunnel.is_empty() { vec![TunnelConfig::default()] } else { self.tunnel.clone() }
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let cannot = |what: &dyn fmt::Display| {
            let shown = path.display();
            Failure::usage(format_args!("cannot read the configuration file {shown}: {what}"))
        };
        let length = fs::metadata(path).map_err(|error| cannot(&error))?.len();
        if length > MAX_FILE {
            return Err(cannot(&"it is larger than 1 MiB"));
        }
        let text = fs::read_to_string(path).map_err(|error| cannot(&error))?;
        Self::parse(&text).map_err(|error| {
            let shown = path.display();
            Failure::usage(format_args!("the configuration file {shown} has a mistake\n{error}"))
        })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use i2p_sam::Identity;
    use i2p_tunnel::{Authentication, Caps, Isolate, Limits, PoolOptions, Protocols, Tunnel};

    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.router.backend, Backend::Auto);
        assert_eq!(config.router.sam.as_str(), "127.0.0.1:7656");
        assert_eq!(config.router.network_id, 2);
        let [tunnel] = &config.tunnels()[..] else { panic!("one tunnel") };
        assert_eq!(tunnel.name(), "default");
        assert_eq!(tunnel.listen().unwrap(), ["127.0.0.1:4450".parse().unwrap()]);
        let terms = tunnel.terms().unwrap();
        assert_eq!((terms.protocols, terms.extended_errors), (Protocols::default(), false));
        assert!(matches!(terms.authentication, Authentication::Isolation) && !tunnel.may_be_open());
        assert_eq!(config.limits.times(), Limits::default());
        let possible = NonZeroUsize::new(100_000).unwrap();
        let caps = Caps { connections: 65_536, per_client: None, per_tunnel: None };
        assert_eq!(config.limits.caps(possible), (caps, None));
        assert_eq!((tunnel.tunnel().isolate, tunnel.tunnel().dedicated), (Isolate::default(), None));
        assert_eq!((config.session.length, config.session.quantity), (3, 2));
        let pool = config.session.pool(config.shared_sessions().unwrap());
        let defaults = PoolOptions::default();
        assert_eq!(pool.max_sessions, defaults.max_sessions);
        assert_eq!((pool.idle_close, pool.warm_spares), (defaults.idle_close, defaults.warm_spares));
        assert_eq!((pool.delay_open, pool.identity), (defaults.delay_open, defaults.identity));
    }

    #[test]
    fn all_keys() {
        let config = Config::parse(
            "[router]\nbackend = 'sam'\nsam = 'router.lan:7656'\nreseed-file = '/tmp/i2pseeds.su3'\nnetwork-id = 99\n\
             sam-udp = '127.0.0.1:7000'\nuser = 'me'\npassword-file = '/tmp/password'\n\
             [session]\nlength = 1\nquantity = 16\nidle-close = '1h 30m'\nreduce-after = '10m'\ndelay-open = true\n\
             max-sessions = 5\nwarm-spares = 2\nreopen-with = 'same-keys'\n\
             [[tunnel]]\nname = 'a'\nlisten = ['127.0.0.1:1', '[::1]:2']\nsession = 'dedicated'\n\
             isolate = ['client', 'socks-auth', 'listener', 'dest-host', 'dest-port', 'protocol']\n\
             [[tunnel]]\nname = 'b'\nlisten = ['127.0.0.1:3']\nkey = 'persistent'\n",
        )
        .unwrap();
        assert_eq!(config.router.backend, Backend::Sam);
        assert_eq!(config.router.sam.as_str(), "router.lan:7656");
        assert_eq!(config.router.reseed_file, Some("/tmp/i2pseeds.su3".into()));
        assert_eq!(config.router.network_id, 99);
        assert_eq!((config.session.length, config.session.quantity), (1, 16));
        config.check().unwrap();
        let pool = config.session.pool(config.shared_sessions().unwrap());
        assert_eq!(pool.max_sessions.get(), 4, "one is for the tunnel with keys of its own");
        assert_eq!((pool.idle_close, pool.warm_spares), (Some(Duration::from_secs(5400)), 2));
        assert_eq!((pool.delay_open, pool.identity), (true, Identity::Same));
        let [a, b] = &config.tunnels()[..] else { panic!("two tunnels") };
        let expected: Vec<ListenAt> = vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        assert_eq!(a.listen().unwrap(), expected);
        let Tunnel { isolate, dedicated, .. } = a.tunnel();
        let all = isolate.client && isolate.socks_auth && isolate.listener && isolate.dest_host;
        assert!(all && isolate.dest_port && isolate.protocol);
        assert_eq!(dedicated.as_deref(), Some("a"));
        assert_eq!((b.key, b.tunnel().isolate), (KeyMode::Persistent, Isolate::NOTHING));
        assert_eq!(b.tunnel().dedicated.as_deref(), Some("b"));
    }

    #[test]
    fn all_keys_about_clients() {
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users");
        fs::write(&users, i2p_tunnel::Users::entry("anna", b"secret").unwrap()).unwrap();
        let config = Config::parse(&format!(
            "[limits]\nconnections = 500\nper-client = 10\nper-tunnel = 20\nhandshake = '1s'\ndial = '2s'\n\
             half-close = '3s'\nlinger = '4s'\nidle = '5s'\nkeepalive = '6s'\nuser-timeout = '0'\n\
             [[tunnel]]\nlisten = ['0.0.0.0:1', 'fd:some.socket', 'unix:/run/socks']\nunix-mode = '0660'\n\
             unix-group = '12'\nprotocols = ['socks5', 'http-connect']\nauth = 'required'\n\
             users-file = '{}'\nextended-errors = true\n\
             [[tunnel]]\nname = 'b'\nlisten = ['0.0.0.0:2']\nopen-to-others = true\n",
            users.display()
        ))
        .unwrap();
        config.check().unwrap();
        let [a, b] = &config.tunnels()[..] else { panic!("two tunnels") };
        let places: Vec<_> = a.listen().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(places, ["0.0.0.0:1", "fd:some.socket", "unix:/run/socks"]);
        #[cfg(unix)]
        {
            let file = i2p_tunnel::SocketFile { path: "/run/socks".into(), mode: 0o660, group: Some(12) };
            assert_eq!(a.listen().unwrap()[2], ListenAt::Unix(file));
        }
        let terms = a.terms().unwrap();
        let protocols = Protocols { socks5: true, http_connect: true, ..Protocols::NONE };
        assert_eq!((terms.protocols, terms.extended_errors), (protocols, true));
        assert!(matches!(terms.authentication, Authentication::Required(users) if users.len() == 1));
        assert!(a.may_be_open() && a.asks_for_passwords() && b.may_be_open() && !b.asks_for_passwords());
        let seconds = Duration::from_secs;
        let times = Limits {
            bind: Duration::from_secs(600),
            handshake: seconds(1),
            dial: seconds(2),
            half_close: seconds(3),
            linger: seconds(4),
            idle: Some(seconds(5)),
            keepalive: Some(seconds(6)),
            user_timeout: None,
        };
        assert_eq!(config.limits.times(), times);
        let caps = |connections| Caps { connections, per_client: Some(10), per_tunnel: Some(20) };
        let possible = |number| NonZeroUsize::new(number).unwrap();
        assert_eq!(config.limits.caps(possible(1000)), (caps(500), None));
        assert_eq!(config.limits.caps(possible(300)), (caps(300), Some(500)), "and it is said");
    }

    #[test]
    fn mistakes_say_where_and_what_is_expected() {
        for (text, says) in [
            ("[router]\nbackend = 'i2pd'", "line 2, column 11"),
            ("[router]\nbackend = 'i2pd'", "`auto`, `sam`, `embedded`"),
            ("[router]\nsam = '7656'", "expected HOST:PORT"),
            ("[router]\nsam = '127.0.0.1:0'", "expected HOST:PORT"),
            ("[router]\nsam = '::1:7656'", "expected HOST:PORT"),
            ("[router]\nsam = \"a b:7656\"", "expected HOST:PORT"),
            ("[router]\nnetwork-id = 300", "300 is not between 0 and 255"),
            ("[session]\nlength = 8", "8 is not between 0 and 7"),
            ("[session]\nquantity = 0", "0 is not between 1 and 16"),
            ("[session]\nlenght = 1", "unknown field `lenght`, expected one of `length`, `quantity`"),
            ("[session]\nidle-close = '30'", "expected a time such as 30m"),
            ("[session]\nidle-close = 30", "line 2, column 14"),
            ("[session]\nmax-sessions = 0", "0 is not between 1 and 64"),
            ("[names]\nsubscriptions = ['http://example.com/hosts.txt']", "only names of I2P are asked"),
            ("[names]\njump = ['https://stats.i2p/?a=']", "expected a URL in I2P"),
            ("[names]\nupdate-every = '5m'", "less than 1h"),
            ("[session]\nreopen-with = 'keys'", "expected `new-keys` or `same-keys`"),
            ("[[tunnel]]\nname = '../x'", "lower-case letters, digits and hyphens"),
            (
                "[[tunnel]]\nisolate = ['user']",
                "unknown variant `user`, expected one of `client`, `socks-auth`",
            ),
            ("[router]\nsam-udp = 'x'", "line 2, column 11"),
            ("[[tunnel]]\nlisten = ['localhost:4450']", "expected IP:PORT"),
            ("[[tunnel]]\nlisten = []", "has to listen somewhere"),
            ("[tunnel]\nlisten = ['127.0.0.1:1']", "line 1, column 1"),
            ("[session]\nlength = 1\nlength = 2", "line 3"),
            ("[[tunnel]]\nlisten = ['fd:']", "expected fd:NAME"),
            ("[[tunnel]]\nlisten = ['fd:a b']", "expected fd:NAME"),
            ("[[tunnel]]\nunix-mode = '0999'", "expected permissions"),
            ("[[tunnel]]\nunix-mode = '1777'", "expected permissions"),
            ("[[tunnel]]\nunix-mode = 600", "line 2, column 13"),
            ("[[tunnel]]\nprotocols = []", "has to speak something"),
            (
                "[[tunnel]]\nprotocols = ['http']",
                "expected one of `socks4`, `socks4a`, `socks5`, `http-connect`",
            ),
            ("[[tunnel]]\nauth = 'none'", "expected `isolation` or `required`"),
            ("[limits]\nconnections = 0", "line 2, column 15"),
            ("[limits]\nhandshake = '0'", "more than nothing"),
            ("[limits]\nidle = 'x'", "expected a time such as"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?} says\n{error}");
        }
    }

    #[test]
    fn values_that_contradict_each_other_are_said_so() {
        let listen = |port: u16| format!("listen = ['127.0.0.1:{port}']\n");
        let persistent = format!("[[tunnel]]\nname = 'a'\nkey = 'persistent'\n{}", listen(1));
        for (text, says) in [
            ("[names]\nbook = false\nsubscriptions = ['http://a.i2p/']\n".to_owned(), "book = false"),
            ("[names]\nbook = false\njump = ['http://a.i2p/']\n".to_owned(), "book = false"),
            (format!("[[tunnel]]\n{}[[tunnel]]\n{}", listen(1), listen(2)), "two tunnels are called default"),
            (
                format!("[[tunnel]]\nname = 'a'\n{0}[[tunnel]]\nname = 'b'\n{0}", listen(1)),
                "listened on twice",
            ),
            (format!("{persistent}isolate = ['client']\n"), "write isolate = []"),
            ("[[tunnel]]\nlisten = ['0.0.0.0:1']\n".into(), "open-to-others = true"),
            (
                "[[tunnel]]\nlisten = ['127.0.0.1:1', '[::ffff:192.0.2.1]:1']\n".into(),
                "auth = \\\"required\\\"",
            ),
            ("[[tunnel]]\nauth = 'required'\n".into(), "needs a users-file"),
            ("[[tunnel]]\nusers-file = '/x'\n".into(), "lets everybody in"),
            ("[[tunnel]]\nlisten = ['fd:a', 'fd:a']\n".into(), "listened on twice"),
            ("[limits]\nkeepalive = '1s'\n".into(), "keepalive is not between 4s and 9h 6m 7s"),
            ("[limits]\nuser-timeout = '2days'\n".into(), "user-timeout is not between"),
            #[cfg(unix)]
            ("[[tunnel]]\nunix-group = 'no such group'\n".into(), "no group"),
            (
                "[[outproxy]]\nname = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\n".repeat(2),
                "two outproxies are called a",
            ),
            (
                "[[route]]\nvia = 'reject'\n[[route]]\nvia = ['exit']\n".into(),
                "route 2 names the outproxy exit, and there is no",
            ),
            (
                "[[outproxy]]\nname = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\nusername = 'x'\npassword-file = '/nonexistent'"
                    .into(),
                "outproxy a: cannot use the password file /nonexistent",
            ),
            (
                format!("[session]\nmax-sessions = 1\n{persistent}[[tunnel]]\nname = 'b'\n{}", listen(2)),
                "raise it",
            ),
        ] {
            let config = Config::parse(&text).unwrap();
            let error = format!("{:?}", config.check().unwrap_err());
            assert!(error.contains(says), "{text}\n{error}");
        }
        let one = Config::parse(&format!("[session]\nmax-sessions = 1\n{persistent}")).unwrap();
        one.check().unwrap();
    }

    /// Every configuration that the documentation shows is one, and the first is the example.
    #[test]
    fn the_configurations_of_the_readme_are_valid() {
        let readme = include_str!("../../../../README.md");
        let blocks: Vec<_> =
            readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        for block in &blocks {
            let config = Config::parse(block).unwrap_or_else(|error| panic!("{block}\n{error}"));
            config.check().unwrap_or_else(|error| panic!("{block}\n{error:?}"));
        }
        assert!(blocks.first() == Some(&EXAMPLE), "the README's first configuration is dist/i2p-socks.toml");
    }

    #[test]
    fn the_example_is_the_defaults() {
        let example = Config::parse(EXAMPLE).unwrap();
        assert_eq!(example.tunnels(), Config::default().tunnels());
        assert_eq!(Config { tunnel: Vec::new(), ..example }, Config::default());
    }

    /// What the parser expects in a table, it says when it finds something else there.
    #[test]
    fn the_example_has_every_key() {
        let keys = |table: &str| {
            let error = Config::parse(&format!("{table}\nnonsense = 1")).unwrap_err().to_string();
            let expected = error.split("expected ").nth(1).unwrap_or_else(|| panic!("{error}"));
            let keys: Vec<_> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            assert!(!keys.is_empty(), "{error}");
            keys
        };
        // A table of which there may be none stands there as a comment.
        let example = EXAMPLE.replace("\n# [", "\n[");
        let mut sections = example.split("\n[").map(|section| section.trim_start_matches('['));
        for table in keys("") {
            let head = [format!("[{table}]"), format!("[[{table}]]")];
            let is_it = |head: &&String| {
                let error = Config::parse(&format!("{head}\nnonsense = 1")).unwrap_err();
                error.to_string().contains("unknown field `nonsense`")
            };
            let head = head.iter().find(is_it).unwrap();
            let of_table = |section: &&str| section.starts_with(&format!("{table}]"));
            let text = sections.clone().find(of_table).unwrap_or_else(|| panic!("{head} is not there"));
            for key in keys(head) {
                let is_it = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
                let own_table =
                    || sections.clone().any(|other| other.starts_with(&format!("{table}.{key}]")));
                assert!(text.lines().any(is_it) || own_table(), "{key} of {head} is not there");
            }
        }
        assert!(sections.next().is_some());
    }
}
