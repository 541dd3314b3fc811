//! One file over HTTPS, within limits: of time, of size, and of where a server may send us.

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

/// How often a server may send us elsewhere.
const MAX_REDIRECTS: usize = 3;

/// Reseed servers answer nobody else: it keeps those away who look around with a browser.
const USER_AGENT: HeaderValue = HeaderValue::from_static("Wget/1.11.4");

/// A byte stream, whatever is below it.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}
type AnyStream = Box<dyn Stream>;

/// Fetches files from servers whose certificates it can check.
pub(super) struct Client {
    tls: TlsConnector,
    proxies: Matcher,
}

impl Client {
    /// A client that trusts the certificate authorities that the system trusts, or those in `SSL_CERT_FILE` and `SSL_CERT_DIR`,
    /// and goes by the proxy that the environment names: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`. Blocks.
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

    /// A client that trusts these authorities and goes by these proxies.
    fn new(roots: RootCertStore, proxies: Matcher) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: Arc::new(config).into(), proxies })
    }

    /// The file at `url`, of at most `max_bytes`.
    pub(super) async fn get(&self, url: &Uri, max_bytes: usize) -> Result<Vec<u8>, String> {
        let fetched = timeout(TIME_LIMIT, self.follow(url.clone(), max_bytes)).await;
        fetched.unwrap_or_else(|_| Err(format!("no answer within {} s", TIME_LIMIT.as_secs())))
    }

    async fn follow(&self, mut url: Uri, max_bytes: usize) -> Result<Vec<u8>, String> {
        for _ in 0..=MAX_REDIRECTS {
            // Dropping this ends the connection.
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

    /// Sends the request and gives the head of the response. Its body comes while `connection` is there.
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

    /// A stream to this host through a proxy.
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
            // Never around a proxy that somebody wants us to use.
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

    /// TLS with a server that has a certificate for this host.
    async fn encrypt(&self, host: &str, stream: impl Stream) -> Result<impl Stream, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        self.tls.connect(name, stream).await.map_err(|error| error.to_string())
    }
}

/// One request and the head of its response, on a connection that becomes a task of `connection`.
async fn exchange(
    stream: impl Read + Write + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
    connection: &mut JoinSet<()>,
) -> Result<Response<Incoming>, String> {
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(stream).await;
    let (mut sender, running) = handshake.map_err(|error| error.to_string())?;
    connection.spawn(async move {
        // How it ends shows in the response.
        let _ = running.with_upgrades().await;
    });
    sender.send_request(request).await.map_err(|error| error.to_string())
}

/// The system looks the name up: it is a reseed server's or the user's own proxy's, never one that a client of ours asked for. IPv4
/// only, as the router.
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

/// Where a redirect leads: to another HTTPS address, or another path of the same server.
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
pub(super) mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
        net::TcpListener,
        task::JoinHandle,
    };
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{
            ServerConfig,
            pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        },
    };

    const AUTHORITY: &[u8] = include_bytes!("../../tests/vectors/https/authority.pem");
    const LOCALHOST: &[u8] = include_bytes!("../../tests/vectors/https/localhost.pem");
    const KEY: &[u8] = include_bytes!("../../tests/vectors/https/localhost.key");

    /// A client that trusts the tests' authority and goes by this proxy, if it is not empty.
    pub(in crate::reseed) fn client(proxy: &str) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
        Client::new(roots, Matcher::builder().https(proxy.to_owned()).build()).unwrap()
    }

    fn acceptor() -> TlsAcceptor {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let certificate = CertificateDer::from_pem_slice(LOCALHOST).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
    }

    type Heads = Arc<Mutex<Vec<String>>>;

    /// A server on localhost that runs until this is dropped, and what it was asked.
    pub(in crate::reseed) struct Server {
        port: u16,
        heads: Heads,
        task: JoinHandle<()>,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    impl Server {
        /// One that answers each request's head with what `answer` makes of it.
        pub(in crate::reseed) async fn start(
            answer: impl Fn(&str) -> Vec<u8> + Clone + Send + Sync + 'static,
        ) -> Self {
            let acceptor = acceptor();
            Self::start_with(move |stream, heads| {
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                async move {
                    // A client that does not trust us goes.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let head = head(&mut stream, &heads).await;
                    // A client that has had enough goes.
                    let _ = stream.write_all(&answer(&head)).await;
                    let _ = stream.shutdown().await;
                }
            })
            .await
        }

        /// A proxy that answers CONNECT with this, and connects if it begins with 200.
        async fn proxy(status: &'static str) -> Self {
            Self::start_with(move |stream, heads| tunnel(stream, heads, status)).await
        }

        async fn start_with<F: Future<Output = ()> + Send>(
            serve: impl Fn(TcpStream, Heads) -> F + Clone + Send + Sync + 'static,
        ) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let heads = Heads::default();
            let seen = Arc::clone(&heads);
            let task = tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (serve, seen) = (serve.clone(), Arc::clone(&seen));
                    tokio::spawn(async move { serve(stream, seen).await });
                }
            });
            Self { port, heads, task }
        }

        pub(in crate::reseed) fn url(&self, path: &str) -> Uri {
            format!("https://localhost:{}{path}", self.port).parse().unwrap()
        }

        pub(in crate::reseed) fn heads(&self) -> Vec<String> {
            self.heads.lock().unwrap().clone()
        }
    }

    async fn tunnel(mut stream: impl Stream, heads: Heads, status: &str) {
        let head = head(&mut stream, &heads).await;
        stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.unwrap();
        if status.starts_with("200") {
            let target = head.split(' ').nth(1).unwrap().replace("localhost", "127.0.0.1");
            let mut there = TcpStream::connect(target).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut there).await;
        }
    }

    async fn head(stream: &mut (impl AsyncRead + Unpin), heads: &Heads) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        heads.lock().unwrap().push(head.clone());
        head
    }

    pub(in crate::reseed) fn response(body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn a_file_of_a_trusted_server_is_fetched() {
        let server = Server::start(|_| response(b"the file")).await;
        assert_eq!(client("").get(&server.url("/file?a=b"), 8).await, Ok(b"the file".to_vec()));
        let head = server.heads().concat().to_ascii_lowercase();
        assert!(head.starts_with("get /file?a=b http/1.1\r\n"), "{head}");
        for field in [&format!("host: localhost:{}\r\n", server.port), "user-agent: wget/1.11.4\r\n"] {
            assert!(head.contains(field), "{field} is not in {head}");
        }
    }

    #[tokio::test]
    async fn a_server_without_the_right_certificate_is_asked_nothing() {
        let server = Server::start(|_| response(b"the file")).await;
        let by_address = format!("https://127.0.0.1:{}/", server.port).parse().unwrap();
        assert!(client("").get(&by_address, 8).await.unwrap_err().contains("certificate"));
        let stranger = Client::new(RootCertStore::empty(), Matcher::builder().build()).unwrap();
        assert!(stranger.get(&server.url("/"), 8).await.unwrap_err().contains("certificate"));
        assert!(server.heads().is_empty());
    }

    #[tokio::test]
    async fn responses_are_limited() {
        let server = Server::start(|head| match head.split(' ').nth(1).unwrap() {
            "/long" => response(b"123456789"),
            "/endless" => [b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 100_000][..]].concat(),
            "/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234".to_vec(),
            "/head" => [b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; 100_000][..]].concat(),
            "/garbage" => vec![0; 1000],
            "/gone" => b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec(),
            _ => Vec::new(),
        })
        .await;
        for path in ["/long", "/endless", "/short", "/head", "/garbage", "/gone", "/silence"] {
            assert!(client("").get(&server.url(path), 8).await.is_err(), "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
        assert_eq!(client("").get(&url, 8).await.unwrap_err(), "no answer within 15 s");
    }

    #[tokio::test]
    async fn redirects_are_followed_over_https_only() {
        let to = |location: String| {
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        };
        let other = Server::start(|_| response(b"the file")).await;
        let (secure, plain) = (other.url("/file").to_string(), format!("http://localhost:{}/", other.port));
        let server = Server::start(move |head| match head.split(' ').nth(1).unwrap() {
            "/moved" => to("/file".into()),
            "/file" => response(b"moved"),
            "/other" => to(secure.clone()),
            "/plain" => to(plain.clone()),
            "/scheme" => to("ftp://localhost/".into()),
            "/relative" => to("//localhost/".into()),
            _ => to("/loop".into()),
        })
        .await;
        assert_eq!(client("").get(&server.url("/moved"), 8).await, Ok(b"moved".to_vec()));
        assert_eq!(client("").get(&server.url("/other"), 8).await, Ok(b"the file".to_vec()));
        for path in ["/plain", "/scheme", "/relative", "/loop"] {
            assert!(client("").get(&server.url(path), 8).await.unwrap_err().contains("redirect"), "{path}");
        }
        assert_eq!(other.heads().len(), 1);
    }

    #[tokio::test]
    async fn the_proxy_of_the_environment_is_used_and_never_passed_by() {
        let server = Server::start(|_| response(b"the file")).await;
        let proxy = Server::proxy("200 OK").await;
        let through = client(&format!("http://user:pass@127.0.0.1:{}", proxy.port));
        assert_eq!(through.get(&server.url("/"), 8).await, Ok(b"the file".to_vec()));
        let asked = proxy.heads().concat().to_ascii_lowercase();
        assert!(asked.starts_with(&format!("connect localhost:{} http/1.1\r\n", server.port)), "{asked}");
        assert!(asked.contains("proxy-authorization: basic dxnlcjpwyxnz\r\n"), "{asked}");

        let refusing = Server::proxy("407 Proxy Authentication Required").await;
        let problem = client(&format!("http://127.0.0.1:{}", refusing.port)).get(&server.url("/"), 8).await;
        assert_eq!(problem.unwrap_err(), "the proxy answers with status 407");
        for proxy in ["http://127.0.0.1:1", "socks5://127.0.0.1:1"] {
            assert!(client(proxy).get(&server.url("/"), 8).await.is_err(), "{proxy}");
        }
        assert_eq!(server.heads().len(), 1);
    }

    #[tokio::test]
    async fn a_proxy_may_be_reached_by_tls() {
        let server = Server::start(|_| response(b"the file")).await;
        let acceptor = acceptor();
        let proxy = Server::start_with(move |stream, heads| {
            let acceptor = acceptor.clone();
            async move { tunnel(acceptor.accept(stream).await.unwrap(), heads, "200 OK").await }
        })
        .await;
        let through = client(&format!("https://localhost:{}", proxy.port));
        assert_eq!(through.get(&server.url("/"), 8).await, Ok(b"the file".to_vec()));
    }
}
