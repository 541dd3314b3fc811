//! The conformance suite with the test kit, or with the routers that `SAM_CONFORMANCE_PEER` names.
//!
//! | variable | value |
//! |---|---|
//! | `SAM_CONFORMANCE_PEER` | `testkit-java`, `testkit-i2pd-2.45`, `testkit-i2pd-2.56`, `testkit-i2pd-2.59`, `testkit-emissary`, or the bridges of running routers: `HOST:PORT`, or `HOST:PORT,HOST:PORT` for a near and a far one. Unset: the test kit in all its dialects |
//! | `SAM_CONFORMANCE_CAPABILITIES` | what the routers' bridges must be able to do, as `Capabilities` displays it; unset: anything |
//! | `SAM_CONFORMANCE_HOSTS` | `NAME=KEYFILE,...`: names in the near router's address book with their keys, for sessions on the far one |
//! | `SAM_CONFORMANCE_HOPS` | hops of each tunnel; unset: 1 |

use std::{env, time::Duration};

use i2p_sam::{Bridge, Error, KeyFile, Login, Phase, ResultWord, SessionOptions, wire::Text};
use sam_conformance::{KnownHost, Peer};
use sam_testkit::{Dialect, TestBridge};
use tokio::task::{JoinSet, LocalSet};

/// The name, the dialect and the capabilities of each bridge of the test kit.
const KITS: [(&str, Dialect, &str); 5] = [
    (
        "testkit-java",
        Dialect::Java,
        "SAM 3.3, dialect standard (Java I2P), datagrams 1 and raw (2 and 3 not tried yet), subsessions for streams \
         and datagrams, stream ports carried",
    ),
    (
        "testkit-i2pd-2.45",
        Dialect::I2pd245,
        "SAM 3.1, dialect i2pd, datagrams 1 and raw, subsessions for streams, stream ports ignored",
    ),
    (
        "testkit-i2pd-2.56",
        Dialect::I2pd256,
        "SAM 3.1, dialect i2pd, datagrams 1 and raw, subsessions for streams, stream ports ignored",
    ),
    (
        "testkit-i2pd-2.59",
        Dialect::I2pd259,
        "SAM 3.3, dialect i2pd, datagrams 1 2 3 and raw, subsessions for streams, stream ports ignored",
    ),
    (
        "testkit-emissary",
        Dialect::Emissary,
        "SAM 3.2, dialect emissary, datagrams 1 and raw, subsessions for streams and datagrams, stream ports carried",
    ),
];

#[tokio::test]
async fn bridges_and_client_keep_what_the_client_promises() {
    let chosen = env::var("SAM_CONFORMANCE_PEER").ok();
    let wanted = |name: &str| chosen.as_deref().is_none_or(|chosen| chosen == name);
    // The suite is one task that does not move between threads.
    let (local, mut runs) = (LocalSet::new(), JoinSet::new());
    for (name, dialect, capabilities) in KITS.into_iter().filter(|kit| wanted(kit.0)) {
        let run = async move {
            let kit = TestBridge::start_as(dialect).await;
            sam_conformance::run(&peer_of(&kit, name.into(), capabilities)).await
        };
        runs.spawn_local_on(run, &local);
        #[cfg(unix)]
        let run = async move {
            let directory = tempfile::tempdir().unwrap();
            let kit = TestBridge::start_at(directory.path().join("sam"), dialect).await;
            let peer = peer_of(&kit, format!("{name} on a Unix socket"), capabilities);
            sam_conformance::run(&peer).await
        };
        #[cfg(unix)]
        runs.spawn_local_on(run, &local);
    }
    if runs.is_empty() {
        let peer = running(&chosen.unwrap());
        runs.spawn_local_on(async move { sam_conformance::run(&peer).await }, &local);
    }
    let reports = local.run_until(runs.join_all()).await;
    reports.iter().for_each(|report| println!("{report}"));
    let broken: Vec<_> = reports.iter().filter(|report| !report.all_hold()).collect();
    assert!(broken.is_empty(), "{} of {} peers broke a promise, see above", broken.len(), reports.len());
}

fn peer_of(kit: &TestBridge, name: String, capabilities: &str) -> Peer {
    let bridge = Bridge::new(kit.address());
    let echo = KnownHost {
        name: "echo.i2p".parse().unwrap(),
        destination: sam_testkit::destination().parse().unwrap(),
        keys: None,
    };
    Peer {
        name,
        near: bridge.clone().with_udp_address(kit.udp_address().parse().unwrap()),
        far: bridge.with_udp_address(kit.udp_address().parse().unwrap()),
        capabilities: Some(capabilities.into()),
        hosts: vec![echo],
        patience: Duration::from_secs(10),
        hops: 1,
        tunnels: 2,
        has_network_database: false,
    }
}

/// Routers that are running.
fn running(bridges: &str) -> Peer {
    let (near, far) = bridges.split_once(',').unwrap_or((bridges, bridges));
    assert!(
        [near, far].iter().all(|bridge| bridge.contains(':')),
        "SAM_CONFORMANCE_PEER is {bridges:?}: neither a dialect of the test kit nor HOST:PORT[,HOST:PORT]"
    );
    let hosts = env::var("SAM_CONFORMANCE_HOSTS").unwrap_or_default();
    let host = |pair: &str| {
        let (name, file) = pair.split_once('=').expect("SAM_CONFORMANCE_HOSTS holds NAME=KEYFILE,...");
        let keys = KeyFile::new(file).load().unwrap().expect("the key file is there");
        KnownHost { name: name.parse().unwrap(), destination: keys.destination().clone(), keys: Some(keys) }
    };
    Peer {
        name: bridges.into(),
        near: Bridge::new(near),
        far: Bridge::new(far),
        capabilities: env::var("SAM_CONFORMANCE_CAPABILITIES").ok(),
        hosts: hosts.split(',').filter(|pair| !pair.is_empty()).map(host).collect(),
        // On a busy machine a stream of i2pd can stall for longer than an attempt may take (25 s): time for a second attempt.
        patience: Duration::from_secs(60),
        hops: env::var("SAM_CONFORMANCE_HOPS").map_or(1, |hops| hops.parse().expect("a number of hops")),
        tunnels: 4,
        has_network_database: true,
    }
}

/// Java I2P sends a PING after three minutes of silence, and ends a session that does not answer.
#[tokio::test(start_paused = true)]
async fn a_session_survives_hours_of_silence() {
    let kit = TestBridge::start_as(Dialect::Java).await;
    let session = Bridge::new(kit.address()).create_session(&SessionOptions::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    let pongs = kit.commands().iter().filter(|line| line.starts_with("PONG")).count();
    assert!(pongs > 10, "{pongs} answers in two hours");
    assert!(session.is_alive());
    session.lookup(&"known.i2p".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_login_is_sent_and_checked() {
    let kit = TestBridge::start_as(Dialect::Java).await;
    kit.require_login("operator", "two words");
    let login = |password: &str| Login {
        user: Text::new("operator").unwrap(),
        password: Text::new(password).unwrap(),
    };
    let bridge = Bridge::new(kit.address());
    for bridge in [bridge.clone(), bridge.clone().with_login(login("wrong"))] {
        let error = bridge.create_session(&SessionOptions::default()).await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { phase: Phase::Hello, result: ResultWord::I2pError, .. }),
            "{error}"
        );
    }
    let session =
        bridge.with_login(login("two words")).create_session(&SessionOptions::default()).await.unwrap();
    session.lookup(&"known.i2p".parse().unwrap()).await.unwrap();
}
