use hashbrown::HashTable;

use crate::wire::{Address, HashKeys, MacAddress};

/// How a packet reaches an address from this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextHop {
    /// A local Pod, behind the node's end of its veth.
    Pod {
        /// Index of the node's end.
        interface: u32,
        /// Of the Pod's end; all zero when it is not known.
        mac: MacAddress,
        /// Largest IP packet that the Pod's link takes, in bytes.
        mtu: u16,
    },
    /// A neighbour on an XDP port.
    Port {
        /// The port's interface index.
        interface: u32,
        /// Of the neighbour.
        mac: MacAddress,
        /// Of the port.
        source_mac: MacAddress,
        /// Largest IP packet that the port's link takes, in bytes.
        mtu: u16,
    },
    /// An address of the node itself.
    Node,
}

/// Which addresses are behind which interface. An address that is not here is the kernel's to
/// route.
#[derive(Clone, Default)]
pub struct ForwardingTable {
    hops: HashTable<(Address, NextHop)>,
}

impl ForwardingTable {
    /// Builds the table; an address that comes twice keeps the first.
    pub fn new(hops: impl IntoIterator<Item = (Address, NextHop)>) -> Self {
        let mut table = Self::default();
        for (address, hop) in hops {
            table
                .hops
                .entry(hash(&address), |(known, _)| *known == address, |(known, _)| hash(known))
                .or_insert((address, hop));
        }
        table
    }

    /// The next hop towards `address`; `None` leaves it to the kernel.
    #[inline]
    pub fn lookup(&self, address: &Address) -> Option<&NextHop> {
        self.hops.find(hash(address), |(known, _)| known == address).map(|(_, hop)| hop)
    }

    /// The Ethernet address of the Pod behind an interface, all zero if it is not known. Walks the
    /// whole table.
    pub fn mac_behind(&self, interface: u32) -> MacAddress {
        let mut macs = self.hops.iter().filter_map(|(_, hop)| match hop {
            NextHop::Pod { interface: behind, mac, .. } if *behind == interface => Some(*mac),
            _ => None,
        });
        macs.next().unwrap_or_default()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &(Address, NextHop)> {
        self.hops.iter()
    }
}

#[inline]
fn hash(address: &Address) -> u64 {
    HashKeys::PUBLIC.address(address)
}
