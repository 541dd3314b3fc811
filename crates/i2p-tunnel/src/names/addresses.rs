use std::{
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_name::{AddressError, Family, NamedTarget, VirtualAddresses, VirtualOptions};
use tokio::time::Instant;

use crate::client::{Client, ClientAddress, ClientCredentials, ClientOrigin, IsolationKey};

/// How long an address is kept unused, however many are needed, if it does not expire earlier: see [`VirtualAddresses`].
const MIN_UNUSED: Duration = Duration::from_secs(60);

/// The virtual addresses that stand for targets which clients have looked up. Clones share one pool; tunnels may share one too.
///
/// A virtual address belongs to one [`AddressOwner`]; others cannot use it, and get another one for the same target.
#[derive(Clone)]
pub struct AddressPool {
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<VirtualAddresses<AddressOwner, Option<ClientOrigin>>>,
    expire_after: Option<Duration>,
    start: Instant,
}

/// The owner of a virtual address. Clones are cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressOwner(Arc<Owner>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Client { address: ClientAddress, credentials: ClientCredentials, listener: Arc<str> },
    Isolated(IsolationKey),
}

impl AddressOwner {
    /// One client, identified by address, credentials and listener. [`Isolate`](crate::Isolate) does not apply: clients that share
    /// a session must not learn each other's targets.
    #[must_use]
    pub fn of_client(client: &Client) -> Self {
        let Client { address, listener, credentials, .. } = client;
        Self(Arc::new(Owner::Client {
            address: *address,
            credentials: credentials.clone(),
            listener: Arc::clone(listener),
        }))
    }

    /// All requests with this key, for instance those of one client at any listener: for addresses that one listener assigns
    /// and clients then use at another.
    #[must_use]
    pub fn of_key(key: &IsolationKey) -> Self {
        Self(Arc::new(Owner::Isolated(key.clone())))
    }

    /// The client whose share of the addresses the owner uses.
    fn origin(&self) -> Option<ClientOrigin> {
        match &*self.0 {
            Owner::Client { address, .. } => Some((*address).into()),
            Owner::Isolated(key) => key.origin(),
        }
    }
}

/// Shows no field: they identify the client.
impl fmt::Debug for AddressOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressOwner(..)")
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, VirtualAddresses<AddressOwner, Option<ClientOrigin>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl AddressPool {
    /// Creates a pool that holds only the static addresses of `options`.
    ///
    /// # Errors
    /// The operating system's error if it provides no random numbers.
    pub fn new(options: VirtualOptions) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let expire_after = options.expire_after;
        let table = Mutex::new(VirtualAddresses::with_clients(options, seed, AddressOwner::origin));
        Ok(Self { shared: Arc::new(Shared { table, expire_after, start: Instant::now() }) })
    }

    /// Returns the owner's virtual address of a target: a static one, the one assigned before, or a new one.
    ///
    /// # Errors
    /// [`AddressError`] if no address of this family is left.
    pub fn address_of(
        &self,
        owner: &AddressOwner,
        target: &NamedTarget,
        family: Family,
    ) -> Result<IpAddr, AddressError> {
        self.shared.table().address_of(owner, target, family, self.shared.now())
    }

    /// Returns the target that an address stands for, if it belongs to this owner or is static.
    #[must_use]
    pub fn target_of(&self, owner: &AddressOwner, address: IpAddr) -> Option<NamedTarget> {
        self.shared.table().target_of(owner, address, self.shared.now())
    }

    /// Like [`target_of`](Self::target_of), with a lease that keeps the address from expiring.
    #[must_use]
    pub fn lease(&self, owner: &AddressOwner, address: IpAddr) -> Option<(NamedTarget, AddressLease)> {
        let target = self.shared.table().acquire(owner, address, self.shared.now())?;
        Some((target, AddressLease { shared: Arc::clone(&self.shared), address }))
    }

    /// How long after it was given an address may be used for the first time.
    #[must_use]
    pub fn first_use_within(&self) -> Duration {
        MIN_UNUSED.min(self.shared.expire_after.unwrap_or(MIN_UNUSED))
    }

    /// The number of addresses that stand for a target.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.shared.table().len()
    }

    /// Whether an address is in one of the virtual ranges, assigned or not. Such an address must never leave the proxy.
    #[must_use]
    pub fn is_virtual(&self, address: IpAddr) -> bool {
        self.shared.table().is_virtual(address)
    }
}

impl fmt::Debug for AddressPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AddressPool").field(&*self.shared.table()).finish()
    }
}

/// Keeps a virtual address from expiring until dropped.
#[must_use = "the address may expire without it"]
pub struct AddressLease {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Drop for AddressLease {
    fn drop(&mut self) {
        self.shared.table().release(self.address, self.shared.now());
    }
}

impl fmt::Debug for AddressLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressLease(..)")
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::{I2pName, Target};

    use super::*;
    use crate::client::{ClientProtocol, Isolate};

    fn client(listener: &str) -> Client {
        Client {
            address: ClientAddress::Ip([127, 0, 0, 1].into()),
            listener: listener.into(),
            protocol: ClientProtocol::Socks5,
            credentials: ClientCredentials::None,
        }
    }

    /// One client at this listener, identified by its address alone.
    fn anywhere(listener: &str) -> AddressOwner {
        let isolate = Isolate { client: true, ..Isolate::NONE };
        AddressOwner::of_key(&IsolationKey::of_client(isolate, None, &client(listener)))
    }

    #[test]
    fn an_address_belongs_to_its_owner_and_stands_for_any_named_target() {
        let pool = AddressPool::new(VirtualOptions::default()).unwrap();
        let owners =
            [AddressOwner::of_client(&client("a")), AddressOwner::of_client(&client("b")), anywhere("a")];
        let inside = I2pName::parse("name.i2p").unwrap().into();
        let Ok(Target::ClearNet(outside)) = Target::parse(b"example.com") else { panic!("of the internet") };
        for target in [inside, NamedTarget::ClearNet(outside)] {
            let addresses =
                owners.each_ref().map(|owner| pool.address_of(owner, &target, Family::V4).unwrap());
            for (owner, of) in owners.iter().zip(0..) {
                for (address, belongs_to) in addresses.iter().zip(0..) {
                    let found = pool.target_of(owner, *address);
                    assert_eq!(found, (of == belongs_to).then(|| target.clone()));
                }
            }
            assert_eq!(pool.target_of(&anywhere("b"), addresses[2]), Some(target), "at another listener");
        }
    }
}
