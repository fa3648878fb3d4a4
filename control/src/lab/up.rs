//! Brings a lab up: all of it, or, when that fails or somebody interrupts, nothing.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::change::Work;
use super::interrupt::Interrupt;
use super::lock::LabLock;
use super::options::LabOptions;
use super::report::Report;
use super::state::State;
use super::{LabError, Result, Site, down, manifests, node};
use crate::model::Problem;
use crate::net::namespace;
use crate::source::manifest::Located;

/// Brings a lab up. Objects that cannot be used are reported, and the others come up.
///
/// # Errors
/// After any error nothing of the lab is left; after [`LabError::AlreadyUp`] the one that was
/// there is untouched.
pub(crate) fn up(
    site: &Site,
    options: LabOptions,
    files: &[PathBuf],
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    let options = options.checked()?;
    let is_up = || site.state_file().exists() || namespace::exists(&site.node_namespace());
    if is_up() {
        return Err(LabError::AlreadyUp);
    }
    let objects = manifests::read(files, report);
    if objects.is_empty() && !report.problems.is_empty() {
        return Err(LabError::NothingValid);
    }
    let lock = LabLock::take(site)?;
    if is_up() {
        return Err(LabError::AlreadyUp); // somebody was faster
    }
    let result = bring_up(site, options, objects, interrupt, report);
    if result.is_err() {
        report.step("putting everything away");
        if let Err(left) = down::clear(site) {
            report.problems.push(Problem::new(format!("not everything is gone: {left}")));
        }
    }
    drop(lock);
    result
}

fn bring_up(
    site: &Site,
    options: LabOptions,
    objects: Vec<Located>,
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    for directory in [site.objects(), site.logs()] {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&directory);
        made.map_err(LabError::io("create", directory))?;
    }
    let state = State::new(options);
    state.save(site)?;
    report.step("making the node and its Pods");
    node::create(site, &state.options.node_ips)?;
    let mut work = Work::new(site, state, interrupt, report);
    work.bring_in(objects)?;

    work.report.step("starting the agent");
    let problems = work.start_agent()?;
    work.hear(problems);

    work.start_processes()?;
    interrupt.check()
}
