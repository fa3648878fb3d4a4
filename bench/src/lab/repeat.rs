//! The command that measures a figure again.

use super::LabArgs;
use super::metric::Metric;
use super::subject::Subject;
use crate::result::quoted;

impl LabArgs {
    /// Of one figure of these.
    pub(super) fn repeat(&self, metric: Metric, subjects: &[&Subject]) -> String {
        let number = |value: &dyn ToString| value.to_string();
        let mut words = vec!["maglane-bench".to_owned(), "lab".to_owned()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        option("--rounds", number(&self.rounds));
        option("--seconds", number(&self.seconds));
        option("--rate", number(&self.rate.pps()));
        option("--flows", number(&self.flows));
        option("--seed", number(&self.seed));
        if let Some(path) = self.bare.given() {
            option("--bare-forwarder", path.to_string_lossy().into_owned());
        }
        for subject in subjects {
            option("--subject", subject.name());
        }
        if let Some(services) = subjects.iter().map(|subject| subject.services).max()
            && services > 0
        {
            option("--services", number(&services));
        }
        option("--only", metric.name());
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}
