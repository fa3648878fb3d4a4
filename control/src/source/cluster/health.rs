use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::Version;

use super::failure::Failure;
use super::watched::Watched;

/// How the watches do, told by themselves and read by whoever asks.
#[derive(Clone)]
pub(super) struct Health {
    what: Watched,
    all: Arc<Mutex<BTreeMap<Watched, State>>>,
}

/// How one watch does.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Since when it has been connected, or has not.
    pub(super) since: Instant,
    pub(super) connected: bool,
    /// Whether its first list is complete.
    pub(super) listed: bool,
    /// When an object last changed.
    pub(super) last_event: Option<Instant>,
    /// What was wrong last.
    pub(super) last_failure: Option<String>,
    pub(super) version: Option<Version>,
}

impl Health {
    /// One for each watch, none of them connected.
    pub(super) fn of_all() -> (Vec<Self>, Arc<Mutex<BTreeMap<Watched, State>>>) {
        let state = State {
            since: Instant::now(),
            connected: false,
            listed: false,
            last_event: None,
            last_failure: None,
            version: None,
        };
        let all = Watched::ALL.into_iter().map(|what| (what, state.clone())).collect();
        let all = Arc::new(Mutex::new(all));
        (Watched::ALL.into_iter().map(|what| Self { what, all: all.clone() }).collect(), all)
    }

    /// The server answered.
    pub(super) fn alive(&self) {
        self.change(|state, what| {
            if !state.connected {
                if state.listed {
                    let gone_s = state.since.elapsed().as_secs();
                    tracing::info!("{} are followed again after {gone_s} s", what.name());
                }
                (state.connected, state.since) = (true, Instant::now());
            }
        });
    }

    /// A list is complete.
    pub(super) fn listed(&self) {
        self.change(|state, _| {
            state.listed = true;
            state.last_event = Some(Instant::now());
        });
    }

    /// Something came; whether it was about an object.
    pub(super) fn heard(&self, event: bool) {
        if event {
            self.change(|state, _| state.last_event = Some(Instant::now()));
        }
    }

    /// The list or watch failed.
    pub(super) fn failed(&self, failure: &Failure) {
        let text = failure.to_string();
        self.change(|state, what| {
            // Once, not at every try.
            if state.last_failure.as_deref() != Some(&text) || state.connected {
                tracing::warn!("{} cannot be followed, trying again: {text}", what.name());
            }
            if state.connected {
                (state.connected, state.since) = (false, Instant::now());
            }
            state.last_failure = Some(text);
        });
    }

    /// The server answered in this version of HTTP.
    pub(super) fn speaks(&self, version: Version) {
        self.change(|state, _| state.version = Some(version));
    }

    pub(super) fn http_version(&self) -> Option<Version> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&self.what).and_then(|state| state.version)
    }

    fn change(&self, change: impl FnOnce(&mut State, Watched)) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = all.get_mut(&self.what) {
            change(state, self.what);
        }
    }
}
