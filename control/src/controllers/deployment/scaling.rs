//! How many replicas each ReplicaSet of a Deployment may have. Numbers in, numbers out.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What a Deployment asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Limits {
    pub(in super::super) replicas: i32,
    /// Replicas that may be there beyond that.
    pub(in super::super) surge: i32,
    /// Replicas of these that may be missing.
    pub(in super::super) unavailable: i32,
}

/// A ReplicaSet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Size {
    /// `spec.replicas`.
    pub(in super::super) replicas: i32,
    /// `status.availableReplicas`.
    pub(in super::super) available: i32,
}

impl Limits {
    /// Percentages of surge are rounded up, those of what may be missing down, and both are not 0.
    pub(in super::super) fn of(spec: &DeploymentSpec) -> Self {
        let replicas = spec.replicas.unwrap_or(1);
        let strategy = spec.strategy.as_ref();
        let rolling = strategy.and_then(|of| of.rolling_update.as_ref());
        let recreate = strategy.and_then(|of| of.type_.as_deref()) == Some("Recreate");
        if recreate {
            return Self { replicas, surge: 0, unavailable: 0 };
        }
        let quarter = IntOrString::String("25%".to_owned());
        let surge = rolling.and_then(|of| of.max_surge.as_ref()).unwrap_or(&quarter);
        let surge = resolve(surge, replicas, true);
        let unavailable = rolling.and_then(|of| of.max_unavailable.as_ref()).unwrap_or(&quarter);
        let mut unavailable = resolve(unavailable, replicas, false);
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Self { replicas, surge, unavailable: unavailable.min(replicas) }
    }

    /// Replicas that may be there at a time.
    pub(in super::super) fn most(self) -> i32 {
        self.replicas.saturating_add(self.surge)
    }

    /// Replicas that have to be available.
    pub(in super::super) fn least_available(self) -> i32 {
        self.replicas - self.unavailable
    }

    /// How many replicas the new ReplicaSet may have, when `all` are there of all ReplicaSets.
    pub(in super::super) fn new_set(self, new: i32, all: i32, recreate: bool) -> i32 {
        if recreate || new > self.replicas {
            return self.replicas;
        }
        let room = (self.most() - all).max(0);
        new + room.min(self.replicas - new)
    }

    /// How many replicas the old ReplicaSets may have: the unavailable ones go first, then as many
    /// as there are available ones beyond the least. `old` is in the order of age.
    pub(in super::super) fn old_sets(self, old: &[Size], new: Size) -> Vec<i32> {
        let mut sizes: Vec<_> = old.iter().map(|set| set.replicas).collect();
        let all: i32 = sizes.iter().sum::<i32>() + new.replicas;
        // New replicas that are not available yet cannot stand in for old ones.
        let new_unavailable = new.replicas - new.available;
        let mut room = all - self.least_available() - new_unavailable;
        if room <= 0 {
            return sizes;
        }
        for (size, set) in sizes.iter_mut().zip(old) {
            let broken = (*size - set.available).clamp(0, room);
            *size -= broken;
            room -= broken;
        }
        let available = old.iter().map(|set| set.available).sum::<i32>() + new.available;
        let mut surplus = (available - self.least_available()).max(0);
        for size in &mut sizes {
            let gone = (*size).min(surplus);
            *size -= gone;
            surplus -= gone;
        }
        sizes
    }

    /// How many replicas each of several ReplicaSets gets, when the Deployment is scaled while it
    /// rolls: each its share. With each comes what [`Self::most`] was when it was last scaled. Those
    /// that get what is left over stand first.
    pub(in super::super) fn shares(self, sets: &[(i32, i32)]) -> Vec<i32> {
        let all: i32 = sets.iter().map(|(replicas, _)| replicas).sum();
        let allowed = if self.replicas > 0 { self.most() } else { 0 };
        let change = allowed - all;
        let mut left = change;
        let mut sizes: Vec<_> = sets
            .iter()
            .map(|(replicas, most_before)| {
                let ideal = if self.replicas == 0 {
                    0
                } else {
                    let scaled = f64::from(*replicas) * f64::from(self.most());
                    rounded(scaled / f64::from((*most_before).max(1)))
                };
                let step = ideal - replicas;
                let step = if change > 0 { step.clamp(0, left) } else { step.clamp(left, 0) };
                left -= step;
                replicas + step
            })
            .collect();
        if let Some(first) = sizes.first_mut() {
            *first = (*first + left).max(0);
        }
        sizes
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, and replicas are far below")]
fn rounded(value: f64) -> i32 {
    value.round() as i32
}

/// A number, or a percentage of `total`.
fn resolve(value: &IntOrString, total: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => (*number).max(0),
        IntOrString::String(text) => {
            let percent = text.trim_end_matches('%').parse::<i64>().unwrap_or(0).max(0);
            let scaled = percent * i64::from(total);
            let resolved = if up { (scaled + 99).div_euclid(100) } else { scaled.div_euclid(100) };
            i32::try_from(resolved).unwrap_or(i32::MAX)
        }
    }
}
