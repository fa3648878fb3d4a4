//! The packet generator: sends flows through any dataplane and says what came, in which state, in
//! which order and how late.
//!
//! ```text
//!   tx ── sender ──> whatever is measured ──> receiver ── rx
//!    ^                                             |
//!    '───────────── replies <── responder <────────'
//! ```
//!
//! | module | what |
//! |---|---|
//! | `options` | what people type, and whether that can be |
//! | `tuples`, `slot`, `schedule`, `sender` | which packet is next, and when: no I/O, no clock |
//! | `stamp`, `packet`, `frame`, `answer` | bytes |
//! | `meter`, `translation` | what arrived, and whether it came to the right place |
//! | `part` | what packets mean where they arrive |
//! | `interface`, `take`, `end`, `station` | AF_XDP sockets, and the threads that serve them |
//! | `session`, `shared` | one trial after the other |
//! | `replay`, `bias`, `report` | captures; the generator by itself; results |

mod answer;
pub(crate) mod bias;
mod end;
mod frame;
mod interface;
mod meter;
mod options;
mod packet;
mod part;
mod progress;
mod replay;
mod report;
mod schedule;
mod sender;
mod session;
mod shared;
mod slot;
mod source;
mod stamp;
mod station;
mod take;
mod translation;
mod tuples;

pub(crate) use frame::{Link, Shape};
pub(crate) use interface::{Interface, InterfaceName, parse_mac};
pub(crate) use meter::Metered;
pub(crate) use options::{PktgenArgs, TrafficArgs, TrafficInfo, ns, seconds};
pub(crate) use report::{
    Bias, DirectionResult, Latency, NOT_SEEN, PktgenResult, Step, TrialResult,
};
pub(crate) use schedule::{Pace, Rate};
pub(crate) use sender::{Load, Traffic};
pub(crate) use session::{Content, Outcome, Session, SessionPlan};
pub(crate) use station::{MIN_SLEEP_NS, Wait};
pub(crate) use take::{Taken, Taking, Xdp};
pub(crate) use tuples::{AddressRange, Destination, PORTS, Tuples};

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output;
use crate::result::Origin;
use progress::Progress;

/// Sends, and prints what came of it.
///
/// # Errors
/// What stopped it.
pub(crate) fn run(args: &PktgenArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let result = measure(args, interrupt)?;
    output::print(args.output, &result, PktgenResult::text)
}

fn measure(args: &PktgenArgs, interrupt: &Interrupt) -> Result<PktgenResult> {
    let plan = args.traffic.session()?;
    let content = args.content(&plan)?;
    let load = args.load(&content)?;
    let origin = Origin::now("pktgen");
    let mut bias = None;
    if !args.no_bias {
        bias = Some(bias::measure(&plan, &content, &load, interrupt)?);
    }
    let traffic = match &content {
        Content::Flows(traffic) => Some(args.traffic.describe(traffic)),
        Content::Replay { .. } => None,
    };
    let pace = match &content {
        Content::Replay { as_captured: true, .. } => "at its own times".to_owned(),
        _ => load.pace.to_string(),
    };
    let mut session = Session::open(plan, content, interrupt)?;
    let path = session.path();
    let mut progress = Progress::new("", &load);
    let outcome = session.trial(load, |so_far| progress.show(so_far))?;
    progress.finish();
    let trial = TrialResult::of(&outcome);
    if trial.forward.sent == 0 {
        if trial.interrupted {
            return Err(BenchError::Interrupted);
        }
        if let Some(interface) = trial.links_down.first() {
            return Err(BenchError::LinkDown { interface: interface.clone() });
        }
        return Err(BenchError::NothingSent { never_open: trial.never_open });
    }
    Ok(PktgenResult { origin, path, traffic, pace, trial, bias })
}
