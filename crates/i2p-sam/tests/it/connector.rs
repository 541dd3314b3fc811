//! A bridge that the program connects to in its own way.
#![cfg(unix)]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use i2p_name::I2pName;
use i2p_sam::{BackOff, Bridge, Connector, Identity, SamStream, SessionOptions, Supervised};
use sam_testkit::{Dialect, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

#[tokio::test]
async fn every_connection_is_made_by_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sam");
    let _kit = TestBridge::start_at(&path, Dialect::Java).await;
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let bridge = Bridge::new(Connector::new("our own router", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        UnixStream::connect(path.clone())
    }));
    let session = bridge.create_session(&SessionOptions::default()).await.unwrap();
    let before = made.load(Ordering::Relaxed);
    let stream = session.connect(&I2pName::parse("echo.i2p").unwrap(), 80).await.unwrap();
    assert_eq!(made.load(Ordering::Relaxed), before + 1);
    let SamStream::Unix(mut stream) = stream else { panic!("not the program's socket") };
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
}

#[tokio::test]
async fn a_bridge_that_is_away_is_unreachable_and_called_by_its_name() {
    let connector =
        Connector::new("our own router", || async { Err(io::ErrorKind::ConnectionRefused.into()) });
    let error = Bridge::new(connector.clone()).probe().await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_eq!(error.to_string(), "no SAM bridge answers at our own router: connection refused");
    assert_eq!(Bridge::new(connector.clone()).address(), &connector.into());
}

#[tokio::test]
async fn a_session_is_built_even_after_the_task_that_builds_it_has_panicked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sam");
    let _kit = TestBridge::start_at(&path, Dialect::Java).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let bridge = Bridge::new(Connector::new("our own router", move || {
        assert!(calls.fetch_add(1, Ordering::Relaxed) >= 2, "a bug of the program");
        UnixStream::connect(path.clone())
    }));
    let supervised = Supervised::start(bridge, SessionOptions::default(), Identity::New, BackOff::default());
    let session = timeout(Duration::from_secs(20), supervised.session()).await.expect("nobody builds it");
    assert!(session.is_alive());
}
