use std::{
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_name::{AddressError, Family, NamedTarget, VirtualAddresses, VirtualOptions};
use tokio::time::Instant;

use crate::client::{Client, ClientAddress, ClientCredentials};

/// The virtual addresses that stand for targets which clients have looked up. Clones share one pool; tunnels may share one too.
///
/// A virtual address belongs to one client, identified by address, credentials and listener. [`Isolate`](crate::Isolate) does not
/// apply: clients that share a session must not learn each other's targets.
#[derive(Clone)]
pub struct AddressPool {
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<VirtualAddresses<Owner>>,
    start: Instant,
}

/// In an `Arc`, since the table holds each owner twice.
type Owner = Arc<(ClientAddress, ClientCredentials, Arc<str>)>;

fn owner(client: &Client) -> Owner {
    Arc::new((client.address, client.credentials.clone(), Arc::clone(&client.listener)))
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, VirtualAddresses<Owner>> {
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
        let table = Mutex::new(VirtualAddresses::new(options, seed));
        Ok(Self { shared: Arc::new(Shared { table, start: Instant::now() }) })
    }

    /// Returns this client's virtual address of a target: a static one, the one assigned before, or a new one.
    ///
    /// # Errors
    /// [`AddressError`] if no address of this family is left.
    pub fn address_of(
        &self,
        client: &Client,
        target: &NamedTarget,
        family: Family,
    ) -> Result<IpAddr, AddressError> {
        self.shared.table().address_of(&owner(client), target, family, self.shared.now())
    }

    /// Returns the target that an address stands for, if it belongs to this client or is static.
    #[must_use]
    pub fn target_of(&self, client: &Client, address: IpAddr) -> Option<NamedTarget> {
        self.shared.table().target_of(&owner(client), address, self.shared.now())
    }

    /// Like [`target_of`](Self::target_of), with a lease that keeps the address from expiring.
    #[must_use]
    pub fn lease(&self, client: &Client, address: IpAddr) -> Option<(NamedTarget, AddressLease)> {
        let target = self.shared.table().acquire(&owner(client), address, self.shared.now())?;
        Some((target, AddressLease { shared: Arc::clone(&self.shared), address }))
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
