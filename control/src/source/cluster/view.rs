use std::sync::PoisonError;

use super::failure::Failure;
use super::follow::WITHHELD;
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

    /// What is wrong with the cluster itself, or with the way to it. That a server has no
    /// ServiceCIDRs is not, if somebody else tells us.
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
        let withheld = self
            .withheld
            .iter()
            .filter(|(what, failure)| !(**what == Watched::ServiceCidrs && failure.is_not_found()));
        problems.extend(withheld.map(|(what, failure)| withheld_problem(*what, failure)));
        problems.extend(self.unreadable.values().cloned());
        problems.extend(self.no_node());
        problems
    }

    /// That the server has no Node of ours.
    pub(super) fn no_node(&self) -> Option<Problem> {
        let unknown = self.listed.contains(&Watched::Node) && self.node.is_none();
        let name = &self.node_name;
        unknown.then(|| {
            let advice = "if this node has another name there, give --node-name";
            Problem::new(format_args!(
                "the cluster has no Node {name:?}, so no zone is known: {advice}"
            ))
        })
    }

    fn disconnected(&self, what: Watched, state: &State) -> Problem {
        let for_s = state.since.elapsed().as_secs();
        let why = state.last_failure.as_deref().unwrap_or("not connected yet");
        let known = if state.listed { "what was known stays in force" } else { "nothing is known" };
        Problem::new(format_args!("{} are not followed for {for_s} s, {known}: {why}", what.name()))
            .origin(format!("API server {}", self.server))
    }
}

fn withheld_problem(what: Watched, failure: &Failure) -> Problem {
    let resource = what.resource();
    let advice = if failure.is_not_found() {
        String::new()
    } else {
        format!(": let the agent list and watch {resource}, as deploy/kubernetes/rbac.yaml does")
    };
    let again_s = WITHHELD.as_secs();
    Problem::new(format_args!(
        "{} are not followed, which is tried again every {again_s} s: {failure}{advice}",
        what.name()
    ))
}
