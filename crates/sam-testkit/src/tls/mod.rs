//! A bridge that is reached over TLS.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::TestBridge;

const CERTIFICATE: &[u8] = include_bytes!("certificate.pem");
const KEY: &[u8] = include_bytes!("key.pem");

/// Serves TLS on a random loopback port, and passes everything on to a bridge. It ends with all its connections when dropped.
///
/// Its certificate is self-signed, as those of Java I2P are, for `localhost` and 127.0.0.1.
pub struct TlsFront {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl TlsFront {
    /// Starts a front of this bridge.
    ///
    /// # Panics
    /// If the bridge listens on a Unix socket, or loopback has no free port.
    #[allow(clippy::expect_used, reason = "a test cannot run without a port")]
    pub async fn start(bridge: &TestBridge) -> Self {
        let bridge: SocketAddr = bridge.address().parse().expect("a bridge with a TCP address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        Self { address, task: tokio::spawn(serve(listener, acceptor(), bridge)) }
    }

    /// `tls:127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("tls:{}", self.address)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn tcp_address(&self) -> String {
        self.address.to_string()
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate() -> &'static [u8] {
        CERTIFICATE
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[allow(clippy::expect_used, reason = "the kit's own certificate")]
fn acceptor() -> TlsAcceptor {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("ring has the default versions");
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate in PEM");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key in PEM");
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.expect("the key of the certificate")))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, bridge: SocketAddr) {
    // Dropped, and so ended, together with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(pass_on(stream, acceptor.clone(), bridge));
        while connections.try_join_next().is_some() {}
    }
}

/// Passes one connection on. A client that does not trust the certificate closes it before.
async fn pass_on(stream: TcpStream, acceptor: TlsAcceptor, bridge: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let Ok(mut client) = acceptor.accept(stream).await else { return };
    let Ok(mut bridge) = TcpStream::connect(bridge).await else { return };
    let _ = bridge.set_nodelay(true);
    let _ = copy_bidirectional(&mut client, &mut bridge).await;
}
