use std::mem::offset_of;
use std::sync::Arc;

use prefetch_index::prefetch_index;

use super::shared_table::SharedTable;
use crate::maglev::{Maglev, table_size};
use crate::wire::{Address, Endpoint, HashKeys, Protocol, Tuple};

/// What a client sends to: a Service's address, port and protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Frontend {
    /// The virtual IP and the Service's port.
    pub endpoint: Endpoint,
    /// TCP and UDP on the same port are two frontends.
    pub protocol: Protocol,
}

impl Frontend {
    /// Where a packet with this tuple is addressed to.
    #[inline]
    pub const fn of(tuple: &Tuple) -> Self {
        Self { endpoint: tuple.destination, protocol: tuple.protocol }
    }
}

/// One endpoint that may be picked for new flows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Backend {
    /// Where the packets go: the Pod's address and target port.
    pub endpoint: Endpoint,
    /// Relative share of new flows; 0 takes none.
    pub weight: u32,
}

/// The backends behind one frontend. Copies share them.
#[derive(Clone)]
#[repr(C)] // what a new flow needs stands first
pub struct Service {
    maglev: Maglev,
    backends: Arc<[Backend]>,
    draining: Arc<[Endpoint]>,
}

impl Service {
    /// A Service whose new flows spread over `backends`. Flows that already go to an endpoint in
    /// `draining` may stay there, but no new one is sent to it.
    ///
    /// Order and duplicates do not matter: the same set gives the same choices on every node.
    pub fn new(mut backends: Vec<Backend>, mut draining: Vec<Endpoint>) -> Self {
        backends.sort_unstable();
        backends.dedup_by_key(|backend| backend.endpoint);
        draining.sort_unstable();
        draining.dedup();
        let weighted: Vec<_> =
            backends.iter().map(|backend| (backend.endpoint, backend.weight)).collect();
        let maglev = Maglev::build(&weighted, table_size(weighted.len()));
        Self { backends: backends.into(), draining: draining.into(), maglev }
    }

    /// The endpoints that new flows are spread over, sorted.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Whether a flow to `endpoint` may go on: it is a backend, or one that drains.
    pub fn serves(&self, endpoint: &Endpoint) -> bool {
        self.backends.binary_search_by_key(endpoint, |backend| backend.endpoint).is_ok()
            || self.draining.binary_search(endpoint).is_ok()
    }

    /// Whether both are copies of one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.backends, &other.backends)
    }

    /// The memory that it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Offer>()
            + size_of_val(&*self.backends)
            + size_of_val(&*self.draining)
            + self.maglev.slots() * size_of::<u16>()
    }

    /// Asks the processor for what [`Self::prefetch_backend`] will read.
    #[inline]
    pub fn prefetch_slot(&self, hash: u64) {
        self.maglev.prefetch(hash);
    }

    /// Asks the processor for what [`Self::pick`] will read.
    #[inline]
    pub fn prefetch_backend(&self, hash: u64) {
        if let Some(index) = self.maglev.pick(hash) {
            prefetch_index(&self.backends, index);
        }
    }

    /// The backend of a new flow with this hash; `None` when there is none to pick.
    #[inline]
    pub fn pick(&self, hash: u64) -> Option<Endpoint> {
        let index = self.maglev.pick(hash)?;
        self.backends.get(index).map(|backend| backend.endpoint)
    }
}

/// What a [`ServiceTable`] knows of a destination.
pub enum Lookup<'a> {
    /// A frontend.
    Service(&'a Service),
    /// The address is a virtual IP, but nothing is offered on this port and protocol.
    UnknownPort,
    /// Not an address of a Service.
    NotAService,
}

/// What is offered at a frontend. All that a new flow needs of it stands in one cache line, from
/// which its slot and its backend are one step each.
#[derive(Clone)]
#[repr(C, align(64))]
struct Offer {
    frontend: Frontend,
    service: Service,
}

const _: () = assert!(offset_of!(Offer, service) + offset_of!(Service, draining) == 64);

/// All frontends. IPv4 and IPv6 addresses never meet here: an [`Address`] is of one family.
///
/// A copy costs next to nothing, and a change of a copy only what it changes.
#[derive(Clone, Default)]
pub struct ServiceTable {
    offers: SharedTable<Offer>,
    addresses: SharedTable<Address>,
}

impl ServiceTable {
    /// Builds the table; of a frontend that comes twice the last counts.
    pub fn new(services: impl IntoIterator<Item = (Frontend, Service)>) -> Self {
        let mut table = Self::default();
        for (frontend, service) in services {
            table.insert_address(frontend.endpoint.address);
            table.insert(frontend, service);
        }
        table
    }

    /// Has this Service answer at a frontend, whose address is to be inserted as well.
    pub fn insert(&mut self, frontend: Frontend, service: Service) {
        self.offers.insert(
            frontend_hash(&frontend),
            Offer { frontend, service },
            |known| known.frontend == frontend,
            |known| frontend_hash(&known.frontend),
        );
    }

    /// Has nobody answer at a frontend.
    pub fn remove(&mut self, frontend: &Frontend) {
        self.offers.remove(frontend_hash(frontend), |known| known.frontend == *frontend);
    }

    /// Makes `address` a virtual IP even if no port is offered on it: its packets are answered.
    pub fn insert_address(&mut self, address: Address) {
        self.addresses.insert(
            address_hash(&address),
            address,
            |known| *known == address,
            address_hash,
        );
    }

    /// Makes `address` no virtual IP any more.
    pub fn remove_address(&mut self, address: &Address) {
        self.addresses.remove(address_hash(address), |known| known == address);
    }

    /// Asks the processor for what [`Self::lookup`] will read.
    #[inline]
    pub fn prefetch(&self, frontend: &Frontend) {
        self.offers.prefetch(frontend_hash(frontend));
    }

    /// What stands behind a destination.
    #[inline]
    pub fn lookup(&self, frontend: &Frontend) -> Lookup<'_> {
        match self.offers.find(frontend_hash(frontend), |known| known.frontend == *frontend) {
            Some(offer) => Lookup::Service(&offer.service),
            None if self.contains_address(&frontend.endpoint.address) => Lookup::UnknownPort,
            None => Lookup::NotAService,
        }
    }

    /// Whether `address` is a virtual IP.
    pub fn contains_address(&self, address: &Address) -> bool {
        self.addresses.find(address_hash(address), |known| known == address).is_some()
    }

    /// The virtual IPs, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.addresses.iter().copied()
    }

    /// How many virtual IPs there are.
    pub fn address_count(&self) -> usize {
        self.addresses.len()
    }

    /// The virtual IPs here that `other` has not. Costs as much as the two differ.
    pub fn addresses_not_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Address> + 'a {
        let candidates = self.addresses.iter_unshared(&other.addresses).copied();
        candidates.filter(|address| !other.contains_address(address))
    }

    /// The frontends and what is behind them, in no order.
    pub fn frontends(&self) -> impl Iterator<Item = (&Frontend, &Service)> {
        self.offers.iter().map(|offer| (&offer.frontend, &offer.service))
    }

    /// How many frontends there are.
    pub fn frontend_count(&self) -> usize {
        self.offers.len()
    }
}

#[inline]
fn frontend_hash(frontend: &Frontend) -> u64 {
    HashKeys::PUBLIC.endpoint(&frontend.endpoint).wrapping_add(frontend.protocol as u64)
}

#[inline]
fn address_hash(address: &Address) -> u64 {
    HashKeys::PUBLIC.address(address)
}
