#![expect(unsafe_code, reason = "ethtool settings are an ioctl")]

use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::SteerError;

const SIOCETHTOOL: u64 = 0x8946;

/// From <linux/ethtool.h>: the commands that set one offload each.
const TRANSMIT_OFFLOADS: [(&str, u32); 4] = [
    ("tcp-segmentation-offload", 0x1f),
    ("generic-segmentation-offload", 0x24),
    ("scatter-gather", 0x19),
    ("tx-checksumming", 0x17),
];

/// ETHTOOL_GCHANNELS of <linux/ethtool.h>.
const GET_CHANNELS: u32 = 0x3c;

/// `struct ethtool_channels` of <linux/ethtool.h>: the command, four limits, what is set.
#[repr(C)]
#[derive(Default)]
struct EthtoolChannels {
    command: u32,
    limits: [u32; 4],
    receive: u32,
    transmit: u32,
    other: u32,
    combined: u32,
}

#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

nix::ioctl_readwrite_bad!(ethtool, SIOCETHTOOL, libc::ifreq);

/// How many queues `interface` receives on; `None` for a driver that does not say.
pub fn receive_queues(interface: &str) -> Option<u32> {
    let control =
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    let mut channels = EthtoolChannels { command: GET_CHANNELS, ..Default::default() };
    let mut request = request_for(interface);
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: the descriptor is open, `request` names the device in a terminated string and points
    // at `channels`, which is as long as the command has it, and both outlive the call.
    unsafe { ethtool(control.as_raw_fd(), &raw mut request) }.ok()?;
    Some(channels.receive + channels.combined)
}

fn request_for(interface: &str) -> libc::ifreq {
    // SAFETY: an all-zero ifreq is a valid one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request
}

/// Makes the kernel segment packets and finish checksums before it sends through `interface`, so
/// that workers get whole frames with valid sums.
///
/// # Errors
/// The offload that the kernel would not turn off, and why.
pub fn disable_transmit_offloads(interface: &str) -> Result<(), SteerError> {
    let failed =
        |offload, source| SteerError::Offload { offload, interface: interface.to_owned(), source };
    let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| failed("offloads", io::Error::from(errno)))?;
    for (offload, command) in TRANSMIT_OFFLOADS {
        let mut value = EthtoolValue { command, data: 0 };
        let mut request = request_for(interface);
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the descriptor is open, `request` names the device in a terminated string and
        // points at `value`, and both outlive the call.
        unsafe { ethtool(control.as_raw_fd(), &raw mut request) }
            .map_err(|errno| failed(offload, io::Error::from(errno)))?;
    }
    Ok(())
}
