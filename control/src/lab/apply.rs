//! Changes to a lab that is up. When these return, the changes are in force.

use std::path::PathBuf;

use super::change::Work;
use super::interrupt::Interrupt;
use super::lock::LabLock;
use super::report::Report;
use super::state::State;
use super::{Result, Site, agent, manifests};

/// Creates and changes objects. An agent that has ended is started again.
pub(crate) fn apply(
    site: &Site,
    files: &[PathBuf],
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    State::load(site)?; // before waiting for anybody, and before a directory is made
    let objects = manifests::read(files, report);
    let _lock = LabLock::take(site)?;
    let mut work = Work::new(site, State::load(site)?, interrupt, report);
    work.bring_in(objects)?;
    let problems = work.tell_agent()?;
    work.hear(problems);
    work.start_processes()
}

/// Deletes objects: those of the manifests' kinds and names, whatever else stands there.
pub(crate) fn delete(
    site: &Site,
    files: &[PathBuf],
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    State::load(site)?;
    let objects = manifests::read(files, report);
    let _lock = LabLock::take(site)?;
    let mut work = Work::new(site, State::load(site)?, interrupt, report);
    let gone = work.take_out(objects)?;
    // First no packet goes there any more, then there is nobody there any more.
    let told = agent::sync(site, interrupt);
    work.remove_pods(&gone)?;
    work.hear(told?);
    Ok(())
}
