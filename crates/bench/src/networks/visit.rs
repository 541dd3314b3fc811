//! A client that visits the site: it connects, fetches the page, and fetches it again on the same stream.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Error, Result};

use crate::far_site::{connect, read_page};

/// The exchanges on the open stream after the first page.
const EXCHANGES: usize = 2;

/// The times of a visit that worked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Visit {
    /// From connecting to the proxy until the first byte of the page.
    pub(crate) first_byte: Duration,
    /// From each further request until the first byte of its response.
    pub(crate) exchanges: Vec<Duration>,
}

/// Why a visit failed, and when.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    after: Duration,
    error: Error,
}

impl Failure {
    /// A failure at this time after the start of the visit.
    pub(crate) fn new(stage: Stage, after: Duration, error: Error) -> Self {
        Self { stage, after, error }
    }
}

/// How far a visit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The proxy did not connect.
    Dial,
    /// The proxy said that it has connected, and a page did not come.
    Page,
}

/// Visits the site through a proxy, as this user.
pub(crate) fn visit(proxy: SocketAddr, host: &str, user: Option<&str>) -> Result<Visit, Failure> {
    let start = Instant::now();
    let failure = |stage| move |error| Failure::new(stage, start.elapsed(), error);
    let mut stream = connect(proxy, host, user).map_err(failure(Stage::Dial))?;
    let first_byte = read_page(&mut stream).map_err(failure(Stage::Page))? - start;
    let mut exchanges = Vec::new();
    for _ in 0..EXCHANGES {
        let request = Instant::now();
        exchanges.push(read_page(&mut stream).map_err(failure(Stage::Page))? - request);
    }
    Ok(Visit { first_byte, exchanges })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, after {:.1} s: {:#}", self.stage, self.after.as_secs_f64(), self.error)
    }
}
