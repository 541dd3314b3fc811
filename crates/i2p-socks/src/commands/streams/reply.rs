//! What a proxy's refusal means, in words.

use i2p_tunnel::Failure as Cause;
use socks_wire::{ClientError, v5};

use crate::failure::Failure;

/// What was asked of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Asking {
    Stream,
    Datagrams,
    Peers,
}

/// Why a request failed, of which the proxy's code is all that is known.
pub(in crate::commands) fn refused(tunnel: &str, asking: Asking, error: &ClientError) -> Failure {
    Failure::run_time(match error {
        ClientError::Refused(code) => {
            format!("{} (the proxy's reply {:02})", words(tunnel, asking, *code), code.0)
        }
        ClientError::RefusedSocks4(code) => format!(
            "the proxy refused (reply {}), for which SOCKS4 has one code whatever the reason: see i2p-socks status",
            code.0
        ),
        ClientError::NoAcceptableMethod => format!(
            "the tunnel {tunnel} asks for a user name and a password: give them with --user NAME and --password-file FILE, or say \
             with --tunnel NAME which other one to use"
        ),
        ClientError::CredentialsRefused => format!(
            "the tunnel {tunnel} has no such user, or the user has another password: see its users-file, whose lines i2p-socks \
             passwd makes"
        ),
        error => format!("the proxy that runs does not answer as one: {error}"),
    })
}

fn words(tunnel: &str, asking: Asking, code: v5::ReplyCode) -> String {
    match (asking, code) {
        (Asking::Datagrams, v5::ReplyCode::COMMAND_NOT_SUPPORTED) => {
            return format!(
                "the tunnel {tunnel} carries no datagrams: write udp = \"datagram\" in its [[tunnel]], or say with --tunnel NAME \
                 which other one to use"
            );
        }
        (Asking::Peers, v5::ReplyCode::COMMAND_NOT_SUPPORTED) => {
            return format!(
                "the tunnel {tunnel} takes no streams of others: write incoming = true in its [[tunnel]], or say with --tunnel \
                 NAME which other one to use"
            );
        }
        (_, v5::ReplyCode::GENERAL_FAILURE) => {
            return "the proxy or its router failed at it: see i2p-socks status for what and for what to do"
                .to_owned();
        }
        _ => {}
    }
    let plain = |cause: &Cause| cause.row().socks5 == code;
    let extended = |cause: &Cause| cause.row().extended == code;
    // A code of RFC 1928 is what it is, whatever else is extended by it.
    let causes: Vec<_> = match Cause::ALL.into_iter().any(|cause| plain(&cause)) {
        true => Cause::ALL.into_iter().filter(plain).collect(),
        false => Cause::ALL.into_iter().filter(extended).collect(),
    };
    match causes.as_slice() {
        [] => "the proxy refused, with a code that says nothing here: see i2p-socks status".to_owned(),
        [cause] => own(*cause),
        causes => {
            let logs: Vec<_> = causes.iter().map(|cause| cause.row().log).collect();
            format!("either {}: see i2p-socks status for which and for what to do", logs.join(", or "))
        }
    }
}

/// A failure of which everything is known.
pub(in crate::commands) fn own(cause: Cause) -> String {
    format!("{}. {}", cause.row().log, cause.operator_hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for cause in Cause::ALL {
            let text = words("x", Asking::Stream, cause.row().socks5);
            assert!(text.contains(cause.row().log) || text.contains("i2p-socks status"), "{cause:?}: {text}");
            seen.insert(text);
        }
        assert!(seen.len() > 4, "{seen:?}");
        let text = refused("x", Asking::Datagrams, &ClientError::Refused(v5::ReplyCode(7))).to_string();
        assert!(text.contains("udp = \"datagram\"") && text.ends_with("(the proxy's reply 07)"), "{text}");
        assert!(words("x", Asking::Stream, v5::ReplyCode(99)).contains("says nothing"));
    }
}
