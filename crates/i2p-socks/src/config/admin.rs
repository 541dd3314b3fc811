//! `[admin]`: pages on how the proxy does.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use serde::Deserialize;

/// `[admin]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AdminConfig {
    /// Where; none: nowhere but on the control socket.
    pub(crate) listen: AdminListen,
    /// Where browsers are told to go for hosts that no route names.
    pub(crate) pac_rest: PacRest,
}

/// `pac-rest`: of what is neither of I2P nor named by a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PacRest {
    /// To the proxy, which refuses it.
    #[default]
    Proxy,
    /// To the host itself, which sees who asks.
    Direct,
}

impl AdminConfig {
    /// Where a browser of this machine finds the pages, if they are at a port that is known.
    pub(crate) fn url(&self) -> Option<String> {
        match self.listen {
            AdminListen::Tcp(address) if address.port() != 0 => Some(format!("http://{address}/")),
            _ => None,
        }
    }
}

/// `listen`: for this machine alone, since whoever reads the pages learns our addresses in I2P.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum AdminListen {
    /// `off`.
    #[default]
    Off,
    /// `IP:PORT`, of loopback.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl FromStr for AdminListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') && cfg!(unix) {
                true => Ok(Self::Unix(path.into())),
                false => Err("expected a path from the root, such as unix:/run/i2p-socks/admin".into()),
            };
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "expected off, IP:PORT such as 127.0.0.1:4480, or unix:PATH".to_owned())?;
        match address.ip().to_canonical().is_loopback() {
            true => Ok(Self::Tcp(address)),
            false => Err(format!(
                "{address} can be reached from other machines, and the pages show your addresses in I2P: use 127.0.0.1 or \
                 [::1], or unix:PATH, and a tunnel of ssh to read them from elsewhere"
            )),
        }
    }
}

impl TryFrom<String> for AdminListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_can_be_listened_for() {
        assert_eq!("off".parse(), Ok(AdminListen::Off));
        for text in ["127.0.0.1:1", "127.9.9.9:0", "[::1]:2", "[::ffff:127.0.0.1]:3"] {
            assert!(matches!(text.parse(), Ok(AdminListen::Tcp(_))), "{text}");
        }
        for (text, says) in [
            ("0.0.0.0:1", "from other machines"),
            ("[::]:1", "from other machines"),
            ("192.168.1.1:1", "from other machines"),
            ("localhost:1", "expected off, IP:PORT"),
            ("", "expected off, IP:PORT"),
            ("unix:admin", "a path from the root"),
        ] {
            let error = text.parse::<AdminListen>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
