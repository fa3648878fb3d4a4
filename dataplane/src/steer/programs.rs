use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{HashMap as BpfHashMap, MapData, PerCpuArray, XskMap};
use aya::programs::links::Link;
use aya::programs::tc::{self, SchedClassifierLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, Xdp};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use nix::net::if_::if_nametoindex;

use super::{FingerprintMemory, STEERING_COUNTERS, SteerError};
use crate::wire::Address;
use crate::wire::HashKeys;

/// XDP ports of one engine, the host port included. `MAX_PORTS` of `bpf/tables.h`.
pub const MAX_PORTS: u32 = 64;
/// `MAX_WORKERS` of `bpf/tables.h`.
const MAX_WORKERS: u32 = 64;
/// Entries of the map of Service addresses.
const MAX_SERVICE_ADDRESSES: u32 = 65_536;
/// How long a link of a process that was just killed may still hold the device.
const BUSY_RETRY: Duration = Duration::from_secs(2);

const CLASSIFIERS: [&str; 5] =
    ["pod_ingress", "pod_egress", "uplink_ingress", "inner_egress", "inner_ingress"];
const XDP_PROGRAMS: [&str; 2] = ["outer_receive", "port_receive"];

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/steer.bpf.o"));

/// How XDP is attached to a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the kernel's receive path, for drivers without XDP.
    Generic,
}

/// What the programs are told once, before they are loaded.
pub struct SteeringConfig {
    /// Worker threads: 1 to 64.
    pub workers: u32,
    /// Of the hash that the workers use.
    pub keys: HashKeys,
    /// Fingerprint buckets of each worker, a power of two.
    pub buckets_per_worker: u32,
    /// Interface index of the kernel's end of the host port; 0 when there is none.
    pub inner_interface: u32,
    /// The longest frame that a worker can take, in bytes.
    pub max_frame_bytes: u32,
}

/// Dropping it detaches the programs from a Pod's veth.
pub struct PodLinks(#[expect(dead_code, reason = "held for its drop")] [TcLink; 2]);

/// Dropping it detaches the program from an uplink.
pub struct UplinkLink(#[expect(dead_code, reason = "held for its drop")] TcLink);

/// Dropping it detaches the programs from an XDP port.
pub struct PortLinks {
    _xdp: XdpLink,
    _given_back: UplinkLink,
}

/// Dropping it detaches the programs from the host port.
pub struct HostPortLinks {
    _xdp: XdpLink,
    _tc: [TcLink; 2],
}

/// A tc link that detaches when dropped, whichever kind it is.
struct TcLink(Option<SchedClassifierLink>);

impl Drop for TcLink {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            // The interface may be gone, and the program with it.
            let _ = link.detach();
        }
    }
}

/// The loaded programs and their maps.
pub struct Steering {
    programs: Ebpf,
    service_addresses: HashSet<Address>,
    free_slots: Vec<u32>,
}

impl Steering {
    /// Loads the programs into the kernel; nothing is attached yet.
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub fn load(config: &SteeringConfig) -> Result<Self, SteerError> {
        let bucket_mask = config.buckets_per_worker - 1;
        let keys = config.keys.words();
        let mut programs = EbpfLoader::new()
            .override_global("HASH_KEYS", &keys, true)
            .override_global("WORKERS", &config.workers, true)
            .override_global("BUCKET_MASK", &bucket_mask, true)
            .override_global("INNER_INTERFACE", &config.inner_interface, true)
            .override_global("MAX_FRAME_BYTES", &config.max_frame_bytes, true)
            .map_max_entries("FLOW_FINGERPRINTS", config.workers * config.buckets_per_worker)
            .map_max_entries("SERVICE_ADDRESSES", MAX_SERVICE_ADDRESSES)
            .load(OBJECT)?;
        for name in CLASSIFIERS {
            let program = classifier(&mut programs, name)?;
            program.load().map_err(|source| SteerError::Program { name, source })?;
        }
        for name in XDP_PROGRAMS {
            let program = xdp(&mut programs, name)?;
            program.load().map_err(|source| SteerError::Program { name, source })?;
        }
        let free_slots = (1..MAX_PORTS).rev().collect();
        Ok(Self { programs, service_addresses: HashSet::new(), free_slots })
    }

    /// Maps the flow fingerprints, to be written by the workers.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn fingerprint_memory(&self, words: usize) -> Result<FingerprintMemory, SteerError> {
        let map = self
            .programs
            .map("FLOW_FINGERPRINTS")
            .ok_or(SteerError::FingerprintMemory(io::ErrorKind::NotFound.into()))?;
        let aya::maps::Map::Array(data) = map else {
            return Err(SteerError::FingerprintMemory(io::ErrorKind::InvalidData.into()));
        };
        FingerprintMemory::map(data.fd().as_fd(), words)
    }

    /// Attaches to both ends of the host port, the workers' end last.
    ///
    /// # Errors
    /// When an interface is missing or already has a program.
    pub fn attach_host_port(
        &mut self,
        outer: &str,
        inner: &str,
    ) -> Result<HostPortLinks, SteerError> {
        let egress = self.attach_classifier("inner_egress", inner, TcAttachType::Egress)?;
        let ingress = self.attach_classifier("inner_ingress", inner, TcAttachType::Ingress)?;
        let xdp = self.attach_xdp("outer_receive", outer, XdpMode::Native)?;
        Ok(HostPortLinks { _xdp: xdp, _tc: [egress, ingress] })
    }

    /// Attaches to the node's end of a Pod's veth.
    ///
    /// # Errors
    /// When the interface has gone or the kernel refuses.
    pub fn attach_pod(&mut self, interface: &str) -> Result<PodLinks, SteerError> {
        Ok(PodLinks([
            self.attach_classifier("pod_ingress", interface, TcAttachType::Ingress)?,
            self.attach_classifier("pod_egress", interface, TcAttachType::Egress)?,
        ]))
    }

    /// Attaches to an interface that leads to other machines.
    ///
    /// # Errors
    /// When the interface has gone or the kernel refuses.
    pub fn attach_uplink(&mut self, interface: &str) -> Result<UplinkLink, SteerError> {
        Ok(UplinkLink(self.attach_classifier(
            "uplink_ingress",
            interface,
            TcAttachType::Ingress,
        )?))
    }

    /// Attaches to an XDP port whose sockets have been set at `slot`.
    ///
    /// # Errors
    /// When the interface is missing, or has a program of somebody else.
    pub fn attach_port(&mut self, interface: &str, mode: XdpMode) -> Result<PortLinks, SteerError> {
        // Takes what a worker gives back: without it the kernel would not know it for its own.
        let given_back = self.attach_uplink(interface)?;
        Ok(PortLinks {
            _xdp: self.attach_xdp("port_receive", interface, mode)?,
            _given_back: given_back,
        })
    }

    /// Takes a slot for an XDP port and leads its interface index there.
    ///
    /// # Errors
    /// When all slots are taken.
    pub fn open_port_slot(&mut self, interface: u32) -> Result<u32, SteerError> {
        let slot =
            self.free_slots.pop().ok_or(SteerError::TooManyPorts { limit: MAX_PORTS - 1 })?;
        if let Err(error) = self.change_port_slots(|slots| slots.insert(interface, slot, 0)) {
            self.free_slots.push(slot);
            return Err(error);
        }
        Ok(slot)
    }

    /// Gives a slot back.
    pub fn close_port_slot(&mut self, interface: u32, slot: u32) {
        let _ = self.change_port_slots(|slots| slots.remove(&interface));
        for queue in 0..MAX_WORKERS {
            let _ = self.change_sockets(|sockets| sockets.unset(slot * MAX_WORKERS + queue));
        }
        self.free_slots.push(slot);
    }

    /// Leads the packets of one queue of a port to a socket.
    ///
    /// # Errors
    /// When the map refuses.
    pub fn set_socket(&mut self, slot: u32, queue: u32, socket: RawFd) -> Result<(), SteerError> {
        self.change_sockets(|sockets| sockets.set(slot * MAX_WORKERS + queue, socket, 0))
    }

    /// The addresses whose packets go to a worker, in no order.
    pub fn service_addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.service_addresses.iter().copied()
    }

    /// Has packets to the addresses that come go to a worker, and those to the addresses that are
    /// gone no longer.
    ///
    /// # Errors
    /// When there are too many: then nothing is changed. When the map refuses: then what was
    /// changed before stays so.
    pub fn change_service_addresses(
        &mut self,
        gone: impl Iterator<Item = Address>,
        come: impl Iterator<Item = Address>,
    ) -> Result<(), SteerError> {
        let known = &self.service_addresses;
        let gone: Vec<_> = gone.filter(|address| known.contains(address)).collect();
        let come: Vec<_> = come.filter(|address| !known.contains(address)).collect();
        let (wanted, limit) =
            (known.len() + come.len() - gone.len(), MAX_SERVICE_ADDRESSES as usize);
        if wanted > limit {
            return Err(SteerError::TooManyAddresses { wanted, limit });
        }
        let failed = |source| SteerError::Map { map: "SERVICE_ADDRESSES", source };
        let map = self
            .programs
            .map_mut("SERVICE_ADDRESSES")
            .ok_or_else(|| missing_map("SERVICE_ADDRESSES"))?;
        let mut map: BpfHashMap<_, [u64; 2], u8> = map.try_into().map_err(failed)?;
        // Entry by entry, so that what is known of the map stays true when it refuses one.
        for address in gone {
            map.remove(&[address.high(), address.low()]).map_err(failed)?;
            self.service_addresses.remove(&address);
        }
        for address in come {
            map.insert([address.high(), address.low()], 1, 0).map_err(failed)?;
            self.service_addresses.insert(address);
        }
        Ok(())
    }

    /// What the programs counted so far, over all cores.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counters(&self) -> Result<Vec<(&'static str, u64)>, SteerError> {
        let failed = |source| SteerError::Map { map: "COUNTS", source };
        let map = self.programs.map("COUNTS").ok_or_else(|| missing_map("COUNTS"))?;
        let counts: PerCpuArray<_, u64> = map.try_into().map_err(failed)?;
        STEERING_COUNTERS
            .iter()
            .zip(0u32..)
            .map(|(name, index)| {
                let values = counts.get(&index, 0).map_err(failed)?;
                Ok((*name, values.iter().sum()))
            })
            .collect()
    }

    fn attach_classifier(
        &mut self,
        name: &'static str,
        interface: &str,
        direction: TcAttachType,
    ) -> Result<TcLink, SteerError> {
        require_interface(interface)?;
        let failed = |source| SteerError::Attach { name, interface: interface.to_owned(), source };
        let program = classifier(&mut self.programs, name)?;
        // Only where there is no tcx; an interface that has clsact already says so, no harm done.
        if KernelVersion::current().is_ok_and(|kernel| kernel < KernelVersion::new(6, 6, 0)) {
            let _ = tc::qdisc_add_clsact(interface);
            let _ = tc::qdisc_detach_program(interface, direction, name);
        }
        let link = program
            .attach(interface, direction)
            .and_then(|link| program.take_link(link))
            .map_err(failed)?;
        Ok(TcLink(Some(link)))
    }

    fn attach_xdp(
        &mut self,
        name: &'static str,
        interface: &str,
        mode: XdpMode,
    ) -> Result<XdpLink, SteerError> {
        require_interface(interface)?;
        let mode = match mode {
            XdpMode::Native => aya::programs::xdp::XdpMode::Driver,
            XdpMode::Generic => aya::programs::xdp::XdpMode::Skb,
        };
        let program = xdp(&mut self.programs, name)?;
        let give_up = Instant::now() + BUSY_RETRY;
        let link = loop {
            match program.attach(interface, mode) {
                Err(error) if is_busy(&error) && Instant::now() < give_up => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(error) if is_busy(&error) => {
                    return Err(SteerError::ForeignXdp { interface: interface.to_owned() });
                }
                other => break other,
            }
        };
        link.and_then(|link| program.take_link(link)).map_err(|source| SteerError::Attach {
            name,
            interface: interface.to_owned(),
            source,
        })
    }

    fn change_port_slots(
        &mut self,
        change: impl FnOnce(&mut BpfHashMap<&mut MapData, u32, u32>) -> Result<(), aya::maps::MapError>,
    ) -> Result<(), SteerError> {
        let failed = |source| SteerError::Map { map: "PORT_SLOTS", source };
        let map = self.programs.map_mut("PORT_SLOTS").ok_or_else(|| missing_map("PORT_SLOTS"))?;
        change(&mut map.try_into().map_err(failed)?).map_err(failed)
    }

    fn change_sockets(
        &mut self,
        change: impl FnOnce(&mut XskMap<&mut MapData>) -> Result<(), aya::maps::MapError>,
    ) -> Result<(), SteerError> {
        let failed = |source| SteerError::Map { map: "SOCKETS", source };
        let map = self.programs.map_mut("SOCKETS").ok_or_else(|| missing_map("SOCKETS"))?;
        change(&mut map.try_into().map_err(failed)?).map_err(failed)
    }
}

fn classifier<'a>(
    programs: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, SteerError> {
    let failed = |source| SteerError::Program { name, source };
    let program = programs.program_mut(name).ok_or(failed(ProgramError::NotLoaded))?;
    program.try_into().map_err(failed)
}

fn xdp<'a>(programs: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, SteerError> {
    let failed = |source| SteerError::Program { name, source };
    let program = programs.program_mut(name).ok_or(failed(ProgramError::NotLoaded))?;
    program.try_into().map_err(failed)
}

fn require_interface(interface: &str) -> Result<(), SteerError> {
    match if_nametoindex(interface) {
        Ok(_) => Ok(()),
        Err(_) => Err(SteerError::NoInterface(interface.to_owned())),
    }
}

fn is_busy(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    // EBUSY from a link, EEXIST from a program that netlink attached.
    matches!(error.io_error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::AlreadyExists)
}

fn missing_map(map: &'static str) -> SteerError {
    SteerError::Map { map, source: aya::maps::MapError::InvalidName { name: map.to_owned() } }
}
