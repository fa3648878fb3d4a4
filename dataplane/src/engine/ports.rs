use nix::net::if_::if_nametoindex;

use super::{Engine, EngineError, PortStatus};
use crate::pipeline::Ingress;
use crate::steer::{PortLinks, XdpMode, receive_queues};
use crate::worker::Command;
use crate::xsk::CopyMode;

/// An XDP port that all workers serve.
pub(super) struct XdpPort {
    pub(super) name: String,
    pub(super) mode: XdpMode,
    slot: u32,
    link: Option<PortLinks>,
}

impl XdpPort {
    /// No packet comes from now on.
    pub(super) fn detach(&mut self) {
        self.link = None;
    }
}

impl Engine {
    /// Serves an interface with one queue a worker: binds the sockets, then attaches XDP.
    ///
    /// # Errors
    /// When the interface is not there, has fewer or more queues than there are workers, or has an
    /// XDP program of somebody else; nothing of ours stays on it then.
    pub fn attach_port(
        &mut self,
        interface: &str,
        mode: XdpMode,
    ) -> Result<Vec<PortStatus>, EngineError> {
        let index = if_nametoindex(interface)
            .map_err(|_| EngineError::NoInterface(interface.to_owned()))?;
        if self.ports.contains_key(&index) {
            return Err(EngineError::PortTaken(interface.to_owned()));
        }
        let workers = self.config.workers;
        if let Some(queues) = receive_queues(interface).filter(|queues| *queues > workers) {
            let interface = interface.to_owned();
            return Err(EngineError::TooManyQueues { interface, queues, workers });
        }
        let slot = self.steering.open_port_slot(index)?;
        let opened = self.open_port(interface, index, slot, mode);
        if opened.is_err() {
            self.close_port(index, slot);
        }
        opened
    }

    fn open_port(
        &mut self,
        interface: &str,
        index: u32,
        slot: u32,
        mode: XdpMode,
    ) -> Result<Vec<PortStatus>, EngineError> {
        // Generic XDP works on copies; with a driver, zero-copy where it has it.
        let copy = (mode == XdpMode::Generic).then_some(CopyMode::Copy);
        let mut queues = Vec::new();
        for worker in 0..self.mailboxes.len() {
            let bound = self.bind(worker, interface, Ingress::Port { interface: index }, copy)?;
            self.steering.set_socket(slot, worker as u32, bound.socket)?;
            queues.push(PortStatus::new(interface, worker as u32, mode, bound.copy_mode));
        }
        let link = Some(self.steering.attach_port(interface, mode)?);
        self.ports.insert(index, XdpPort { name: interface.to_owned(), mode, slot, link });
        Ok(queues)
    }

    /// Gives an XDP port back to the kernel.
    ///
    /// # Errors
    /// When it is no port, or the kernel does not let go of a socket.
    pub fn detach_port(&mut self, interface: &str) -> Result<(), EngineError> {
        let index = self.ports.iter().find(|(_, port)| port.name == interface);
        let index = index.map(|(index, _)| *index);
        let port = index.and_then(|index| self.ports.remove(&index));
        match (index, port) {
            (Some(index), Some(mut port)) => {
                port.detach();
                self.close_port(index, port.slot).map_or(Ok(()), Err)
            }
            _ => Err(EngineError::NotAPort(interface.to_owned())),
        }
    }

    /// Takes the sockets of a port away from all workers. Returns the first reason why not.
    fn close_port(&mut self, index: u32, slot: u32) -> Option<EngineError> {
        self.steering.close_port_slot(index, slot);
        let mut first_error = None;
        for mailbox in self.mailboxes.iter() {
            let (answer, errors) = crossbeam::channel::bounded(1);
            mailbox.send(Command::Unbind { ingress: Ingress::Port { interface: index }, answer });
            first_error = first_error.or(errors.recv().ok().map(EngineError::Socket));
        }
        first_error
    }
}
