//! The pipeline in memory, without rings and kernel: what a packet costs the engine itself, over
//! flows, Services, backends, sizes and families, and where the time goes.

mod counters;
mod measure;
mod report;
mod stages;
#[expect(clippy::unwrap_used, reason = "a measurement's set-up")]
#[path = "../../../dataplane/benches/pipeline/world.rs"]
mod world;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output::{self, Format, grouped, progress};
use crate::result::Origin;
use counters::Counters;
use measure::Measured;
pub(crate) use report::EngineResult;
use report::text;
use world::{Case, World, WorldConfig};

const FLOWS: [u32; 5] = [1, 1_024, 65_536, 1_000_000, 4_000_000];
const SERVICES: [u32; 5] = [10, 100, 1_000, 10_000, 100_000];
const BACKENDS: [u32; 5] = [1, 3, 10, 100, 250];
const SIZES: [usize; 3] = [60, 590, 1_514];
/// The point that the sweeps have in common.
const COMMON: WorldConfig = WorldConfig::new(65_536, 1_000);
const SMALLEST_IPV6: usize = 74;

/// Options of `engine`.
#[derive(Args, Clone, Debug)]
pub(crate) struct EngineArgs {
    #[arg(help = axis("Established flows. With any of these lists, all of their combinations are \
                       measured; without one, each axis by itself", &FLOWS, COMMON.flows),
          long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=16_000_000))]
    flows: Vec<u32>,
    #[arg(help = axis("Services", &SERVICES, COMMON.services),
          long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    services: Vec<u32>,
    #[arg(help = axis("Backends of each Service", &BACKENDS, COMMON.backends),
          long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    backends: Vec<u32>,
    #[arg(help = axis("Bytes of a frame without its check sequence, with IPv6 74 at least", &SIZES,
                      COMMON.packet_bytes),
          long, value_name = "N,N", value_delimiter = ',', value_parser = frame_bytes)]
    size: Vec<usize>,
    /// 4 or 6, or both [default: 4; without any of the lists above also the flows of 6].
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(4..=6))]
    family: Vec<u8>,
    /// Cases [default: all].
    #[arg(long, value_name = "CASE,CASE", value_delimiter = ',', value_parser = case())]
    case: Vec<Case>,
    /// Rounds of 512 packets each; the figure is their median.
    #[arg(long, value_name = "N", default_value_t = 101, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    rounds: u32,
    /// Text for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

fn frame_bytes(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (60..=1_514).contains(&bytes) => Ok(bytes),
        _ => Err("expected bytes, from 60 to 1514".to_owned()),
    }
}

fn case() -> impl TypedValueParser<Value = Case> {
    PossibleValuesParser::new(Case::ALL.map(|(_, name)| name)).try_map(|text| {
        let named = Case::ALL.into_iter().find(|(_, name)| *name == text);
        named.map(|(case, _)| case).ok_or("there is no such case")
    })
}

/// What a list is of, and what is measured without it.
fn axis<T: ToString>(what: &str, values: &[T], common: T) -> String {
    let values = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let common = common.to_string();
    format!("{what} [default: {values}; {common} where another list is given]")
}

impl EngineArgs {
    /// Refuses what is not there.
    fn check(&self) -> Result<()> {
        if let Some(family) = self.family.iter().find(|family| **family == 5) {
            let message = format!("there is no IPv{family}; expected 4 or 6");
            return Err(BenchError::Usage { option: "--family", message });
        }
        let too_small = self.size.iter().find(|bytes| **bytes < SMALLEST_IPV6);
        match too_small {
            Some(bytes) if self.family.contains(&6) => {
                let message = format!(
                    "{bytes} bytes are too few for TCP over IPv6, which takes {SMALLEST_IPV6}; \
                     measure them with --family 4"
                );
                Err(BenchError::Usage { option: "--size", message })
            }
            _ => Ok(()),
        }
    }

    /// What to measure, each once, in an order in which neighbours differ little.
    fn worlds(&self) -> Vec<WorldConfig> {
        let given = !(self.flows.is_empty()
            && self.services.is_empty()
            && self.backends.is_empty()
            && self.size.is_empty());
        let mut worlds = if given { self.combinations() } else { self.axes() };
        // Of the sizes that nobody asked for.
        for world in &mut worlds {
            if world.ipv6 {
                world.packet_bytes = world.packet_bytes.max(SMALLEST_IPV6);
            }
        }
        let mut seen = Vec::new();
        worlds.retain(|world| {
            let is_new = !seen.contains(world);
            seen.push(*world);
            is_new
        });
        worlds
    }

    fn families(&self) -> Vec<bool> {
        match self.family.as_slice() {
            [] => vec![false],
            given => given.iter().map(|family| *family == 6).collect(),
        }
    }

    fn combinations(&self) -> Vec<WorldConfig> {
        let or = |given: &[u32], common: u32| match given {
            [] => vec![common],
            given => given.to_vec(),
        };
        let sizes =
            if self.size.is_empty() { vec![COMMON.packet_bytes] } else { self.size.clone() };
        let mut worlds = Vec::new();
        for ipv6 in self.families() {
            for services in or(&self.services, COMMON.services) {
                for backends in or(&self.backends, COMMON.backends) {
                    for flows in or(&self.flows, COMMON.flows) {
                        worlds.extend(sizes.iter().map(|packet_bytes| WorldConfig {
                            flows,
                            services,
                            backends,
                            packet_bytes: *packet_bytes,
                            ipv6,
                        }));
                    }
                }
            }
        }
        worlds
    }

    fn axes(&self) -> Vec<WorldConfig> {
        let families = if self.family.is_empty() { vec![false, true] } else { self.families() };
        let mut worlds = Vec::new();
        for ipv6 in families {
            let common = WorldConfig { ipv6, ..COMMON };
            worlds.extend(FLOWS.map(|flows| WorldConfig { flows, ..common }));
            if ipv6 && self.family.is_empty() {
                continue;
            }
            worlds.extend(SERVICES.map(|services| WorldConfig { services, ..common }));
            worlds.extend(BACKENDS.map(|backends| WorldConfig { backends, ..common }));
            worlds.extend(SIZES.map(|packet_bytes| WorldConfig { packet_bytes, ..common }));
        }
        worlds
    }
}

/// Measures, and prints.
///
/// # Errors
/// What stopped it.
pub(crate) fn run(args: &EngineArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let results = measure(args, interrupt)?;
    output::print(args.output, &results, |results| text(results))
}

fn measure(args: &EngineArgs, interrupt: &Interrupt) -> Result<Vec<EngineResult>> {
    args.check()?;
    let origin = Origin::now("engine");
    let mut counters = match Counters::open() {
        Ok(counters) => Some(counters),
        Err(error) => {
            progress(&format!("instructions and cache misses: not on this machine ({error})"));
            None
        }
    };
    let worlds = args.worlds();
    let mut results = Vec::new();
    'worlds: for (number, config) in worlds.iter().enumerate() {
        if interrupt.check().is_err() {
            break;
        }
        progress(&format!(
            "{} of {}: {} flows, {} Services of {} backends, {} bytes, IPv{}",
            number + 1,
            worlds.len(),
            grouped(config.flows.into()),
            grouped(config.services.into()),
            config.backends,
            config.packet_bytes,
            if config.ipv6 { 6 } else { 4 }
        ));
        let mut world = World::new(*config);
        for (case, name) in Case::ALL {
            let wanted = args.case.is_empty() || args.case.contains(&case);
            if !wanted || !world.has(case) {
                continue;
            }
            let measured =
                Measured::of(&mut world, case, args.rounds, counters.as_mut(), interrupt);
            // Of a case that was cut short nothing is said: its figures would be of fewer rounds.
            let Ok(measured) = measured else { break 'worlds };
            results.push(EngineResult::new(&origin, name, config, measured));
        }
    }
    let interrupted = interrupt.check().is_err();
    results.iter_mut().for_each(|result| result.interrupted = interrupted);
    if !results.is_empty() {
        return Ok(results);
    }
    interrupt.check()?;
    let why = "no case that was asked for exists in these worlds: see --case, --flows".to_owned();
    Err(BenchError::NothingMeasured { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(world: &mut World, case: Case, rounds: u32) {
        for _ in 0..rounds {
            world.write(case);
            world.process();
            // Asserts that known flows were found, and that no other was opened.
            world.settle(case);
        }
    }

    #[test]
    fn flows_stay_established_for_any_number_of_rounds() {
        let mut world = World::new(WorldConfig::new(600, 3));
        rounds(&mut world, Case::New, 1_000);
        assert!(world.now_ms > 2 * 24 * 3_600 * 1_000, "longer than a flow may be silent");
        rounds(&mut world, Case::Established, 3);
        rounds(&mut world, Case::Reply, 3);
        assert_eq!(world.pipeline.flows().len(), 600);
    }

    #[test]
    fn flows_stay_established_while_others_are_rejected() {
        let mut world = World::new(WorldConfig::new(600, 3));
        for _ in 0..4 {
            world.now_ms += 12 * 3_600 * 1_000;
            rounds(&mut world, Case::Reject, 1);
        }
        rounds(&mut world, Case::Established, 3);
    }
}
