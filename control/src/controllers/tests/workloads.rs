//! ReplicaSets and Deployments.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::{condition, deployment, images, pods, replica_set, run};
use crate::apiserver::registry::options::Propagation;
use crate::controllers::kind::Kind;

fn web(cluster: &Cluster) -> Value {
    cluster.get(Kind::Deployment, "default", "web").unwrap()
}

fn set_image(cluster: &mut Cluster, image: &str) {
    let spec = json!({"template": {"spec": {"containers": [super::container(image)]}}});
    cluster.patch(Kind::Deployment, "web", json!({ "spec": spec }));
}

#[test]
fn a_replica_set_makes_its_pods_and_says_so() {
    let mut cluster = Cluster::new();
    let set = cluster.create(Kind::ReplicaSet, "default", replica_set(3));
    cluster.settle();
    let made = cluster.list(Kind::Pod);
    assert_eq!(made.len(), 3);
    assert_eq!(
        made[0]["metadata"]["ownerReferences"],
        json!([{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
            "uid": set["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }])
    );
    let name = made[0]["metadata"]["name"].as_str().unwrap();
    assert!(cluster.events.contains(&format!("SuccessfulCreate: Created pod: {name}")));
    let status = |cluster: &Cluster| {
        cluster.get(Kind::ReplicaSet, "default", "web").unwrap()["status"].clone()
    };
    assert_eq!(
        status(&cluster),
        json!({"replicas": 3, "fullyLabeledReplicas": 3, "observedGeneration": 1})
    );
    run(&mut cluster);
    assert_eq!(status(&cluster)["readyReplicas"], 3);
    assert_eq!(status(&cluster)["availableReplicas"], 3);
}

#[test]
fn a_pod_that_goes_or_fails_is_replaced_and_a_finished_one_stays() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::ReplicaSet, "default", replica_set(2));
    run(&mut cluster);
    let before = pods(&cluster);
    cluster.delete(Kind::Pod, &before[0], Propagation::Background);
    cluster.settle();
    assert_eq!(pods(&cluster).len(), 2, "at once, not when the old one has gone");
    run(&mut cluster);
    cluster.set_status(Kind::Pod, &before[1], json!({"phase": "Failed"}));
    cluster.settle();
    assert_eq!(pods(&cluster).len(), 3);
    assert!(pods(&cluster).contains(&before[1]));
}

#[test]
fn scaling_down_takes_what_is_missed_least() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::ReplicaSet, "default", replica_set(4));
    run(&mut cluster);
    let names = pods(&cluster);
    cluster.set_ready(&names[2], false, "10.244.1.1");
    let cost = json!({"controller.kubernetes.io/pod-deletion-cost": "-10"});
    cluster.patch(Kind::Pod, &names[1], json!({"metadata": {"annotations": cost}}));
    cluster.settle();
    cluster.patch(Kind::ReplicaSet, "web", json!({"spec": {"replicas": 2}}));
    run(&mut cluster);
    assert_eq!(pods(&cluster), [names[0].clone(), names[3].clone()]);
    assert!(cluster.events.contains(&format!("SuccessfulDelete: Deleted pod: {}", names[2])));
}

#[test]
fn pods_are_adopted_and_released_by_their_labels() {
    let mut cluster = Cluster::new();
    let pod = json!({
        "metadata": {"name": "stray", "labels": {"app": "web"}},
        "spec": {"containers": [super::container("one")]},
    });
    cluster.create(Kind::Pod, "default", pod);
    cluster.settle();
    cluster.create(Kind::ReplicaSet, "default", replica_set(2));
    run(&mut cluster);
    assert_eq!(pods(&cluster).len(), 2);
    let stray = |cluster: &Cluster| cluster.get(Kind::Pod, "default", "stray").unwrap();
    assert_eq!(stray(&cluster)["metadata"]["ownerReferences"][0]["name"], "web");

    cluster.patch(Kind::Pod, "stray", json!({"metadata": {"labels": {"app": "debug"}}}));
    run(&mut cluster);
    assert_eq!(stray(&cluster)["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(pods(&cluster).len(), 3);
}

#[test]
fn pods_are_available_after_they_were_ready_for_long_enough() {
    let mut cluster = Cluster::new();
    let mut set = replica_set(2);
    set["spec"]["minReadySeconds"] = 30.into();
    cluster.create(Kind::ReplicaSet, "default", set);
    run(&mut cluster);
    let available = |cluster: &Cluster| {
        let set = cluster.get(Kind::ReplicaSet, "default", "web").unwrap();
        set["status"]["availableReplicas"].clone()
    };
    assert_eq!(available(&cluster), Value::Null);
    cluster.wait(31);
    assert_eq!(available(&cluster), 2);
}

#[test]
fn a_deployment_becomes_available() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Deployment, "default", deployment(3, "one"));
    cluster.settle();
    assert_eq!(condition(&web(&cluster), "Available"), "False/MinimumReplicasUnavailable");
    assert_eq!(condition(&web(&cluster), "Progressing"), "True/ReplicaSetUpdated");
    run(&mut cluster);
    let deployment = web(&cluster);
    assert_eq!(condition(&deployment, "Available"), "True/MinimumReplicasAvailable");
    assert_eq!(condition(&deployment, "Progressing"), "True/NewReplicaSetAvailable");
    let annotations = &deployment["metadata"]["annotations"];
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "1");
    let status = &deployment["status"];
    for count in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
        assert_eq!(status[count], 3, "{count}");
    }
    assert_eq!(status["observedGeneration"], deployment["metadata"]["generation"]);

    let set = &cluster.list(Kind::ReplicaSet)[0];
    let name = set["metadata"]["name"].as_str().unwrap();
    let hash = name.strip_prefix("web-").unwrap();
    assert_eq!(set["metadata"]["labels"]["pod-template-hash"], hash);
    assert_eq!(set["spec"]["selector"]["matchLabels"]["pod-template-hash"], hash);
    assert!(pods(&cluster).iter().all(|pod| pod.starts_with(&format!("{name}-"))));
    let event = format!("ScalingReplicaSet: Scaled up replica set {name} from 0 to 3");
    assert!(cluster.events.contains(&event), "{:?}", cluster.events);
}

#[test]
fn a_rollout_keeps_within_its_limits() {
    let mut cluster = Cluster::new();
    let mut body = deployment(4, "one");
    body["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}});
    cluster.create(Kind::Deployment, "default", body);
    run(&mut cluster);
    set_image(&mut cluster, "two");
    cluster.settle();
    assert_eq!(images(&cluster), "one:3 two:2", "one more than wanted, one less available");
    // One Pod at a time: it never has less than three ready ones, or more than five.
    for _ in 0..40 {
        let pods = cluster.list(Kind::Pod);
        let staying: Vec<_> =
            pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect();
        let ready = staying.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        assert!(ready >= 3, "{ready} ready");
        assert!(staying.len() <= 5, "{} Pods", staying.len());
        let Some(next) = pods.iter().find(|pod| {
            pod["status"]["phase"] != "Running" || !pod["metadata"]["deletionTimestamp"].is_null()
        }) else {
            break;
        };
        cluster.run_pod(next);
        cluster.settle();
    }
    assert_eq!(images(&cluster), "one:0 two:4");
    let deployment = web(&cluster);
    assert_eq!(condition(&deployment, "Progressing"), "True/NewReplicaSetAvailable");
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
}

#[test]
fn going_back_uses_the_old_replica_set_and_counts_on() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Deployment, "default", deployment(2, "one"));
    run(&mut cluster);
    set_image(&mut cluster, "two");
    run(&mut cluster);
    set_image(&mut cluster, "one");
    run(&mut cluster);
    assert_eq!(images(&cluster), "one:2 two:0");
    let sets = cluster.list(Kind::ReplicaSet);
    let active = sets.iter().find(|set| set["spec"]["replicas"] == 2).unwrap();
    let annotations = &active["metadata"]["annotations"];
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
}

#[test]
fn scaling_reaches_the_pods_and_pausing_stops_rollouts_only() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Deployment, "default", deployment(2, "one"));
    run(&mut cluster);
    cluster.patch(Kind::Deployment, "web", json!({"spec": {"replicas": 5}}));
    run(&mut cluster);
    assert_eq!(images(&cluster), "one:5");
    cluster.patch(Kind::Deployment, "web", json!({"spec": {"paused": true}}));
    set_image(&mut cluster, "two");
    cluster.patch(Kind::Deployment, "web", json!({"spec": {"replicas": 3}}));
    run(&mut cluster);
    assert_eq!(images(&cluster), "one:3");
    assert_eq!(condition(&web(&cluster), "Progressing"), "Unknown/DeploymentPaused");
    cluster.patch(Kind::Deployment, "web", json!({"spec": {"paused": false}}));
    run(&mut cluster);
    assert_eq!(images(&cluster), "one:0 two:3");
    cluster.patch(Kind::Deployment, "web", json!({"spec": {"replicas": 0}}));
    run(&mut cluster);
    assert_eq!(pods(&cluster).len(), 0);
    assert_eq!(condition(&web(&cluster), "Available"), "True/MinimumReplicasAvailable");
}

#[test]
fn recreating_waits_until_the_old_pods_have_gone() {
    let mut cluster = Cluster::new();
    let mut body = deployment(3, "one");
    body["spec"]["strategy"] = json!({"type": "Recreate"});
    cluster.create(Kind::Deployment, "default", body);
    run(&mut cluster);
    set_image(&mut cluster, "two");
    cluster.settle();
    assert_eq!(images(&cluster), "one:0");
    assert_eq!(cluster.list(Kind::Pod).len(), 3, "they end in peace");
    run(&mut cluster);
    assert_eq!(images(&cluster), "one:0 two:3");
    assert_eq!(pods(&cluster).len(), 3);
}

#[test]
fn a_rollout_that_does_not_get_on_is_given_up() {
    let mut cluster = Cluster::new();
    let mut body = deployment(1, "one");
    body["spec"]["progressDeadlineSeconds"] = 60.into();
    cluster.create(Kind::Deployment, "default", body);
    cluster.settle();
    cluster.wait(59);
    assert_eq!(condition(&web(&cluster), "Progressing"), "True/ReplicaSetUpdated");
    cluster.wait(3);
    assert_eq!(condition(&web(&cluster), "Progressing"), "False/ProgressDeadlineExceeded");
    run(&mut cluster);
    assert_eq!(condition(&web(&cluster), "Progressing"), "True/NewReplicaSetAvailable");
}

#[test]
fn only_so_much_history_is_kept() {
    let mut cluster = Cluster::new();
    let mut body = deployment(1, "0");
    body["spec"]["revisionHistoryLimit"] = 2.into();
    cluster.create(Kind::Deployment, "default", body);
    run(&mut cluster);
    for image in ["1", "2", "3", "4"] {
        set_image(&mut cluster, image);
        run(&mut cluster);
    }
    assert_eq!(images(&cluster), "2:0 3:0 4:1");
}

#[test]
fn a_replica_set_of_the_same_name_is_not_taken() {
    let mut cluster = Cluster::new();
    cluster.create(Kind::Deployment, "default", deployment(1, "one"));
    run(&mut cluster);
    let name = cluster.list(Kind::ReplicaSet)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.delete(Kind::Deployment, "web", Propagation::Background);
    run(&mut cluster);
    let mut foreign = replica_set(0);
    foreign["metadata"]["name"] = name.clone().into();
    foreign["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
    foreign["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    cluster.create(Kind::ReplicaSet, "default", foreign);
    cluster.create(Kind::Deployment, "default", deployment(1, "one"));
    run(&mut cluster);
    assert_eq!(web(&cluster)["status"]["collisionCount"], 1);
    assert_eq!(web(&cluster)["status"]["availableReplicas"], 1);
}

#[test]
fn the_limits_are_kept_for_any_numbers() {
    use crate::controllers::deployment::scaling::{Limits, Size};
    proptest::proptest!(|(
        replicas in 0..50_i32, surge in 0..10_i32, unavailable in 0..10_i32,
        new in 0..50_i32, new_available in 0..50_i32,
        old in proptest::collection::vec((0..30_i32, 0..30_i32), 0..4),
    )| {
        let surge = if surge + unavailable == 0 { 1 } else { surge };
        let limits = Limits { replicas, surge, unavailable: unavailable.min(replicas) };
        let new = new.min(replicas);
        let new = Size { replicas: new, available: new_available.min(new) };
        let old: Vec<_> = old
            .into_iter()
            .map(|(replicas, available)| Size { replicas, available: available.min(replicas) })
            .collect();
        let available: i32 = old.iter().map(|of| of.available).sum::<i32>() + new.available;
        let all: i32 = old.iter().map(|of| of.replicas).sum::<i32>() + new.replicas;
        let sizes = limits.old_sets(&old, new);
        // What is taken away was not available, or is not needed.
        let lost: i32 = old
            .iter()
            .zip(&sizes)
            .map(|(set, size)| (set.available - size).max(0))
            .sum();
        assert!(sizes.iter().zip(&old).all(|(size, set)| (0..=set.replicas).contains(size)));
        assert!(available - lost >= available.min(limits.least_available()));
        let grown = limits.new_set(new.replicas, all, false);
        assert!(grown >= new.replicas && grown <= replicas);
        assert!(all - new.replicas + grown <= all.max(limits.most()));
        // It gets on: when all is available, something moves until it is done.
        let settled = old.iter().all(|of| of.available == of.replicas)
            && new.available == new.replicas;
        let old_left = old.iter().any(|of| of.replicas > 0);
        if settled && (old_left || new.replicas < replicas) {
            let moved = grown != new.replicas
                || sizes.iter().zip(&old).any(|(size, set)| *size != set.replicas);
            assert!(moved, "{limits:?} {new:?} {old:?}");
        }
    });
}

#[test]
fn shares_add_up() {
    use crate::controllers::deployment::scaling::Limits;
    // Wanted, surge; replicas and most-before of each; what they become.
    for (replicas, surge, sets, expected) in [
        (20, 2, vec![(5, 12), (7, 12)], vec![9, 13]),
        (5, 2, vec![(8, 13), (5, 13)], vec![4, 3]),
        (0, 2, vec![(8, 13), (5, 13)], vec![0, 0]),
        (12, 3, vec![(8, 13), (5, 13)], vec![9, 6]),
    ] {
        let limits = Limits { replicas, surge, unavailable: 0 };
        let shares = limits.shares(&sets);
        assert_eq!(shares, expected, "{sets:?}");
    }
}
