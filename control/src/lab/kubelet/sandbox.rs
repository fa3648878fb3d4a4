//! A Pod's place on the node: its name there, its addresses, its network namespace.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use k8s_openapi::api::core::v1::Pod;

use super::record::{PodRecord, Sandbox};
use crate::lab::addresses::assign_pod;
use crate::lab::allocation::Allocation;
use crate::lab::options::LabOptions;
use crate::lab::state::write_whole;
use crate::lab::{LabError, Result, Site, pod};
use crate::net::namespace;

/// Who has which address and which network namespace.
pub(super) struct Places {
    site: Site,
    options: LabOptions,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    addresses: Allocation,
    /// Network namespaces by name, with the Pod they are: its uid and its `namespace/name`.
    namespaces: BTreeMap<String, (String, String)>,
    /// The Pods that are, by uid.
    living: BTreeMap<String, String>,
}

/// Why a Pod has no place yet.
pub(super) enum NoPlace {
    /// The Pod that had its name before is still on its way out.
    NotYet,
    /// What is wrong.
    Problem(String),
}

impl Places {
    /// With the addresses that were given before.
    pub(super) fn load(site: &Site, options: LabOptions) -> Result<Self> {
        let path = site.addresses_file();
        let addresses = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|cause| LabError::Damaged { path, cause })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Allocation::default(),
            Err(error) => return Err(LabError::io("read", path)(error)),
        };
        let taken = Mutex::new(Taken { addresses, ..Taken::default() });
        Ok(Self { site: site.clone(), options, taken })
    }

    /// A Pod that this node has had before: its place is its own.
    pub(super) fn keep(&self, record: &PodRecord) {
        let mut taken = self.taken();
        taken.living.insert(record.uid.clone(), record.key());
        let sandboxes = record.sandbox.iter().chain(&record.unfinished);
        for sandbox in sandboxes.filter(|sandbox| sandbox.interface.is_some()) {
            let owner = (record.uid.clone(), record.key());
            taken.namespaces.insert(sandbox.network_namespace.clone(), owner);
        }
    }

    /// Gives a Pod its addresses, or says again which it has.
    ///
    /// # Errors
    /// What is wrong with those it asks for, or that there are none.
    pub(super) fn addresses(
        &self,
        pod: &Pod,
        record: &PodRecord,
    ) -> std::result::Result<Vec<IpAddr>, String> {
        if is_host_network(pod) {
            return Ok(self.options.node_ips.clone());
        }
        let owner = record.key();
        let mut taken = self.taken();
        taken.living.insert(record.uid.clone(), owner.clone());
        let living: HashSet<String> = taken.living.values().cloned().collect();
        let before = taken.addresses.of(&owner).to_vec();
        let given = assign_pod(pod, &owner, &self.options, &mut taken.addresses, &living)
            .map_err(|problem| problem.to_string())?;
        if before != taken.addresses.of(&owner) {
            self.save(&taken.addresses).map_err(|error| error.to_string())?;
        }
        Ok(given)
    }

    /// Says what a Pod's network will be, and keeps its place.
    pub(super) fn plan(
        &self,
        pod: &Pod,
        record: &PodRecord,
    ) -> std::result::Result<Sandbox, NoPlace> {
        let addresses = self.addresses(pod, record).map_err(NoPlace::Problem)?;
        if is_host_network(pod) {
            let network_namespace = self.site.node_namespace();
            return Ok(Sandbox { network_namespace, interface: None, addresses });
        }
        let network_namespace = self.site.pod_namespace(&record.namespace, &record.name);
        self.reserve(&network_namespace, record)?;
        let interface = Some(pod::interface_name(&record.key()));
        Ok(Sandbox { network_namespace, interface, addresses })
    }

    /// Makes the network of the Pod `key`, as planned. Blocks. After an error nothing of it is left.
    pub(super) fn make(&self, key: &str, sandbox: &Sandbox) -> Result<()> {
        let Sandbox { network_namespace, interface, addresses } = sandbox;
        if interface.is_none() {
            return Ok(());
        }
        if namespace::exists(network_namespace) {
            // An agent was killed while it made it.
            self.remove(sandbox)?;
        }
        let made = pod::create(&self.site, network_namespace, key, addresses, self.options.mtu);
        if made.is_err() {
            self.taken().namespaces.remove(network_namespace);
        }
        made
    }

    /// Ends what still runs in a Pod's network, and removes it. Blocks.
    pub(super) fn remove(&self, sandbox: &Sandbox) -> Result<()> {
        if let Some(interface) = &sandbox.interface {
            pod::remove(&self.site, &sandbox.network_namespace, interface)?;
        }
        Ok(())
    }

    /// The Pod is no more. One that nobody will make again under this name loses its addresses.
    pub(super) fn release(&self, record: &PodRecord, comes_back: bool) {
        let mut taken = self.taken();
        taken.living.remove(&record.uid);
        taken.namespaces.retain(|_, (uid, _)| *uid != record.uid);
        let key = record.key();
        if !comes_back && !taken.living.values().any(|other| *other == key) {
            taken.addresses.forget(&key);
            if let Err(error) = self.save(&taken.addresses) {
                tracing::warn!("{error}");
            }
        }
    }

    fn reserve(&self, name: &str, record: &PodRecord) -> std::result::Result<(), NoPlace> {
        let mut taken = self.taken();
        match taken.namespaces.get(name) {
            Some((uid, _)) if *uid == record.uid => Ok(()),
            Some((_, key)) if *key == record.key() => Err(NoPlace::NotYet),
            Some((_, key)) => {
                let message = format!("its network namespace {name} is Pod {key}'s");
                Err(NoPlace::Problem(message))
            }
            None => {
                let owner = (record.uid.clone(), record.key());
                taken.namespaces.insert(name.to_owned(), owner);
                Ok(())
            }
        }
    }

    fn save(&self, addresses: &Allocation) -> Result<()> {
        let path = self.site.addresses_file();
        let text = serde_json::to_vec_pretty(addresses)
            .map_err(|cause| LabError::Damaged { path: path.clone(), cause })?;
        write_whole(&path, &text).map_err(LabError::io("write", path))
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the Pod is the node, as far as the network goes.
pub(super) fn is_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}
