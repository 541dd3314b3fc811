//! The names of a run: DNS answers, and the virtual addresses that stand for names.

use std::{net::IpAddr, time::Duration};

use dns_answers::{Answer, Family, Query, Question, Rejected};
use i2p_name::{AddressError, NamedTarget, Target};
use i2p_tunnel::{AddressLease, AddressOwner, AddressPool, Failure, is_own_host, name_of, target_to_dial};
use socks_wire::stream::OwnedAddress;
use tokio::time::timeout;

use super::way::Way;

/// How long a question about a name may take. After that, the name gets an address, and the connection tells whether it exists: the first
/// session of a run can take longer than resolvers wait, which is 30 s (resolv.conf(5)).
const MAX_LOOKUP_TIME: Duration = Duration::from_secs(25);

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
        // A connection has more time to find out than a resolver.
        match timeout(MAX_LOOKUP_TIME, way.lookup(&target)).await.unwrap_or(Ok(())) {
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

#[cfg(test)]
mod tests {
    use i2p_name::VirtualOptions;
    use tokio::net::TcpStream;

    use super::{
        super::way::{Association, Received},
        *,
    };
    use crate::commands::streams::own::this_process;

    /// A way that never answers.
    struct Silent;

    /// There is none.
    enum Nothing {}

    impl Way for Silent {
        type Stream = TcpStream;
        type Association = Nothing;

        async fn dial(&self, _: &Target, _: u16) -> Result<TcpStream, Failure> {
            std::future::pending().await
        }

        async fn lookup(&self, _: &NamedTarget) -> Result<(), Failure> {
            std::future::pending().await
        }

        fn carries_datagrams(&self) -> bool {
            false
        }

        async fn associate(&self) -> Result<Nothing, Failure> {
            Err(Failure::CommandNotSupported)
        }
    }

    impl Association for Nothing {
        async fn send(&self, _: &Target, _: u16, _: &[u8]) -> Result<(), Failure> {
            match *self {}
        }

        async fn receive(&self) -> Result<Received, Failure> {
            match *self {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_gets_an_address_before_resolvers_give_up() {
        let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
        let names = Names::new(addresses, AddressOwner::of_client(&this_process()), false, false);
        // A query for the address of a.i2p.
        let query = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x03i2p\x00\x00\x01\x00\x01";
        let answer = timeout(Duration::from_secs(30), names.answer(query, &Silent)).await.unwrap().unwrap();
        let [.., a, b, c, d] = answer[..] else { panic!("{answer:?}") };
        let (target, _) = names.target_of(IpAddr::from([a, b, c, d])).unwrap();
        assert_eq!(target, Target::parse(b"a.i2p").unwrap());
    }
}
