//! URLs of feeds and jump services: `http://` and a name in I2P, and nothing else, so that nothing is ever fetched outside I2P.

use std::fmt;

use hyper::Uri;
use i2p_name::{HostName, I2pName};
use serde::Serialize;

/// The longest URL: the address book stores this much of a source.
const MAX_URL_BYTES: usize = 200;

/// A URL in I2P, in canonical form. It tells what a user reads, so it implements no `Display`: to log it, wrap its
/// [`text`](Self::text) in `Sensitive`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub(crate) struct I2pUrl {
    host: I2pName,
    port: u16,
    /// Path and query.
    path: String,
}

impl I2pUrl {
    pub(crate) fn host(&self) -> &I2pName {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The URL as text.
    pub(crate) fn text(&self) -> String {
        format!("http://{}{}", self.authority(), self.path)
    }

    /// The value of the `Host` field of a request (RFC 9110 section 7.2).
    pub(crate) fn authority(&self) -> String {
        match self.port {
            80 => self.host.to_string(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// The URL with a host name appended, which asks a jump service for that name.
    pub(crate) fn with_name(&self, name: &HostName) -> Self {
        Self { path: format!("{}{}", self.path, name.as_str()), ..self.clone() }
    }

    /// The target of a redirection from this URL (RFC 9110 section 10.2.2): an absolute URL or an absolute path.
    ///
    /// # Errors
    /// It leads out of I2P, or has another form.
    pub(crate) fn join(&self, location: &str) -> Result<Self, String> {
        if location.starts_with('/') && !location.starts_with("//") {
            format!("http://{}{location}", self.authority()).try_into()
        } else {
            location.to_owned().try_into()
        }
    }
}

impl TryFrom<String> for I2pUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let expected = "expected a URL in I2P, such as http://example.i2p/path";
        if text.len() > MAX_URL_BYTES {
            return Err(format!("{expected}, of at most {MAX_URL_BYTES} characters"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(expected.to_owned());
        }
        let uri: Uri = text.parse().map_err(|_| expected.to_owned())?;
        if uri.scheme_str() == Some("https") {
            return Err(format!("{expected}: https is not needed, since I2P encrypts what goes through it"));
        }
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.filter(|authority| !authority.as_str().contains('@'));
        let Some(authority) = authority else { return Err(expected.to_owned()) };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 80,
            Some(_) => authority.port_u16().filter(|port| *port > 0).ok_or(expected)?,
            None => return Err(expected.to_owned()),
        };
        let host = match I2pName::parse(authority.host()) {
            Ok(I2pName::Destination(_)) | Err(_) => {
                return Err(format!("{expected}; only hosts in I2P are contacted"));
            }
            Ok(host) => host,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host, port, path })
    }
}

impl std::str::FromStr for I2pUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl From<I2pUrl> for String {
    fn from(url: I2pUrl) -> Self {
        url.text()
    }
}

impl fmt::Debug for I2pUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("I2pUrl(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<I2pUrl, String> {
        text.parse()
    }

    #[test]
    fn only_http_in_i2p() {
        for (text, canonical) in [
            ("http://Example.i2p", "http://example.i2p/"),
            ("HTTP://example.i2p:80/a?b=c", "http://example.i2p/a?b=c"),
            ("http://example.i2p:8080/hosts.txt", "http://example.i2p:8080/hosts.txt"),
            ("http://example.i2p?a=", "http://example.i2p/?a="),
        ] {
            let read = url(text).unwrap();
            assert_eq!(read.text(), canonical);
            assert_eq!(url(canonical).unwrap(), read);
        }
        for text in [
            "https://example.i2p/",
            "example.i2p/hosts.txt",
            "http://example.com/hosts.txt",
            "http://127.0.0.1/hosts.txt",
            "http://[::1]/",
            "http://user@example.i2p/",
            "http://example.i2p@example.com/",
            "http://example.i2p:0/",
            "http://example.i2p:99999/",
            "http://example.i2p:/",
            "http://example.i2p/a b",
            "http://example.i2p/\r\nX: y",
            "http://example.i2p/#a",
            "/hosts.txt",
            "",
        ] {
            assert!(url(text).is_err(), "{text:?} is {}", url(text).unwrap().text());
        }
        assert!(url("https://example.i2p/").unwrap_err().contains("https is not needed"));
        assert!(url(&format!("http://example.i2p/{}", "a".repeat(200))).unwrap_err().contains("200"));
    }

    #[test]
    fn redirections_stay_in_i2p() {
        let here = url("http://a.i2p:81/hosts.txt").unwrap();
        assert_eq!(here.join("/b?c").unwrap().text(), "http://a.i2p:81/b?c");
        assert_eq!(here.join("http://b.i2p/c").unwrap().text(), "http://b.i2p/c");
        for location in ["//example.com/", "https://b.i2p/", "http://example.com/", "b.txt", "", "?a"] {
            assert!(here.join(location).is_err(), "{location}");
        }
        let jump = url("http://stats.i2p/jump?a=").unwrap().with_name(&"x.i2p".parse().unwrap());
        assert_eq!(jump.text(), "http://stats.i2p/jump?a=x.i2p");
    }
}
