use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;

use super::AskArgs;
use super::output::{columns, duration, print};
use crate::admin::{SourceView, StatusView};

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Fail until all that the agent follows has been put in force once
    #[arg(long)]
    ready: bool,
}

impl StatusArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let status = self.ask.client()?.status().await?;
        if let Some(why) = status.source.incomplete.as_ref().filter(|_| self.ready) {
            anyhow::bail!("not ready: {why}");
        }
        print(self.ask.output, &status, text)
    }
}

fn text(status: &StatusView) -> String {
    let pods = match status.pods.as_slice() {
        [] => "none attached".to_owned(),
        pods => format!("{} attached: {}", pods.len(), pods.join(", ")),
    };
    let mut text = format!(
        "Agent:      maglane {}, up {}\n{}Generation: {}\nServices:   {} ({} frontends)\n\
         Pods:       {pods}\n",
        status.version,
        duration(status.uptime_s),
        source(&status.source),
        status.generation,
        status.services,
        status.frontends,
    );
    section(&mut text, watches(&status.source));
    section(&mut text, workers(status));
    section(&mut text, ports(status));
    section(&mut text, counters(status));
    if !status.problems.is_empty() {
        text.push_str("\nPROBLEMS\n");
        for problem in &status.problems {
            let _ = writeln!(text, "{problem}");
        }
    }
    text
}

fn section(text: &mut String, table: Option<String>) {
    if let Some(table) = table {
        text.push('\n');
        text.push_str(&table);
    }
}

fn source(source: &SourceView) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    if !source.what.is_empty() {
        line("Source:", &source.what);
    }
    if let Some(kubeconfig) = &source.kubeconfig {
        line("Kubeconfig:", &kubeconfig.display().to_string());
    }
    match (&source.node, &source.zone) {
        (Some(node), Some(zone)) => line("Node:", &format!("{node} in zone {zone}")),
        (Some(node), None) => line("Node:", node),
        (None, _) => {}
    }
    text
}

fn watches(source: &SourceView) -> Option<String> {
    let rows = source.watches.iter().map(|watch| {
        let state = if watch.connected { "connected" } else { "disconnected" };
        [
            watch.what.clone(),
            format!("{state} for {}", duration(watch.since_s)),
            watch.last_event_s.map_or("-".to_owned(), |ago| format!("{} ago", duration(ago))),
            watch.last_error.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let names = ["WATCH", "STATE", "LAST CHANGE", "LAST ERROR"];
    (!source.watches.is_empty()).then(|| columns(names, rows))
}

fn workers(status: &StatusView) -> Option<String> {
    let rows = status.workers.iter().map(|worker| {
        [
            worker.worker.to_string(),
            worker.core.map_or("-".to_owned(), |core| core.to_string()),
            worker.flows.to_string(),
            worker.flow_capacity.to_string(),
        ]
    });
    let names = ["WORKER", "CORE", "FLOWS", "CAPACITY"];
    (!status.workers.is_empty()).then(|| columns(names, rows))
}

fn ports(status: &StatusView) -> Option<String> {
    let rows = status.ports.iter().map(|port| {
        [
            port.interface.clone(),
            port.queue.to_string(),
            port.xdp.clone(),
            port.copy.clone(),
            losses(&port.counters),
        ]
    });
    let names = ["PORT", "QUEUE", "XDP", "MODE", "COUNTERS"];
    (!status.ports.is_empty()).then(|| columns(names, rows))
}

fn losses(counters: &BTreeMap<String, u64>) -> String {
    let counted = counters.iter().filter(|(_, count)| **count > 0);
    let counted: Vec<_> = counted.map(|(name, count)| format!("{name}={count}")).collect();
    if counted.is_empty() { "-".to_owned() } else { counted.join(" ") }
}

/// What was counted at all: sums over the workers, then the steering programs, then the kernel.
fn counters(status: &StatusView) -> Option<String> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in status.workers.iter().flat_map(|worker| &worker.counters) {
        *sums.entry(name).or_default() += count;
    }
    let workers = sums.into_iter().map(|(name, count)| ("worker", name, count));
    let steering = status.steering.iter().map(|(name, count)| ("steering", name.as_str(), *count));
    let kernel = status.kernel.iter().map(|(name, count)| ("kernel", name.as_str(), *count));
    let rows: Vec<[String; 3]> = workers
        .chain(steering)
        .chain(kernel)
        .filter(|(_, _, count)| *count > 0)
        .map(|(of, name, count)| [of.to_owned(), name.to_owned(), count.to_string()])
        .collect();
    (!rows.is_empty()).then(|| columns(["COUNTED BY", "WHAT", "COUNT"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{WatchView, WorkerView};

    #[test]
    fn the_source_tells_how_its_watches_do() {
        let watch = |what: &str, connected, last_error: Option<&str>| WatchView {
            what: what.into(),
            connected,
            since_s: 61,
            last_event_s: connected.then_some(3),
            last_error: last_error.map(str::to_owned),
        };
        let source = SourceView {
            what: "API server https://10.0.0.1:6443/".into(),
            watches: vec![
                watch("Services", true, None),
                watch("EndpointSlices", false, Some("connection refused")),
            ],
            node: Some("node-1".into()),
            zone: Some("a".into()),
            kubeconfig: None,
            incomplete: None,
        };
        let status = StatusView { source, ..StatusView::default() };
        let text = text(&status);
        for expect in [
            "Source:     API server https://10.0.0.1:6443/\nNode:       node-1 in zone a\n",
            "WATCH            STATE                   LAST CHANGE   LAST ERROR\n",
            "Services         connected for 1m1s      3s ago        -\n",
            "EndpointSlices   disconnected for 1m1s   -             connection refused\n",
        ] {
            assert!(text.contains(expect), "{text}");
        }
    }

    #[test]
    fn counters_are_summed_and_zeroes_left_out() {
        let worker = |worker, forwarded| WorkerView {
            worker,
            core: (worker == 0).then_some(1),
            flows: 2,
            flow_capacity: 1024,
            counters: BTreeMap::from([("forwarded".into(), forwarded), ("ttl".into(), 0)]),
        };
        let status = StatusView {
            version: "0.1.0".into(),
            uptime_s: 61,
            generation: 4,
            services: 1,
            frontends: 2,
            pods: vec!["veth1".into()],
            workers: vec![worker(0, 3), worker(1, 4)],
            steering: BTreeMap::from([("redirected".into(), 9)]),
            problems: vec!["svc.yaml: bad".into()],
            ..StatusView::default()
        };
        assert_eq!(
            text(&status),
            "Agent:      maglane 0.1.0, up 1m1s\n\
             Generation: 4\n\
             Services:   1 (2 frontends)\n\
             Pods:       1 attached: veth1\n\
             \n\
             WORKER   CORE   FLOWS   CAPACITY\n\
             0        1      2       1024\n\
             1        -      2       1024\n\
             \n\
             COUNTED BY   WHAT         COUNT\n\
             worker       forwarded    7\n\
             steering     redirected   9\n\
             \n\
             PROBLEMS\n\
             svc.yaml: bad\n"
        );
    }
}
