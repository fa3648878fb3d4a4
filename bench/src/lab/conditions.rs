//! How everything was measured, in words: for the text and the page.

use super::book::Book;
use super::measure::{CORE, Quiet, goal, least_cost_ns, shape};
use super::metric::Metric;
use crate::figures::Figure;
use crate::output::grouped;
use crate::pktgen::MIN_SLEEP_NS;

impl Book<'_> {
    pub(super) fn conditions(&self) -> Vec<String> {
        let args = self.args;
        let mut conditions = vec![format!(
            "Rounds: {}, everybody in turn in each; medians, with the least and the greatest. UDP \
             over IPv4 in frames of {} bytes, {} flows, between two veth pairs through a node of \
             its own; the generator sends and receives over AF_XDP on core {CORE}. What it does by \
             itself, over a veth pair of its own, stands beside. The kernel's paths run where \
             packets are sent, on core {CORE}; workers take the last cores, so that on two cores a \
             second worker shares the generator's.",
            self.rounds(),
            shape().smallest_frame(),
            grouped(args.flows.into())
        )];
        if args.measures(Metric::Ndr) {
            let goal = goal(args);
            conditions.push(format!(
                "Throughput without loss is searched to {:.0}%, and decided {}. ≥ stands where the \
                 generator could do no more, with what the kernel does on its core for whoever \
                 forwards: the figure is at least that, and loses to nobody.",
                goal.width * 100.0,
                goal.rule()
            ));
        }
        conditions.extend(self.cost_condition());
        if args.measures(Metric::Change) || args.measures(Metric::Churn) {
            conditions.push(
                "A change is in force when Maglane's engine has published it, or when nft or \
                 iptables-restore has ended, by the clock of who asked for it; what the API and the \
                 agent take before is not in it. Blocked time is lost packets over the offered \
                 rate: what still goes to a backend that was taken away counts as delivered."
                    .to_owned(),
            );
        }
        conditions.extend([
            "Maglane is its engine, as the agent starts it, in a process that is told of changes; \
             kube-proxy is the rules that its proxiers write, and a change what their partial sync \
             writes, through nft and iptables-restore."
                .to_owned(),
            "On a veth there is no zero-copy: AF_XDP copies every packet twice there and pays a \
             system call, where the kernel's path copies nothing. On a NIC with zero-copy it does \
             neither."
                .to_owned(),
        ]);
        conditions
    }

    /// How many there were; a run that was cut short has fewer of some.
    fn rounds(&self) -> String {
        let latencies = self.latencies.iter().map(|one| one.rounds.len());
        let counts =
            || self.entries.iter().map(|entry| entry.rounds.len()).chain(latencies.clone());
        match (counts().min(), counts().max()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            (_, most) => most.unwrap_or(0).to_string(),
        }
    }

    fn cost_condition(&self) -> Option<String> {
        if self.quiet.is_empty() {
            return None;
        }
        let figure = |of: fn(&Quiet) -> f64| Figure::of(self.quiet.iter().map(of));
        Some(format!(
            "Processor time is that of all cores, without other programs' ({} cores before the \
             rounds), without what the machine does when nobody does anything ({} cores), and \
             without the generator's, {} ns a packet by itself, measured in each round. Less than \
             {:.0} ns cannot be told from nothing, and counts as that in ratios. The generator \
             sleeps for {} ms at least and sends what fell due together, which wakes an adaptive \
             worker more seldom than even gaps would.",
            figure(|quiet| quiet.others_cores).show(1.0, 3),
            figure(|quiet| quiet.idle_cores).show(1.0, 3),
            figure(|quiet| quiet.generator_ns).show(1.0, 0),
            least_cost_ns(self.args),
            MIN_SLEEP_NS as f64 / 1e6,
        ))
    }
}
