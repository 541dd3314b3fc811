use crate::failure::Failure;

/// Why an outproxy did not connect. Whose fault it is decides whether another outproxy is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutproxyFailure {
    /// The outproxy says that the target is at fault. Another outproxy would say the same, so none is tried.
    Target(Failure),
    /// The outproxy declined, or its answer does not tell whose fault it is. Another outproxy is tried. This does not count
    /// against the outproxy, since clients can cause it.
    Declined,
    /// The outproxy failed after it had been told the target, or on a session that has never reached any. The request may have
    /// caused it, so it counts for the identity that made the request and for no other. Another outproxy is tried.
    Request(OutproxyFault),
    /// The outproxy failed before it had been told the target. Another one is tried. After several faults in a row, this one is
    /// skipped for a while by the identity whose requests failed, since a client can cause even this by many requests. All skip it
    /// if it fails several clients.
    Outproxy(OutproxyFault),
    /// Our router or this program is at fault. No outproxy in I2P can be reached.
    Router(Failure),
}

/// The fault of an outproxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OutproxyFault {
    /// Its name is in no address book.
    NameUnknown,
    /// It cannot be reached, or refuses the connection.
    Unreachable,
    /// It does not answer in time.
    TimedOut,
    /// It closed the connection before it had answered.
    Closed,
    /// Its answer is not valid in its protocol.
    Malformed,
    /// It rejects our credentials, or requires some.
    Credentials,
}

impl OutproxyFault {
    /// All faults, for tables and metrics.
    pub const ALL: [Self; 6] = [
        Self::NameUnknown,
        Self::Unreachable,
        Self::TimedOut,
        Self::Closed,
        Self::Malformed,
        Self::Credentials,
    ];

    /// The label in metrics: lower-case letters and underscores.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NameUnknown => "name_unknown",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::Credentials => "credentials",
        }
    }

    /// A description for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NameUnknown => "its name is in no address book",
            Self::Unreachable => "it cannot be reached",
            Self::TimedOut => "it does not answer in time",
            Self::Closed => "it closes the connection before it has answered",
            Self::Malformed => "its answer is not valid in its protocol: see protocol",
            Self::Credentials => {
                "it rejects our credentials, or requires some: see username and password-file"
            }
        }
    }
}

impl OutproxyFailure {
    /// What a failure is once the outproxy has been told the target: it may close, stay silent or answer nonsense because of it.
    pub(super) fn after_target(self) -> Self {
        match self {
            Self::Outproxy(
                fault @ (OutproxyFault::Closed | OutproxyFault::TimedOut | OutproxyFault::Malformed),
            ) => Self::Request(fault),
            failure => failure,
        }
    }

    /// What a failure to reach an outproxy in I2P is on a session that has never reached any: the session may be the cause.
    pub(super) fn on_unproven_session(self) -> Self {
        match self {
            Self::Outproxy(fault @ (OutproxyFault::Unreachable | OutproxyFault::TimedOut)) => {
                Self::Request(fault)
            }
            failure => failure,
        }
    }

    /// The failure for an outproxy that could not be reached over I2P.
    pub(super) fn reaching_outproxy(failure: Failure) -> Self {
        match failure {
            Failure::NameUnknown | Failure::NameReserved => Self::Outproxy(OutproxyFault::NameUnknown),
            Failure::TimedOut => Self::Outproxy(OutproxyFault::TimedOut),
            Failure::Unreachable | Failure::Refused | Failure::ClientKeyMissing => {
                Self::Outproxy(OutproxyFault::Unreachable)
            }
            Failure::MalformedName
            | Failure::NotAllowed
            | Failure::LocalHost
            | Failure::RouteRejects
            | Failure::RouterUnavailable
            | Failure::NoTunnels
            | Failure::SessionRefused
            | Failure::TooManySessions
            | Failure::SessionShare
            | Failure::RouterError
            | Failure::WrongDestination
            | Failure::CommandNotSupported
            | Failure::VirtualAddressUnknown
            | Failure::NoVirtualAddress
            | Failure::AddressTypeNotSupported
            | Failure::OutproxiesFailed
            | Failure::TooManyConnections
            | Failure::ProtocolNotAllowed
            | Failure::NoSocket
            | Failure::BadAnswer
            | Failure::AnswerBrokeOff
            | Failure::LeakGuard
            | Failure::PasswordAsked
            | Failure::ProxyItself
            | Failure::Stopping
            | Failure::OutproxiesUnknown => Self::Router(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_lower_case_and_unique() {
        let mut labels = OutproxyFault::ALL.map(OutproxyFault::label).to_vec();
        assert!(
            labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        );
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), OutproxyFault::ALL.len());
    }

    #[test]
    fn failures_of_the_router_are_not_the_fault_of_an_outproxy() {
        for failure in [
            Failure::RouterUnavailable,
            Failure::NoTunnels,
            Failure::SessionRefused,
            Failure::TooManySessions,
            Failure::SessionShare,
            Failure::RouterError,
            Failure::WrongDestination,
        ] {
            assert_eq!(OutproxyFailure::reaching_outproxy(failure), OutproxyFailure::Router(failure));
        }
        for failure in [Failure::NameUnknown, Failure::Unreachable, Failure::Refused, Failure::TimedOut] {
            assert!(
                matches!(OutproxyFailure::reaching_outproxy(failure), OutproxyFailure::Outproxy(_)),
                "{failure:?}"
            );
        }
    }
}
