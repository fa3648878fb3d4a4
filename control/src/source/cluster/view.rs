use std::sync::PoisonError;

use super::health::State;
use super::{Cluster, Watched};
use crate::admin::{SourceView, WatchView};
use crate::model::Problem;

impl Cluster {
    /// For `GET /status`.
    pub(crate) fn view(&self) -> SourceView {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let watches = states.iter().map(|(what, state)| WatchView {
            what: what.name().to_owned(),
            connected: state.connected,
            since_s: state.since.elapsed().as_secs(),
            last_event_s: state.last_event.map(|time| time.elapsed().as_secs()),
            last_error: state.last_failure.clone(),
        });
        SourceView {
            what: format!("API server {}", self.server),
            watches: watches.collect(),
            node: Some(self.node_name.clone()),
            zone: self.node().and_then(|node| node.zone.clone()),
            ..SourceView::default()
        }
    }

    /// What is wrong with the cluster itself, or with the way to it.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = |what: &Watched| !self.withheld.contains_key(what);
        let mut problems: Vec<_> = states
            .iter()
            .filter(|(what, state)| needed(what) && !state.connected)
            // One that has not begun has nothing to tell.
            .filter(|(_, state)| state.listed || state.last_failure.is_some())
            .map(|(what, state)| self.disconnected(*what, state))
            .collect();
        problems.extend(self.withheld.values().cloned());
        if self.listed.contains(&Watched::Node) && self.node.is_none() {
            let problem = Problem::new(format_args!(
                "the cluster has no Node {:?}: give --node-name",
                self.node_name
            ));
            problems.push(problem);
        }
        problems
    }

    fn disconnected(&self, what: Watched, state: &State) -> Problem {
        let for_s = state.since.elapsed().as_secs();
        let why = state.last_failure.as_deref().unwrap_or("not connected yet");
        let known = if state.listed { "what was known stays in force" } else { "nothing is known" };
        Problem::new(format_args!("{} are not followed for {for_s} s, {known}: {why}", what.name()))
            .origin(format!("API server {}", self.server))
    }
}
