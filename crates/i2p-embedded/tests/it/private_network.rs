//! A private network carries streams between its routers.

use i2p_embedded::{Error, HostTable, PrivateNetwork};
use i2p_name::HostName;
use i2p_sam::Error as SamError;

use crate::warming;

#[tokio::test]
async fn streams_by_address_and_by_host_name_carry_bytes_both_ways() {
    let names = HostTable::new();
    let network = PrivateNetwork::builder().host_names(names.clone()).start().await.unwrap();
    assert_ne!(network.network_id(), 2);
    assert_eq!(network.router_infos().len(), 4);
    let &[one, two] = network.sam_addresses() else { panic!("two SAM bridges") };

    let (server, client) = tokio::join!(warming::session(one, true), warming::session(two, false));
    let destination = server.destination().clone();
    warming::echo(server);
    warming::exchange(&client, &destination.b32().to_string()).await;

    // Routers ask the table for each lookup, so names can be inserted after the start.
    let host: HostName = "echo.i2p".parse().unwrap();
    names.insert(host.clone(), destination.clone());
    warming::exchange(&client, "echo.i2p").await;
    assert_eq!(client.lookup(&host).await.unwrap(), destination);

    let unknown: HostName = "unknown.i2p".parse().unwrap();
    assert!(matches!(client.lookup(&unknown).await, Err(SamError::Refused { .. })));
    assert!(client.connect(&unknown.into(), 80).await.is_err());
    assert!(client.is_alive(), "an unknown name leaves the SAM bridge as it was");
}

#[tokio::test]
async fn numbers_that_cannot_work_are_refused() {
    for builder in [
        PrivateNetwork::builder().routers(2),
        PrivateNetwork::builder().floodfills(0),
        PrivateNetwork::builder().floodfills(5),
        PrivateNetwork::builder().sam_bridges(5),
    ] {
        assert!(matches!(builder.start().await, Err(Error::NetworkShape { .. })));
    }
}
