//! Fetches one file over HTTPS, with limits on time, size and redirects.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderValue},
    http::uri::{PathAndQuery, Scheme},
    rt::{Read, Write},
    upgrade,
};
use hyper_util::{
    client::proxy::matcher::{Intercept, Matcher},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// How long one file may take, from the lookup of its server's name to its last byte.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// The longest head of a response.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 3;

/// Reseed servers answer only this user agent, which keeps browsers away.
const USER_AGENT: HeaderValue = HeaderValue::from_static("Wget/1.11.4");

/// A byte stream of any kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}
type AnyStream = Box<dyn Stream>;

/// Fetches files from servers whose certificates it can check.
pub(super) struct Client {
    tls: TlsConnector,
    proxies: Matcher,
}

impl Client {
    /// Creates a client that trusts the certificate authorities of the system, or those in `SSL_CERT_FILE` and `SSL_CERT_DIR`. It
    /// uses the proxy that the environment names in `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Blocks.
    pub(super) fn of_this_system() -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(
                "this system has no certificate authorities (on Linux: the package ca-certificates), so the \
                        reseed servers' certificates cannot be checked"
                    .into(),
            );
        }
        Self::new(roots, Matcher::from_env())
    }

    /// Creates a client with these authorities and proxies.
    fn new(roots: RootCertStore, proxies: Matcher) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: Arc::new(config).into(), proxies })
    }

    /// Fetches the file at `url`. It may have at most `max_bytes`.
    pub(super) async fn get(&self, url: &Uri, max_bytes: usize) -> Result<Vec<u8>, String> {
        let fetched = timeout(TIME_LIMIT, self.follow(url.clone(), max_bytes)).await;
        fetched.unwrap_or_else(|_| Err(format!("no answer within {} s", TIME_LIMIT.as_secs())))
    }

    async fn follow(&self, mut url: Uri, max_bytes: usize) -> Result<Vec<u8>, String> {
        for _ in 0..=MAX_REDIRECTS {
            // Dropping this closes the connection.
            let mut connection = JoinSet::new();
            let response = self.request(&url, &mut connection).await?;
            let status = response.status();
            if status.is_redirection() {
                url = redirected(&url, response.headers().get(header::LOCATION))?;
                continue;
            }
            if !status.is_success() {
                return Err(format!("the server answers with status {}", status.as_u16()));
            }
            let body = Limited::new(response.into_body(), max_bytes).collect().await;
            return Ok(body.map_err(|error| error.to_string())?.to_bytes().into());
        }
        Err(format!("the server redirects more than {MAX_REDIRECTS} times"))
    }

    /// Sends the request and returns the head of the response. The body can be read as long as `connection` exists.
    async fn request(&self, url: &Uri, connection: &mut JoinSet<()>) -> Result<Response<Incoming>, String> {
        let (host, port) = host_and_port(url)?;
        let stream = match self.proxies.intercept(url) {
            Some(proxy) => self.tunnel(&proxy, host, port, connection).await?,
            None => Box::new(connect(host, port).await?),
        };
        let stream = self.encrypt(host, stream).await?;
        let path = url.path_and_query().map_or("/", PathAndQuery::as_str);
        let request = Request::get(path)
            .header(header::HOST, if port == 443 { host.to_owned() } else { format!("{host}:{port}") })
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        exchange(TokioIo::new(stream), request, connection).await
    }

    /// Opens a stream to this host through a proxy.
    async fn tunnel(
        &self,
        proxy: &Intercept,
        host: &str,
        port: u16,
        connection: &mut JoinSet<()>,
    ) -> Result<AnyStream, String> {
        let (proxy_host, proxy_port) = host_and_port(proxy.uri())?;
        let to_proxy =
            || async { connect(proxy_host, proxy_port).await.map_err(|error| format!("proxy: {error}")) };
        let stream: AnyStream = match proxy.uri().scheme_str() {
            Some("http") => Box::new(to_proxy().await?),
            Some("https") => Box::new(self.encrypt(proxy_host, to_proxy().await?).await?),
            // A proxy that the environment names is never bypassed.
            scheme => return Err(format!("proxies for {} are not supported", scheme.unwrap_or_default())),
        };
        let target = format!("{host}:{port}");
        let mut request =
            Request::builder().method(Method::CONNECT).uri(&target).header(header::HOST, &target);
        if let Some(credentials) = proxy.basic_auth() {
            request = request.header(header::PROXY_AUTHORIZATION, credentials);
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let response = exchange(TokioIo::new(stream), request, connection).await?;
        if !response.status().is_success() {
            return Err(format!("the proxy answers with status {}", response.status().as_u16()));
        }
        let upgraded = upgrade::on(response).await.map_err(|error| error.to_string())?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }

    /// Performs the TLS handshake with a server, which must have a certificate for this host.
    async fn encrypt(&self, host: &str, stream: impl Stream) -> Result<impl Stream, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        self.tls.connect(name, stream).await.map_err(|error| error.to_string())
    }
}

/// Sends one request and returns the head of the response. A task in `connection` drives the connection.
async fn exchange(
    stream: impl Read + Write + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
    connection: &mut JoinSet<()>,
) -> Result<Response<Incoming>, String> {
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(stream).await;
    let (mut sender, running) = handshake.map_err(|error| error.to_string())?;
    connection.spawn(async move {
        // An error of the connection also shows in the response.
        let _ = running.with_upgrades().await;
    });
    sender.send_request(request).await.map_err(|error| error.to_string())
}

/// The system looks up the name. It is the name of a reseed server or of the user's proxy, never one that a client asked for. IPv4
/// only, like the router.
#[allow(clippy::disallowed_methods, reason = "the router's own business, as above")]
async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = tokio::net::lookup_host((bare, port)).await.map_err(|error| error.to_string())?;
    let mut problem = String::from("the name has no IPv4 address");
    for address in found.filter(SocketAddr::is_ipv4) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}

fn host_and_port(url: &Uri) -> Result<(&str, u16), String> {
    let host = url.host().ok_or("the address has no host")?;
    let usual = if url.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    Ok((host, url.port_u16().unwrap_or(usual)))
}

/// The target of a redirect: another HTTPS address, or another path of the same server.
fn redirected(from: &Uri, location: Option<&HeaderValue>) -> Result<Uri, String> {
    let nowhere = || String::from("the server redirects nowhere");
    let location = location.and_then(|location| location.to_str().ok()).ok_or_else(nowhere)?;
    let to: Uri = location.parse().map_err(|_| nowhere())?;
    if to.scheme() == Some(&Scheme::HTTPS) {
        return Ok(to);
    }
    if to.scheme().is_some() || to.authority().is_some() || !location.starts_with('/') {
        return Err("the server redirects to something that is not HTTPS".into());
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = to.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|_| nowhere())
}

#[cfg(test)]
pub(super) mod tests;
