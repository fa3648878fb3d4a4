//! A Pod's status: what is known of it in, what clients read out. No I/O, and no clock.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{Policy, is_initialised, is_passed, phase_is_over};
use super::record::{ContainerRecord, Ended, PodRecord, Role, RunState, specification};

/// Conditions that are the kubelet's to set; all others are somebody else's.
const OURS: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// What is known beside the Pod and its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The node's addresses.
    pub(super) node_ips: &'a [IpAddr],
    /// Why the Pod's network cannot be made.
    pub(super) sandbox_problem: Option<&'a str>,
}

/// The status of a Pod. What others have set stays, and so do times of what has not changed.
pub(super) fn status(
    pod: &Pod,
    record: &PodRecord,
    around: Surroundings<'_>,
    now: Timestamp,
) -> PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    let phase = phase(pod, record);
    let addresses = record.sandbox.iter().flat_map(|sandbox| &sandbox.addresses);
    let pod_ips: Vec<PodIP> = addresses.map(|ip| PodIP { ip: ip.to_string() }).collect();
    let host_ips = around.node_ips.iter().map(|ip| HostIP { ip: ip.to_string() }).collect();
    let statuses = |init: bool| {
        let records = record.containers.iter().filter(|one| (one.role != Role::Main) == init);
        let statuses: Vec<_> = records.map(|one| container_status(pod, record, one)).collect();
        (!statuses.is_empty()).then_some(statuses)
    };
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions(pod, record, around, phase, now)),
        container_statuses: statuses(false),
        init_container_statuses: statuses(true),
        host_ip: around.node_ips.first().map(IpAddr::to_string),
        host_ips: Some(host_ips),
        pod_ip: pod_ips.first().map(|entry| entry.ip.clone()),
        pod_ips: (!pod_ips.is_empty()).then_some(pod_ips),
        start_time: Some(old.start_time.clone().unwrap_or(Time(record.start_time))),
        observed_generation: pod.metadata.generation,
        ..old
    }
}

/// As the kubelet's `getPhase`: a Pod runs as long as something runs or will run again.
fn phase(pod: &Pod, record: &PodRecord) -> &'static str {
    let policy = Policy::of(pod);
    let main = || record.containers.iter().filter(|one| one.role == Role::Main);
    if phase_is_over(record, policy) {
        let failed = |one: &ContainerRecord| one.ended().is_some_and(|ended| ended.code != 0);
        let init_failed = record.containers.iter().any(|one| one.role == Role::Init && failed(one));
        return if init_failed || main().any(failed) { "Failed" } else { "Succeeded" };
    }
    if is_initialised(record) && main().all(|one| one.runs() || one.ended().is_some()) {
        "Running"
    } else {
        "Pending"
    }
}

fn conditions(
    pod: &Pod,
    record: &PodRecord,
    around: Surroundings<'_>,
    phase: &str,
    now: Timestamp,
) -> Vec<PodCondition> {
    let old = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let old: Vec<&PodCondition> = old.collect();
    let completed = phase == "Succeeded";
    let network = match around.sandbox_problem {
        _ if record.sandbox.is_some() => Verdict::yes(),
        Some(problem) => Verdict::no("FailedCreatePodSandBox", problem.to_owned()),
        None => Verdict::no("", String::new()),
    };
    let containers = containers_ready(record, completed);
    let ready = if containers.holds { gates(pod, &old) } else { containers.clone() };
    let verdicts = [network, initialised(record, completed), ready, containers, Verdict::yes()];
    let ours = OURS.iter().zip(verdicts).map(|(type_, verdict)| {
        let status = if verdict.holds { "True" } else { "False" };
        let before = old.iter().find(|condition| condition.type_ == *type_);
        let same = before.filter(|before| before.status == status);
        PodCondition {
            type_: (*type_).to_owned(),
            status: status.to_owned(),
            reason: (!verdict.reason.is_empty()).then(|| verdict.reason.to_owned()),
            message: (!verdict.message.is_empty()).then_some(verdict.message),
            last_transition_time: same
                .and_then(|before| before.last_transition_time.clone())
                .or(Some(Time(now))),
            last_probe_time: None,
            observed_generation: pod.metadata.generation,
        }
    });
    let foreign = old.iter().filter(|one| !OURS.contains(&one.type_.as_str()));
    ours.chain(foreign.map(|one| (*one).clone())).collect()
}

#[derive(Clone)]
struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Self { holds: true, reason: "", message: String::new() }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Self { holds: false, reason, message }
    }
}

fn initialised(record: &PodRecord, completed: bool) -> Verdict {
    if completed {
        return Verdict { reason: "PodCompleted", ..Verdict::yes() };
    }
    if is_initialised(record) {
        return Verdict::yes();
    }
    let waiting = record.containers.iter().filter(|one| one.role != Role::Main && !is_passed(one));
    let message = format!("containers with incomplete status: [{}]", names(waiting));
    Verdict::no("ContainersNotInitialized", message)
}

fn containers_ready(record: &PodRecord, completed: bool) -> Verdict {
    if completed {
        return Verdict::no("PodCompleted", String::new());
    }
    let mut unready = record
        .containers
        .iter()
        .filter(|one| one.role != Role::Init && !(one.runs() && one.ready))
        .peekable();
    if unready.peek().is_none() && record.sandbox.is_some() {
        return Verdict::yes();
    }
    let message = format!("containers with unready status: [{}]", names(unready));
    Verdict::no("ContainersNotReady", message)
}

/// `spec.readinessGates`: conditions that others set.
fn gates(pod: &Pod, conditions: &[&PodCondition]) -> Verdict {
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let problems: Vec<String> = gates
        .filter_map(|gate| {
            let type_ = &gate.condition_type;
            let found = conditions.iter().find(|condition| condition.type_ == *type_);
            match found {
                None => Some(format!(
                    "corresponding condition of pod readiness gate {type_:?} does not exist."
                )),
                Some(condition) if condition.status == "True" => None,
                Some(condition) => Some(format!(
                    "the status of pod readiness gate {type_:?} is not \"True\", but {}",
                    condition.status
                )),
            }
        })
        .collect();
    if problems.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ReadinessGatesNotReady", problems.join(", "))
}

fn names<'a>(containers: impl Iterator<Item = &'a ContainerRecord>) -> String {
    containers.map(|one| one.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn container_status(pod: &Pod, record: &PodRecord, one: &ContainerRecord) -> ContainerStatus {
    let image = specification(pod, one).and_then(|container| container.image.clone());
    let has_run = one.runs() || one.ended().is_some();
    let id = |run: u32| format!("maglane://{}/{}/{run}", record.uid, one.name);
    let terminated = |ended: &Ended, run: u32| ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(id(run)),
            exit_code: ended.code,
            reason: Some(ended.reason.clone()),
            message: (!ended.message.is_empty()).then(|| ended.message.clone()),
            started_at: Some(Time(ended.started_at)),
            finished_at: Some(Time(ended.finished_at)),
            signal: None,
        }),
        ..ContainerState::default()
    };
    let state = match &one.state {
        RunState::Waiting { reason, message } => ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some(reason.clone()),
                message: (!message.is_empty()).then(|| message.clone()),
            }),
            ..ContainerState::default()
        },
        RunState::Running { since, .. } => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(Time(*since)) }),
            ..ContainerState::default()
        },
        RunState::Ended(ended) => terminated(ended, one.restarts),
    };
    // What waits to be started again has the number of the run that is over.
    let before =
        one.restarts.saturating_sub(u32::from(!matches!(one.state, RunState::Waiting { .. })));
    ContainerStatus {
        name: one.name.clone(),
        image: image.unwrap_or_default(),
        container_id: has_run.then(|| id(one.restarts)),
        restart_count: i32::try_from(one.restarts).unwrap_or(i32::MAX),
        ready: match one.role {
            Role::Init => is_passed(one),
            Role::Sidecar | Role::Main => one.runs() && one.ready,
        },
        started: Some(one.runs() && one.started),
        state: Some(state),
        last_state: one.last.as_ref().map(|ended| terminated(ended, before)),
        ..ContainerStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Sandbox;
    use super::super::record::for_test::{at, pod};
    use super::*;

    fn with_network(record: &mut PodRecord) {
        record.sandbox = Some(Sandbox {
            network_namespace: "x".to_owned(),
            interface: None,
            addresses: ["10.244.0.7", "fd00::7"].map(|ip| ip.parse().unwrap()).into(),
        });
    }

    fn run(record: &mut PodRecord, index: usize, ready: bool) {
        let container = &mut record.containers[index];
        container.state = RunState::Running { process: None, since: at(1) };
        (container.started, container.ready) = (ready, ready);
    }

    const NODE: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 2))];

    fn of(pod: &Pod, record: &PodRecord, problem: Option<&str>) -> PodStatus {
        let around = Surroundings { node_ips: &NODE, sandbox_problem: problem };
        status(pod, record, around, at(9))
    }

    /// `Ready=False ContainersNotReady containers with unready status: [a]`.
    fn condition(status: &PodStatus, type_: &str) -> String {
        let found = status.conditions.iter().flatten().find(|one| one.type_ == type_).unwrap();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let line = format!("{} {} {}", found.status, text(&found.reason), text(&found.message));
        line.trim_end().to_owned()
    }

    #[test]
    fn a_pod_comes_up() {
        let (mut pod, mut record) = pod("{containers: [{name: a, image: i}, {name: b}]}");
        let status = of(&pod, &record, Some("Pod CIDR 10.0.0.0/30 is full"));
        assert_eq!(status.phase.as_deref(), Some("Pending"));
        assert_eq!(
            condition(&status, "PodReadyToStartContainers"),
            "False FailedCreatePodSandBox Pod CIDR 10.0.0.0/30 is full"
        );
        assert_eq!((&status.pod_ips, condition(&status, "Initialized")), (&None, "True".into()));
        with_network(&mut record);
        run(&mut record, 0, true);
        run(&mut record, 1, false);
        let status = of(&pod, &record, None);
        assert_eq!(status.phase.as_deref(), Some("Running"));
        assert_eq!(status.pod_ip.as_deref(), Some("10.244.0.7"));
        assert_eq!(status.host_ip.as_deref(), Some("192.168.0.2"));
        let unready = "False ContainersNotReady containers with unready status: [b]";
        assert_eq!(condition(&status, "Ready"), unready);
        run(&mut record, 1, true);
        pod.status = Some(status);
        let status = of(&pod, &record, None);
        assert_eq!(condition(&status, "Ready"), "True");
        assert_eq!(status.container_statuses.as_ref().unwrap()[0].image, "i");
    }

    #[test]
    fn times_change_with_what_they_are_the_times_of() {
        let (mut pod, mut record) = pod("{containers: [{name: a}]}");
        with_network(&mut record);
        run(&mut record, 0, true);
        pod.status = Some(of(&pod, &record, None));
        let around = Surroundings { node_ips: &NODE, sandbox_problem: None };
        let later = status(&pod, &record, around, at(99));
        assert_eq!(Some(&later), pod.status.as_ref(), "nothing has changed");
        record.containers[0].ready = false;
        let later = status(&pod, &record, around, at(99));
        let time = |type_: &str| {
            let conditions = later.conditions.iter().flatten();
            conditions
                .filter(|one| one.type_ == type_)
                .find_map(|one| one.last_transition_time.clone())
        };
        assert_eq!(time("Ready"), Some(Time(at(99))));
        assert_eq!(time("PodScheduled"), Some(Time(at(9))));
    }

    #[test]
    fn gates_hold_a_pod_back() {
        let (mut pod, mut record) =
            pod("{readinessGates: [{conditionType: x/y}], containers: [{name: a}]}");
        with_network(&mut record);
        run(&mut record, 0, true);
        let status = of(&pod, &record, None);
        let expected = "False ReadinessGatesNotReady corresponding condition of pod readiness gate \
                        \"x/y\" does not exist.";
        assert_eq!(condition(&status, "Ready"), expected);
        assert_eq!(condition(&status, "ContainersReady"), "True");
        for (value, expected) in [
            (
                "False",
                "False ReadinessGatesNotReady the status of pod readiness gate \"x/y\" is not \"True\", but False",
            ),
            ("True", "True"),
        ] {
            let mut status = status.clone();
            status.conditions.as_mut().unwrap().push(PodCondition {
                type_: "x/y".to_owned(),
                status: value.to_owned(),
                ..PodCondition::default()
            });
            pod.status = Some(status);
            let status = of(&pod, &record, None);
            assert_eq!(condition(&status, "Ready"), expected);
            assert_eq!(condition(&status, "x/y"), value, "somebody else's stays");
        }
    }

    #[test]
    fn phases_of_pods_that_end() {
        for (policy, code, expected) in [
            ("Always", 1, "Running"),
            ("Never", 1, "Failed"),
            ("Never", 0, "Succeeded"),
            ("OnFailure", 0, "Succeeded"),
            ("OnFailure", 1, "Running"),
        ] {
            let (pod, mut record) =
                pod(&format!("{{restartPolicy: {policy}, containers: [{{name: a}}]}}"));
            with_network(&mut record);
            let ended = Ended::with_code(code, at(1), at(2));
            record.containers[0].state = RunState::Ended(ended.clone());
            let status = of(&pod, &record, None);
            assert_eq!(status.phase.as_deref(), Some(expected), "{policy} {code}");
            let state = status.container_statuses.unwrap()[0].state.clone().unwrap();
            assert_eq!(state.terminated.unwrap().exit_code, code);
            record.containers[0].state = RunState::waiting("CrashLoopBackOff");
            record.containers[0].last = Some(ended);
            let status = of(&pod, &record, None);
            assert_eq!(status.phase.as_deref(), Some(expected), "{policy} {code}, held back");
        }
    }

    #[test]
    fn init_containers_are_waited_for() {
        let (pod, mut record) = pod("{initContainers: [{name: i}], containers: [{name: a}]}");
        with_network(&mut record);
        let status = of(&pod, &record, None);
        assert_eq!(
            condition(&status, "Initialized"),
            "False ContainersNotInitialized containers with incomplete status: [i]"
        );
        let waiting = status.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
        assert_eq!(waiting.reason.as_deref(), Some("PodInitializing"));
        record.containers[0].state = RunState::Ended(Ended::with_code(0, at(1), at(2)));
        run(&mut record, 1, true);
        let status = of(&pod, &record, None);
        assert_eq!(condition(&status, "Initialized"), "True");
        assert!(status.init_container_statuses.unwrap()[0].ready);
    }
}
