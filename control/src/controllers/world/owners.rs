//! Who owns whom.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::change::key_of;
use super::super::kind::Kind;
use super::super::task::Key;

/// All objects by uid, and by the uids of their owners.
#[derive(Default, Debug)]
pub(in super::super) struct Owners {
    places: HashMap<String, (Kind, Key)>,
    dependents: HashMap<String, BTreeSet<String>>,
}

impl Owners {
    /// Follows a change of one object.
    pub(super) fn follow(
        &mut self,
        kind: Kind,
        before: Option<&ObjectMeta>,
        after: Option<&ObjectMeta>,
    ) {
        if let Some((uid, before)) = before.and_then(|of| Some((of.uid.as_ref()?, of))) {
            for owner in owner_uids(before) {
                if let Some(dependents) = self.dependents.get_mut(owner) {
                    dependents.remove(uid);
                    if dependents.is_empty() {
                        self.dependents.remove(owner);
                    }
                }
            }
            self.places.remove(uid);
        }
        if let Some((uid, after)) = after.and_then(|of| Some((of.uid.as_ref()?, of))) {
            for owner in owner_uids(after) {
                self.dependents.entry(owner.to_owned()).or_default().insert(uid.clone());
            }
            self.places.insert(uid.clone(), (kind, key_of(after)));
        }
    }

    /// Where the object with that uid is.
    pub(in super::super) fn place(&self, uid: &str) -> Option<&(Kind, Key)> {
        self.places.get(uid)
    }

    /// The uids of all objects that say that this one owns them.
    pub(in super::super) fn dependents(&self, uid: &str) -> impl Iterator<Item = &String> {
        self.dependents.get(uid).into_iter().flatten()
    }
}

fn owner_uids(metadata: &ObjectMeta) -> impl Iterator<Item = &str> {
    metadata.owner_references.iter().flatten().map(|owner| owner.uid.as_str())
}
