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

const AUTHORITY: &[u8] = include_bytes!("../../../tests/vectors/https/authority.pem");
const LOCALHOST: &[u8] = include_bytes!("../../../tests/vectors/https/localhost.pem");
const KEY: &[u8] = include_bytes!("../../../tests/vectors/https/localhost.key");

/// A client that trusts the tests' authority, and uses this proxy unless it is empty.
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

/// A server on localhost that runs until this is dropped, and the requests that it received.
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
    /// Starts a server that answers each request with what `answer` makes of its head.
    pub(in crate::reseed) async fn start(
        answer: impl Fn(&str) -> Vec<u8> + Clone + Send + Sync + 'static,
    ) -> Self {
        let acceptor = acceptor();
        Self::start_with(move |stream, heads| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            async move {
                // A client that does not trust the certificate closes the connection.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let head = head(&mut stream, &heads).await;
                // A client may close the connection before it has read everything.
                let _ = stream.write_all(&answer(&head)).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// Starts a proxy that answers CONNECT with this status, and connects if it begins with 200.
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
