//! The configuration: defaults, then the file, then the environment and the command line.

use std::{
    fmt, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use i2p_sam::SessionOptions;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{cli::Options, exit::Failure};

/// Largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The network ID of I2P itself.
pub(crate) const PUBLIC_NETWORK: u8 = 2;

/// The whole configuration file. Every key has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) router: RouterConfig,
    pub(crate) session: SessionConfig,
    /// One SOCKS tunnel each; none: one with the defaults.
    tunnel: Vec<TunnelConfig>,
    /// Where the embedded router keeps what it knows; none: the platform's place for state.
    #[serde(skip)]
    state_dir: Option<PathBuf>,
}

/// `[router]`: the way into I2P.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RouterConfig {
    /// Which of the two.
    pub(crate) backend: Backend,
    /// Where the SAM bridge is.
    pub(crate) sam: BridgeAddress,
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
            reseed_file: None,
            network_id: PUBLIC_NETWORK,
        }
    }
}

/// `[session]`: the profile of our tunnels in I2P.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SessionConfig {
    /// Hops each way.
    #[serde(deserialize_with = "ranged::<_, 0, 7>")]
    length: u8,
    /// Tunnels each way.
    #[serde(deserialize_with = "ranged::<_, 1, 16>")]
    quantity: u8,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { length: 3, quantity: 2 }
    }
}

impl SessionConfig {
    pub(crate) fn options(&self) -> SessionOptions {
        SessionOptions::default().length(self.length).quantity(self.quantity)
    }
}

/// `[[tunnel]]`: one SOCKS tunnel.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct TunnelConfig {
    /// What it is called; nothing but its order tells tunnels apart yet.
    #[serde(rename = "name")]
    _name: String,
    /// Where it listens.
    listen: Listen,
}

/// Where a tunnel listens, at one place at least.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<ListenAddress>")]
struct Listen(Vec<ListenAddress>);

impl Default for Listen {
    fn default() -> Self {
        Self(vec![ListenAddress(SocketAddr::from((Ipv4Addr::LOCALHOST, 4450)))])
    }
}

impl TryFrom<Vec<ListenAddress>> for Listen {
    type Error = &'static str;

    fn try_from(addresses: Vec<ListenAddress>) -> Result<Self, Self::Error> {
        if addresses.is_empty() { Err("a tunnel has to listen somewhere") } else { Ok(Self(addresses)) }
    }
}

/// `backend`: how I2P is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Backend {
    /// A SAM bridge if one answers, else the embedded router.
    #[default]
    Auto,
    /// The SAM bridge of a router that runs already.
    Sam,
    /// The router in this process.
    Embedded,
}

/// `HOST:PORT` of a SAM bridge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct BridgeAddress(String);

impl BridgeAddress {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BridgeAddress {
    fn default() -> Self {
        Self("127.0.0.1:7656".to_owned())
    }
}

impl FromStr for BridgeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected HOST:PORT, such as 127.0.0.1:7656 or [::1]:7656";
        let (host, port) = text.rsplit_once(':').ok_or(expected)?;
        let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        let odd =
            host.is_empty() || bare_ipv6 || text.contains(|c: char| c.is_whitespace() || c.is_control());
        match port.parse::<u16>() {
            Ok(1..) if !odd => Ok(Self(text.to_owned())),
            _ => Err(expected.to_owned()),
        }
    }
}

impl TryFrom<String> for BridgeAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// `IP:PORT` to listen on. Port 0 is "any free one".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ListenAddress(SocketAddr);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected IP:PORT, such as 127.0.0.1:4450 or [::1]:4450";
        text.parse().map(Self).map_err(|_| expected.to_owned())
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
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
            config.tunnel =
                vec![TunnelConfig { listen: Listen(options.listen.clone()), ..TunnelConfig::default() }];
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
        let mut seen = Vec::new();
        for address in self.listen() {
            // Port 0 is another one each time.
            if address.port() != 0 && seen.contains(&address) {
                return Err(Failure::usage(format_args!(
                    "{address} is to be listened on twice: give each address once"
                )));
            }
            seen.push(address);
        }
        Ok(())
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

    /// Where to listen, for all tunnels.
    pub(crate) fn listen(&self) -> Vec<SocketAddr> {
        let of = |tunnel: &TunnelConfig| tunnel.listen.0.iter().map(|address| address.0).collect::<Vec<_>>();
        match self.tunnel.as_slice() {
            [] => of(&TunnelConfig::default()),
            tunnels => tunnels.iter().flat_map(of).collect(),
        }
    }

    /// Where the embedded router keeps what it knows: what the command line says, systemd's directory, or the platform's
    /// place for state.
    #[cfg(feature = "embedded")]
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.state_dir {
            return Ok(dir.clone());
        }
        if let Some(dir) = std::env::var_os("STATE_DIRECTORY").filter(|dir| !dir.is_empty()) {
            return Ok(dir.into());
        }
        let project = directories::ProjectDirs::from("", "", "i2p-socks").ok_or_else(|| {
            Failure::usage(
                "there is no home directory to keep the embedded router's keys in; \
                 say where with --state-dir DIR",
            )
        })?;
        Ok(project.state_dir().unwrap_or_else(|| project.data_local_dir()).to_owned())
    }
}

fn ranged<'de, D: Deserializer<'de>, const LEAST: u8, const MOST: u8>(from: D) -> Result<u8, D::Error> {
    let number = i64::deserialize(from)?;
    match u8::try_from(number) {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        _ => Err(D::Error::custom(format_args!("{number} is not between {LEAST} and {MOST}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.router.backend, Backend::Auto);
        assert_eq!(config.router.sam.as_str(), "127.0.0.1:7656");
        assert_eq!(config.router.network_id, 2);
        assert_eq!(config.listen(), ["127.0.0.1:4450".parse().unwrap()]);
        assert_eq!((config.session.length, config.session.quantity), (3, 2));
    }

    #[test]
    fn all_keys() {
        let config = Config::parse(
            "[router]\nbackend = 'sam'\nsam = 'router.lan:7656'\nreseed-file = '/tmp/i2pseeds.su3'\nnetwork-id = 99\n\
             [session]\nlength = 1\nquantity = 16\n\
             [[tunnel]]\nname = 'a'\nlisten = ['127.0.0.1:1', '[::1]:2']\n[[tunnel]]\nlisten = ['127.0.0.1:3']\n",
        )
        .unwrap();
        assert_eq!(config.router.backend, Backend::Sam);
        assert_eq!(config.router.sam.as_str(), "router.lan:7656");
        assert_eq!(config.router.reseed_file, Some("/tmp/i2pseeds.su3".into()));
        assert_eq!(config.router.network_id, 99);
        assert_eq!((config.session.length, config.session.quantity), (1, 16));
        let ports: Vec<_> = config.listen().iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [1, 2, 3]);
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
            ("[session]\nlenght = 1", "unknown field `lenght`, expected `length` or `quantity`"),
            ("[[tunnel]]\nlisten = ['localhost:4450']", "expected IP:PORT"),
            ("[[tunnel]]\nlisten = []", "has to listen somewhere"),
            ("[tunnel]\nlisten = ['127.0.0.1:1']", "line 1, column 1"),
            ("[session]\nlength = 1\nlength = 2", "line 3"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?} says\n{error}");
        }
    }

    /// Every configuration that the documentation shows is one.
    #[test]
    fn the_configurations_of_the_readme_are_valid() {
        let readme = include_str!("../../../README.md");
        let blocks: Vec<_> =
            readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty());
        for block in blocks {
            Config::parse(block).unwrap_or_else(|error| panic!("{block}\n{error}"));
        }
    }
}
