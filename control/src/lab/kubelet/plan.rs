//! What is to be done with a Pod's containers: its specification and what is known of them in,
//! decisions out. No I/O, and no clock.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::record::{ContainerRecord, Ended, PodRecord, Role, RunState};

/// How long a container that has ended is not started again; doubles each time.
const BACK_OFF: SignedDuration = SignedDuration::from_secs(10);
/// And no longer than this.
const BACK_OFF_MOST: SignedDuration = SignedDuration::from_secs(300);
/// A run as long as this counts as success.
const BACK_OFF_RESET: SignedDuration = SignedDuration::from_secs(600);

/// What is to be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Containers to start, by their number in the record.
    pub(super) start: Vec<usize>,
    /// Containers to hold back until later, and how long it is in whole.
    pub(super) hold: Vec<(usize, SignedDuration)>,
    /// When to look again.
    pub(super) wake: Option<Timestamp>,
    /// All is over: what still runs beside the others is to end.
    pub(super) over: bool,
}

/// Decides. `back_off` has an entry for each container.
pub(super) fn plan(pod: &Pod, record: &PodRecord, back_off: &[BackOff], now: Timestamp) -> Plan {
    let policy = Policy::of(pod);
    let mut plan = Plan::default();
    if phase_is_over(record, policy) {
        plan.over = true;
        return plan;
    }
    let initialised = is_initialised(record);
    for (index, container) in record.containers.iter().enumerate() {
        let due = match (&container.state, container.ended()) {
            (RunState::Running { .. }, _) => Due::Never,
            (RunState::Waiting { .. }, _) if back_off[index].is_early(now) => Due::Wait,
            (_, None) => Due::Now,
            (_, Some(ended)) if policy.restarts(container.role, ended) => {
                back_off[index].due(ended, now)
            }
            _ => Due::Never,
        };
        match due {
            Due::Now => plan.start.push(index),
            Due::At(at, length) => {
                plan.hold.push((index, length));
                plan.wake = Some(plan.wake.map_or(at, |wake| wake.min(at)));
            }
            Due::Wait => {
                let at = back_off[index].not_before;
                plan.wake = plan.wake.into_iter().chain(at).min();
            }
            Due::Never => {}
        }
        // Until its place in the order is done with, nobody behind it may begin.
        if !initialised && !is_passed(container) {
            break;
        }
    }
    plan
}

/// Whether all init containers are done with, now or before.
pub(super) fn is_initialised(record: &PodRecord) -> bool {
    let begun =
        |one: &ContainerRecord| one.role == Role::Main && (one.runs() || one.ended().is_some());
    record.containers.iter().any(begun)
        || record.containers.iter().filter(|one| one.role != Role::Main).all(is_passed)
}

/// Whether the container lets those behind it begin.
pub(super) fn is_passed(container: &ContainerRecord) -> bool {
    match container.role {
        Role::Init => matches!(&container.state, RunState::Ended(ended) if ended.code == 0),
        Role::Sidecar => container.runs() && container.started,
        Role::Main => true,
    }
}

/// Whether nothing of the Pod will run any more.
pub(super) fn phase_is_over(record: &PodRecord, policy: Policy) -> bool {
    let is_over = |one: &ContainerRecord| {
        !one.runs() && one.ended().is_some_and(|ended| !policy.restarts(one.role, ended))
    };
    let init_failed = record.containers.iter().any(|one| {
        one.role == Role::Init && is_over(one) && one.ended().is_some_and(|ended| ended.code != 0)
    });
    let mut main = record.containers.iter().filter(|one| one.role == Role::Main).peekable();
    init_failed || (main.peek().is_some() && main.all(is_over))
}

/// `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    OnFailure,
    Never,
}

impl Policy {
    pub(super) fn of(pod: &Pod) -> Self {
        match pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }

    /// Whether a container that ended so is started again.
    pub(super) fn restarts(self, role: Role, ended: &Ended) -> bool {
        match (role, self) {
            (Role::Sidecar, _) | (Role::Main, Self::Always) => true,
            (_, Self::Never) => false,
            (Role::Init, _) | (Role::Main, Self::OnFailure) => ended.code != 0,
        }
    }
}

/// How patient to be with a container that keeps ending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BackOff {
    /// Zero: the first time it is started again at once.
    length: SignedDuration,
    /// Something that it needs is not there.
    not_before: Option<Timestamp>,
}

enum Due {
    Now,
    At(Timestamp, SignedDuration),
    /// What it needs is not there.
    Wait,
    Never,
}

impl BackOff {
    /// What the container needs is not there: it is looked for again then.
    pub(super) fn not_before(&mut self, at: Timestamp) {
        self.not_before = Some(at);
    }

    fn is_early(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }

    /// The container is being started again.
    pub(super) fn restarted(&mut self, ended: &Ended) {
        let lasted = ended.finished_at.duration_since(ended.started_at);
        self.length = if lasted >= BACK_OFF_RESET || self.length.is_zero() {
            BACK_OFF
        } else {
            (self.length * 2).min(BACK_OFF_MOST)
        };
    }

    fn due(self, ended: &Ended, now: Timestamp) -> Due {
        let lasted = ended.finished_at.duration_since(ended.started_at);
        let length = if lasted >= BACK_OFF_RESET { SignedDuration::ZERO } else { self.length };
        let at = ended.finished_at + length;
        if now >= at { Due::Now } else { Due::At(at, length) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::for_test::{at, pod};
    use super::*;

    fn running() -> RunState {
        RunState::Running { process: None, since: at(0) }
    }

    fn ended(code: i32) -> RunState {
        RunState::Ended(Ended::with_code(code, at(0), at(5)))
    }

    const THREE: &str = "{initContainers: [{name: i}, {name: s, restartPolicy: Always}],
                          containers: [{name: a}, {name: b}]}";

    #[test]
    fn init_containers_come_first_and_in_order() {
        let (pod, mut record) = pod(THREE);
        let start = |record: &PodRecord| plan(&pod, record, &[BackOff::default(); 4], at(9)).start;
        assert_eq!(start(&record), [0]);
        record.containers[0].state = running();
        assert_eq!(start(&record), [0; 0]);
        record.containers[0].state = ended(0);
        assert_eq!(start(&record), [1]);
        record.containers[1].state = running();
        assert_eq!(start(&record), [0; 0], "a sidecar is waited for until it has started");
        record.containers[1].started = true;
        assert_eq!(start(&record), [2, 3]);
        record.containers[2].state = running();
        record.containers[1].state = ended(1);
        assert_eq!(start(&record), [1, 3], "what is initialised stays so");
    }

    #[test]
    fn restart_policies() {
        for (policy, code, restarts) in [
            ("Always", 0, true),
            ("Always", 1, true),
            ("OnFailure", 0, false),
            ("OnFailure", 1, true),
            ("Never", 1, false),
        ] {
            let spec = format!("{{restartPolicy: {policy}, containers: [{{name: a}}]}}");
            let (pod, mut record) = pod(&spec);
            record.containers[0].state = ended(code);
            let found = plan(&pod, &record, &[BackOff::default()], at(9));
            assert_eq!(!found.start.is_empty(), restarts, "{policy} {code}");
            assert_eq!(found.over, !restarts, "{policy} {code}");
        }
    }

    #[test]
    fn a_failed_init_container_ends_a_pod_that_never_restarts() {
        let (pod, mut record) =
            pod("{restartPolicy: Never, initContainers: [{name: i}], containers: [{name: a}]}");
        record.containers[0].state = ended(3);
        assert!(plan(&pod, &record, &[BackOff::default(); 2], at(9)).over);
    }

    #[test]
    fn what_lacks_something_is_looked_at_again() {
        let (pod, mut record) = pod("{restartPolicy: Never, containers: [{name: a}]}");
        record.containers[0].state = RunState::waiting("CreateContainerConfigError");
        let mut back_off = [BackOff::default()];
        back_off[0].not_before(at(5));
        let early = plan(&pod, &record, &back_off, at(4));
        assert_eq!(early, Plan { wake: Some(at(5)), ..Plan::default() });
        assert_eq!(plan(&pod, &record, &back_off, at(5)).start, [0]);
    }

    #[test]
    fn patience_doubles_and_comes_back() {
        let (pod, mut record) = pod("{containers: [{name: a}]}");
        record.containers[0].state = ended(1);
        let mut back_off = [BackOff::default()];
        let short = Ended::with_code(1, at(0), at(5));
        assert_eq!(plan(&pod, &record, &back_off, at(5)).start, [0], "at once the first time");
        let mut lengths = Vec::new();
        for _ in 0..7 {
            back_off[0].restarted(&short);
            let plan = plan(&pod, &record, &back_off, at(5));
            assert!(plan.start.is_empty());
            assert_eq!(plan.wake, Some(at(5) + plan.hold[0].1));
            lengths.push(plan.hold[0].1.as_secs());
        }
        assert_eq!(lengths, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(plan(&pod, &record, &back_off, at(305)).start, [0]);
        back_off[0].restarted(&Ended::with_code(1, at(0), at(600)));
        assert_eq!(plan(&pod, &record, &back_off, at(5)).hold[0].1, BACK_OFF);
    }
}
