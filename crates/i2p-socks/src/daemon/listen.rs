//! Where the tunnels listen, and whom that lets in.

use i2p_tunnel::{BindCause, BindError, BoundAddress, InheritedSockets, ListenAt, Listeners};

use crate::{
    config::tunnel::{TunnelConfig, open_to_others},
    failure::Failure,
};

/// Listens for a tunnel at one of its places, and warns of what others can reach. `ours` is where this process listens already.
pub(crate) async fn bind(
    tunnel: &TunnelConfig,
    at: &ListenAt,
    inherited: &InheritedSockets,
    ours: &[BoundAddress],
) -> Result<Listeners, Failure> {
    let listeners = Listeners::bind_or_inherit(std::slice::from_ref(at), inherited)
        .await
        .map_err(|error| cannot_listen(&error, ours))?;
    // What was handed down is known only now.
    judge(tunnel, &listeners.addresses().map_err(Failure::run_time)?)?;
    Ok(listeners)
}

/// Refuses to let other machines into a tunnel that is not for them, and warns of it where it is.
pub(crate) fn judge(tunnel: &TunnelConfig, addresses: &[BoundAddress]) -> Result<(), Failure> {
    for address in addresses.iter().filter(|address| address.is_exposed()) {
        if !tunnel.may_be_open() {
            return Err(open_to_others(tunnel.name(), address));
        }
        tracing::warn!(
            "{address} can be reached from other machines: whoever reaches it{} uses I2P in your name, and what they send to \
             it is not encrypted on the way",
            if tunnel.asks_for_passwords() { " and has a password" } else { "" }
        );
    }
    Ok(())
}

fn cannot_listen(error: &BindError, ours: &[BoundAddress]) -> Failure {
    let BindError { at, cause } = error;
    match ours.iter().find(|own| is_in_use(cause) && overlap(at, own)) {
        Some(own) => Failure::run_time(format_args!(
            "cannot listen on {at} while this proxy itself listens on {own}: that needs a restart of i2p-socks, or another port \
             or path"
        )),
        None => Failure::run_time(format_args!("{error}. {}", advice(at, cause))),
    }
}

fn is_in_use(cause: &BindCause) -> bool {
    match cause {
        BindCause::System(error) => error.kind() == std::io::ErrorKind::AddrInUse,
        cause => matches!(cause, BindCause::InUse),
    }
}

/// Whether there can be only one of the two.
fn overlap(at: &ListenAt, own: &BoundAddress) -> bool {
    match (at, own) {
        (ListenAt::Tcp(at), BoundAddress::Tcp(own)) => {
            let same_ip = at.ip() == own.ip() || at.ip().is_unspecified() || own.ip().is_unspecified();
            same_ip && at.port() == own.port()
        }
        _ => at.to_string() == own.to_string(),
    }
}

fn advice(at: &ListenAt, cause: &BindCause) -> &'static str {
    use std::io::ErrorKind;
    match (cause, at) {
        (BindCause::System(error), ListenAt::Tcp(address)) => match error.kind() {
            ErrorKind::AddrInUse if address.port() == 4447 => {
                "Another program has this port, probably i2pd, whose own SOCKS proxy listens there; choose another one with \
                 --listen IP:PORT."
            }
            ErrorKind::AddrInUse => {
                "Another program has this port, perhaps another i2p-socks; stop it, or choose another port with --listen \
                 IP:PORT."
            }
            ErrorKind::AddrNotAvailable => {
                "This machine has no such address; choose one of its own with --listen IP:PORT."
            }
            ErrorKind::PermissionDenied => {
                "Ports below 1024 need privileges; choose a higher one with --listen IP:PORT."
            }
            _ => "Choose another address with --listen IP:PORT.",
        },
        (BindCause::System(error), _) => match error.kind() {
            ErrorKind::NotFound => "Make the directory of the socket first, or choose another path.",
            ErrorKind::PermissionDenied => {
                "The directory of the socket has to be writable for the user that the program runs as, who has to be a \
                 member of its unix-group."
            }
            _ => "Choose another path; sockets have paths of at most 107 bytes.",
        },
        (BindCause::InUse, _) => "Stop it, perhaps another i2p-socks, or choose another path.",
        (BindCause::NotASocket, _) => {
            "It stays as it is; remove it if nobody needs it, or choose another path."
        }
        (BindCause::NotInherited, _) => {
            "fd:NAME is for sockets of systemd: NAME is FileDescriptorName= of the socket unit, or the unit's own name, such \
             as fd:i2p-socks.socket; each name can be used once."
        }
        (BindCause::NotListening, _) => "The socket unit has to have ListenStream= and Accept=no.",
        _ => "Choose another place to listen at.",
    }
}
