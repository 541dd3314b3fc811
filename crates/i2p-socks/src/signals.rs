use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// A token that is cancelled when the process is told to end.
pub(crate) fn stop_token() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let told = told_to_stop()
        .map_err(|error| Failure::run_time(format_args!("cannot wait for signals: {error}")))?;
    let cancel = stop.clone();
    tokio::spawn(async move {
        told.await;
        cancel.cancel();
    });
    Ok(stop)
}

/// Does this at each SIGUSR1, by which a person asks for new identities; where there are no such signals, never.
pub(crate) fn at_new_identity(act: impl Fn() + Send + 'static) -> Result<(), Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut asked = signal(SignalKind::user_defined1())
            .map_err(|error| Failure::run_time(format_args!("cannot wait for signals: {error}")))?;
        tokio::spawn(async move {
            while asked.recv().await.is_some() {
                act();
            }
        });
    }
    #[cfg(not(unix))]
    drop(act);
    Ok(())
}

/// SIGINT or SIGTERM. They are caught from the call on, not only once the future is polled.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // An error means that no signal can ever come.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
