//! Why a request failed, in words.

use i2p_tunnel::Failure as Cause;
use socks_wire::{ClientError, v5};

use crate::command_error::CommandError;

/// What the proxy was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum RequestKind {
    Stream,
    Datagrams,
    Peers,
}

/// Explains a failure of which the proxy's reply code is known. Several causes have the same code, so the proxy was asked which of
/// them it has `counted` on this tunnel since the request.
pub(in crate::commands) fn explain_reply(
    tunnel: &str,
    kind: RequestKind,
    error: &ClientError,
    counted: &[Cause],
) -> CommandError {
    CommandError::run_time(match error {
        ClientError::Refused(code) => {
            format!("{} (reply {:02} of the proxy)", words(tunnel, kind, *code, counted), code.0)
        }
        ClientError::RefusedSocks4(code) => match counted {
            [] => format!(
                "the proxy refused (reply {}); SOCKS4 has one code for all reasons: see i2p-socks status",
                code.0
            ),
            causes => explain_one_of(causes),
        },
        ClientError::NoAcceptableMethod => format!(
            "tunnel {tunnel} requires a user name and a password: give them with --user NAME and --password-file FILE, or choose \
             another tunnel with --tunnel NAME{}",
            match kind {
                RequestKind::Stream => "",
                RequestKind::Datagrams => ". The tunnel also needs udp = \"datagram\"",
                RequestKind::Peers => ". The tunnel also needs incoming = true",
            }
        ),
        ClientError::CredentialsRefused => format!(
            "tunnel {tunnel} does not accept this user name and password: check its users-file, whose lines are made by i2p-socks \
             passwd"
        ),
        error => format!("the running proxy gave an answer that is not SOCKS: {error}"),
    })
}

fn words(tunnel: &str, kind: RequestKind, code: v5::ReplyCode, counted: &[Cause]) -> String {
    match (kind, code) {
        (RequestKind::Datagrams, v5::ReplyCode::COMMAND_NOT_SUPPORTED) => {
            return format!(
                "tunnel {tunnel} carries no datagrams: set udp = \"datagram\" in its [[tunnel]], or choose another tunnel with \
                 --tunnel NAME"
            );
        }
        (RequestKind::Peers, v5::ReplyCode::COMMAND_NOT_SUPPORTED) => {
            return format!(
                "tunnel {tunnel} accepts no streams from I2P: set incoming = true in its [[tunnel]], or choose another tunnel with \
                 --tunnel NAME"
            );
        }
        _ => {}
    }
    let plain = |cause: &Cause| cause.row().socks5 == code;
    let extended = |cause: &Cause| cause.row().extended == code;
    // A code of RFC 1928 has its plain meaning, even if an extended code has the same number.
    let causes: Vec<_> = match Cause::ALL.into_iter().any(|cause| plain(&cause)) {
        true => Cause::ALL.into_iter().filter(plain).collect(),
        false => Cause::ALL.into_iter().filter(extended).collect(),
    };
    let counted: Vec<_> = counted.iter().copied().filter(|cause| causes.contains(cause)).collect();
    match (counted.as_slice(), causes.as_slice()) {
        ([], []) => "the proxy refused with an unknown code: see i2p-socks status".to_owned(),
        ([], causes) => {
            if code == v5::ReplyCode::GENERAL_FAILURE {
                "the proxy or its router failed: i2p-socks status shows why and what to do".to_owned()
            } else {
                explain_one_of(causes)
            }
        }
        (counted, _) => explain_one_of(counted),
    }
}

/// Explains a failure with one of these causes. Several are possible if other clients failed at the same time.
fn explain_one_of(causes: &[Cause]) -> String {
    match causes {
        [cause] => explain(*cause),
        causes => {
            let logs: Vec<_> = causes.iter().map(|cause| cause.row().log).collect();
            format!("either {}: i2p-socks status shows which, and what to do", logs.join(", or "))
        }
    }
}

/// Explains a failure of which the cause is known.
pub(in crate::commands) fn explain(cause: Cause) -> String {
    format!("{}. {}", cause.row().log, cause.operator_hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for cause in Cause::ALL {
            let text = words("x", RequestKind::Stream, cause.row().socks5, &[]);
            assert!(text.contains(cause.row().log) || text.contains("i2p-socks status"), "{cause:?}: {text}");
            seen.insert(text);
            let exact = words("x", RequestKind::Stream, cause.row().socks5, &[Cause::NameUnknown, cause]);
            assert!(
                exact.contains(&explain(cause)) || cause.row().socks5 == Cause::NameUnknown.row().socks5,
                "{exact}"
            );
        }
        let code = Cause::Unreachable.row().socks5;
        assert_eq!(words("x", RequestKind::Stream, code, &[Cause::Unreachable]), explain(Cause::Unreachable));
        let two = words("x", RequestKind::Stream, code, &[Cause::Unreachable, Cause::NameUnknown]);
        assert!(two.starts_with("either the destination cannot be reached, or the name is"), "{two}");
        assert!(seen.len() > 4, "{seen:?}");
        let text = explain_reply("x", RequestKind::Datagrams, &ClientError::Refused(v5::ReplyCode(7)), &[])
            .to_string();
        assert!(text.contains("udp = \"datagram\"") && text.ends_with("(reply 07 of the proxy)"), "{text}");
        assert!(words("x", RequestKind::Stream, v5::ReplyCode(99), &[]).contains("unknown code"));
    }
}
