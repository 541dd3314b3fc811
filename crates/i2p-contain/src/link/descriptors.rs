//! The descriptors of the network: the device and the listeners.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use socket2::{Domain, Socket};
use tokio::runtime::{Handle, RuntimeFlavor};
use tun_rs::DeviceBuilder;

use super::{
    connect_timeout, routes,
    settings::{LinkError, LinkSettings, MTU},
};
use crate::gate::Addresses;

/// The name of the device. It is the same for everybody.
const DEVICE_NAME: &str = "i2p0";
/// How many connections may wait to be accepted. The kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// The network of a namespace.
#[derive(Debug)]
pub struct Link {
    descriptors: Descriptors,
    addresses: Addresses,
}

/// What a network consists of.
#[derive(Debug)]
pub struct Descriptors {
    /// The TUN device, with virtio headers.
    pub device: OwnedFd,
    /// The listener of IPv4.
    pub listener_v4: TcpListener,
    /// The listener of IPv6, if the kernel has IPv6.
    pub listener_v6: Option<TcpListener>,
}

impl Link {
    /// Makes the network inside the network namespace of this thread. It has to run in a current-thread runtime of Tokio with I/O:
    /// another one may go on in a thread that has another namespace.
    ///
    /// This needs `CAP_NET_ADMIN` in the user namespace that owns the network namespace. Who made the namespace has it.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn open(settings: &LinkSettings) -> Result<Self, LinkError> {
        let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        if !flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::CurrentThread) {
            return Err(LinkError::Runtime);
        }
        // A socket stays with the namespace in which it was made, so all are made before anything is waited for.
        let (device, index) = open_device()?;
        connect_timeout::set(settings.connect_timeout);
        let has_ipv6 = Path::new("/proc/net/if_inet6").exists();
        let socket_v4 = tcp_socket(Domain::IPV4).map_err(LinkError::Listener)?;
        let socket_v6 =
            has_ipv6.then(|| tcp_socket(Domain::IPV6)).transpose().map_err(LinkError::Listener)?;
        routes::set_up(index, has_ipv6).await?;
        let listener_v4 =
            listen(socket_v4, (Addresses::PROGRAM_V4, 0).into()).map_err(LinkError::Listener)?;
        let listener_v6 = socket_v6
            .map(|socket| listen(socket, (Addresses::PROGRAM_V6, 0).into()))
            .transpose()
            .map_err(LinkError::Listener)?;
        Self::from_descriptors(Descriptors { device, listener_v4, listener_v6 }).map_err(LinkError::Listener)
    }

    /// A network that [`open`](Self::open) has made, maybe in another process.
    ///
    /// # Errors
    /// If a descriptor is not what its name says.
    pub fn from_descriptors(descriptors: Descriptors) -> io::Result<Self> {
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        let port_v6 = descriptors.listener_v6.as_ref().map(port).transpose()?;
        let addresses = Addresses::new(port(&descriptors.listener_v4)?, port_v6);
        Ok(Self { descriptors, addresses })
    }

    /// The descriptors, to hand to another process.
    #[must_use]
    pub fn into_descriptors(self) -> Descriptors {
        self.descriptors
    }

    /// The addresses inside the namespace.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }
}

/// Makes the device. Returns it and the index of its interface.
fn open_device() -> Result<(OwnedFd, u32), LinkError> {
    // tun-rs would make the device node, which is not ours to make.
    if !Path::new("/dev/net/tun").exists() {
        return Err(LinkError::NoDevice);
    }
    let made = DeviceBuilder::new()
        .name(DEVICE_NAME)
        .mtu(MTU)
        .enable(false)
        .with(|builder| {
            builder.offload(true);
        })
        .build_sync();
    let device = made.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => LinkError::DeviceForbidden,
        _ => LinkError::Device(error),
    })?;
    let index = device.if_index().map_err(LinkError::Device)?;
    // tun-rs closes its own descriptor; this copy of it keeps the device.
    let copy = device.as_fd().try_clone_to_owned().map_err(LinkError::Device)?;
    rustix::io::ioctl_fionbio(&copy, true).map_err(|error| LinkError::Device(error.into()))?;
    Ok((copy, index))
}

fn tcp_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen(socket: Socket, address: SocketAddr) -> io::Result<TcpListener> {
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
