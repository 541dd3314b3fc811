//! The configuration: defaults, then the file, then the environment and the command line.

mod admin;
mod log;
mod names;
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
};

use serde::Deserialize;

use self::values::ranged;
pub(crate) use self::{
    admin::{AdminConfig, AdminListen},
    log::{Journald, Level, LogConfig, LogFormat},
    names::NamesConfig,
    session::SessionConfig,
    shutdown::ShutdownConfig,
    tunnel::{KeyMode, TunnelConfig, TunnelName},
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
            config.tunnel = vec![TunnelConfig::at(options.listen.clone())];
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
        // Port 0 is another one each time.
        for address in tunnels.iter().flat_map(TunnelConfig::listen).filter(|address| address.port() != 0) {
            if seen.contains(&address) {
                found.push(format!("{address} is to be listened on twice: give each address once"));
            }
            seen.push(address);
        }
        for (index, tunnel) in tunnels.iter().enumerate() {
            if tunnels.iter().take(index).any(|other| other.name() == tunnel.name()) {
                found.push(format!("two tunnels are called {}: give each a name of its own", tunnel.name()));
            }
            found.extend(tunnel.contradiction());
        }
        if self.shared_sessions().is_none() {
            found.push(format!(
                "max-sessions is {}, and tunnels with persistent keys need one each, the others at least one in all: raise it",
                self.session.max_sessions()
            ));
        }
        found
    }

    /// What is another here and cannot be changed while the proxy runs, as a user calls it.
    pub(crate) fn differs_in_what_is_fixed(&self, other: &Self) -> Option<&'static str> {
        let differs = [
            ("[router]", self.router != other.router),
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
    use i2p_tunnel::{Isolate, PoolOptions, Tunnel};

    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.router.backend, Backend::Auto);
        assert_eq!(config.router.sam.as_str(), "127.0.0.1:7656");
        assert_eq!(config.router.network_id, 2);
        let [tunnel] = &config.tunnels()[..] else { panic!("one tunnel") };
        assert_eq!((tunnel.name(), tunnel.listen()), ("default", vec!["127.0.0.1:4450".parse().unwrap()]));
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
        assert_eq!(a.listen().iter().map(SocketAddr::port).collect::<Vec<_>>(), [1, 2]);
        let Tunnel { isolate, dedicated } = a.tunnel();
        let all = isolate.client && isolate.socks_auth && isolate.listener && isolate.dest_host;
        assert!(all && isolate.dest_port && isolate.protocol);
        assert_eq!(dedicated.as_deref(), Some("a"));
        assert_eq!((b.key, b.tunnel().isolate), (KeyMode::Persistent, Isolate::NOTHING));
        assert_eq!(b.tunnel().dedicated.as_deref(), Some("b"));
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
            (format!("[[tunnel]]\n{}[[tunnel]]\n{}", listen(1), listen(2)), "two tunnels are called default"),
            (
                format!("[[tunnel]]\nname = 'a'\n{0}[[tunnel]]\nname = 'b'\n{0}", listen(1)),
                "listened on twice",
            ),
            (format!("{persistent}isolate = ['client']\n"), "write isolate = []"),
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
            Config::parse(block).unwrap_or_else(|error| panic!("{block}\n{error}"));
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
        let mut sections = EXAMPLE.split("\n[").map(|section| section.trim_start_matches('['));
        for table in keys("") {
            let head = [format!("[{table}]"), format!("[[{table}]]")];
            let head = head.iter().find(|head| Config::parse(&format!("{head}\n")).is_ok()).unwrap();
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
