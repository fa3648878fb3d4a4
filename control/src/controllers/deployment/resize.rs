//! A change of the number of replicas, also in the middle of a rollout.

use super::revision;
use super::rollout::Rollout;
use crate::controllers::world::annotation;

impl Rollout<'_> {
    /// Follows a change of the number of replicas.
    pub(super) fn scale(&mut self) {
        let limits = self.limits;
        let active = self.old.iter().chain(&self.new).filter(|of| of.replicas > 0).count();
        if active <= 1 {
            // The active one; if there is none, the new one, or the newest of the old ones.
            let mut members = self.new.iter_mut().chain(self.old.iter_mut().rev());
            let only = if active == 1 {
                members.find(|member| member.replicas > 0)
            } else {
                members.next()
            };
            if let Some(member) = only {
                member.scale(limits.replicas, limits);
            }
            return;
        }
        if self.is_saturated() {
            self.old.iter_mut().filter(|of| of.replicas > 0).for_each(|of| of.scale(0, limits));
            return;
        }
        let mut members: Vec<_> =
            self.old.iter_mut().chain(&mut self.new).filter(|of| of.replicas > 0).collect();
        // The largest gets what is left over; among equals the newest when growing, the oldest when
        // shrinking.
        let growing = members.iter().map(|of| of.replicas).sum::<i32>() < limits.most();
        members.sort_by(|a, b| {
            let age = a.set.metadata.creation_timestamp.cmp(&b.set.metadata.creation_timestamp);
            let age = if growing { age.reverse() } else { age };
            b.replicas.cmp(&a.replicas).then(age)
        });
        let before: Vec<_> = members
            .iter()
            .map(|member| {
                let most = annotation(&member.set.metadata, revision::MAX);
                let most = most.and_then(|text| text.parse().ok());
                let shown = self.known.replicas.unwrap_or(0);
                (member.replicas, most.unwrap_or(shown))
            })
            .collect();
        for (member, replicas) in members.into_iter().zip(limits.shares(&before)) {
            member.scale(replicas, limits);
        }
    }

    /// Whether the new ReplicaSet alone is enough.
    fn is_saturated(&self) -> bool {
        self.new.as_ref().is_some_and(|new| {
            new.replicas == self.limits.replicas && new.size().available == self.limits.replicas
        })
    }
}
