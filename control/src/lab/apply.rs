//! Changes to a lab that is up, through its API. When these return, the changes are in force.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{Api, Refused, block_on};
use super::interrupt::Interrupt;
use super::lock::LabLock;
use super::merge::{differ, merge, with_memory};
use super::objects::{self, Given, Name};
use super::options::join;
use super::report::{Change, Report};
use super::state::{Process, State};
use super::{Result, Site, agent, in_force, settle};
use crate::apiserver::kinds;
use crate::model::Problem;

/// How often a change is tried again when somebody else was faster.
const TRIES: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);
/// What is long, and worth a line.
const LONG: Duration = Duration::from_secs(3);
/// How long an agent may take to be gone that has stopped listening.
const LEAVING: Duration = Duration::from_secs(10);

/// Creates and changes objects. An agent that has ended is started again.
pub(crate) fn apply(
    site: &Site,
    files: &[PathBuf],
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    State::load(site)?; // before waiting for anybody, and before a directory is made
    let given = objects::read(files, report);
    ensure_agent(site, interrupt, report)?;
    bring_in(site, given, interrupt, report)
}

/// Deletes objects: those of the manifests' kinds and names, whatever else stands there. Returns
/// once they are gone.
pub(crate) fn delete(
    site: &Site,
    files: &[PathBuf],
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    State::load(site)?;
    let mut given = objects::read(files, report);
    ensure_agent(site, interrupt, report)?;
    given.reverse(); // what needs others first
    block_on(interrupt, async {
        let api = Api::of(site).await?;
        for one in &given {
            match api.delete(&one.name).await? {
                Ok(_) => report.changes.push((one.name.clone(), Change::Deleted)),
                Err(refused) if refused.is_not_found() => {
                    report.problems.push(located(Problem::new("not found"), one));
                }
                Err(refused) => report.problems.push(problem(&refused, one)),
            }
        }
        let gone: Vec<Name> = report.changes.iter().map(|(name, _)| name.clone()).collect();
        wait_until_gone(&api, gone, report).await?;
        in_force::wait(site, &api, report).await
    })?;
    hear_agent(site, &given, interrupt, report)
}

/// Starts the agent again if the lab's has ended.
fn ensure_agent(site: &Site, interrupt: &Interrupt, report: &mut Report) -> Result<()> {
    let _lock = LabLock::take(site)?;
    let mut state = State::load(site)?;
    let begun = Instant::now();
    while state.agent.is_some_and(Process::runs) {
        // One that is on its way out is waited for; one that is stuck says so itself.
        if agent::listens(site) || begun.elapsed() > LEAVING {
            return Ok(());
        }
        interrupt.sleep(Duration::from_millis(20))?;
    }
    report.step("starting the agent again");
    agent::start_and_wait(site, &mut state, interrupt).map(drop)
}

/// Makes or changes objects, and waits until they are in force.
pub(super) fn bring_in(
    site: &Site,
    given: Vec<Given>,
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    block_on(interrupt, async {
        let api = Api::of(site).await?;
        let mut applied = Vec::new();
        for one in &given {
            match apply_one(&api, one, report).await? {
                Ok(change) => {
                    report.changes.push((one.name.clone(), change));
                    applied.push((one.name.clone(), one.origin.clone()));
                }
                Err(refused) => {
                    let problem = explain(site, &api, problem(&refused, one)).await?;
                    report.problems.push(problem);
                }
            }
        }
        if report.changes.iter().any(|(_, change)| *change != Change::Unchanged) {
            report.step("starting processes");
        }
        settle::pods(site, &api, &applied, report).await?;
        in_force::wait(site, &api, report).await
    })?;
    hear_agent(site, &given, interrupt, report)
}

async fn apply_one(
    api: &Api,
    given: &Given,
    report: &mut Report,
) -> Result<std::result::Result<Change, Refused>> {
    let Name { resource, namespace, .. } = &given.name;
    let value = with_memory(&given.value);
    for _ in 0..TRIES {
        // Not by trying to make it: a Service's address would be refused as its own.
        if api.get(&given.name).await?.is_ok() {
            return change(api, given).await;
        }
        let refused = match api.create(resource, namespace, &value, false).await? {
            Ok(_) => return Ok(Ok(Change::Created)),
            Err(refused) => refused,
        };
        if refused.is_already_exists() {
            continue;
        }
        if !is_missing_namespace(&refused, namespace) {
            return Ok(Err(refused));
        }
        if let Err(refused) = make_namespace(api, namespace, report).await? {
            return Ok(Err(refused));
        }
    }
    Ok(Err(too_busy()))
}

/// A lab is the short form: namespaces that objects stand in are made.
async fn make_namespace(
    api: &Api,
    namespace: &str,
    report: &mut Report,
) -> Result<std::result::Result<(), Refused>> {
    let Some(resource) = kinds::by_plural("", "v1", "namespaces") else { return Ok(Ok(())) };
    let name = Name { resource, namespace: String::new(), name: namespace.to_owned() };
    let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    match api.create(resource, "", &with_memory(&value), false).await? {
        Ok(_) => report.changes.push((name, Change::Created)),
        Err(refused) if refused.is_already_exists() => {}
        Err(refused) => return Ok(Err(refused)),
    }
    Ok(Ok(()))
}

fn is_missing_namespace(refused: &Refused, namespace: &str) -> bool {
    let details = refused.details.as_ref();
    refused.is_not_found()
        && !namespace.is_empty()
        && details.is_some_and(|details| details.kind == "namespaces" && details.name == namespace)
}

/// Changes what is there.
async fn change(api: &Api, given: &Given) -> Result<std::result::Result<Change, Refused>> {
    for _ in 0..TRIES {
        let live = match api.get(&given.name).await? {
            Ok(live) => live,
            Err(refused) => return Ok(Err(refused)),
        };
        let wanted = merge(&live, &given.value);
        let refused = match api.update(&given.name, &wanted).await? {
            Ok(now) if differ(&live, &now) => return Ok(Ok(Change::Configured)),
            Ok(_) => return Ok(Ok(Change::Unchanged)),
            Err(refused) => refused,
        };
        if refused.is_conflict() {
            continue;
        }
        let is_pod = given.name.resource.kind == "Pod";
        if is_pod && refused.is_invalid() && live["spec"] != wanted["spec"] {
            return replace(api, given).await;
        }
        return Ok(Err(refused));
    }
    Ok(Err(too_busy()))
}

/// A Pod's specification cannot be changed: it goes, and comes anew. One that would not come is
/// left as it is.
async fn replace(api: &Api, given: &Given) -> Result<std::result::Result<Change, Refused>> {
    let Name { resource, namespace, name } = &given.name;
    let mut trial = given.value.clone();
    if let Some(metadata) = trial["metadata"].as_object_mut() {
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), format!("{name}-").into());
    }
    if let Err(refused) = api.create(resource, namespace, &trial, true).await? {
        return Ok(Err(refused));
    }
    match api.delete(&given.name).await? {
        Err(refused) if !refused.is_not_found() => return Ok(Err(refused)),
        _ => {}
    }
    while api.get(&given.name).await?.is_ok() {
        sleep(LOOK).await;
    }
    let created = api.create(resource, namespace, &with_memory(&given.value), false).await?;
    Ok(created.map(|_| Change::Configured))
}

async fn wait_until_gone(api: &Api, mut names: Vec<Name>, report: &Report) -> Result<()> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let mut left = Vec::new();
        for name in names {
            if api.get(&name).await?.is_ok() {
                left.push(name);
            }
        }
        names = left;
        if names.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > LONG && !told {
            told = true;
            for name in &names {
                report.step(&format!("waiting for {name} to end"));
            }
        }
        sleep(LOOK).await;
    }
}

fn too_busy() -> Refused {
    let message = "it changes all the time: try again";
    Box::new(kube::core::Status::failure(message, "Conflict"))
}

/// What the API says is wrong: one line, which names each field.
fn problem(refused: &Refused, given: &Given) -> Problem {
    let causes = refused.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> =
        causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    let message = if causes.is_empty() { refused.message.clone() } else { causes.join("; ") };
    located(Problem::new(message), given)
}

/// Says whose the address is that somebody asked for, or which there are: the API does not.
async fn explain(site: &Site, api: &Api, mut problem: Problem) -> Result<Problem> {
    if problem.message.ends_with("does not match the current range") {
        let cidrs = join(&State::load(site)?.options.service_cidrs);
        problem.message.push_str(&format!(" (Service CIDRs: {cidrs})"));
    }
    let taken = problem.message.contains("provided IP is already allocated");
    let Some(resource) = kinds::by_plural("", "v1", "services").filter(|_| taken) else {
        return Ok(problem);
    };
    for service in api.list(resource, "").await? {
        let text =
            |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let addresses = service["spec"]["clusterIPs"].as_array();
        let mut addresses = addresses.into_iter().flatten().filter_map(Value::as_str);
        if addresses.any(|address| problem.message.contains(&format!("IP {address}:"))) {
            let name = format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"));
            problem.message.push_str(&format!(" (it is Service {name}'s)"));
        }
    }
    Ok(problem)
}

fn located(problem: Problem, given: &Given) -> Problem {
    problem.object(&given.name).origin(given.origin.clone())
}

/// Asks the agent what it finds wrong, once it has taken everything in.
fn hear_agent(
    site: &Site,
    given: &[Given],
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    hear(agent::sync(site, interrupt)?, given, report);
    Ok(())
}

/// Takes what the agent finds wrong with the objects that were given, and with none of the others:
/// they were complained about when they came.
fn hear(told: Vec<Problem>, given: &[Given], report: &mut Report) {
    let of_api = |problem: &Problem| {
        let kind = problem.object.split(' ').next().unwrap_or_default();
        kinds::all().iter().any(|known| known.kind == kind)
    };
    for problem in told {
        let heard = match given.iter().find(|one| one.name.to_string() == problem.object) {
            Some(one) => problem.origin(one.origin.clone()),
            None if of_api(&problem) => continue,
            None => problem,
        };
        // It says so each time that it is told something.
        if !report.problems.contains(&heard) {
            report.problems.push(heard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::by_plural;

    #[test]
    fn what_is_about_others_was_complained_about_when_they_came() {
        let name = Name {
            resource: by_plural("", "v1", "services").unwrap(),
            namespace: "default".to_owned(),
            name: "web".to_owned(),
        };
        let given = Given::for_test(name, "web.yaml");
        let told = vec![
            Problem::new("ours").object("Service default/web"),
            Problem::new("another's").object("Service default/web-2"),
            Problem::new("MTU 9000 is too much: its Pod reaches no Service").origin("interface e"),
            Problem::new("the cluster has no Node \"n\""),
        ];
        let mut report = Report::new(|_| {});
        hear(told.clone(), &[given], &mut report);
        let heard = [told[0].clone().origin("web.yaml"), told[2].clone(), told[3].clone()];
        assert_eq!(report.problems, heard);
    }
}
