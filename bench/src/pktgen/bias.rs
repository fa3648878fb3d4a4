//! What the generator itself is good for: the same load between both ends of a veth pair of its
//! own, in a network namespace that nobody else sees and that goes with it. Of a result, only what
//! lies beyond that is the measured dataplane's.

use std::process::Command;

use super::interface::{Interface, InterfaceName};
use super::progress::Progress;
use super::report::{Bias, TrialResult};
use super::schedule::Pace;
use super::sender::{Load, Traffic};
use super::session::{Content, Session, SessionPlan};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::namespace::Namespace;
use crate::rig::run;

/// Long enough to be sure of a rate, short beside what is measured.
const DURATION_NS: u64 = 1_000_000_000;
const WARM_UP_NS: u64 = 200_000_000;
const ENDS: [&str; 2] = ["back0", "back1"];

/// Sends the load back to back.
///
/// # Errors
/// When the veth pair cannot be made, or the generator fails.
pub(crate) fn measure(
    plan: &SessionPlan,
    content: &Content,
    load: &Load,
    interrupt: &Interrupt,
) -> Result<Bias> {
    let (plan, content, count) = match content {
        Content::Flows(traffic) => {
            let (plan, traffic) = back_to_back(plan, traffic.clone())?;
            (plan, Content::Flows(traffic), None)
        }
        // Its frames stay as they are: on a cable, whoever they are for, they arrive.
        Content::Replay { capture, .. } => {
            (over_pair(plan, capture.longest())?, content.clone(), Some(capture.len() as u64))
        }
    };
    // A ramp's fastest moment is what counts.
    let pace = match load.pace {
        Pace::Ramp { from_pps, to_pps, .. } => {
            Pace::Even { pps: if from_pps > to_pps { from_pps } else { to_pps } }
        }
        other => other,
    };
    let load = Load {
        pace,
        duration_ns: load.duration_ns.min(DURATION_NS),
        count,
        warm_up_ns: load.warm_up_ns.min(WARM_UP_NS),
        ..*load
    };
    let mut session = Session::open(plan, content, interrupt)?;
    let mut progress = Progress::new("back to back ", &load);
    let outcome = session.trial(load, |so_far| progress.show(so_far))?;
    progress.finish();
    interrupt.check()?;
    let seconds = outcome.sender.elapsed_ns as f64 / 1e9;
    let over = format!("the same load for {seconds:.1} s over a veth pair of its own");
    Ok(Bias { over, trial: TrialResult::of(&outcome) })
}

/// The same over a new veth pair.
///
/// # Errors
/// When the veth pair cannot be made.
pub(crate) fn back_to_back(
    plan: &SessionPlan,
    mut traffic: Traffic,
) -> Result<(SessionPlan, Traffic)> {
    let longest = traffic.sizes.iter().max().copied().unwrap_or(0);
    let plan = over_pair(plan, longest)?;
    traffic.link.source = plan.sender.mac;
    traffic.link.destination = plan.receiver.as_ref().unwrap_or(&plan.sender).mac;
    Ok((plan, traffic))
}

/// The same way over a new veth pair, which takes frames of so many bytes.
fn over_pair(plan: &SessionPlan, longest: usize) -> Result<SessionPlan> {
    let namespace = Namespace::private()?;
    make_pair(&namespace, longest.max(1_500))?;
    let find = |name: &str| {
        let named = InterfaceName { namespace: None, name: name.to_owned() };
        namespace.run(|| Interface::find("back to back", &named))
    };
    let [sender, receiver] = [find(ENDS[0])?, find(ENDS[1])?];
    Ok(SessionPlan { sender, receiver: Some(receiver), ..plan.clone() })
}

fn make_pair(namespace: &Namespace, mtu: usize) -> Result<()> {
    let mtu = mtu.to_string();
    let ip = |words: &[&str]| {
        namespace.run(|| {
            let mut command = Command::new("ip");
            run(command.args(words), "")
        })
    };
    let [one, other] = ENDS;
    ip(&["link", "add", one, "mtu", &mtu, "type", "veth", "peer", "name", other, "mtu", &mtu])?;
    for end in ENDS {
        // Nothing but the load is to be there.
        ip(&["link", "set", end, "addrgenmode", "none"])?;
        ip(&["link", "set", end, "arp", "off", "up"])?;
    }
    Ok(())
}
