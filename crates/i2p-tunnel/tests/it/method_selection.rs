//! Which method a SOCKS5 client is told to use, if it offers to go without credentials and also offers some.

use i2p_tunnel::{AccessPolicy, Authentication, Isolate, SessionPolicy, Users};
use sam_testkit::TestBridge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{Proxy, domain, proxy_with_service};

/// What clients offer that may have no credentials: Go's `x/net/proxy` with an empty `Auth`, for example.
const OFFERS: [&[u8]; 3] = [&[5, 2, 0, 2], &[5, 2, 2, 0], &[5, 3, 0, 1, 2]];

async fn proxy(bridge: &TestBridge, isolate: Isolate, access: AccessPolicy) -> Proxy {
    let sessions = SessionPolicy { isolate, ..SessionPolicy::default() };
    proxy_with_service(bridge, |service| service.with_sessions(sessions).with_access(access)).await
}

async fn expect(proxy: &Proxy, method: u8) {
    for offer in OFFERS {
        let mut client = proxy.connect().await;
        client.write_all(offer).await.unwrap();
        let mut answer = [0; 2];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [5, method], "{offer:?}");
    }
}

#[tokio::test]
async fn credentials_are_asked_for_only_where_they_decide_something() {
    let bridge = TestBridge::start().await;
    let by_client = Isolate { client: true, ..Isolate::NONE };
    let required = || {
        let entry = Users::entry("anna", b"secret").unwrap();
        let authentication = Authentication::Required(Users::parse(&entry).unwrap());
        AccessPolicy { authentication, ..AccessPolicy::default() }
    };
    let prefer = |access| AccessPolicy { prefer_no_authentication: true, ..access };
    for (isolate, access, method) in [
        (Isolate::default(), AccessPolicy::default(), 2),
        (Isolate::default(), prefer(AccessPolicy::default()), 0),
        (by_client, AccessPolicy::default(), 0),
        (Isolate::NONE, AccessPolicy::default(), 0),
        (by_client, required(), 2),
        (Isolate::default(), prefer(required()), 2),
    ] {
        expect(&proxy(&bridge, isolate, access).await, method).await;
    }
}

/// A program may send credentials with one request and be told to go without in the next.
#[tokio::test]
async fn where_credentials_decide_nothing_virtual_addresses_belong_to_the_client() {
    let bridge = TestBridge::start().await;
    let by_client = Isolate { client: true, ..Isolate::NONE };
    let proxy = proxy(&bridge, by_client, AccessPolicy::default()).await;
    let resolve =
        [&[5, 1, 2, 1, 4][..], b"user", &[1, b'x', 5, 0xf0, 0], &domain("known.i2p"), &[0, 0]].concat();
    let answer = proxy.exchange(&resolve).await;
    assert_eq!(answer[..8], [5, 2, 1, 0, 5, 0, 0, 1], "{answer:?}");
    let connect = [&[5, 1, 0, 5, 1, 0, 1][..], &answer[8..12], &[0, 80]].concat();
    let reply = proxy.exchange_and_finish(&connect).await;
    assert_eq!(reply[..4], [5, 0, 5, 0], "{reply:?}");
}
