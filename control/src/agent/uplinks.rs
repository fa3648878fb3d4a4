use std::collections::BTreeMap;

use super::dataplane::Dataplane;
use crate::model::Problem;
use crate::net::neighbourhood::Neighbourhood;

/// Which uplinks are attached, and which cannot be for now.
#[derive(Default)]
pub(crate) struct Uplinks {
    /// Names by interface index.
    attached: BTreeMap<u32, String>,
    refused: Vec<Problem>,
}

impl Uplinks {
    /// Attaches the uplinks that came, detaches those that went, tries again what failed.
    pub(crate) fn follow<D: Dataplane>(
        &mut self,
        neighbourhood: &Neighbourhood,
        dataplane: &mut D,
    ) {
        self.attached.retain(|index, name| {
            let mut uplinks = neighbourhood.uplinks.iter();
            let stays = uplinks.any(|uplink| uplink.index == *index && uplink.name == *name);
            if !stays {
                tracing::info!(interface = %name, "uplink detached");
                dataplane.detach_uplink(*index);
            }
            stays
        });
        self.refused.clear();
        for uplink in &neighbourhood.uplinks {
            if self.attached.contains_key(&uplink.index) {
                continue;
            }
            match dataplane.attach_uplink(uplink.index) {
                Ok(()) => {
                    tracing::info!(interface = %uplink.name, "uplink attached");
                    self.attached.insert(uplink.index, uplink.name.clone());
                }
                Err(error) => {
                    let problem = Problem::new(format!("cannot be attached: {error}"));
                    self.refused.push(problem.origin(format!("interface {}", uplink.name)));
                }
            }
        }
    }

    /// Whether something failed that may work a moment later.
    pub(crate) fn unsettled(&self) -> bool {
        !self.refused.is_empty()
    }

    /// One line for each uplink that is not served.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        self.refused.iter().cloned()
    }
}
