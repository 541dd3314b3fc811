//! The link: the TUN device of the sandbox and the listeners inside, from the stage that makes them to the process that serves them.

use std::{
    io,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use i2p_contain::{
    link::{Descriptors, Link, LinkError, LinkSettings},
    sandbox::{Refusal, Wall},
};

/// Makes the link in the network namespace of this process, which is a stage of the sandbox. Returns the device and its listeners.
pub(super) fn open(connect_timeout: Duration) -> Result<Vec<OwnedFd>, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Refusal::new(Wall::Link, "starting to wait for the kernel", &error))?;
    let mut settings = LinkSettings::default();
    settings.connect_timeout = connect_timeout;
    let link = runtime.block_on(Link::open(&settings)).map_err(|error| refusal(&error))?;
    let Descriptors { device, listener_v4, listener_v6 } = link.into_descriptors();
    Ok([device, listener_v4.into()].into_iter().chain(listener_v6.map(Into::into)).collect())
}

/// The link that a stage has opened.
pub(super) fn received(descriptors: Vec<OwnedFd>) -> Result<Link, Refusal> {
    let mut descriptors = descriptors.into_iter();
    let (Some(device), Some(listener_v4)) = (descriptors.next(), descriptors.next()) else {
        return Err(Refusal::because(Wall::Link, "a descriptor is missing"));
    };
    let listener = |descriptor: OwnedFd| {
        rustix::io::ioctl_fionbio(descriptor.as_fd(), true)?;
        Ok::<_, io::Error>(TcpListener::from(descriptor))
    };
    let listener_v4 = listener(listener_v4);
    let listener_v6 = descriptors.next().map(listener).transpose();
    let link = listener_v4.and_then(|listener_v4| {
        Link::from_descriptors(Descriptors { device, listener_v4, listener_v6: listener_v6? })
    });
    link.map_err(|error| Refusal::new(Wall::Link, "taking it over", &error))
}

/// The kind of error decides which advice the user gets.
fn refusal(error: &LinkError) -> Refusal {
    let opening = |kind: io::ErrorKind| Refusal::new(Wall::Link, "opening /dev/net/tun", &kind.into());
    match error {
        LinkError::NoDevice => opening(io::ErrorKind::NotFound),
        LinkError::DeviceForbidden => opening(io::ErrorKind::PermissionDenied),
        error => Refusal::because(Wall::Link, error.to_string()),
    }
}
