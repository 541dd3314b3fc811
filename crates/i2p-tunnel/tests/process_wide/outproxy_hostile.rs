//! Outproxies that are hostile or speak another protocol: clients get an error in time, and nothing that the outproxies send
//! is logged.

use std::time::Duration;

use i2p_tunnel::OutproxyProtocol::{HttpConnect, Socks5};
use sam_testkit::TestBridge;
use tokio::time::{Instant, pause};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    alone,
    common::exit::{Answer, Exit, GRANTED, all_via, refusal, routed},
    log,
};

fn answers() -> Vec<Answer> {
    let head = |filler: &[u8]| Answer::Raw([b"HTTP/1.1 200 OK\r\n", filler].concat());
    vec![
        Answer::Raw((0..=255).cycle().skip(7).take(100_000).collect()),
        Answer::Raw(vec![0; 100_000]),
        Answer::Raw(vec![5; 100_000]),
        Answer::Raw([&[5, 0, 5, 0, 0, 3, 255][..], &[b'x'; 100]].concat()),
        Answer::Raw([5, 0, 5, 0, 0, 9].to_vec()),
        head(&[b'a'; 100_000]),
        head(&b"secret: x\r\n".repeat(10_000)),
        head(&[b"secret: ", &[b'x'; 100_000][..]].concat()),
        Answer::Raw(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000)),
        Answer::Raw(b"HTTP/1.1 secret\r\n\r\n".to_vec()),
        Answer::Http("HTTP/1.1 407 secret\r\nProxy-Authenticate: Basic realm=\"secret\""),
        refusal(1),
        Answer::Drip(b'H'),
        Answer::Drip(5),
        Answer::Silent,
        Answer::Slow,
        Answer::Close,
    ]
}

#[tokio::test]
async fn hostile_outproxies_fail_in_time_and_leave_no_trace_in_the_log() {
    alone();
    let lines = log::keep(LevelFilter::TRACE);

    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let definitions =
        [exit.over_tcp(Socks5), exit.in_i2p(Socks5), exit.over_tcp(HttpConnect), exit.in_i2p(HttpConnect)];
    for definition in definitions {
        let routed = routed(&bridge, all_via(&["exit"]), vec![definition]).await;
        pause();
        for answer in answers() {
            let shown = format!("{answer:.40?}");
            exit.set_answer(answer);
            let start = Instant::now();
            let got = routed
                .outproxy_for_user("secret.example", 80, Some(("secret-user", "secret-password")))
                .await;
            assert_eq!(got, Err(4), "{shown}");
            assert!(start.elapsed() <= Duration::from_secs(116), "{:?}, {shown}", start.elapsed());
        }
        tokio::time::resume();
        let status = routed.status("exit");
        assert_eq!(status.attempts, answers().len() as u64);
        assert_eq!(status.declined + status.faults.values().sum::<u64>(), status.attempts, "{status:?}");
    }
    let log = lines.text();
    assert!(log.contains("outproxy exit failed several requests of a client in a row"), "{log}");
    for secret in ["secret", "example", "127.0.0.1", ".i2p"] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
}
