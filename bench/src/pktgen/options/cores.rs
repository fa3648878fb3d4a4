//! Which cores the generator's threads get.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::checked::usage;
use crate::error::{BenchError, Result};

/// Those that were given, or as many of the first as leave enough to what is measured.
///
/// # Errors
/// [`BenchError::Usage`] for more than there is work for, or one that this process may not use.
pub(super) fn choose(given: &[usize], usable: &[usize], interfaces: usize) -> Result<Vec<usize>> {
    if given.is_empty() {
        let wanted = if usable.len() > 3 { interfaces } else { 1 };
        return Ok(usable.iter().copied().take(wanted).collect());
    }
    if given.len() > interfaces {
        let message = format!("{} are too many; give one, or one for each interface", given.len());
        return Err(usage("--cores", message));
    }
    match given.iter().find(|core| !usable.contains(core)) {
        Some(core) => {
            let usable = list(usable);
            let message = format!("there is no core {core} for this process, only {usable}");
            Err(usage("--cores", message))
        }
        None => Ok(given.to_vec()),
    }
}

/// Those that this process may use.
///
/// # Errors
/// The kernel's.
pub(super) fn usable() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))
        .map_err(BenchError::kernel("ask for usable cores", "this process"))?;
    Ok((0..CpuSet::count()).filter(|core| set.is_set(*core) == Ok(true)).collect())
}

/// As the kernel writes it: `0-3,8`.
fn list(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|one, next| one + 1 == *next);
    let runs = runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_that_are_there_are_taken() {
        assert_eq!(choose(&[], &[2, 3], 2).expect("a core"), [2]);
        assert_eq!(choose(&[], &[1, 2, 3, 4], 2).expect("cores"), [1, 2]);
        assert_eq!(choose(&[3, 2], &[2, 3], 2).expect("cores"), [3, 2]);
        assert_eq!(choose(&[], &[1, 2, 3, 4], 1).expect("a core"), [1]);
        assert!(!usable().expect("cores").is_empty());
    }

    #[test]
    fn cores_that_are_not_are_refused() {
        let refused = |given: &[usize], interfaces, message: &str| {
            let error =
                choose(given, &[0, 1, 2, 8], interfaces).expect_err("there is no such core");
            assert_eq!(error.to_string(), message);
        };
        refused(&[0, 1, 2], 2, "--cores: 3 are too many; give one, or one for each interface");
        refused(&[0, 1], 1, "--cores: 2 are too many; give one, or one for each interface");
        refused(&[0, 99], 2, "--cores: there is no core 99 for this process, only 0-2,8");
    }
}
