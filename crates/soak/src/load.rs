//! The load: clients of every kind, good and bad, in endless loops.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use lab::{
    curl::Curl,
    echo::Echo,
    exits::{SOCKS_EXIT_ADDRESS, WEB_ADDRESS},
    requests::{
        HOST_UNREACHABLE, HTTP_CONNECT, NOT_ALLOWED, SOCKS4A, SOCKS5_ADDRESS, SOCKS5_NAME, arrives_from,
        download, page, page_by_virtual_address, refused, upload,
    },
    site::Site,
};
use tokio::time::{sleep, timeout};

use crate::{
    clients::{
        connect_slowly, exchange_datagrams, half_close, hold_open, reset, send_garbage, stay_silent, storm,
        try_passwords,
    },
    event_log::EventLog,
    work::{RouterState, WorkCounts},
};

/// Longer than each limit of the proxy.
const WORK_TIMEOUT: Duration = Duration::from_secs(170);

/// A kind of client.
#[derive(Clone, Copy)]
pub(crate) enum ClientKind {
    Socks5,
    Socks4a,
    Connect,
    Alice,
    Bob,
    VirtualAddress,
    UnknownName,
    ClearNet,
    Outproxy,
    Download,
    Upload,
    HalfClosed,
    Reset,
    Held,
    Garbage,
    Slow,
    Silent,
    Storm,
    Datagrams,
    Password,
}

impl ClientKind {
    pub(crate) const ALL: [Self; 20] = [
        Self::Socks5,
        Self::Socks4a,
        Self::Connect,
        Self::Alice,
        Self::Bob,
        Self::VirtualAddress,
        Self::UnknownName,
        Self::ClearNet,
        Self::Outproxy,
        Self::Download,
        Self::Upload,
        Self::HalfClosed,
        Self::Reset,
        Self::Held,
        Self::Garbage,
        Self::Slow,
        Self::Silent,
        Self::Storm,
        Self::Datagrams,
        Self::Password,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Socks5 => "SOCKS5, page",
            Self::Socks4a => "SOCKS4a, page",
            Self::Connect => "HTTP CONNECT, page",
            Self::Alice => "SOCKS5, page of a user",
            Self::Bob => "HTTP CONNECT, page of another user",
            Self::VirtualAddress => "RESOLVE, RESOLVE_PTR, page by the address",
            Self::UnknownName => "unknown name, refused",
            Self::ClearNet => "host outside I2P, refused",
            Self::Outproxy => "page through an outproxy",
            Self::Download => "5 MB down",
            Self::Upload => "5 MB up",
            Self::HalfClosed => "half-closed after the request",
            Self::Reset => "reset during a download",
            Self::Held => "held open without a byte",
            Self::Garbage => "garbage, closed",
            Self::Slow => "slow handshake, page",
            Self::Silent => "silent, closed",
            Self::Storm => "twenty connections, dropped",
            Self::Datagrams => "UDP ASSOCIATE, twenty datagrams there and back",
            Self::Password => "wrong password refused, right one accepted",
        }
    }

    /// How many of them run at the same time.
    pub(crate) fn copies(self) -> usize {
        match self {
            Self::Held => 4,
            Self::Silent | Self::Slow | Self::Socks5 => 2,
            _ => 1,
        }
    }

    /// How long it pauses between two runs.
    fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Self::Download | Self::Upload => 15_000,
            Self::Storm => 10_000,
            Self::HalfClosed | Self::Reset | Self::VirtualAddress | Self::Outproxy | Self::Datagrams => 4_000,
            _ => 2_000,
        })
    }

    /// Returns whether it may fail while the router is down.
    fn needs_router(self) -> bool {
        !matches!(self, Self::ClearNet | Self::Garbage | Self::Silent | Self::Storm)
    }
}

/// What the clients use, and the counts of their work.
pub(crate) struct Load {
    curl: Curl,
    site: Site,
    echo: Echo,
    router: RouterState,
    counts: WorkCounts,
    events: EventLog,
}

impl Load {
    /// Prepares the load while the router has just been started.
    pub(crate) fn new(curl: Curl, site: Site, echo: Echo, events: EventLog) -> Self {
        let router = RouterState::default();
        router.set_up();
        Self { curl, site, echo, router, counts: WorkCounts::default(), events }
    }

    pub(crate) fn curl(&self) -> &Curl {
        &self.curl
    }

    pub(crate) fn router(&self) -> &RouterState {
        &self.router
    }

    pub(crate) fn counts(&self) -> &WorkCounts {
        &self.counts
    }

    /// Runs a client again and again. Dropping the future ends it.
    pub(crate) async fn run_client(self: Arc<Self>, kind: ClientKind) {
        loop {
            let start = self.router.snapshot();
            let outcome = match timeout(WORK_TIMEOUT, self.work(kind)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(anyhow!("not within {} s", WORK_TIMEOUT.as_secs())),
            };
            match outcome {
                Ok(()) => self.counts.record_success(kind.title()),
                Err(_) if kind.needs_router() && !self.router.was_up_since_long_before(start) => {
                    self.counts.record_excused_failure(kind.title());
                }
                Err(error) => {
                    self.counts.record_failure(kind.title());
                    self.events.print(format_args!("failed: {}: {error:#}", kind.title()));
                }
            }
            sleep(kind.pause()).await;
        }
    }

    async fn work(&self, kind: ClientKind) -> Result<()> {
        let Self { curl, site, echo, .. } = self;
        match kind {
            ClientKind::Socks5 => page(curl, &[SOCKS5_NAME], &site.host).await,
            ClientKind::Socks4a => page(curl, &[SOCKS4A], &site.b32).await,
            ClientKind::Connect => page(curl, &HTTP_CONNECT, &site.host).await,
            ClientKind::Alice => page(curl, &["--proxy-user", "alice:x", SOCKS5_NAME], &site.host).await,
            ClientKind::Bob => {
                page(curl, &[&["--proxy-user", "bob:x"][..], &HTTP_CONNECT].concat(), &site.b32).await
            }
            ClientKind::VirtualAddress => page_by_virtual_address(curl, SOCKS5_ADDRESS, &site.host).await,
            ClientKind::UnknownName => {
                refused(curl, SOCKS5_NAME, "http://nosuch.i2p/", &[HOST_UNREACHABLE]).await
            }
            ClientKind::ClearNet => refused(curl, SOCKS5_NAME, "http://example.com/", &[NOT_ALLOWED]).await,
            ClientKind::Outproxy => {
                arrives_from(curl, &format!("http://{WEB_ADDRESS}:80/"), SOCKS_EXIT_ADDRESS).await
            }
            ClientKind::Download => download(curl, site).await,
            ClientKind::Upload => upload(curl, site).await,
            ClientKind::HalfClosed => half_close(&site.host).await,
            ClientKind::Reset => reset(&site.host).await,
            ClientKind::Held => hold_open(&site.host).await,
            ClientKind::Garbage => send_garbage().await,
            ClientKind::Slow => connect_slowly(&site.host).await,
            ClientKind::Silent => stay_silent().await,
            ClientKind::Storm => storm().await,
            ClientKind::Datagrams => exchange_datagrams(&echo.b32.to_string()).await,
            ClientKind::Password => try_passwords(curl, &site.host).await,
        }
    }
}
