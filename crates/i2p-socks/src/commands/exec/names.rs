//! The names of a run: DNS answers, and the virtual addresses that stand for names.

use std::net::IpAddr;

use dns_answers::{Answer, Family, Query, Question, Rejected};
use i2p_name::{AddressError, NamedTarget, Target};
use i2p_tunnel::{AddressLease, AddressOwner, AddressPool, Failure, is_own_host, name_of, target_to_dial};
use socks_wire::stream::OwnedAddress;

use super::way::Way;

/// Names and virtual addresses of one run.
pub(super) struct Names {
    addresses: AddressPool,
    owner: AddressOwner,
    /// Whether the program can use IPv6 addresses.
    has_ipv6: bool,
    /// Whether hosts outside I2P are answered as if they did not exist.
    only_i2p: bool,
}

/// What becomes of a question.
enum Outcome {
    Address(IpAddr),
    Name(String),
    NoData,
    Unknown,
    Failed,
}

impl Names {
    pub(super) fn new(addresses: AddressPool, owner: AddressOwner, has_ipv6: bool, only_i2p: bool) -> Self {
        Self { addresses, owner, has_ipv6, only_i2p }
    }

    /// What the program means by an address. A virtual address becomes its name again. The lease keeps it from expiring.
    pub(super) fn target_of(&self, address: IpAddr) -> Result<(Target, Option<AddressLease>), Failure> {
        target_to_dial(&OwnedAddress::Ip(address), &self.owner, &self.addresses)
    }

    /// Answers a DNS message; `None`: with nothing.
    pub(super) async fn answer(&self, message: &[u8], way: &impl Way) -> Option<Vec<u8>> {
        let query = match Query::parse(message) {
            Ok(query) => query,
            Err(Rejected::Ignored) => return None,
            Err(Rejected::Answered(answer)) => return Some(answer),
        };
        let outcome = self.outcome(query.question(), way).await;
        let ttl_seconds = u32::try_from(self.addresses.first_use_within().as_secs()).unwrap_or_default();
        Some(query.answer(match &outcome {
            Outcome::Address(address) => Answer::Address { address: *address, ttl_seconds },
            Outcome::Name(name) => Answer::Name { name, ttl_seconds },
            Outcome::NoData => Answer::NoData,
            Outcome::Unknown => Answer::NoSuchName,
            Outcome::Failed => Answer::Failure,
        }))
    }

    async fn outcome(&self, question: &Question, way: &impl Way) -> Outcome {
        let (name, family) = match question {
            Question::Address { name, family } => (name, Some(*family)),
            Question::Other { name } => (name, None),
            Question::Pointer(address) => return self.pointer(*address),
            _ => return Outcome::Unknown,
        };
        let Some(target) = self.named(name) else { return Outcome::Unknown };
        match way.lookup(&target).await {
            Ok(()) => family.map_or(Outcome::NoData, |family| self.address(&target, family)),
            Err(failure) if says_unknown(failure) => Outcome::Unknown,
            Err(_) => Outcome::Failed,
        }
    }

    /// The target of a name; `None` if there can be none.
    fn named(&self, name: &[u8]) -> Option<NamedTarget> {
        if is_own_host(name) {
            return None;
        }
        match Target::parse(name).ok()? {
            Target::I2p(name) => Some(NamedTarget::I2p(name)),
            Target::ClearNet(host) if !self.only_i2p => Some(NamedTarget::ClearNet(host)),
            // The text of an address is no name.
            _ => None,
        }
    }

    fn address(&self, target: &NamedTarget, family: Family) -> Outcome {
        let family = match family {
            Family::V4 => i2p_name::Family::V4,
            Family::V6 if !self.has_ipv6 => return Outcome::NoData,
            Family::V6 => i2p_name::Family::V6,
        };
        match self.addresses.address_of(&self.owner, target, family) {
            Ok(address) => Outcome::Address(address),
            Err(AddressError::NoRange) => Outcome::NoData,
            Err(_) => Outcome::Failed,
        }
    }

    fn pointer(&self, address: IpAddr) -> Outcome {
        name_of(address, &self.owner, &self.addresses).map_or(Outcome::Unknown, Outcome::Name)
    }
}

/// Whether a name does not exist for the program, or never will: it may not be reached.
fn says_unknown(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::NameUnknown
            | Failure::NameReserved
            | Failure::MalformedName
            | Failure::NotAllowed
            | Failure::LocalHost
            | Failure::RouteRejects
            | Failure::ProxyItself
    )
}
