//! Two figures of the same rounds beside one another, and who wins.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::figures::{Figure, ratio};
use crate::output::grouped;

/// Maglane's figure over somebody else's, of the same rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabRatio {
    /// Of which figure.
    pub(crate) metric: String,
    /// Whose figure.
    pub(crate) subject: String,
    /// Over whose.
    pub(crate) beside: String,
    /// Services that both had; 0 where one knows none.
    pub(crate) services: u32,
    /// Whether a ratio above 1 is the subject's advantage.
    pub(crate) more_is_better: bool,
    /// One a round in which both were measured and more than nothing.
    pub(crate) figure: Figure,
    /// Rounds in which one of them was not to be told from nothing: they have no ratio, and may well
    /// be those that somebody won.
    pub(crate) rounds_without: usize,
}

/// Who is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Winner {
    /// The first one, in every round.
    Subject,
    /// The other, in every round.
    Beside,
    /// One in some rounds, the other in others.
    Neither,
}

impl LabRatio {
    /// Pairs figures by their rounds, and counts those that have no ratio. `None` without a round in
    /// which both are more than can be told from nothing: what noise is left of a difference has no
    /// ratio.
    pub(super) fn figure(
        one: &[(u32, f64)],
        other: &[(u32, f64)],
        nothing: f64,
    ) -> Option<(Figure, usize)> {
        let beside = |round| other.iter().find(|(number, _)| *number == round);
        let pairs: Vec<(f64, f64)> =
            one.iter().filter_map(|(round, value)| Some((*value, beside(*round)?.1))).collect();
        let told = pairs.iter().filter(|(one, other)| *one > nothing && *other > nothing);
        let ratios: Vec<f64> = told.map(|(one, other)| ratio(*one, *other)).collect();
        let without = pairs.len() - ratios.len();
        (!ratios.is_empty()).then(|| (Figure::of(ratios.into_iter()), without))
    }

    /// Who is better, if it was the same in every round.
    pub(crate) fn winner(&self) -> Winner {
        if self.rounds_without > 0 {
            return Winner::Neither;
        }
        match (self.figure.min > 1.0, self.figure.max < 1.0) {
            (true, _) if self.more_is_better => Winner::Subject,
            (_, true) if self.more_is_better => Winner::Beside,
            (true, _) => Winner::Beside,
            (_, true) => Winner::Subject,
            _ => Winner::Neither,
        }
    }

    /// How many times better the better one is, 1 or more in the median.
    pub(crate) fn advantage(&self) -> Figure {
        let Figure { median, min, max } = self.figure;
        if median >= 1.0 {
            return self.figure;
        }
        Figure { median: ratio(1.0, median), min: ratio(1.0, max), max: ratio(1.0, min) }
    }

    /// Whether the other is the kernel's own path, with or without kube-proxy's rules.
    pub(crate) fn is_beside_kernel(&self) -> bool {
        self.beside.starts_with("kernel") || self.beside.starts_with("kube-proxy")
    }

    fn at(&self) -> String {
        match self.services {
            0 => String::new(),
            1 => " at 1 Service".to_owned(),
            services => format!(" at {}", grouped(services.into())),
        }
    }
}

/// Says plainly in what this side wins against the kernel's path, and by how much: a sentence for
/// each figure.
pub(crate) fn wins(ratios: &[&LabRatio], winner: Winner) -> Vec<String> {
    let mut sentences: Vec<(&str, &str, String)> = Vec::new();
    for ratio in ratios.iter().filter(|ratio| ratio.is_beside_kernel()) {
        if ratio.winner() != winner {
            continue;
        }
        let advantage = ratio.advantage();
        let (median, spread) = (times(advantage.median), [advantage.min, advantage.max].map(times));
        let share = format!("by {median} ({} to {}){}", spread[0], spread[1], ratio.at());
        match sentences.last_mut() {
            Some((metric, beside, sentence))
                if *metric == ratio.metric && *beside == ratio.beside =>
            {
                let _ = write!(sentence, ", {share}");
            }
            Some((metric, beside, sentence)) if *metric == ratio.metric => {
                *beside = &ratio.beside;
                let _ = write!(sentence, "; {} {share}", ratio.beside);
            }
            _ => {
                let sentence = format!("{}: {} {share}", ratio.metric, ratio.beside);
                sentences.push((&ratio.metric, &ratio.beside, sentence));
            }
        }
    }
    sentences.into_iter().map(|(_, _, sentence)| format!("{sentence}.")).collect()
}

/// `1.25×`, `12×`.
pub(crate) fn times(factor: f64) -> String {
    match factor {
        factor if factor >= 9.95 => format!("{}×", grouped(factor.round() as u64)),
        factor if factor >= 1.995 => format!("{factor:.1}×"),
        factor => format!("{factor:.2}×"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(median: f64, min: f64, max: f64) -> Figure {
        Figure { median, min, max }
    }

    fn against(beside: &str, services: u32, more_is_better: bool, figure: Figure) -> LabRatio {
        LabRatio {
            metric: "Throughput".into(),
            subject: "Maglane".into(),
            beside: beside.into(),
            services,
            more_is_better,
            figure,
            rounds_without: 0,
        }
    }

    #[test]
    fn rounds_that_one_missed_are_no_ratio() {
        let one = [(1, 10.0), (2, 20.0), (4, -3.0)];
        let other = [(2, 10.0), (3, 5.0), (4, 2.0)];
        assert_eq!(LabRatio::figure(&one, &other, 0.0), Some((figure(2.0, 2.0, 2.0), 1)));
        assert_eq!(LabRatio::figure(&one, &other, 10.0), None);
        assert_eq!(LabRatio::figure(&one, &[(3, 5.0)], 0.0), None);
    }

    #[test]
    fn who_wins_wins_in_every_round() {
        let more = |of| against("kernel", 1, true, of).winner();
        let less = |of| against("kernel", 1, false, of).winner();
        let (above, below, both) =
            (figure(1.5, 1.2, 2.0), figure(0.5, 0.4, 0.8), figure(1.1, 0.9, 1.3));
        assert_eq!([more(above), less(above)], [Winner::Subject, Winner::Beside]);
        assert_eq!([more(below), less(below)], [Winner::Beside, Winner::Subject]);
        assert_eq!([more(both), less(both)], [Winner::Neither; 2]);
        let unsure = LabRatio { rounds_without: 1, ..against("kernel", 1, true, above) };
        assert_eq!(unsure.winner(), Winner::Neither, "a round that has no ratio was won by nobody");
        assert_eq!(against("kernel", 1, true, below).advantage(), figure(2.0, 1.25, 2.5));
    }

    #[test]
    fn wins_are_said_in_one_sentence_for_each_figure() {
        let ratios = [
            against("bare AF_XDP", 0, true, figure(0.5, 0.5, 0.5)),
            against("kube-proxy, nftables", 1, true, figure(0.5, 0.4, 0.8)),
            against("kube-proxy, nftables", 1_000, true, figure(0.8, 0.5, 0.8)),
            against("kube-proxy, iptables", 1, true, figure(20.0, 10.0, 30.0)),
        ];
        let ratios: Vec<&LabRatio> = ratios.iter().collect();
        assert_eq!(
            wins(&ratios, Winner::Beside),
            ["Throughput: kube-proxy, nftables by 2.0× (1.25× to 2.5×) at 1 Service, \
                 by 1.25× (1.25× to 2.0×) at 1,000."]
        );
        assert_eq!(
            wins(&ratios, Winner::Subject),
            ["Throughput: kube-proxy, iptables by 20× (10× to 30×) at 1 Service."]
        );
    }
}
