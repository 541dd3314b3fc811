use std::io;

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{cli::Verbosity, progress::Progress};

/// The log, on stderr.
pub(crate) struct Log;

impl Log {
    /// Starts logging for the life of the process.
    pub(crate) fn start(verbosity: Verbosity, progress: &Progress) {
        let writer = BesideProgress(progress.clone());
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter(verbosity)))
            .with_writer(writer)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .with_target(verbosity > Verbosity::Normal)
            // It would say them on stderr, which is what has just failed.
            .log_internal_errors(false)
            .init();
        if verbosity >= Verbosity::Router {
            tracing::warn!("-vvv: the embedded router's own log names the destinations that are visited");
        }
    }
}

/// Our own crates only, up to the last level: what libraries log is not checked for names and addresses.
fn filter(verbosity: Verbosity) -> &'static str {
    match verbosity {
        Verbosity::Quiet => "off,i2p_socks=warn,i2p_tunnel=warn,i2p_sam=warn,i2p_embedded=warn",
        Verbosity::Normal => "off,i2p_socks=info,i2p_tunnel=info,i2p_sam=info,i2p_embedded=info",
        Verbosity::Debug => "off,i2p_socks=debug,i2p_tunnel=debug,i2p_sam=debug,i2p_embedded=debug",
        Verbosity::Trace => "off,i2p_socks=trace,i2p_tunnel=trace,i2p_sam=trace,i2p_embedded=trace",
        Verbosity::Router => "info,i2p_socks=trace,i2p_tunnel=trace,i2p_sam=trace,i2p_embedded=trace",
    }
}

struct BesideProgress(Progress);

impl<'a> MakeWriter<'a> for BesideProgress {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// One log line, which the subscriber writes in one go.
struct Line<'a>(&'a Progress);

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nobody reads any more: the proxy goes on without a log.
        let _ = self.0.beside(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
