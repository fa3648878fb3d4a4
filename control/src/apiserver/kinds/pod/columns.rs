use jiff::Timestamp;
use serde_json::Value;

use crate::apiserver::kinds::cells::{
    AGE, NAME, at, human_duration, int_at, list_at, or_none, str_at, text, wide,
};
use crate::apiserver::resource::Column;

/// As people know them.
pub(super) const COLUMNS: &[Column] = &[
    NAME,
    text("Ready", "The containers of the Pod that are ready.", |pod, now| {
        let Summary { ready, containers, .. } = Summary::of(pod, now);
        format!("{ready}/{containers}").into()
    }),
    text("Status", "What the Pod is doing.", |pod, now| Summary::of(pod, now).status.into()),
    text(
        "Restarts",
        "How often containers of the Pod were started again, and when last.",
        |pod, now| Summary::of(pod, now).restarts.shown().into(),
    ),
    AGE,
    wide("IP", "The Pod's address.", |pod, _| {
        let first = list_at(pod, "/status/podIPs").first();
        or_none(first.map(|entry| str_at(entry, "/ip")).unwrap_or_default()).into()
    }),
    wide("Node", "The node that the Pod is on.", |pod, _| {
        or_none(str_at(pod, "/spec/nodeName")).into()
    }),
    wide("Nominated Node", "The node that is being made free for the Pod.", |pod, _| {
        or_none(str_at(pod, "/status/nominatedNodeName")).into()
    }),
    wide("Readiness Gates", "The further conditions of being ready that are true.", |pod, _| {
        readiness_gates(pod).into()
    }),
];

/// What `printPod` finds out.
struct Summary {
    ready: usize,
    containers: usize,
    status: String,
    restarts: Restarts,
}

/// Containers that were started again.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    /// Seconds since the last one ended that was.
    last_ago: Option<i64>,
}

impl Restarts {
    fn add(&mut self, container: &Value, now: Timestamp) {
        self.count += int_at(container, "/restartCount");
        let end = str_at(container, "/lastState/terminated/finishedAt").parse::<Timestamp>();
        if let Ok(end) = end {
            let ago = now.as_second() - end.as_second();
            self.last_ago = Some(self.last_ago.map_or(ago, |last| last.min(ago)));
        }
    }

    fn shown(self) -> String {
        match self.last_ago {
            Some(ago) if self.count > 0 => format!("{} ({} ago)", self.count, human_duration(ago)),
            _ => self.count.to_string(),
        }
    }
}

impl Summary {
    fn of(pod: &Value, now: Timestamp) -> Self {
        let phase = str_at(pod, "/status/phase");
        let reason = str_at(pod, "/status/reason");
        let mut summary = Self {
            ready: 0,
            containers: list_at(pod, "/spec/containers").len(),
            status: if reason.is_empty() { phase } else { reason }.to_owned(),
            restarts: Restarts::default(),
        };
        for condition in list_at(pod, "/status/conditions") {
            if str_at(condition, "/type") == "PodScheduled"
                && str_at(condition, "/reason") == "SchedulingGated"
            {
                summary.status = "SchedulingGated".to_owned();
            }
        }
        let mut staying = Restarts::default();
        if !summary.initializes(pod, now, &mut staying) || has_condition(pod, "Initialized") {
            summary.restarts = staying;
            summary.runs(pod, now);
        }
        if !at(pod, "/metadata/deletionTimestamp").is_null() {
            if reason == "NodeLost" {
                summary.status = "Unknown".to_owned();
            } else if !matches!(phase, "Failed" | "Succeeded") {
                summary.status = "Terminating".to_owned();
            }
        }
        summary
    }

    /// The init containers; whether they have not ended all. Those that stay beside the others
    /// (`restartPolicy: Always`) are counted with them, also later.
    fn initializes(&mut self, pod: &Value, now: Timestamp, staying: &mut Restarts) -> bool {
        let inits = list_at(pod, "/spec/initContainers");
        let stays = |init: &&Value| str_at(init, "/restartPolicy") == "Always";
        self.containers += inits.iter().filter(stays).count();
        for (index, container) in list_at(pod, "/status/initContainerStatuses").iter().enumerate() {
            let name = str_at(container, "/name");
            let stays = inits.iter().filter(stays).any(|init| str_at(init, "/name") == name);
            self.restarts.add(container, now);
            if stays {
                staying.add(container, now);
            }
            let terminated = at(container, "/state/terminated");
            let waiting = str_at(container, "/state/waiting/reason");
            self.status = if !terminated.is_null() && int_at(terminated, "/exitCode") == 0 {
                continue;
            } else if stays && at(container, "/started") == true {
                self.ready += usize::from(at(container, "/ready") == true);
                continue;
            } else if !terminated.is_null() {
                format!("Init:{}", end_of(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", inits.len())
            };
            return true;
        }
        false
    }

    fn runs(&mut self, pod: &Value, now: Timestamp) {
        let mut running = false;
        for container in list_at(pod, "/status/containerStatuses").iter().rev() {
            self.restarts.add(container, now);
            let waiting = str_at(container, "/state/waiting/reason");
            let terminated = at(container, "/state/terminated");
            if !waiting.is_empty() {
                self.status = waiting.to_owned();
            } else if !terminated.is_null() {
                self.status = end_of(terminated);
            } else if at(container, "/ready") == true && !at(container, "/state/running").is_null()
            {
                running = true;
                self.ready += 1;
            }
        }
        if self.status == "Completed" && running {
            let status = if has_condition(pod, "Ready") { "Running" } else { "NotReady" };
            self.status = status.to_owned();
        }
    }
}

/// Why a container ended.
fn end_of(terminated: &Value) -> String {
    match (str_at(terminated, "/reason"), int_at(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", int_at(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn has_condition(pod: &Value, kind: &str) -> bool {
    list_at(pod, "/status/conditions").iter().any(|condition| {
        str_at(condition, "/type") == kind && str_at(condition, "/status") == "True"
    })
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list_at(pod, "/spec/readinessGates");
    let open = gates.iter().filter(|gate| has_condition(pod, str_at(gate, "/conditionType")));
    if gates.is_empty() {
        or_none("").to_owned()
    } else {
        format!("{}/{}", open.count(), gates.len())
    }
}
