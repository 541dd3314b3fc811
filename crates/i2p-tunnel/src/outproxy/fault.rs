use crate::failure::Failure;

/// Why an outproxy did not connect: whose doing it is decides whether another one is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The target's, as the outproxy says. Another outproxy would say the same: none is asked, and none is to blame.
    Target(Failure),
    /// The outproxy declined, or its words do not tell whose doing it is. Another one is asked. It does not count against the
    /// outproxy: clients can bring it about by what they ask for.
    Declined,
    /// The outproxy's own. Another one is asked, and after several in a row this one is left alone for a while.
    Outproxy(OutproxyTrouble),
    /// Our router's, or ours: no outproxy in I2P can be reached, through no fault of its own.
    Router(Failure),
}

/// What is wrong with an outproxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OutproxyTrouble {
    /// Its own name is in no address book.
    NameUnknown,
    /// There is no way to it, or it does not take the connection.
    Unreachable,
    /// It says nothing.
    TimedOut,
    /// It closed before it had answered.
    Closed,
    /// What it says is not its protocol.
    Malformed,
    /// It does not take our credentials, or wants some.
    Credentials,
}

impl OutproxyTrouble {
    /// All of them, for tables and metrics.
    pub const ALL: [Self; 6] = [
        Self::NameUnknown,
        Self::Unreachable,
        Self::TimedOut,
        Self::Closed,
        Self::Malformed,
        Self::Credentials,
    ];

    /// What it is called where it is counted: letters and underscores.
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

    /// What a person is told.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NameUnknown => "its name is in no address book",
            Self::Unreachable => "it cannot be reached",
            Self::TimedOut => "it does not answer in time",
            Self::Closed => "it closes before it has answered",
            Self::Malformed => "what it answers is not its protocol: see protocol",
            Self::Credentials => {
                "it does not take our credentials, or wants some: see username and password-file"
            }
        }
    }
}

impl Fault {
    /// Of a stream over I2P to the outproxy itself.
    pub(super) fn of_way_there(failure: Failure) -> Self {
        match failure {
            Failure::NameUnknown => Self::Outproxy(OutproxyTrouble::NameUnknown),
            Failure::TimedOut => Self::Outproxy(OutproxyTrouble::TimedOut),
            Failure::Unreachable | Failure::Refused | Failure::ClientKeyMissing => {
                Self::Outproxy(OutproxyTrouble::Unreachable)
            }
            failure => Self::Router(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_plain_and_differ() {
        let mut labels = OutproxyTrouble::ALL.map(OutproxyTrouble::label).to_vec();
        assert!(
            labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        );
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), OutproxyTrouble::ALL.len());
    }

    #[test]
    fn a_router_in_trouble_is_no_fault_of_an_outproxy() {
        for failure in [
            Failure::RouterUnavailable,
            Failure::NoTunnels,
            Failure::SessionRefused,
            Failure::TooManySessions,
            Failure::RouterError,
        ] {
            assert_eq!(Fault::of_way_there(failure), Fault::Router(failure));
        }
        for failure in [Failure::NameUnknown, Failure::Unreachable, Failure::Refused, Failure::TimedOut] {
            assert!(matches!(Fault::of_way_there(failure), Fault::Outproxy(_)), "{failure:?}");
        }
    }
}
