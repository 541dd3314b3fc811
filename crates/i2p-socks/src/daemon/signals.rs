use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// What a running proxy is told by signals. They are caught from the beginning of this value on.
pub(crate) struct Signals {
    /// Cancelled by the first SIGINT or SIGTERM: come to an end.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the second: at once.
    pub(crate) stop_now: CancellationToken,
    /// One for each SIGHUP: read the configuration again. Several in a row may be one.
    pub(crate) reload: mpsc::Receiver<()>,
    /// One for each SIGUSR1: new identities.
    pub(crate) new_identity: mpsc::Receiver<()>,
}

impl Signals {
    /// Begins to catch them. Has to be called within a tokio runtime.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let (stop, stop_now) = (CancellationToken::new(), CancellationToken::new());
        Self::catch_stop(stop.clone(), stop_now.clone()).map_err(|error| cannot(&error))?;
        let (reload, new_identity) = caught::others().map_err(|error| cannot(&error))?;
        Ok(Self { stop, stop_now, reload, new_identity })
    }

    /// Catches SIGINT and SIGTERM alone. What is given is cancelled by the first.
    pub(crate) fn stop_alone() -> Result<CancellationToken, Failure> {
        let stop = CancellationToken::new();
        Self::catch_stop(stop.clone(), CancellationToken::new()).map_err(|error| cannot(&error))?;
        Ok(stop)
    }

    fn catch_stop(stop: CancellationToken, stop_now: CancellationToken) -> std::io::Result<()> {
        let mut told = caught::Stop::new()?;
        tokio::spawn(async move {
            told.next().await;
            stop.cancel();
            told.next().await;
            stop_now.cancel();
        });
        Ok(())
    }
}

fn cannot(error: &std::io::Error) -> Failure {
    Failure::run_time(format_args!("cannot wait for signals: {error}"))
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
            // One that waits is enough: what it asks for is done once for both.
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
            // An error means that no signal can ever come.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// There are none such here. The senders stay, so that the receivers wait for ever.
    pub(super) fn others() -> io::Result<(mpsc::Receiver<()>, mpsc::Receiver<()>)> {
        let never = || {
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(async move { sender.closed().await });
            receiver
        };
        Ok((never(), never()))
    }
}
