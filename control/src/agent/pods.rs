use std::collections::BTreeMap;

use super::dataplane::Dataplane;
use crate::model::Problem;
use crate::net::neighbourhood::{Neighbourhood, PodInterface};

/// Which Pods are attached, and which cannot be.
#[derive(Default)]
pub(crate) struct Pods {
    /// Names by interface index.
    attached: BTreeMap<u32, String>,
    refused: Vec<Refusal>,
}

struct Refusal {
    interface: String,
    message: String,
    /// Whether trying again may help.
    transient: bool,
}

impl Pods {
    /// Attaches the Pods that came, detaches those that went, tries again what failed.
    pub(crate) fn follow<D: Dataplane>(
        &mut self,
        neighbourhood: &Neighbourhood,
        mtu_limit: u32,
        dataplane: &mut D,
    ) {
        let wanted = |index: &u32, name: &str| {
            let mut pods = neighbourhood.pods.iter();
            pods.any(|pod| pod.index == *index && pod.name == name && pod.mtu <= mtu_limit)
        };
        self.attached.retain(|index, name| {
            let stays = wanted(index, name);
            if !stays {
                tracing::info!(interface = %name, "Pod detached");
                dataplane.detach_pod(*index);
            }
            stays
        });
        self.refused.clear();
        for pod in &neighbourhood.pods {
            if !self.attached.contains_key(&pod.index) {
                self.attach(pod, mtu_limit, dataplane);
            }
        }
    }

    /// Whether packets may be sent to this Pod's interface.
    pub(crate) fn serves(&self, pod: &PodInterface) -> bool {
        self.attached.contains_key(&pod.index)
    }

    /// Names of the attached interfaces.
    pub(crate) fn names(&self) -> Vec<String> {
        self.attached.values().cloned().collect()
    }

    /// Whether something failed that may work a moment later.
    pub(crate) fn unsettled(&self) -> bool {
        self.refused.iter().any(|refusal| refusal.transient)
    }

    /// One line for each Pod that is not served.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        self.refused.iter().map(|refusal| {
            let origin = format!("interface {}", refusal.interface);
            Problem::new(refusal.message.clone()).origin(origin)
        })
    }

    fn attach<D: Dataplane>(&mut self, pod: &PodInterface, mtu_limit: u32, dataplane: &mut D) {
        let (message, transient) = if pod.mtu > mtu_limit {
            let message = format!(
                "MTU {} is over {mtu_limit} bytes, the most that the host port takes: not \
                 attached, its Pod reaches no Service",
                pod.mtu
            );
            (message, false)
        } else {
            match dataplane.attach_pod(pod.index) {
                Ok(()) => {
                    tracing::info!(interface = %pod.name, addresses = ?pod.addresses, "Pod attached");
                    self.attached.insert(pod.index, pod.name.clone());
                    return;
                }
                Err(error) => (format!("cannot be attached: {error}"), true),
            }
        };
        self.refused.push(Refusal { interface: pod.name.clone(), message, transient });
    }
}
