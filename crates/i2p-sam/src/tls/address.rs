use std::{
    fmt,
    hash::{Hash, Hasher},
    io,
    sync::Arc,
};

use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, client::WebPkiServerVerifier, crypto::ring, pki_types::ServerName,
    },
};

use super::{
    Fingerprint, TlsStream,
    failure::TlsFailure,
    verifier::{Trusted, Verifier},
};

/// Which certificates of a bridge are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Trust {
    /// A certificate for the host's name that an authority of the operating system has signed.
    #[default]
    System,
    /// Only certificates with these fingerprints. Their names, dates and signers do not count. An empty list trusts none.
    Pinned(Vec<Fingerprint>),
}

/// The address of a bridge that is reached over TLS, and which of its certificates are trusted. Clones share TLS sessions.
#[derive(Clone)]
pub struct TlsAddress {
    address: Arc<str>,
    trust: Trust,
    /// Made at the first connection: the authorities of the system are read from the disk.
    config: Arc<OnceCell<Arc<ClientConfig>>>,
}

impl TlsAddress {
    /// The bridge at `HOST:PORT`. The host may be a name, which the operating system resolves at each connection.
    pub fn new(address: impl Into<Arc<str>>, trust: Trust) -> Self {
        Self { address: address.into(), trust, config: Arc::default() }
    }

    /// The same address with another trust.
    #[must_use]
    pub fn with_trust(self, trust: Trust) -> Self {
        Self::new(self.address, trust)
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Which certificates are trusted.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Connects to the bridge, without TLS yet.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&*self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Begins to speak TLS. Nothing is sent to a program whose certificate is not trusted.
    pub(crate) async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream> {
        let config = self.config.get_or_try_init(|| config(self.trust.clone())).await?;
        let name = self.server_name()?;
        let connected = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        connected.map(TlsStream::new).map_err(TlsFailure::explain)
    }

    fn server_name(&self) -> io::Result<ServerName<'static>> {
        let host = self.address.rsplit_once(':').map_or(&*self.address, |(host, _)| host);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        ServerName::try_from(bare.to_owned()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "the host is not a name that TLS can use")
        })
    }
}

async fn config(trust: Trust) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    // Only an authority's certificate depends on the name. A pinned one is accepted whatever name we ask for.
    let sends_name = trust == Trust::System;
    let trusted = match trust {
        Trust::Pinned(fingerprints) => Trusted::Pinned(fingerprints),
        Trust::System => {
            let roots = tokio::task::spawn_blocking(authorities).await.map_err(io::Error::other)??;
            let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
            Trusted::ByAuthorities(verifier.build().map_err(io::Error::other)?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider);
    let mut config = builder
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { trusted, algorithms }))
        .with_no_client_auth();
    config.enable_sni = sends_name;
    Ok(Arc::new(config))
}

/// The authorities that the operating system trusts.
fn authorities() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let what = "the system has no certificate authorities, so only a pinned certificate can be trusted";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(roots)
}

/// Writes `HOST:PORT`.
impl fmt::Display for TlsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl fmt::Debug for TlsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAddress")
            .field("address", &self.address)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl PartialEq for TlsAddress {
    fn eq(&self, other: &Self) -> bool {
        (&self.address, &self.trust) == (&other.address, &other.trust)
    }
}

impl Eq for TlsAddress {}

impl Hash for TlsAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.address, &self.trust).hash(state);
    }
}
