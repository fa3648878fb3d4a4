use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Engine, EngineError};
use crate::service::{ServiceTable, Snapshot};

/// How long to wait for the workers: much longer than a batch takes.
const TAKE_LIMIT: Duration = Duration::from_secs(1);
const TAKE_STEP: Duration = Duration::from_micros(20);

impl Engine {
    /// Puts a snapshot in force, and returns its generation, which is set here.
    ///
    /// When this returns, every worker has the snapshot, and packets to its addresses (and to no
    /// others) come to the workers: they never come to one that does not know their Service yet.
    ///
    /// # Errors
    /// When there are too many addresses, or a worker does not take the snapshot.
    pub fn publish(&mut self, mut snapshot: Snapshot) -> Result<u32, EngineError> {
        let generation = self.generation() + 1;
        snapshot.generation = generation;
        let snapshot = Arc::new(snapshot);
        self.published.push(snapshot.clone());
        for mailbox in self.mailboxes.iter() {
            mailbox.publish_snapshot(snapshot.clone());
        }
        let taken = self.await_workers(generation).and_then(|()| self.steer_to(&snapshot.services));
        drop(snapshot);
        // The last is ours to keep; of the others, those that no worker has any more may go.
        let newest = self.published.pop();
        self.published.retain(|old| Arc::strong_count(old) > 1);
        self.published.extend(newest);
        taken.map(|()| generation)
    }

    /// Of the newest snapshot.
    pub fn generation(&self) -> u32 {
        self.published.last().map_or(0, |snapshot| snapshot.generation)
    }

    /// Has packets to the virtual IPs of these Services, and to no others, come to the workers.
    fn steer_to(&mut self, services: &ServiceTable) -> Result<(), EngineError> {
        let changed = match self.steered.take() {
            Some(before) => self.steering.change_service_addresses(
                before.addresses_not_in(services),
                services.addresses_not_in(&before),
            ),
            // After a failure nobody knows how far it came, but the programs' own map.
            None => {
                let known: Vec<_> = self.steering.service_addresses().collect();
                let gone = known.into_iter().filter(|known| !services.contains_address(known));
                self.steering.change_service_addresses(gone, services.addresses())
            }
        };
        changed?;
        self.steered = Some(services.clone());
        Ok(())
    }

    fn await_workers(&self, generation: u32) -> Result<(), EngineError> {
        let give_up = Instant::now() + TAKE_LIMIT;
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            while mailbox.acknowledged() != generation {
                if Instant::now() >= give_up {
                    let waited_ms = TAKE_LIMIT.as_millis() as u64;
                    return Err(EngineError::WorkerSlow { worker, waited_ms });
                }
                thread::sleep(TAKE_STEP);
            }
        }
        Ok(())
    }
}
