//! The larger examples, used as somebody would who tries them.

use crate::kubectl::{await_that, contains, squeezed};
use crate::lab::Lab;

#[test]
fn three_tiers() {
    let Some(lab) = Lab::up("three_tiers") else { return };
    let kubectl = lab.kubectl();
    kubectl.run("apply -f deploy/examples/three-tier.yaml");
    kubectl.run("wait --for=condition=Available deployment -l part-of=visits --timeout=60s");
    let front = lab.address("front");
    await_that("it answers", || lab.in_client(&format!("curl -sS --fail {front}")).code == 0);
    let answers = lab.curl(&front, 40);
    let visit = |line: &String| -> u32 {
        let number = line.strip_prefix("visit ").and_then(|line| line.split(',').next());
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    let visits: Vec<_> = answers.iter().map(visit).collect();
    assert!(
        visits.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "counted in one place: {visits:?}"
    );
    for (tier, replicas) in [("api", 3), ("front", 2)] {
        let seen = |pod: &&str| answers.iter().any(|line| line.contains(*pod));
        let line = format!("get pods -l app={tier} -o jsonpath='{{.items[*].metadata.name}}'");
        let pods = kubectl.run(&line);
        assert_eq!(pods.split(' ').filter(seen).count(), replicas, "{tier}: {answers:?}");
    }
    contains(
        &kubectl.run("logs -l app=api --prefix --tail=-1"),
        &["/api] listening on 8080, counting at "],
    );
    // The store goes: the others say so, and find it again.
    kubectl.run("scale deployment store --replicas=0");
    let status =
        || lab.in_client(&format!("curl -s -o /dev/null -w %{{http_code}} {front}")).stdout;
    await_that("the front says so", || status() == "503");
    kubectl.run("scale deployment store --replicas=1");
    await_that("it is back", || status() == "200");
    kubectl.run("delete -f deploy/examples/three-tier.yaml");
    await_that("all is gone", || {
        kubectl.try_run("get pods -l part-of=visits -o name").stdout.is_empty()
    });
}

#[test]
fn both_families() {
    let Some(lab) = Lab::up("both_families") else { return };
    let kubectl = lab.kubectl();
    kubectl.run("apply -f deploy/examples/dual-stack.yaml");
    kubectl.run("wait --for=condition=Available deployment families --timeout=60s");
    let slices = squeezed(&kubectl.run("get endpointslices -l example=dual-stack --no-headers"));
    let of = |family: &str| slices.lines().filter(|line| line.contains(family)).count();
    assert_eq!((of(" IPv4 "), of(" IPv6 ")), (3, 3), "{slices}");
    for (service, families) in [
        ("v4", vec!["IPv4"]),
        ("v6", vec!["IPv6"]),
        ("preferred", vec!["IPv4", "IPv6"]),
        ("both", vec!["IPv6", "IPv4"]),
    ] {
        let ips =
            kubectl.run(&format!("get service {service} -o jsonpath='{{.spec.clusterIPs[*]}}'"));
        let ips: Vec<_> = ips.split(' ').collect();
        assert_eq!(ips.len(), families.len(), "{service}: {ips:?}");
        for (ip, family) in ips.into_iter().zip(families) {
            let address = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
            let ask = || lab.in_client(&format!("curl -gsS --max-time 5 'http://{address}'"));
            await_that("it answers", || ask().code == 0);
            contains(&ask().stdout, &[&format!(" over {family}\n")]);
        }
    }
}
