//! For people.

use std::fmt::Write;

use super::{DirectionResult, Latency, PktgenResult, TrialResult};
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
        for remark in self.remarks() {
            let _ = writeln!(text, "{remark}");
        }
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

    /// What is to be known of the figures, one sentence each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.trial.remarks();
        remarks.push(match &self.bias {
            Some(bias) => format!("Back to back: {}.", bias.over),
            None => "The generator's own bias was not measured.".to_owned(),
        });
        remarks
    }
}

impl TrialResult {
    /// What makes figures unfit, or is to be known of them.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let missed = match self.links_down.is_empty() {
            true => "packets were due and not sent: this is more than the generator can do",
            false => "packets were due and not sent",
        };
        let counted = [
            (self.missed, missed),
            (
                self.dropped_by_sender,
                "packets were dropped by the sending device in all of the trial",
            ),
            (self.overrun, "packets found the generator's rings full in all of the trial"),
            (self.forward.foreign, "packets were not of this run"),
            (self.forward.moved, "packets came to another destination than their flow's first one"),
            (
                self.reply.as_ref().map_or(0, |reply| reply.mistranslated),
                "replies did not come from where their flow was sent: they count as lost",
            ),
            (self.retries, "TCP segments got no answer in time and were sent again"),
            (self.never_open, "TCP flows never opened"),
            (self.new_flows, "flows took the place of others"),
        ];
        let of_count = |(count, what): &(u64, &str)| format!("{} {what}", grouped(*count));
        let mut remarks: Vec<String> =
            counted.iter().filter(|(count, _)| *count > 0).map(of_count).collect();
        if self.forward.sent > 0 && self.forward.received == 0 {
            remarks.push(format!("nothing arrived{NOT_SEEN}"));
        }
        let went_down =
            |name: &String| format!("the link of {name} went down: see `ip link show {name}`");
        remarks.extend(self.links_down.iter().map(went_down));
        if self.interrupted {
            remarks.push("interrupted: this is what was measured until then".to_owned());
        }
        remarks
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
