//! Signals to the running proxy.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::command_error::CommandError;

/// Signals to the running proxy, caught from the creation of this value on.
pub(crate) struct Signals {
    /// Cancelled by the first SIGINT or SIGTERM: stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the second: stop at once.
    pub(crate) stop_now: CancellationToken,
    /// One for each SIGHUP: reload the configuration. Several in a row may arrive as one.
    pub(crate) reload: mpsc::Receiver<()>,
    /// One for each SIGUSR1: switch to new identities.
    pub(crate) new_identity: mpsc::Receiver<()>,
}

impl Signals {
    /// Begins to catch signals. Must be called within a tokio runtime.
    pub(crate) fn catch() -> Result<Self, CommandError> {
        let (stop, stop_now) = (CancellationToken::new(), CancellationToken::new());
        Self::catch_stop(stop.clone(), stop_now.clone()).map_err(|error| cannot(&error))?;
        let (reload, new_identity) = caught::others().map_err(|error| cannot(&error))?;
        Ok(Self { stop, stop_now, reload, new_identity })
    }

    /// Catches only SIGINT and SIGTERM. The first one cancels the token.
    pub(crate) fn catch_stop_only() -> Result<CancellationToken, CommandError> {
        let stop = CancellationToken::new();
        Self::catch_stop(stop.clone(), CancellationToken::new()).map_err(|error| cannot(&error))?;
        Ok(stop)
    }

    fn catch_stop(stop: CancellationToken, stop_now: CancellationToken) -> std::io::Result<()> {
        let mut signal = caught::Stop::new()?;
        tokio::spawn(async move {
            signal.next().await;
            stop.cancel();
            signal.next().await;
            stop_now.cancel();
        });
        Ok(())
    }
}

fn cannot(error: &std::io::Error) -> CommandError {
    CommandError::run_time(format_args!("cannot wait for signals: {error}"))
}

#[cfg(unix)]
mod caught {
    use std::io;

    use tokio::{
        signal::unix::{Signal, SignalKind, signal},
        sync::mpsc,
    };

    /// SIGINT and SIGTERM.
    pub(super) struct Stop {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Stop {
        pub(super) fn new() -> io::Result<Self> {
            let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            Ok(Self { interrupt, terminate })
        }

        pub(super) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }

    /// SIGHUP and SIGUSR1.
    pub(super) fn others() -> io::Result<(mpsc::Receiver<()>, mpsc::Receiver<()>)> {
        Ok((passed_on(SignalKind::hangup())?, passed_on(SignalKind::user_defined1())?))
    }

    fn passed_on(kind: SignalKind) -> io::Result<mpsc::Receiver<()>> {
        let mut caught = signal(kind)?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            // If one is waiting already, it stands for both.
            while caught.recv().await.is_some() && !sender.is_closed() {
                let _ = sender.try_send(());
            }
        });
        Ok(receiver)
    }
}

#[cfg(not(unix))]
mod caught {
    use std::io;

    use tokio::sync::mpsc;

    /// Ctrl-C.
    pub(super) struct Stop;

    impl Stop {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) {
            // After an error, no signal will ever come.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// This system has no such signals. The senders stay open, so that the receivers wait for ever.
    pub(super) fn others() -> io::Result<(mpsc::Receiver<()>, mpsc::Receiver<()>)> {
        let never = || {
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(async move { sender.closed().await });
            receiver
        };
        Ok((never(), never()))
    }
}
