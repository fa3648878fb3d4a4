//! Brings a lab up: all of it, or, when that fails or somebody interrupts, nothing.

use std::fs::DirBuilder;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::interrupt::Interrupt;
use super::lock::LabLock;
use super::objects::{self, Given};
use super::options::LabOptions;
use super::report::Report;
use super::state::State;
use super::{LabError, Result, Site, agent, apply, down, node};
use crate::model::Problem;
use crate::net::namespace;

/// Where the API listens when nobody else does.
const API_PORT: u16 = 6443;

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
    let given = objects::read(files, report);
    if given.is_empty() && !report.problems.is_empty() {
        return Err(LabError::NothingValid);
    }
    let lock = LabLock::take(site)?;
    if is_up() {
        return Err(LabError::AlreadyUp); // somebody was faster
    }
    let result = bring_up(site, options, given, interrupt, report);
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
    given: Vec<Given>,
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    for directory in [site.api(), site.pods(), site.logs()] {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&directory);
        made.map_err(LabError::io("create", directory))?;
    }
    let mut state = State::new(options, free_port()?);
    state.save(site)?;
    report.step("making the node");
    node::create(site, &state.options.node_ips)?;
    interrupt.check()?;
    report.step("starting the agent");
    for problem in agent::start_and_wait(site, &mut state, interrupt)? {
        report.problems.push(Problem::new(problem));
    }
    if !given.is_empty() {
        apply::bring_in(site, given, interrupt, report)?;
    }
    interrupt.check()?;
    let kubeconfig = site.kubeconfig();
    report.step(&format!("the lab is up: export KUBECONFIG={}", kubeconfig.display()));
    Ok(())
}

/// The usual port, if nobody has it, or any other.
fn free_port() -> Result<u16> {
    let port = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr();
    let found = port(API_PORT).or_else(|_| port(0));
    found.map(|address| address.port()).map_err(|cause| LabError::Port { port: 0, cause })
}
