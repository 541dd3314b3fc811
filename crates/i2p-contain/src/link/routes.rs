//! Interfaces, addresses and routes, by netlink.

use std::{
    future::poll_fn,
    net::{Ipv4Addr, Ipv6Addr},
    pin::pin,
    time::Duration,
};

use futures_core::Stream;

use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressFlags},
        route::{RouteScope, RouteType},
    },
};

use super::settings::LinkError;
use crate::gate::Addresses;

/// How many packets the device queues before it drops some: the kernel's own value is 500, which a burst of connections exceeds.
const QUEUE_PACKETS: u32 = 8_192;
/// The index of `lo`, which is the first interface of each network namespace.
const LOOPBACK: u32 = 1;
/// How long to wait between two looks for the local route, and how often to look: two seconds.
const LOCAL_ROUTE_PAUSE: Duration = Duration::from_millis(2);
const LOCAL_ROUTE_ATTEMPTS: u32 = 1_000;

/// Brings up `lo` and the device, gives the device the programs' addresses, and routes everything to it, in the network namespace of
/// the thread that polls this first: the socket to the kernel is made before anything is waited for.
pub(super) async fn set_up(device: u32, has_ipv6: bool) -> Result<(), LinkError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(failed("netlink"))?;
    let connection = tokio::spawn(connection);
    let result = set_up_by(&handle, device, has_ipv6).await;
    connection.abort();
    result
}

async fn set_up_by(handle: &Handle, device: u32, has_ipv6: bool) -> Result<(), LinkError> {
    let link = |index| LinkMessageBuilder::<LinkUnspec>::new().index(index).up();
    for message in [link(LOOPBACK), link(device).txqueuelen(QUEUE_PACKETS)] {
        handle.link().set(message.build()).execute().await.map_err(failed("the interfaces"))?;
    }
    let address = handle.address().add(device, Addresses::PROGRAM_V4.into(), 32);
    address.execute().await.map_err(failed("the IPv4 address"))?;
    let everything = RouteMessageBuilder::<Ipv4Addr>::new()
        .output_interface(device)
        .pref_source(Addresses::PROGRAM_V4)
        .scope(RouteScope::Link)
        .build();
    handle.route().add(everything).execute().await.map_err(failed("the IPv4 route"))?;
    if has_ipv6 {
        let mut address = handle.address().add(device, Addresses::PROGRAM_V6.into(), 128);
        // Else it cannot be used before the kernel has looked for others that have it.
        address.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        address.execute().await.map_err(failed("the IPv6 address"))?;
        let everything = RouteMessageBuilder::<Ipv6Addr>::new()
            .output_interface(device)
            .pref_source(Addresses::PROGRAM_V6)
            .build();
        handle.route().add(everything).execute().await.map_err(failed("the IPv6 route"))?;
        wait_for_local_route(handle).await?;
    }
    Ok(())
}

/// Waits until packets to the programs' IPv6 address arrive: the kernel adds its local route a little later than the address.
async fn wait_for_local_route(handle: &Handle) -> Result<(), LinkError> {
    for _ in 0..LOCAL_ROUTE_ATTEMPTS {
        let question = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(Addresses::PROGRAM_V6, 128);
        let mut answers = pin!(handle.route().get(question.build()).execute());
        let answer = poll_fn(|context| answers.as_mut().poll_next(context)).await;
        if matches!(answer, Some(Ok(route)) if route.header.kind == RouteType::Local) {
            return Ok(());
        }
        tokio::time::sleep(LOCAL_ROUTE_PAUSE).await;
    }
    Err(failed("the IPv6 address")("it has no local route"))
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> LinkError {
    move |error| LinkError::Setup { what, reason: error.to_string() }
}
