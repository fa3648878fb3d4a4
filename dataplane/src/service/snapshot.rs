use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ForwardingTable, ServiceTable};
use crate::wire::Address;

impl Snapshot {
    /// Whether packets to this address come to a worker: then nobody may claim to send from it.
    pub fn is_ours(&self, address: &Address) -> bool {
        self.services.contains_address(address)
            || self.masquerade.for_family_of(address) == *address
    }
}

/// How a translated packet gets into a local Pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Deliver {
    /// Straight into the Pod (`bpf_redirect_peer`): fast; a policy that the CNI enforces on the
    /// node's end of the veth does not see it.
    #[default]
    Peer,
    /// Through the node's kernel, which routes and filters as the CNI intends.
    Kernel,
}

/// The addresses that stand in for a client whose reply would not come back to us otherwise.
/// Routed at the host port and assigned nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Masquerade {
    /// For IPv4 clients.
    pub ipv4: Address,
    /// For IPv6 clients.
    pub ipv6: Address,
}

impl Masquerade {
    /// The address of the same family as `address`.
    pub fn for_family_of(&self, address: &Address) -> Address {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

impl Default for Masquerade {
    /// Link-local and unique-local addresses that nobody else is likely to have chosen.
    fn default() -> Self {
        Self {
            ipv4: Ipv4Addr::new(169, 254, 77, 1).into(),
            ipv6: Ipv6Addr::new(0xfd00, 0x6d61, 0x676c, 0, 0, 0, 0, 1).into(),
        }
    }
}

/// All that workers know of Services and of the node, swapped as one value.
#[derive(Default)]
pub struct Snapshot {
    /// Counts publications; set by the engine.
    pub generation: u32,
    /// Frontends and backends.
    pub services: ServiceTable,
    /// Local addresses.
    pub forwarding: ForwardingTable,
    /// Stand-in client addresses.
    pub masquerade: Masquerade,
    /// How packets get into Pods.
    pub deliver: Deliver,
}
