//! `[admin]`: the status page, metrics and proxy.pac.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use serde::Deserialize;

use super::from_text::deserialize_from_text;

/// `[admin]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AdminConfig {
    /// Where to listen. The pages are also on the control socket.
    pub(crate) listen: AdminListen,
    /// What proxy.pac says of hosts without a route.
    pub(crate) pac_rest: PacRest,
}

/// `pac-rest`: where browsers send requests for hosts that are neither in I2P nor named by a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PacRest {
    /// To the proxy, which refuses them.
    #[default]
    Proxy,
    /// To the host itself, which sees the address of the browser.
    Direct,
}

impl AdminConfig {
    /// The URL of the pages for a browser on this machine, if the port is known.
    pub(crate) fn url(&self) -> Option<String> {
        match self.listen {
            AdminListen::Tcp(address) if address.port() != 0 => Some(format!("http://{address}/")),
            _ => None,
        }
    }
}

deserialize_from_text!(AdminListen);

/// `listen`: on this machine only, because the pages show our addresses in I2P.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum AdminListen {
    /// `off`.
    #[default]
    Off,
    /// `IP:PORT` on loopback.
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
                false => Err("expected an absolute path, such as unix:/run/i2p-socks/admin".into()),
            };
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "expected off, IP:PORT such as 127.0.0.1:4480, or unix:PATH".to_owned())?;
        match address.ip().to_canonical().is_loopback() {
            true => Ok(Self::Tcp(address)),
            false => Err(format!(
                "{address} can be reached from other machines, and the pages show your addresses in I2P: use 127.0.0.1, [::1] or \
                 unix:PATH; to read the pages from elsewhere, use an SSH tunnel"
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
    fn only_addresses_of_this_machine_are_accepted() {
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
            ("unix:admin", "an absolute path"),
        ] {
            let error = text.parse::<AdminListen>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
