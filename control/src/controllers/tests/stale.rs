//! Controllers that see late what they and others did.

use proptest::prelude::*;
use serde_json::json;

use super::cluster::Cluster;
use super::{deployment, images, pods, replica_set, run, service};
use crate::apiserver::registry::options::Propagation;
use crate::controllers::kind::Kind;

#[test]
fn no_pod_is_made_twice_however_late_the_watch_is() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::ReplicaSet, "default", replica_set(10));
    while cluster.deliver() {}
    while cluster.work() {}
    assert_eq!(pods(&cluster).len(), 10);
    // Others make the ReplicaSet look at its Pods again, of which it has seen three.
    for _ in 0..4 {
        cluster.deliver();
    }
    for n in 0..3 {
        let labels = json!({"metadata": {"annotations": {"n": n.to_string()}}});
        cluster.patch(Kind::ReplicaSet, "web", labels);
        let said = cluster.unsaid.pop_back().unwrap();
        cluster.unsaid.push_front(said);
        cluster.deliver();
        while cluster.work() {}
    }
    assert_eq!(pods(&cluster).len(), 10);
    cluster.settle();
    assert_eq!(pods(&cluster).len(), 10);
}

#[test]
fn no_pod_too_many_is_deleted_however_late_the_watch_is() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::ReplicaSet, "default", replica_set(10));
    run(&mut cluster);
    cluster.patch(Kind::ReplicaSet, "web", json!({"spec": {"replicas": 6}}));
    while cluster.deliver() {}
    while cluster.work() {}
    let left = pods(&cluster);
    assert_eq!(left.len(), 6);
    // Now another one would be the first to go, and no deletion has been seen yet.
    cluster.set_ready(&left[3], false, "10.244.1.1");
    let said = cluster.unsaid.pop_back().unwrap();
    cluster.unsaid.push_front(said);
    cluster.deliver();
    while cluster.work() {}
    assert_eq!(pods(&cluster), left);
    run(&mut cluster);
    assert_eq!(pods(&cluster), left);
}

#[test]
fn a_watch_that_begins_anew_finds_what_it_missed() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Service, "default", service());
    cluster.create(Kind::ReplicaSet, "default", replica_set(3));
    run(&mut cluster);
    let before = pods(&cluster);
    cluster.delete(Kind::Pod, &before[0], Propagation::Background);
    cluster.delete(Kind::Service, "web", Propagation::Background);
    cluster.create(Kind::Service, "default", service());
    cluster.unsaid.clear();
    for kind in Kind::ALL {
        cluster.relist(kind);
    }
    run(&mut cluster);
    assert_eq!(pods(&cluster).len(), 3);
    let slices = cluster.list(Kind::EndpointSlice);
    let service = cluster.get(Kind::Service, "default", "web").unwrap();
    assert_eq!(slices.len(), 1);
    let owner = &slices[0]["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], service["metadata"]["uid"], "not the one that was deleted");
    assert_eq!(slices[0]["endpoints"].as_array().unwrap().len(), 3);
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// A watch says a few things.
    Deliver(u8),
    /// A controller does something.
    Work,
    /// A Pod begins to run, or goes.
    Kubelet(u8),
    /// Somebody scales.
    Scale(u8),
    /// Somebody changes the template.
    Image(bool),
    /// Somebody deletes a Pod.
    Kill(u8),
    /// Somebody deletes a slice.
    Tear,
    /// A watch of Pods begins anew.
    Relist,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let each = prop_oneof![
        4 => (1..6_u8).prop_map(Move::Deliver),
        6 => Just(Move::Work),
        4 => any::<u8>().prop_map(Move::Kubelet),
        1 => (0..6_u8).prop_map(Move::Scale),
        1 => any::<bool>().prop_map(Move::Image),
        1 => any::<u8>().prop_map(Move::Kill),
        1 => Just(Move::Tear),
        1 => Just(Move::Relist),
    ];
    proptest::collection::vec(each, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens in whatever order, and however late it is seen: never far too many Pods,
    /// and in the end what was asked for last.
    #[test]
    fn it_ends_as_it_was_asked_for(moves in moves()) {
        let mut cluster = Cluster::new();
        cluster.create(Kind::Service, "default", service());
        cluster.create(Kind::Deployment, "default", deployment(3, "one"));
        let (mut replicas, mut image) = (3, "one");
        for next in moves {
            match next {
                Move::Deliver(count) => (0..count).for_each(|_| {
                    cluster.deliver();
                }),
                Move::Work => {
                    cluster.work();
                }
                Move::Kubelet(n) => {
                    let pods = cluster.list(Kind::Pod);
                    if let Some(pod) = pods.get(usize::from(n) % pods.len().max(1)) {
                        cluster.run_pod(pod);
                    }
                }
                Move::Scale(count) => {
                    replicas = i32::from(count);
                    cluster.patch(Kind::Deployment, "web", json!({"spec": {"replicas": count}}));
                }
                Move::Image(other) => {
                    image = if other { "two" } else { "one" };
                    let containers = json!([super::container(image)]);
                    let spec = json!({"template": {"spec": {"containers": containers}}});
                    cluster.patch(Kind::Deployment, "web", json!({ "spec": spec }));
                }
                Move::Kill(n) => {
                    let pods = pods(&cluster);
                    if let Some(pod) = pods.get(usize::from(n) % pods.len().max(1)) {
                        cluster.delete(Kind::Pod, pod, Propagation::Background);
                    }
                }
                Move::Tear => {
                    if let Some(slice) = cluster.list(Kind::EndpointSlice).first() {
                        let name = slice["metadata"]["name"].as_str().unwrap().to_owned();
                        cluster.delete(Kind::EndpointSlice, &name, Propagation::Background);
                    }
                }
                Move::Relist => cluster.relist(Kind::Pod),
            }
            // Six wanted at most, and a quarter more of the largest template, twice.
            prop_assert!(pods(&cluster).len() <= 16, "{} Pods", pods(&cluster).len());
        }
        // Retries after what was stale come a little later.
        for _ in 0..6 {
            run(&mut cluster);
            cluster.wait(31);
        }
        prop_assert_eq!(pods(&cluster).len(), usize::try_from(replicas).unwrap());
        let wanted = format!("{image}:{replicas}");
        prop_assert!(images(&cluster).split(' ').any(|of| of == wanted), "{}", images(&cluster));
        let endpoints: usize = cluster
            .list(Kind::EndpointSlice)
            .iter()
            .map(|of| of["endpoints"].as_array().map_or(0, Vec::len))
            .sum();
        prop_assert_eq!(endpoints, usize::try_from(replicas).unwrap());
    }
}
