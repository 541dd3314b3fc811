//! Opens the listeners of tunnels, and refuses or warns if other machines can reach them.

use std::io::ErrorKind;

use i2p_tunnel::{BindCause, BindError, BoundAddress, InheritedSockets, Interception, ListenAt, Listeners};

use crate::{
    command_error::CommandError,
    config::{overlap::share_port, tunnel::TunnelConfig},
};

/// Opens a listener of a tunnel. `ours` are the addresses on which this process listens already.
/// `only`: the configuration has no other tunnel.
pub(crate) async fn bind(
    (tunnel, only): (&TunnelConfig, bool),
    at: &ListenAt,
    inherited: &InheritedSockets,
    ours: &[BoundAddress],
) -> Result<Listeners, CommandError> {
    let listeners = Listeners::bind_or_inherit(std::slice::from_ref(at), inherited)
        .await
        .map_err(|error| cannot_listen(&error, ours, (tunnel, only)))?;
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
            return Err(tunnel.exposed_to_others(address));
        }
        tracing::warn!(
            "{address} can be reached from other machines: anyone who can reach it{} can use I2P in your name, and \
             connections to it are not encrypted",
            if tunnel.requires_password() { " and has a password" } else { "" }
        );
    }
    Ok(())
}

fn cannot_listen(
    error: &BindError,
    ours: &[BoundAddress],
    (tunnel, only): (&TunnelConfig, bool),
) -> CommandError {
    let BindError { at, cause } = error;
    match ours.iter().find(|own| is_in_use(cause) && overlap(at, own)) {
        Some(own) => CommandError::run_time(format_args!(
            "cannot listen on {at} while this proxy listens on {own}: restart i2p-socks, or choose another port or path"
        )),
        None => {
            // A reload goes by the file. With several tunnels, --listen is ambiguous, and it would replace listeners of other kinds.
            let setting = match ours.is_empty() && only && tunnel.listens_on_tcp_alone() {
                true => "--listen IP:PORT".to_owned(),
                false => format!("listen under [[tunnel]] {}, in place of {at}", tunnel.name()),
            };
            CommandError::run_time(format_args!("{error}. {}", advice(at, cause, &setting)))
        }
    }
}

fn is_in_use(cause: &BindCause) -> bool {
    match cause {
        BindCause::System(error) => error.kind() == ErrorKind::AddrInUse,
        cause => matches!(cause, BindCause::InUse),
    }
}

/// Whether the two cannot both be listened on.
fn overlap(at: &ListenAt, own: &BoundAddress) -> bool {
    match (at.socket_address(), own.socket_address()) {
        (Some(at), Some(own)) => share_port(at, own),
        _ => at.to_string() == own.to_string(),
    }
}

/// What to do about a place that cannot be listened on; `setting` is where people choose another address.
fn advice(at: &ListenAt, cause: &BindCause, setting: &str) -> String {
    match (cause, at.socket_address()) {
        (BindCause::System(error), Some(_))
            if error.kind() == ErrorKind::PermissionDenied
                && matches!(at, ListenAt::Transparent(Interception::Tproxy, _)) =>
        {
            "tproxy: needs the capability CAP_NET_ADMIN: give it to the service with AmbientCapabilities=, or use redirect:".to_owned()
        }
        (BindCause::System(error), Some(address)) => {
            format!("{} with {setting}.", advice_on_address(address.port(), error.kind()))
        }
        _ => advice_on_socket(cause).to_owned(),
    }
}

fn advice_on_address(port: u16, error: ErrorKind) -> &'static str {
    match error {
        ErrorKind::AddrInUse if port == 4447 => {
            "Another program uses this port, probably the SOCKS proxy of i2pd; choose another port"
        }
        ErrorKind::AddrInUse => {
            "Another program uses this port, perhaps another i2p-socks; stop it, or choose another port"
        }
        ErrorKind::AddrNotAvailable => "This machine does not have this address; choose one that it has",
        ErrorKind::PermissionDenied => "Ports below 1024 need privileges; choose a higher one",
        _ => "Choose another address",
    }
}

fn advice_on_socket(cause: &BindCause) -> &'static str {
    match cause {
        BindCause::System(error) => match error.kind() {
            ErrorKind::NotFound => "Create the directory of the socket first, or choose another path.",
            ErrorKind::PermissionDenied => {
                "The user that the program runs as needs write permission for the directory of the socket, and must be a \
                 member of its unix-group."
            }
            _ => "Choose another path; the path of a socket has at most 107 bytes.",
        },
        BindCause::InUse => "Stop that process, perhaps another i2p-socks, or choose another path.",
        BindCause::NotASocket => {
            "The file was not changed; remove it if nobody needs it, or choose another path."
        }
        BindCause::NotInherited => {
            "fd:NAME takes a socket from systemd: NAME is FileDescriptorName= of the socket unit, or the name of the unit, such \
             as fd:i2p-socks.socket; each name can be used once."
        }
        BindCause::NotListening => "The socket unit needs ListenStream= and Accept=no.",
        _ => "Choose another address to listen on.",
    }
}
