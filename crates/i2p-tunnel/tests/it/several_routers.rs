//! Several routers behind one proxy, as a dialler made outside of the crate: the isolation key decides which router a request
//! goes to.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use i2p_name::{I2pName, VirtualOptions};
use i2p_sam::Bridge;
use i2p_tunnel::{
    AddressPool, Dial, Failure, IsolationKey, Limits, OpenStream, PoolOptions, SamDatagrams, SamDialler,
    SamListening, Service, SessionMark, SessionPool,
};
use sam_testkit::{Endpoint, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{Proxy, domain, start_service};

struct Routers([SamDialler; 2]);

impl Routers {
    fn of(&self, key: &IsolationKey) -> &SamDialler {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.0[usize::from(hasher.finish() % 2 == 1)]
    }
}

impl Dial for Routers {
    type Datagrams = SamDatagrams;
    type Listening = SamListening;

    async fn dial(&self, key: &IsolationKey, name: &I2pName, port: u16) -> Result<OpenStream, Failure> {
        self.of(key).dial(key, name, port).await
    }

    async fn prepare(&self, key: &IsolationKey) -> Result<(), Failure> {
        self.of(key).prepare(key).await
    }

    fn session_now(&self, key: &IsolationKey) -> Option<SessionMark> {
        self.of(key).session_now(key)
    }

    async fn lookup(&self, key: &IsolationKey, name: &I2pName) -> Result<(), Failure> {
        self.of(key).lookup(key, name).await
    }

    async fn associate(&self, key: &IsolationKey) -> Result<SamDatagrams, Failure> {
        self.of(key).associate(key).await
    }

    async fn listen(&self, key: &IsolationKey, expected: Option<&I2pName>) -> Result<SamListening, Failure> {
        self.of(key).listen(key, expected).await
    }
}

/// Returns what the far end says to this user.
async fn said_to(proxy: &Proxy, user: &str) -> String {
    let mut client = proxy.connect().await;
    let login = [&[5, 1, 2, 1, u8::try_from(user.len()).unwrap()], user.as_bytes(), &[1, b'x']].concat();
    client.write_all(&[&login[..], &[5, 1, 0], &domain("far.i2p"), &[0, 80]].concat()).await.unwrap();
    let mut replies = [0; 14];
    client.read_exact(&mut replies).await.unwrap();
    assert_eq!(replies[..6], [5, 2, 1, 0, 5, 0]);
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn requests_are_spread_over_routers_and_each_client_stays_at_one() {
    let bridges = [TestBridge::start().await, TestBridge::start().await];
    let pools = bridges.each_ref().map(|bridge| {
        bridge.host("far.i2p", Endpoint::Whoami);
        SessionPool::new(
            Bridge::new(bridge.address()),
            PoolOptions { delay_open: true, ..PoolOptions::default() },
        )
    });
    let routers = Routers(pools.each_ref().map(|pool| SamDialler::new(pool.clone())));
    let limits = Limits { linger: Duration::from_millis(300), ..Limits::default() };
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("test", routers, addresses).with_limits(limits);
    let proxy = start_service(service, pools[0].clone()).await;
    for user in 0..8 {
        let user = format!("user {user}");
        assert_eq!(said_to(&proxy, &user).await, said_to(&proxy, &user).await, "one identity, at one router");
    }
    let sessions = pools.map(|pool| pool.sessions().len());
    assert_eq!(sessions.iter().sum::<usize>(), 8, "{sessions:?}");
    assert!(!sessions.contains(&0), "{sessions:?}");
}
