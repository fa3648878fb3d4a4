//! When packets are to be sent: known beforehand, whatever the receiver does and however late the
//! sender is, so that waiting counts as latency (coordinated omission).

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

const NS_PER_S: f64 = 1e9;
/// A packet every 1,000 s up to one every nanosecond.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1e9;

/// Packets a second.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Rate(f64);

impl Rate {
    /// Any rate, brought into range.
    pub(crate) fn new(pps: f64) -> Self {
        Self(pps.clamp(*RATES.start(), *RATES.end()))
    }

    /// Packets a second.
    pub(crate) fn pps(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `1500000`, `1500k` or `1.5M`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
            Some(b'm' | b'M') => (&text[..text.len() - 1], 1e6),
            Some(b'g' | b'G') => (&text[..text.len() - 1], 1e9),
            _ => (text, 1.0),
        };
        let expected = "expected packets a second: 1500000, 1500k or 1.5M";
        let pps = number.parse::<f64>().map_err(|_| expected.to_owned())? * unit;
        if pps <= 0.0 {
            return Err("must be more than 0 packets a second".to_owned());
        }
        if !RATES.contains(&pps) {
            return Err("must be from 0.001 to 1G packets a second".to_owned());
        }
        Ok(Self(pps))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            pps if pps >= 1e6 => write!(formatter, "{:.3} Mpps", pps / 1e6),
            pps if pps >= 1e3 => write!(formatter, "{:.1} kpps", pps / 1e3),
            pps => write!(formatter, "{pps} pps"),
        }
    }
}

/// How fast.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// As fast as it goes.
    Max,
    /// Evenly.
    Even {
        /// Packets a second.
        pps: Rate,
    },
    /// From one rate to another, evenly over a time.
    Ramp {
        /// Packets a second in the beginning.
        from_pps: Rate,
        /// And at the end.
        to_pps: Rate,
        /// Between them.
        over_ns: u64,
    },
}

impl Pace {
    /// When packet `number`, from 0, is to be sent, in nanoseconds from the beginning; `None` for
    /// "now".
    #[inline]
    pub(crate) fn due_ns(&self, number: u64) -> Option<u64> {
        let number = number as f64;
        match *self {
            Self::Max => None,
            Self::Even { pps } => Some((number * (NS_PER_S / pps.0)) as u64),
            Self::Ramp { from_pps, to_pps, over_ns } => {
                // Sent after t: from·t + slope·t²/2. Solved for t in the form that holds for a
                // slope of 0, too.
                let (from, over) = (from_pps.0, over_ns as f64 / NS_PER_S);
                let slope = (to_pps.0 - from) / over;
                let root = (from * from + 2.0 * slope * number).max(0.0).sqrt();
                Some((2.0 * number / (from + root) * NS_PER_S) as u64)
            }
        }
    }

    /// Packets that are due before so many nanoseconds are over; `None` for "as many as go".
    pub(crate) fn due_before(&self, ns: u64) -> Option<u64> {
        let seconds = ns as f64 / NS_PER_S;
        let count = match *self {
            Self::Max => return None,
            Self::Even { pps } => pps.0 * seconds,
            Self::Ramp { from_pps, to_pps, over_ns } => {
                let slope = (to_pps.0 - from_pps.0) / (over_ns as f64 / NS_PER_S);
                from_pps.0 * seconds + slope * seconds * seconds / 2.0
            }
        };
        Some(count.round() as u64)
    }

    /// The pace with which it begins, held.
    pub(crate) fn beginning(&self) -> Self {
        match *self {
            Self::Ramp { from_pps, .. } => Self::Even { pps: from_pps },
            other => other,
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => formatter.write_str("as fast as it goes"),
            Self::Even { pps } => pps.fmt(formatter),
            Self::Ramp { from_pps, to_pps, .. } => write!(formatter, "{from_pps} to {to_pps}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, pps) in [("1500000", 1.5e6), ("1500k", 1.5e6), ("1.5M", 1.5e6), ("0.5", 0.5)] {
            assert_eq!(text.parse(), Ok(Rate(pps)));
        }
        for text in ["0", "-1", "0k"] {
            assert_eq!(
                text.parse::<Rate>(),
                Err("must be more than 0 packets a second".to_owned())
            );
        }
        for text in ["", "k", "fast", "NaN", "inf", "2G"] {
            text.parse::<Rate>().expect_err(text);
        }
    }

    #[test]
    fn an_even_pace_keeps_its_gaps() {
        let pace = Pace::Even { pps: Rate(4_000.0) };
        assert_eq!([0, 1, 2].map(|number| pace.due_ns(number)), [0, 250_000, 500_000].map(Some));
        assert_eq!(pace.due_before(1_000_000_000), Some(4_000));
    }

    #[test]
    fn a_ramp_sends_what_lies_under_it() {
        let up =
            Pace::Ramp { from_pps: Rate(1_000.0), to_pps: Rate(3_000.0), over_ns: 2_000_000_000 };
        assert_eq!(up.due_before(2_000_000_000), Some(4_000));
        assert_eq!(up.due_ns(0), Some(0));
        assert_eq!(up.due_ns(4_000), Some(2_000_000_000));
        let due: Vec<u64> = (0..4_000).filter_map(|number| up.due_ns(number)).collect();
        assert!(due.is_sorted());
        let in_first_second = due.iter().filter(|ns| **ns < 1_000_000_000).count();
        assert_eq!(in_first_second, 1_500);
        let flat =
            Pace::Ramp { from_pps: Rate(500.0), to_pps: Rate(500.0), over_ns: 1_000_000_000 };
        assert_eq!(flat.due_ns(250), Some(500_000_000));
    }
}
