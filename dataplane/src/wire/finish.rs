use super::checksum;
use super::transport::{TCP_CHECKSUM, UDP_CHECKSUM};
use super::{Headers, Protocol};

/// Completes a TCP or UDP checksum that the sending kernel left to the hardware, and says whether
/// it did.
///
/// A frame straight from a Pod's kernel over a veth with checksum offload holds in the checksum
/// field only the sum of the pseudo-header, folded and not complemented (`CHECKSUM_PARTIAL`, see
/// the kernel's Documentation/networking/checksum-offloads.rst). Such a field is replaced by the
/// full checksum. A valid packet whose checksum happens to have that value keeps it.
///
/// A first fragment is left alone: the rest of what the sum covers is not there, and the kernel
/// does not leave checksums of fragments to the hardware.
pub fn finish_checksum(frame: &mut [u8], headers: &Headers) -> bool {
    let transport = usize::from(headers.transport_offset)..usize::from(headers.end);
    let Some(packet) = frame.get_mut(transport) else {
        return false;
    };
    let (offset, length) = match headers.tuple.protocol {
        Protocol::Tcp => (TCP_CHECKSUM, packet.len()),
        Protocol::Udp => {
            let Some(&[.., high, low]) = packet.first_chunk::<6>() else {
                return false;
            };
            (UDP_CHECKSUM, usize::from(u16::from_be_bytes([high, low])))
        }
    };
    let tuple = &headers.tuple;
    let pseudo_header = checksum::pseudo_header_sum(
        tuple.source.address,
        tuple.destination.address,
        tuple.protocol as u8,
        length,
    );
    let partial = checksum::fold(pseudo_header).to_be_bytes();
    if headers.first_fragment || packet.get(offset..offset + 2) != Some(&partial) {
        return false;
    }
    let Some(summed) = packet.get_mut(..length) else {
        return false;
    };
    // The field holds the pseudo-header's sum already, so that the sum of all is the full one.
    let full = !checksum::fold(checksum::sum(summed));
    let full = match tuple.protocol {
        Protocol::Tcp => full,
        Protocol::Udp => checksum::udp(full),
    };
    summed[offset..offset + 2].copy_from_slice(&full.to_be_bytes());
    true
}
