use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use maglane_dataplane::wire::Address;

use super::ObjectKey;

/// The order in which Services that want the same address are served: older first, those without a
/// creation time last, then by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    undated: bool,
    created: Option<Timestamp>,
    key: ObjectKey,
}

/// Which Services want which virtual IP.
#[derive(Default)]
pub(super) struct Claims {
    by_address: BTreeMap<Address, BTreeSet<Rank>>,
}

impl Claims {
    pub(super) fn claim(&mut self, address: Address, created: Option<Timestamp>, key: &ObjectKey) {
        self.by_address.entry(address).or_default().insert(rank(created, key));
    }

    pub(super) fn release(
        &mut self,
        address: Address,
        created: Option<Timestamp>,
        key: &ObjectKey,
    ) {
        if let Some(ranks) = self.by_address.get_mut(&address) {
            ranks.remove(&rank(created, key));
            if ranks.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    /// The Service that is served at `address`.
    pub(super) fn owner(&self, address: &Address) -> Option<&ObjectKey> {
        self.by_address.get(address)?.first().map(|rank| &rank.key)
    }

    /// Every Service that wants `address`.
    pub(super) fn claimants(&self, address: &Address) -> impl Iterator<Item = &ObjectKey> {
        self.by_address.get(address).into_iter().flatten().map(|rank| &rank.key)
    }
}

fn rank(created: Option<Timestamp>, key: &ObjectKey) -> Rank {
    Rank { undated: created.is_none(), created, key: key.clone() }
}
