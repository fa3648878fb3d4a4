//! Which Pods go first when there are too many (`ActivePodsWithRanks` of the real controller).

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::controllers::world::annotation;
use crate::controllers::world::record::PodRecord;

/// Annotation of a Pod: the lower, the sooner it goes.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The Pods, the first to go first.
pub(super) fn deletion_order(
    mut pods: Vec<Arc<PodRecord>>,
    related_by_node: &HashMap<String, usize>,
    now: Timestamp,
) -> Vec<Arc<PodRecord>> {
    pods.sort_by(|a, b| compare(a, b, related_by_node, now));
    pods
}

/// 1. Those without a Node.
/// 2. Pending before unknown before running.
/// 3. Not ready ones.
/// 4. Cheap ones.
/// 5. Where several stand on one Node.
/// 6. Ready for a short time.
/// 7. Restarted often.
/// 8. Young ones.
///
/// Times count by their order of magnitude, so that it is not always the youngest.
fn compare(
    a: &PodRecord,
    b: &PodRecord,
    related_by_node: &HashMap<String, usize>,
    now: Timestamp,
) -> Ordering {
    let simple = |pod: &PodRecord| {
        (
            !pod.node.is_empty(),
            phase(pod),
            pod.is_ready(),
            deletion_cost(pod),
            Reverse(related_by_node.get(&pod.node).copied().unwrap_or(0)),
        )
    };
    let created = |pod: &PodRecord| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    simple(a)
        .cmp(&simple(b))
        .then_with(|| by_age(a.ready_since, b.ready_since, now))
        .then_with(|| b.restarts.cmp(&a.restarts))
        .then_with(|| by_age(created(a), created(b), now))
        .then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
}

fn phase(pod: &PodRecord) -> u8 {
    match pod.phase.as_str() {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &PodRecord) -> i32 {
    annotation(&pod.metadata, DELETION_COST).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Without a time first, then the younger order of magnitude.
fn by_age(a: Option<Timestamp>, b: Option<Timestamp>, now: Timestamp) -> Ordering {
    let magnitude = |of: Option<Timestamp>| {
        let age = of.map(|of| now.duration_since(of).as_nanos());
        age.map(|age| u128::try_from(age).ok().and_then(u128::checked_ilog2))
    };
    magnitude(a).cmp(&magnitude(b))
}
