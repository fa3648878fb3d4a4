//! Two figures of the same rounds beside one another, and who wins.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::book::Noted;
use super::metric::Metric;
use super::subject::Kind;
use crate::figures::{Figure, ratio};
use crate::output::grouped;

/// One's figure over somebody else's, of the same rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabRatio {
    /// Of which figure, as it is typed.
    pub(crate) key: Metric,
    /// Of which figure, or which percentile of it, for people.
    pub(crate) metric: String,
    /// Whose figure.
    pub(crate) subject: String,
    /// Over whose.
    pub(crate) beside: String,
    /// What that one is.
    pub(crate) beside_kind: Kind,
    /// Services that both had; 0 where one knows none.
    pub(crate) services: u32,
    /// Whether a ratio above 1 is the subject's advantage.
    pub(crate) more_is_better: bool,
    /// What came of the rounds.
    #[serde(flatten)]
    pub(crate) rounds: Rounds,
    /// What measures both again.
    pub(crate) command: String,
}

/// Rounds in which both were measured.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Rounds {
    /// One a round in which there is a ratio; none without such a round.
    pub(crate) figure: Option<Figure>,
    /// Rounds of the run.
    pub(crate) of_rounds: usize,
    /// Of these, rounds in which both were measured.
    pub(crate) rounds: usize,
    /// Of these again, rounds without a ratio: neither figure was to be told from nothing, or one was
    /// nothing at all.
    pub(crate) rounds_without: usize,
    /// Of these, rounds in which the generator limited the lesser one, which may be more.
    pub(crate) rounds_limited: usize,
    /// Rounds in which the subject was better.
    pub(crate) rounds_won: usize,
    /// Rounds in which the other was.
    pub(crate) rounds_lost: usize,
}

/// Who is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Winner {
    /// The first one, in every round.
    Subject,
    /// The other, in every round.
    Beside,
    /// One in some rounds, the other in others; or it cannot be told.
    Neither,
}

impl LabRatio {
    /// Pairs figures by their rounds, of which the run had so many. What differs by no more than can be
    /// told from nothing was won by nobody, and what is less than that counts as that. `None` without a
    /// round in which both were measured.
    pub(super) fn rounds(
        one: &[Noted],
        other: &[Noted],
        of_rounds: usize,
        nothing: f64,
        more_is_better: bool,
    ) -> Option<Rounds> {
        let beside = |round| other.iter().find(|noted| noted.round == round);
        let pairs: Vec<(&Noted, &Noted)> =
            one.iter().filter_map(|noted| Some((noted, beside(noted.round)?))).collect();
        // One that may be more than it is loses to nobody.
        let may_be_more = |(one, other): &&(&Noted, &Noted)| {
            if one.value < other.value { one.is_limited } else { other.is_limited }
        };
        let values =
            |(one, other): &(&Noted, &Noted)| (one.value.max(nothing), other.value.max(nothing));
        let told: Vec<(f64, f64)> = pairs.iter().map(values).collect();
        let sure: Vec<(f64, f64)> =
            pairs.iter().filter(|pair| !may_be_more(pair)).map(values).collect();
        let has_ratio =
            |(one, other): &&(f64, f64)| one.min(*other) > 0.0 && one.max(*other) > nothing;
        let ratios: Vec<f64> =
            told.iter().filter(has_ratio).map(|(one, other)| ratio(*one, *other)).collect();
        let count = |is_won: fn(f64) -> bool| {
            let sign = if more_is_better { 1.0 } else { -1.0 };
            sure.iter()
                .map(|(one, other)| one - other)
                .filter(|more| more.abs() > nothing && is_won(more * sign))
                .count()
        };
        (!pairs.is_empty()).then(|| Rounds {
            of_rounds,
            rounds: pairs.len(),
            rounds_without: pairs.len() - ratios.len(),
            rounds_limited: pairs.len() - sure.len(),
            rounds_won: count(|more| more > 0.0),
            rounds_lost: count(|more| more < 0.0),
            figure: (!ratios.is_empty()).then(|| Figure::of(ratios.into_iter())),
        })
    }

    /// Who is better, if it was the same in every round in which both were measured.
    pub(crate) fn winner(&self) -> Winner {
        let Rounds { rounds, rounds_won, rounds_lost, .. } = self.rounds;
        match (rounds_won == rounds, rounds_lost == rounds) {
            (true, _) => Winner::Subject,
            (_, true) => Winner::Beside,
            _ => Winner::Neither,
        }
    }

    /// How many times better the better one is, 1 or more in the median. None where a figure is
    /// nothing, which has no ratio.
    pub(crate) fn advantage(&self) -> Option<Figure> {
        let figure = self.rounds.figure?;
        let Figure { median, min, max } = figure;
        if median >= 1.0 {
            return Some(figure);
        }
        Some(Figure { median: ratio(1.0, median), min: ratio(1.0, max), max: ratio(1.0, min) })
    }

    /// Whether the other is the kernel's own path, with or without kube-proxy's rules.
    pub(crate) fn is_beside_kernel(&self) -> bool {
        self.beside_kind.is_kernels()
    }

    /// Whether the other is a bare forwarder.
    pub(crate) fn is_beside_bare(&self) -> bool {
        matches!(self.beside_kind, Kind::BareHostPort | Kind::BarePorts)
    }

    fn at(&self) -> String {
        match self.services {
            0 => String::new(),
            1 => " at 1 Service".to_owned(),
            services => format!(" at {}", grouped(services.into())),
        }
    }

    /// What is to be known of it: of how many rounds it is, where these are not all, and that the
    /// lesser figure may be more.
    pub(crate) fn remark(&self) -> Option<String> {
        let Rounds { of_rounds, rounds, rounds_without, rounds_limited, .. } = self.rounds;
        let told = rounds - rounds_without;
        let few = (told < of_rounds).then(|| format!("{told} of {of_rounds} rounds"));
        let limited =
            (rounds_limited > 0).then(|| format!("the generator at its limit in {rounds_limited}"));
        let remarks: Vec<String> = few.into_iter().chain(limited).collect();
        (!remarks.is_empty()).then(|| remarks.join(", "))
    }

    fn share(&self) -> String {
        let at = self.at();
        let Some(advantage) = self.advantage() else {
            return format!("beyond measure{at}");
        };
        let [median, min, max] = [advantage.median, advantage.min, advantage.max].map(times);
        let of = self.remark().map(|of| format!("; {of}")).unwrap_or_default();
        format!("by {median} ({min} to {max}{of}){at}")
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
        let share = ratio.share();
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

    fn noted(rounds: &[(u32, f64)]) -> Vec<Noted> {
        rounds.iter().map(|(round, value)| Noted::new(*round, *value)).collect()
    }

    fn against(kind: Kind, services: u32, more_is_better: bool, rounds: [f64; 2]) -> LabRatio {
        let one: Vec<(u32, f64)> = (1..).zip(rounds).collect();
        let other = noted(&[(1, 1.0), (2, 1.0)]);
        LabRatio {
            key: Metric::Max,
            metric: "Throughput".into(),
            subject: "Maglane".into(),
            beside: format!("{kind:?}"),
            beside_kind: kind,
            services,
            more_is_better,
            rounds: LabRatio::rounds(&noted(&one), &other, 2, 0.0, more_is_better).expect("rounds"),
            command: String::new(),
        }
    }

    #[test]
    fn rounds_that_one_missed_are_none() {
        let one = noted(&[(1, 10.0), (2, 20.0), (4, 0.0)]);
        let rounds = |other: &[(u32, f64)]| LabRatio::rounds(&one, &noted(other), 4, 0.0, false);
        let found = rounds(&[(2, 10.0), (3, 5.0), (4, 2.0)]).expect("rounds");
        let expected = Rounds {
            figure: Some(figure(2.0, 2.0, 2.0)),
            of_rounds: 4,
            rounds: 2,
            rounds_without: 1,
            rounds_limited: 0,
            rounds_won: 1,
            rounds_lost: 1,
        };
        assert_eq!(found, expected);
        assert_eq!(rounds(&[(3, 5.0)]), None);
    }

    #[test]
    fn what_lies_within_the_noise_is_won_by_nobody_and_counts_as_noise() {
        let [one, other] = [noted(&[(1, 50.0), (2, 5.0)]), noted(&[(1, 55.0), (2, 90.0)])];
        let found = LabRatio::rounds(&one, &other, 2, 10.0, false).expect("rounds");
        assert_eq!((found.rounds_won, found.rounds_lost, found.rounds_without), (1, 0, 0));
        assert_eq!(found.figure.map(|figure| figure.min), Some(10.0 / 90.0));
    }

    #[test]
    fn one_that_the_generator_limits_loses_to_nobody() {
        let limited = |value| vec![Noted { is_limited: true, ..Noted::new(1, value) }];
        let rounds = |one: Vec<Noted>, other: Vec<Noted>| {
            let found = LabRatio::rounds(&one, &other, 1, 0.0, true).expect("rounds");
            [found.rounds_won, found.rounds_lost, found.rounds_limited]
        };
        assert_eq!(rounds(limited(2.0), noted(&[(1, 1.0)])), [1, 0, 0]);
        assert_eq!(rounds(noted(&[(1, 1.0)]), limited(2.0)), [0, 1, 0]);
        assert_eq!(rounds(noted(&[(1, 3.0)]), limited(2.0)), [0, 0, 1]);
        assert_eq!(rounds(limited(3.0), limited(2.0)), [0, 0, 1]);
    }

    #[test]
    fn who_wins_wins_in_every_round() {
        let more = |of| against(Kind::Kernel, 1, true, of).winner();
        let less = |of| against(Kind::Kernel, 1, false, of).winner();
        assert_eq!([more([1.2, 2.0]), less([1.2, 2.0])], [Winner::Subject, Winner::Beside]);
        assert_eq!([more([0.4, 0.8]), less([0.4, 0.8])], [Winner::Beside, Winner::Subject]);
        assert_eq!([more([0.9, 1.3]), less([0.9, 1.3])], [Winner::Neither; 2]);
        let advantage = against(Kind::Kernel, 1, true, [0.4, 0.8]).advantage();
        assert_eq!(advantage.map(|figure| [figure.min, figure.max]), Some([1.25, 2.5]));
    }

    #[test]
    fn wins_are_said_in_one_sentence_for_each_figure() {
        let ratios = [
            against(Kind::BarePorts, 0, true, [0.5, 0.5]),
            against(Kind::Nftables, 1, true, [0.5, 0.8]),
            against(Kind::Nftables, 1_000, true, [0.5, 0.5]),
            against(Kind::Iptables, 1, true, [10.0, 30.0]),
        ];
        let ratios: Vec<&LabRatio> = ratios.iter().collect();
        assert_eq!(
            wins(&ratios, Winner::Beside),
            ["Throughput: Nftables by 1.54× (1.25× to 2.0×) at 1 Service, \
                 by 2.0× (2.0× to 2.0×) at 1,000."]
        );
        assert_eq!(
            wins(&ratios, Winner::Subject),
            ["Throughput: Iptables by 20× (10× to 30×) at 1 Service."]
        );
        let one = noted(&[(1, 0.3), (2, 0.2)]);
        let rounds = LabRatio::rounds(&one, &noted(&[(1, 0.0), (2, 0.0)]), 2, 0.0, false);
        let blocked = against(Kind::Nftables, 1, false, [1.0, 1.0]);
        let blocked = LabRatio { rounds: rounds.expect("rounds"), ..blocked };
        assert_eq!(
            wins(&[&blocked], Winner::Beside),
            ["Throughput: Nftables beyond measure at 1 Service."],
            "who loses nothing at all has no ratio, and wins"
        );
    }
}
