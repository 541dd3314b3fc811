//! SAM sessions on a network that has just started. Every step may fail at first, so it is repeated until a time limit.

use std::{future::Future, net::SocketAddr, time::Duration};

use i2p_name::I2pName;
use i2p_sam::{Accepted, Bridge, Session, SessionOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

/// A whole network is ready after 30 s at most. A loaded machine may need more.
const LIMIT: Duration = Duration::from_secs(180);

/// The time for one attempt. emissary answers OK to a stream that nobody accepts and then sends nothing, so an attempt needs a
/// limit of its own.
const TRY: Duration = Duration::from_secs(30);

/// Repeats `attempt` until it succeeds.
///
/// # Panics
/// With the last failure, if the limit has passed.
pub(crate) async fn until_ok<T, E, F>(what: &str, mut attempt: impl FnMut() -> F) -> T
where
    E: std::fmt::Debug,
    F: Future<Output = Result<T, E>>,
{
    let mut last = String::from("never finished");
    let tries = async {
        loop {
            match timeout(TRY, attempt()).await {
                Ok(Ok(value)) => return value,
                Ok(Err(error)) => last = format!("{error:?}"),
                Err(_) => last = format!("no end within {TRY:?}"),
            }
            sleep(Duration::from_millis(250)).await;
        }
    };
    let result = timeout(LIMIT, tries).await.ok();
    result.unwrap_or_else(|| panic!("{what}: {last}"))
}

/// Opens a session with one-hop tunnels: a few routers cannot build longer ones.
pub(crate) async fn session(bridge: SocketAddr, publish: bool) -> Session {
    let bridge = Bridge::new(bridge.to_string());
    let options = SessionOptions::default().length(1).publish(publish);
    until_ok("session", || bridge.create_session(&options)).await
}

/// Echoes every stream to `session`.
pub(crate) fn echo(session: Session) {
    tokio::spawn(async move {
        loop {
            let Ok(Accepted { stream, .. }) = session.accept().await else { continue };
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(stream);
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
}

/// Sends bytes to an [`echo`] at `name`, and checks that they return.
pub(crate) async fn exchange(session: &Session, name: &str) {
    let name = I2pName::parse(name).unwrap();
    let sent: Vec<u8> = (0..20_000u32).flat_map(u32::to_be_bytes).collect();
    let sent = &sent;
    let name = &name;
    until_ok("stream", || async move {
        let stream = session.connect(name, 80).await.map_err(|error| error.to_string())?;
        let (mut read, mut write) = tokio::io::split(stream);
        let mut received = vec![0; sent.len()];
        let both = tokio::try_join!(write.write_all(sent), read.read_exact(&mut received));
        both.map_err(|error| error.to_string())?;
        assert!(received == *sent, "other bytes came back");
        Ok::<_, String>(())
    })
    .await;
}
