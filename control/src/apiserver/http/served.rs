//! What is served, as discovery tells it: the kinds that are kept, and those that only answer.

use super::path::subresource_name;
use super::reviews::REVIEWS;
use crate::apiserver::resource::{self, Resource, Subresource};

/// What can be done with objects that are kept.
const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A version of a group.
pub(super) struct Version {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) resources: Vec<Served>,
}

/// One kind of them.
pub(super) struct Served {
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) singular: &'static str,
    pub(super) namespaced: bool,
    pub(super) verbs: &'static [&'static str],
    pub(super) short_names: &'static [&'static str],
    pub(super) categories: &'static [&'static str],
    pub(super) subresources: Vec<Under>,
}

/// What stands under its objects.
pub(super) struct Under {
    pub(super) name: &'static str,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) verbs: &'static [&'static str],
}

impl Version {
    /// `v1`, `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        resource::api_version(self.group, self.version)
    }

    /// `/api/v1`, `/apis/apps/v1`.
    pub(super) fn path(&self) -> String {
        resource::root(self.group, self.version)
    }
}

/// All of it, versions of a group one after the other.
pub(super) fn served(kinds: &[Resource]) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    let kept = kinds.iter().map(|of| (of.group, of.version, kept(of)));
    let reviews = REVIEWS.iter().map(|of| (of.group, of.version, of.served()));
    for (group, version, served) in kept.chain(reviews) {
        let same = |each: &Version| each.group == group && each.version == version;
        match versions.iter_mut().find(|each| same(each)) {
            Some(found) => found.resources.push(served),
            None => {
                // Beside other versions of its group, if there are any.
                let after = versions.iter().rposition(|each| each.group == group);
                let at = after.map_or(versions.len(), |after| after + 1);
                versions.insert(at, Version { group, version, resources: vec![served] });
            }
        }
    }
    versions
}

fn kept(of: &Resource) -> Served {
    Served {
        kind: of.kind,
        plural: of.plural,
        singular: of.singular,
        namespaced: of.namespaced,
        verbs: VERBS,
        short_names: of.short_names,
        categories: of.categories,
        subresources: of.subresources.iter().map(|each| under(of, *each)).collect(),
    }
}

fn under(of: &Resource, subresource: Subresource) -> Under {
    let (group, version, kind, verbs): (_, _, _, &[&str]) = match subresource {
        Subresource::Status => (of.group, of.version, of.kind, &["get", "patch", "update"]),
        Subresource::Scale => ("autoscaling", "v1", "Scale", &["get", "patch", "update"]),
        Subresource::Log => (of.group, of.version, of.kind, &["get"]),
        Subresource::Exec => (of.group, of.version, "PodExecOptions", &["create", "get"]),
        Subresource::Eviction => ("policy", "v1", "Eviction", &["create"]),
        Subresource::Finalize => (of.group, of.version, of.kind, &["update"]),
    };
    Under { name: subresource_name(subresource), group, version, kind, verbs }
}
