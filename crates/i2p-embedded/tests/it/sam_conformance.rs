//! The conformance suite of `i2p-sam` against emissary: two routers of a private network in this process.

use std::time::Duration;

use i2p_embedded::{HostTable, PrivateNetwork};
use i2p_sam::Bridge;
use sam_conformance::{KnownHost, Peer};

#[tokio::test(flavor = "multi_thread")]
async fn emissary_keeps_what_the_client_promises() {
    let names = HostTable::new();
    let network = PrivateNetwork::builder().host_names(names.clone()).start().await.unwrap();
    let bridges = network.sam_addresses().iter().zip(network.sam_udp_addresses());
    let bridges = bridges.map(|(tcp, udp)| Bridge::new(tcp.to_string()).with_udp_address(*udp));
    let Ok([near, far]) = <[Bridge; 2]>::try_from(bridges.collect::<Vec<_>>()) else {
        panic!("two SAM bridges")
    };
    let keys = far.generate_keys().await.unwrap();
    let host = KnownHost {
        name: "conformance.i2p".parse().unwrap(),
        destination: keys.destination().clone(),
        keys: Some(keys),
    };
    names.insert(host.name.clone(), host.destination.clone());
    let report = sam_conformance::run(&Peer {
        name: "emissary 0.4.0".into(),
        near,
        far,
        capabilities: Some(
            "SAM 3.2, dialect emissary, datagrams 1 and raw, subsessions for streams and datagrams, stream ports \
             carried"
                .into(),
        ),
        hosts: vec![host],
        patience: Duration::from_secs(40),
        hops: 1,
        tunnels: 2,
        has_network_database: true,
    })
    .await;
    println!("{report}");
    assert!(report.all_hold(), "\n{report}");
}
