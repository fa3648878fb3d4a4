//! Maglev tables: what they cost to build and to keep, how even they are, and how little moves when
//! backends come and go; beside what others have published.

mod measure;
mod published;
mod report;

use clap::Args;
use maglane_dataplane::maglev::{MAX_BACKENDS, table_size};

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;
use crate::output::{self, Format, grouped, progress};
use crate::result::Origin;
pub(crate) use measure::Table;
pub(crate) use published::Published;
use published::published;
pub(crate) use report::MaglevResult;

const BACKENDS: &str = "1,3,10,40,100,160,250,655,1000";
/// The paper's two, and Cilium's.
const SIZES: &str = "16381,65537,655373";

/// Options of `maglev`.
#[derive(Args, Clone, Debug)]
pub(crate) struct MaglevArgs {
    /// Backends of a table.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = BACKENDS, value_parser = backends)]
    backends: Vec<usize>,
    /// Slots of a table, primes, beside the size that the dataplane chooses for so many backends.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = SIZES, value_parser = prime)]
    size: Vec<usize>,
    /// How often each table is built; the figure is the median.
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Text for people, or JSON for programs.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

fn backends(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(backends) if (1..=MAX_BACKENDS).contains(&backends) => Ok(backends),
        _ => Err(format!("expected backends, from 1 to {}", grouped(MAX_BACKENDS as u64))),
    }
}

fn prime(text: &str) -> std::result::Result<usize, String> {
    const MOST: usize = 16_777_259;
    let size = text.parse().map_err(|_| "expected a prime number of slots".to_owned())?;
    let is_prime = size >= 2 && (2..).take_while(|d| d * d <= size).all(|d| size % d != 0);
    match size {
        size if size > MOST => Err(format!("a table has at most {} slots", grouped(MOST as u64))),
        size if is_prime => Ok(size),
        _ => {
            Err(format!("{} is no prime: a backend might find no free slot", grouped(size as u64)))
        }
    }
}

/// Measures, and prints.
///
/// # Errors
/// What stopped it.
pub(crate) fn run(args: &MaglevArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let result = measure(args, interrupt)?;
    output::print(args.output, &result, MaglevResult::text)
}

fn measure(args: &MaglevArgs, interrupt: &Interrupt) -> Result<MaglevResult> {
    let origin = Origin::now("maglev");
    let mut tables = Vec::new();
    'tables: for backends in &args.backends {
        let chosen = table_size(*backends);
        let mut sizes = vec![chosen];
        sizes.extend(args.size.iter().filter(|size| **size != chosen));
        for size in sizes {
            // With fewer slots than backends some would get none: nobody does that.
            if size >= *backends {
                let is_chosen = size == chosen;
                match Table::measure(*backends, size, is_chosen, args.rounds, interrupt) {
                    Ok(table) => tables.push(table),
                    // Those that are whole are kept.
                    Err(_) => break 'tables,
                }
            }
        }
        progress(&format!("{} backends", grouped(*backends as u64)));
    }
    if tables.is_empty() {
        return Err(BenchError::Interrupted);
    }
    let interrupted = interrupt.check().is_err();
    Ok(MaglevResult { origin, tables, published: published(), interrupted })
}
