//! Opens the listeners of tunnels, and refuses or warns if other machines can reach them.

use i2p_tunnel::{BindCause, BindError, BoundAddress, InheritedSockets, ListenAt, Listeners};

use crate::{
    command_error::CommandError,
    config::{
        overlap::share_port,
        tunnel::{TunnelConfig, exposed_to_others},
    },
};

/// Opens a listener of a tunnel. `ours` are the addresses on which this process listens already.
pub(crate) async fn bind(
    tunnel: &TunnelConfig,
    at: &ListenAt,
    inherited: &InheritedSockets,
    ours: &[BoundAddress],
) -> Result<Listeners, CommandError> {
    let listeners = Listeners::bind_or_inherit(std::slice::from_ref(at), inherited)
        .await
        .map_err(|error| cannot_listen(&error, ours))?;
    // The addresses of inherited sockets are known only now.
    refuse_or_warn_if_exposed(tunnel, &listeners.addresses().map_err(CommandError::run_time)?)?;
    Ok(listeners)
}

/// Refuses addresses that other machines can reach, unless the tunnel accepts them. In that case, warns of the risk.
pub(crate) fn refuse_or_warn_if_exposed(
    tunnel: &TunnelConfig,
    addresses: &[BoundAddress],
) -> Result<(), CommandError> {
    for address in addresses.iter().filter(|address| address.is_exposed()) {
        if !tunnel.accepts_other_machines() {
            return Err(exposed_to_others(tunnel.name(), address));
        }
        tracing::warn!(
            "{address} can be reached from other machines: anyone who can reach it{} can use I2P in your name, and \
             connections to it are not encrypted",
            if tunnel.requires_password() { " and has a password" } else { "" }
        );
    }
    Ok(())
}

fn cannot_listen(error: &BindError, ours: &[BoundAddress]) -> CommandError {
    let BindError { at, cause } = error;
    match ours.iter().find(|own| is_in_use(cause) && overlap(at, own)) {
        Some(own) => CommandError::run_time(format_args!(
            "cannot listen on {at} while this proxy listens on {own}: restart i2p-socks, or choose another port or path"
        )),
        // A reload goes by the file.
        None if !ours.is_empty() => {
            let advice = advice(at, cause).replace("--listen IP:PORT", "listen under [[tunnel]]");
            CommandError::run_time(format_args!("{error}. {advice}"))
        }
        None => CommandError::run_time(format_args!("{error}. {}", advice(at, cause))),
    }
}

fn is_in_use(cause: &BindCause) -> bool {
    match cause {
        BindCause::System(error) => error.kind() == std::io::ErrorKind::AddrInUse,
        cause => matches!(cause, BindCause::InUse),
    }
}

/// Whether the two cannot both be listened on.
fn overlap(at: &ListenAt, own: &BoundAddress) -> bool {
    match (at, own) {
        (ListenAt::Tcp(at), BoundAddress::Tcp(own)) => share_port(*at, *own),
        _ => at.to_string() == own.to_string(),
    }
}

fn advice(at: &ListenAt, cause: &BindCause) -> &'static str {
    use std::io::ErrorKind;
    match (cause, at) {
        (BindCause::System(error), ListenAt::Tcp(address)) => match error.kind() {
            ErrorKind::AddrInUse if address.port() == 4447 => {
                "Another program uses this port, probably the SOCKS proxy of i2pd; choose another port with --listen IP:PORT."
            }
            ErrorKind::AddrInUse => {
                "Another program uses this port, perhaps another i2p-socks; stop it, or choose another port with --listen \
                 IP:PORT."
            }
            ErrorKind::AddrNotAvailable => {
                "This machine does not have this address; choose one that it has with --listen IP:PORT."
            }
            ErrorKind::PermissionDenied => {
                "Ports below 1024 need privileges; choose a higher one with --listen IP:PORT."
            }
            _ => "Choose another address with --listen IP:PORT.",
        },
        (BindCause::System(error), _) => match error.kind() {
            ErrorKind::NotFound => "Create the directory of the socket first, or choose another path.",
            ErrorKind::PermissionDenied => {
                "The user that the program runs as needs write permission for the directory of the socket, and must be a \
                 member of its unix-group."
            }
            _ => "Choose another path; the path of a socket has at most 107 bytes.",
        },
        (BindCause::InUse, _) => "Stop that process, perhaps another i2p-socks, or choose another path.",
        (BindCause::NotASocket, _) => {
            "The file was not changed; remove it if nobody needs it, or choose another path."
        }
        (BindCause::NotInherited, _) => {
            "fd:NAME takes a socket from systemd: NAME is FileDescriptorName= of the socket unit, or the name of the unit, such \
             as fd:i2p-socks.socket; each name can be used once."
        }
        (BindCause::NotListening, _) => "The socket unit needs ListenStream= and Accept=no.",
        _ => "Choose another address to listen on.",
    }
}
