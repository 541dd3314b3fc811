//! `[[outproxy]]`: a proxy to hosts outside I2P.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use i2p_name::I2pName;
use i2p_tunnel::{OutproxyAt, OutproxyCredentials, OutproxyDefinition, OutproxyProtocol};
use serde::{Deserialize, Deserializer, de::Error};
use zeroize::Zeroizing;

use super::{
    login::{check, password_in},
    tunnel::TunnelName,
    values::addresses_without_lookup,
};
use crate::command_error::CommandError;

/// `[[outproxy]]`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OutproxyConfig {
    name: TunnelName,
    at: String,
    #[serde(default)]
    via: Via,
    #[serde(deserialize_with = "protocol")]
    protocol: OutproxyProtocol,
    username: Option<String>,
    password_file: Option<PathBuf>,
    pass_isolation: Option<bool>,
}

/// `via`: how the outproxy is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Via {
    /// Through I2P.
    #[default]
    I2p,
    /// Over TCP.
    Tcp,
    /// Over a Unix socket.
    Unix,
}

/// `protocol`.
fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OutproxyProtocol, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::unknown_variant(&text, &OutproxyProtocol::NAMES))
}

fn at(via: Via, text: &str) -> Result<OutproxyAt, String> {
    match via {
        Via::I2p => in_i2p(text),
        Via::Tcp => over_tcp(text).map(OutproxyAt::Tcp),
        Via::Unix if cfg!(unix) => match Path::new(text) {
            path if path.is_absolute() => Ok(OutproxyAt::Unix(path.to_owned())),
            _ => Err("expected the absolute path of a Unix socket, such as /run/tor/socks".into()),
        },
        Via::Unix => Err("this system has no Unix sockets".into()),
    }
}

/// A name in I2P, with or without a port.
fn in_i2p(text: &str) -> Result<OutproxyAt, String> {
    let (host, port) = match text.rsplit_once(':') {
        None => (text, Some(0)),
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
    };
    match (I2pName::parse(host), port) {
        (Ok(name), Some(port)) => Ok(OutproxyAt::I2p(name, port)),
        _ => Err("expected a name in I2P such as exit.example.i2p or exit.example.i2p:4444; for an outproxy outside I2P, set \
                  via = \"tcp\" or via = \"unix\""
            .into()),
    }
}

/// An IP address or `localhost`, with a port.
fn over_tcp(text: &str) -> Result<Vec<SocketAddr>, String> {
    let addresses = addresses_without_lookup(text);
    match addresses.first() {
        Some(address) if address.port() > 0 => Ok(addresses),
        _ => Err("expected IP:PORT or localhost:PORT, such as 127.0.0.1:9050 or [::1]:9050; other names are not looked up"
            .into()),
    }
}

impl OutproxyConfig {
    /// What is wrong with it, each with the keys that it follows from. The first is the one that it is about.
    pub(super) fn mistakes(&self) -> Vec<(&'static [&'static str], String)> {
        let mut found: Vec<(&[_], _)> = Vec::new();
        if self.name() == "reject" {
            let what =
                "the name is reserved: via = \"reject\" in a route refuses requests; choose another name";
            found.push((&["name"], what.to_owned()));
        }
        if let Err(what) = at(self.via, &self.at) {
            found.push((&["at", "via"], format!("at = {:?}: {what}", self.at)));
        }
        let together = || "username and password-file go together: set both or neither".to_owned();
        match (&self.username, &self.password_file) {
            (Some(_), None) => found.push((&["username", "password-file"], together())),
            (None, Some(_)) => found.push((&["password-file", "username"], together())),
            _ => {}
        }
        if let Some(username) = &self.username {
            let carried = check("username", username)
                .and_then(|()| self.protocol.check_username(username).map_err(str::to_owned));
            found.extend(carried.err().map(|what| (&["username", "protocol"][..], what)));
        }
        if self.pass_isolation == Some(true) && !self.can_pass_isolation() {
            let passing = OutproxyProtocol::ALL.into_iter().filter(|protocol| protocol.passes_isolation());
            let names: Vec<_> = passing.map(|protocol| format!("{:?}", protocol.name())).collect();
            let what = format!(
                "pass-isolation = true needs protocol = {}, via = \"tcp\" or \"unix\", and no username",
                names.join(" or ")
            );
            found.push((&["pass-isolation", "protocol", "via", "username"], what));
        }
        found.into_iter().map(|(keys, what)| (keys, format!("outproxy {}: {what}", self.name()))).collect()
    }

    fn can_pass_isolation(&self) -> bool {
        self.protocol.passes_isolation() && self.via != Via::I2p && self.username.is_none()
    }

    /// The file with its password, if it has a login.
    pub(super) fn password_file(&self) -> Option<&Path> {
        self.password_file.as_deref()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Its address, if it is reached outside I2P on another machine.
    pub(crate) fn address_on_another_machine(&self) -> Option<SocketAddr> {
        match at(self.via, &self.at) {
            Ok(OutproxyAt::Tcp(addresses)) => {
                addresses.into_iter().find(|address| !address.ip().is_loopback())
            }
            _ => None,
        }
    }

    /// The outproxy for the tunnel server. Reads the password file.
    pub(crate) fn definition(&self) -> Result<OutproxyDefinition, CommandError> {
        if let Some((_, mistake)) = self.mistakes().into_iter().next() {
            return Err(CommandError::usage(mistake));
        }
        Ok(OutproxyDefinition {
            name: self.name().into(),
            at: at(self.via, &self.at).map_err(CommandError::usage)?,
            protocol: self.protocol,
            credentials: self.credentials()?,
            pass_isolation: self.pass_isolation.unwrap_or_else(|| self.can_pass_isolation()),
        })
    }

    /// Its login, if it has one. Reads the password file.
    pub(super) fn credentials(&self) -> Result<Option<OutproxyCredentials>, CommandError> {
        let (Some(username), Some(file)) = (&self.username, &self.password_file) else { return Ok(None) };
        Ok(Some(OutproxyCredentials { username: username.clone(), password: self.password(file)? }))
    }

    fn password(&self, file: &Path) -> Result<Zeroizing<String>, CommandError> {
        password_in(file).map_err(|what| {
            let (name, shown) = (self.name(), file.display());
            CommandError::usage(format_args!("outproxy {name}: cannot use the password file {shown}: {what}"))
        })
    }
}

/// Protocol and address, for people.
impl fmt::Display for OutproxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.via {
            Via::I2p => "through I2P",
            Via::Tcp => "over TCP",
            Via::Unix => "over a Unix socket",
        };
        write!(f, "{}, {transport}: {}", self.protocol, self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn parse(text: &str) -> Result<OutproxyConfig, String> {
        let config: OutproxyConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.mistakes().into_iter().next().map_or(Ok(config), |(_, mistake)| Err(mistake))
    }

    #[test]
    fn all_keys() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        for end in ["", "\n", "\r\n"] {
            fs::write(&file, format!("open sesame{end}")).unwrap();
            let text = format!(
                "name = 'a'\nat = 'Exit.Example.I2P:4444'\nvia = 'i2p'\nprotocol = 'http-connect'\nusername = 'me'\n\
                 password-file = '{}'\n",
                file.display()
            );
            let definition = parse(&text).unwrap().definition().unwrap();
            let OutproxyAt::I2p(name, 4444) = &definition.at else { panic!("{:?}", definition.at) };
            assert_eq!(name.to_string(), "exit.example.i2p");
            assert_eq!((&*definition.name, definition.protocol), ("a", OutproxyProtocol::HttpConnect));
            let OutproxyCredentials { username, password } = definition.credentials.unwrap();
            assert_eq!((username.as_str(), password.as_str()), ("me", "open sesame"));
            assert!(!definition.pass_isolation);
        }
    }

    #[test]
    fn where_it_can_be() {
        let b32 = format!("{}.b32.i2p", "a".repeat(52));
        let at = |via: &str, at: &str| {
            let config = parse(&format!("name = 'a'\nat = '{at}'\n{via}\nprotocol = 'socks5'\n")).unwrap();
            (config.to_string(), config.definition().unwrap())
        };
        let (text, definition) = at("", &b32);
        assert!(matches!(definition.at, OutproxyAt::I2p(I2pName::B32(_), 0)) && !definition.pass_isolation);
        assert_eq!(text, format!("SOCKS5, through I2P: {b32}"));
        let (text, definition) = at("via = 'tcp'", "127.0.0.1:9050");
        assert_eq!(definition.at, OutproxyAt::Tcp(vec!["127.0.0.1:9050".parse().unwrap()]));
        assert!(definition.pass_isolation);
        assert_eq!(text, "SOCKS5, over TCP: 127.0.0.1:9050");
        let both = ["127.0.0.1:9050", "[::1]:9050"].map(|address| address.parse().unwrap());
        assert_eq!(at("via = 'tcp'", "localhost:9050").1.at, OutproxyAt::Tcp(both.into()));
        assert_eq!(at("via = 'unix'", "/run/tor/socks").1.at, OutproxyAt::Unix("/run/tor/socks".into()));
        assert!(!at("via = 'tcp'\npass-isolation = false", "[::1]:9050").1.pass_isolation);
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        let tcp = "at = '127.0.0.1:9050'\nvia = 'tcp'\n";
        for (text, says) in [
            ("at = 'a.i2p'\nprotocol = 'socks5'", "missing field `name`"),
            ("name = 'a'\nat = 'a.i2p'", "missing field `protocol`"),
            ("name = 'a'\nat = 'a.i2p'\nprotocol = 'http'", "expected `socks5` or `http-connect`"),
            ("name = 'A'\nat = 'a.i2p'\nprotocol = 'socks5'", "lower-case letters"),
            ("name = 'reject'\nat = 'a.i2p'\nprotocol = 'socks5'", "choose another name"),
            ("name = 'a'\nat = 'example.com'\nprotocol = 'socks5'", "a name in I2P such as exit.example.i2p"),
            ("name = 'a'\nat = 'a.i2p:0'\nprotocol = 'socks5'", "a name in I2P such as exit.example.i2p"),
            ("name = 'a'\nat = '127.0.0.1:9050'\nprotocol = 'socks5'", "via = \"tcp\""),
            (
                "name = 'a'\nat = 'tor.lan:9050'\nvia = 'tcp'\nprotocol = 'socks5'",
                "other names are not looked up",
            ),
            (
                "name = 'a'\nat = 'localhost'\nvia = 'tcp'\nprotocol = 'socks5'",
                "expected IP:PORT or localhost:PORT",
            ),
            (
                "name = 'a'\nat = '127.0.0.1:0'\nvia = 'tcp'\nprotocol = 'socks5'",
                "expected IP:PORT or localhost:PORT",
            ),
            (
                "name = 'a'\nat = 'a.i2p:80'\nvia = 'tcp'\nprotocol = 'socks5'",
                "expected IP:PORT or localhost:PORT",
            ),
            ("name = 'a'\nat = 'socks'\nvia = 'unix'\nprotocol = 'socks5'", "the absolute path"),
            (
                "name = 'a'\nat = 'a.i2p'\nvia = 'udp'\nprotocol = 'socks5'",
                "expected one of `i2p`, `tcp`, `unix`",
            ),
            ("name = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\nuser = 'x'", "unknown field `user`"),
            ("name = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\nusername = 'x'", "go together"),
            (
                "name = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\npass-isolation = true",
                "via = \"tcp\" or \"unix\"",
            ),
            (
                "name = 'a'\nat = 'a.i2p'\nprotocol = 'http-connect'\nusername = 'a:b'\npassword-file = 'x'",
                "no place for a colon",
            ),
            (
                "name = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\nusername = ''\npassword-file = 'x'",
                "username is empty",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}\n{error}");
        }
        let long = format!(
            "name = 'a'\n{tcp}protocol = 'socks5'\nusername = '{}'\npassword-file = 'x'",
            "x".repeat(256)
        );
        assert!(parse(&long).unwrap_err().contains("256 bytes; the maximum is 255"));
    }

    #[test]
    fn a_password_file_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let text = format!(
            "name = 'a'\nat = 'a.i2p'\nprotocol = 'socks5'\nusername = 'x'\npassword-file = '{}'\n",
            file.display()
        );
        let config = parse(&text).unwrap();
        let said = || format!("{:?}", config.definition().unwrap_err());
        assert!(said().contains("No such file"), "{}", said());
        let long = "x".repeat(256);
        for (content, says) in [
            ("", "the password is empty"),
            ("\n", "the password is empty"),
            ("a\nb\n", "control character"),
            (long.as_str(), "the maximum is 255"),
        ] {
            fs::write(&file, content).unwrap();
            assert!(said().contains(says) && said().contains("outproxy a: "), "{content:?}: {}", said());
        }
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(said().contains("UTF-8"), "{}", said());
    }
}
