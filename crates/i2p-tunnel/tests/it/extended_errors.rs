//! Tor's extended error codes (proposal 304) are sent to SOCKS5 clients only if the tunnel enables them.

use std::sync::Arc;

use i2p_name::{BlindedName, I2pName, VirtualOptions};
use i2p_tunnel::{
    AccessPolicy, AddressPool, Dial, Failure, IsolationKey, Listeners, NoDatagrams, NoListening, OpenStream,
    Service, serve,
};
use sam_testkit::{Act, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::common::{proxy_with_service, socks4a_request, socks5_request};

/// An address of i2pd 2.45.1: Ed25519, no flags.
const B33: &str = "63qw7qj2erwsulavbfi6lw2meacqya7djkhibqu3e34nchzs2hj2bs4w";

/// A dialler that always fails in this way.
struct Fails(Failure);

impl Dial for Fails {
    type Datagrams = NoDatagrams;
    type Listening = NoListening;

    async fn dial(&self, _: &IsolationKey, _: &I2pName, _: u16) -> Result<OpenStream, Failure> {
        Err(self.0)
    }

    async fn lookup(&self, _: &IsolationKey, _: &I2pName) -> Result<(), Failure> {
        Err(self.0)
    }
}

/// How clients see a failure: reply codes of SOCKS5 and SOCKS4, and the status of HTTP.
async fn reported(failure: Failure, extended_errors: bool) -> (u8, u8, u16) {
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let access = AccessPolicy { extended_errors, ..AccessPolicy::default() };
    let service = Service::new("test", Fails(failure), addresses).with_access(access);
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let address = listeners.addresses().unwrap()[0].tcp().unwrap();
    let (_, service) = watch::channel(Arc::new(service));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listeners, service, stop.clone()));
    let ask = async |request: &[u8]| {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let socks5 = ask(&socks5_request("a.i2p", 80)).await[3];
    let socks4 = ask(&socks4a_request("a.i2p", 80)).await[1];
    let http = String::from_utf8(ask(b"CONNECT a.i2p:80 HTTP/1.1\r\n\r\n").await).unwrap();
    stop.cancel();
    serving.await.unwrap();
    (socks5, socks4, http.split(' ').nth(1).unwrap().parse().unwrap())
}

#[tokio::test]
async fn clients_see_every_row_of_the_failure_table() {
    for failure in Failure::ALL {
        let row = failure.row();
        assert_eq!(reported(failure, false).await, (row.socks5.0, 91, row.http), "{failure:?}");
        assert_eq!(reported(failure, true).await, (row.extended.0, 91, row.http), "{failure:?}, extended");
    }
}

/// The address of an encrypted lease set tells whether it accepts only clients with a key.
#[tokio::test]
async fn a_client_key_that_may_be_missing_is_code_f4_if_extended() {
    let name: BlindedName = B33.parse().unwrap();
    let bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", [Act::line("STREAM STATUS RESULT=CANT_REACH_PEER"), Act::Close]);
    for extended_errors in [false, true] {
        let access = AccessPolicy { extended_errors, ..AccessPolicy::default() };
        let proxy = proxy_with_service(&bridge, |service| service.with_access(access)).await;
        let code = async |name: BlindedName| proxy.socks5(&name.to_string(), 80).await.1;
        let codes = (code(name).await, code(name.with_client_key(true)).await);
        assert_eq!(codes, if extended_errors { (0xf0, 0xf4) } else { (4, 4) });
        let request = format!("CONNECT {}:80 HTTP/1.1\r\n\r\n", name.with_client_key(true));
        let answer = String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
        assert!(answer.contains("Ask the site's operator for a key"), "{answer}");
    }
}
