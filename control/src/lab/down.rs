//! Puts a lab away, whatever state it is in.

use std::fs;
use std::io;

use super::lock::LabLock;
use super::pod::GRACE;
use super::state::{Process, State};
use super::{LabError, Result, Site, agent};
use crate::net::{namespace, processes};

/// Puts the lab away. False when there was none, not even what is left of one.
pub(crate) fn down(site: &Site) -> Result<bool> {
    if !site.directory().exists() && namespace::list(site.prefix())?.is_empty() {
        return Ok(false);
    }
    let _lock = LabLock::take(site)?;
    clear(site)?;
    Ok(true)
}

/// Ends the agent, then everybody else inside; removes namespaces (and with them links and
/// routes), then the directory. The caller holds the lock.
pub(super) fn clear(site: &Site) -> Result<()> {
    let known = State::load(site).ok().and_then(|state| state.agent);
    let found = agent::find(site).into_iter().filter_map(|pid| Process::of(pid.as_raw() as u32));
    for process in known.into_iter().chain(found) {
        agent::stop(process); // one that will not stop is killed with the others
    }
    let names = namespace::list(site.prefix())?;
    processes::end_all(&names, GRACE)?;
    for name in &names {
        namespace::delete(name)?;
    }
    match fs::remove_dir_all(site.directory()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(LabError::io("remove", site.directory())(error));
        }
        _ => {}
    }
    if let Some(parent) = site.directory().parent() {
        let _ = fs::remove_dir(parent); // if nobody else keeps anything there
    }
    namespace::tidy();
    Ok(())
}
