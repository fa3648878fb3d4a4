//! For people.

use std::fmt::Write;

use super::{DirectionResult, Latency, PktgenResult};
use crate::output::{grouped, table};
use crate::pktgen::options::{Protocol, TrafficInfo};

/// What to try when nothing arrives.
pub(crate) const NOT_SEEN: &str =
    ". Is there a way to the receiver? What bpf_redirect_peer hands over needs --xdp generic";

impl PktgenResult {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.path.join("  →  "));
        if let Some(traffic) = &self.traffic {
            let _ = writeln!(text, "{}, {}", traffic.text(), self.pace);
        } else {
            let _ = writeln!(text, "a capture, {}", self.pace);
        }
        let _ = writeln!(text, "on {}\n", self.origin.machine.show());
        let _ = writeln!(text, "{}", self.directions());
        self.remarks(&mut text);
        text
    }

    fn directions(&self) -> String {
        let mut rows = table([
            "",
            "SENT",
            "RECEIVED",
            "LOST",
            "LOST %",
            "REORDERED",
            "DUPLICATED",
            "CORRUPTED",
            "MPPS",
            "P50 µs",
            "P90",
            "P99",
            "P99.9",
            "MAX",
        ]);
        let bias = self.bias.as_ref().map(|bias| &bias.trial);
        for (name, trial) in [("", Some(&self.trial)), ("back to back, ", bias)] {
            let Some(trial) = trial else { continue };
            for (direction, result) in trial.directions() {
                rows.add_row(result.row(&format!("{name}{direction}"), result.latency_ns.as_ref()));
                if let Some(latency) = &result.first_packet_latency_ns {
                    let mut row: Vec<String> = vec![String::new(); 14];
                    row[0] = format!("{name}{direction}, first packets");
                    row[2] = grouped(latency.packets);
                    row.splice(9.., latency.cells());
                    rows.add_row(row);
                }
            }
        }
        rows.trim_fmt()
    }

    fn remarks(&self, text: &mut String) {
        let trial = &self.trial;
        let missed = match trial.links_down.is_empty() {
            true => "packets were due and not sent: this is more than the generator can do",
            false => "packets were due and not sent",
        };
        let counted = [
            (trial.missed, missed),
            (trial.dropped_by_sender, "packets were dropped by the sending device (of those lost)"),
            (trial.overrun, "packets found the generator's rings full (of those lost)"),
            (trial.forward.foreign, "packets were not of this run"),
            (
                trial.forward.moved,
                "packets came to another destination than their flow's first one",
            ),
            (
                trial.reply.as_ref().map_or(0, |reply| reply.mistranslated),
                "replies did not come from where their flow was sent: they count as lost",
            ),
            (trial.retries, "TCP segments got no answer in time and were sent again"),
            (trial.never_open, "TCP flows never opened"),
            (trial.new_flows, "flows took the place of others"),
        ];
        for (count, what) in counted {
            if count > 0 {
                let _ = writeln!(text, "{} {what}", grouped(count));
            }
        }
        if trial.forward.sent > 0 && trial.forward.received == 0 {
            let _ = writeln!(text, "nothing arrived{NOT_SEEN}");
        }
        for name in &trial.links_down {
            let _ = writeln!(text, "the link of {name} went down: see `ip link show {name}`");
        }
        if trial.interrupted {
            let _ = writeln!(text, "interrupted: this is what was measured until then");
        }
        match &self.bias {
            Some(bias) => {
                let _ = writeln!(text, "Back to back: {}.", bias.over);
            }
            None => {
                let _ = writeln!(text, "The generator's own bias was not measured.");
            }
        }
    }
}

impl DirectionResult {
    fn row(&self, name: &str, latency: Option<&Latency>) -> Vec<String> {
        let mut row = vec![
            name.to_owned(),
            grouped(self.sent),
            grouped(self.received),
            grouped(self.lost),
            format!("{:.4}", self.lost_share * 100.0),
            grouped(self.reordered),
            grouped(self.duplicated),
            grouped(self.corrupted),
            format!("{:.4}", self.received_pps / 1e6),
        ];
        row.extend(latency.map_or_else(|| vec![String::new(); 5], Latency::cells));
        row
    }
}

impl TrafficInfo {
    /// One line.
    pub(crate) fn text(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Udp => "UDP",
            Protocol::Tcp => "TCP",
        };
        let answered = if self.responds { ", answered" } else { "" };
        format!(
            "{protocol} over IPv{}, {} flows, frames of {} bytes, seed {}{answered}",
            self.family,
            grouped(self.flows.into()),
            self.frame_bytes,
            self.seed
        )
    }
}
