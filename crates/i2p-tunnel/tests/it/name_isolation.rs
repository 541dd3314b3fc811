//! No client can tell what another one has looked up: each makes its own lookups, which take as long as the first one.

use i2p_tunnel::{Limits, PoolOptions, SessionPolicy};
use sam_testkit::{Act, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, timeout},
};

use crate::common::{Proxy, domain, proxy_of};

/// SOCKS5 commands.
const CONNECT: u8 = 1;
const RESOLVE: u8 = 0xf0;

async fn proxy(bridge: &TestBridge) -> Proxy {
    let limits = Limits { half_close: Duration::from_millis(50), ..Limits::default() };
    proxy_of(bridge, limits, PoolOptions::default(), SessionPolicy::default()).await
}

/// Sends a request of this user.
async fn send(proxy: &Proxy, user: &str, command: u8, host: &str) -> TcpStream {
    let mut client = proxy.connect().await;
    let greeting = [&[5, 1, 2, 1, u8::try_from(user.len()).unwrap()], user.as_bytes(), &[0]].concat();
    let request = [&[5, command, 0], &domain(host)[..], &[0, 80]].concat();
    client.write_all(&[greeting, request].concat()).await.unwrap();
    client
}

/// The reply code of a request of this user.
async fn ask(proxy: &Proxy, user: &str, command: u8, host: &str) -> u8 {
    let mut answer = [0; 14];
    send(proxy, user, command, host).await.read_exact(&mut answer).await.unwrap();
    answer[5]
}

/// How often the router was asked for a name.
fn lookups(bridge: &TestBridge, host: &str) -> usize {
    bridge.times(&format!("NAMING LOOKUP NAME={host}")).len()
}

#[tokio::test]
async fn a_name_that_one_client_has_looked_up_is_new_to_the_others() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    for command in [CONNECT, RESOLVE] {
        for (host, code) in [("known.i2p", 0), ("unknown.i2p", 4)] {
            for user in ["alice", "bob", "carol"] {
                let user = format!("{user}-{command}");
                let before = lookups(&bridge, host);
                for _ in 0..3 {
                    assert_eq!(ask(&proxy, &user, command, host).await, code, "{user} {host}");
                    assert_eq!(lookups(&bridge, host), before + 1, "{user} asks once, and for himself");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_lookup_that_is_under_way_serves_no_other_client() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    bridge.once("NAMING LOOKUP NAME=known.i2p", [Act::Hang]);
    let _waiting = send(&proxy, "alice", CONNECT, "known.i2p").await;
    while lookups(&bridge, "known.i2p") == 0 {
        tokio::task::yield_now().await;
    }
    let served = timeout(Duration::from_secs(10), ask(&proxy, "bob", CONNECT, "known.i2p")).await;
    assert_eq!(served, Ok(0));
    assert_eq!(lookups(&bridge, "known.i2p"), 2);
}

/// Otherwise a jump service, which can give each client another destination, would recognise it.
#[tokio::test]
async fn a_new_identity_knows_nothing_of_the_one_before() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    for count in 1..4 {
        assert_eq!(ask(&proxy, "alice", CONNECT, "known.i2p").await, 0);
        assert_eq!(lookups(&bridge, "known.i2p"), count);
        proxy.pool.renew_all();
    }
}

/// One client that asks for many names displaces its own.
#[tokio::test]
async fn a_client_that_asks_for_many_names_displaces_none_of_the_others() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    assert_eq!(ask(&proxy, "alice", RESOLVE, "known.i2p").await, 0);
    for number in 0..600 {
        assert_eq!(ask(&proxy, "bob", RESOLVE, &format!("n{number}.i2p")).await, 4);
    }
    assert_eq!(ask(&proxy, "alice", RESOLVE, "known.i2p").await, 0);
    assert_eq!(lookups(&bridge, "known.i2p"), 1);
}
