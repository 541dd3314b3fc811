//! The deaths of a router of our own.

#[cfg(any(target_os = "linux", all(unix, feature = "embedded")))]
use tokio::sync::watch;

/// The deaths of the router, if the proxy runs it itself.
pub(crate) enum Deaths {
    /// It is the router of somebody else.
    None,
    /// It is an i2pd.
    #[cfg(target_os = "linux")]
    I2pd(Counted<crate::i2pd::I2pdStatus>),
    /// It is the embedded router.
    #[cfg(all(unix, feature = "embedded"))]
    Embedded(Counted<i2p_embedded::ProcessStatus>),
}

/// A state with a number of deaths, of which some have been seen.
#[cfg(any(target_os = "linux", all(unix, feature = "embedded")))]
pub(crate) struct Counted<S> {
    status: watch::Receiver<S>,
    deaths: fn(&S) -> u64,
    seen: u64,
}

impl Deaths {
    /// Returns after the next death. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        match self {
            Self::None => std::future::pending().await,
            #[cfg(target_os = "linux")]
            Self::I2pd(counted) => counted.next().await,
            #[cfg(all(unix, feature = "embedded"))]
            Self::Embedded(counted) => counted.next().await,
        }
    }
}

#[cfg(any(target_os = "linux", all(unix, feature = "embedded")))]
impl<S> Counted<S> {
    /// Counts the deaths from now on.
    pub(super) fn from_now(status: watch::Receiver<S>, deaths: fn(&S) -> u64) -> Self {
        let seen = deaths(&status.borrow());
        Self { status, deaths, seen }
    }

    async fn next(&mut self) {
        match self.status.wait_for(|status| (self.deaths)(status) > self.seen).await {
            Ok(status) => self.seen = (self.deaths)(&status),
            // The router has ended with the proxy.
            Err(_) => std::future::pending().await,
        }
    }
}
