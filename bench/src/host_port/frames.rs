//! What the sender sends: UDP in frames of 60 bytes, the smallest that Ethernet has (without its
//! checksum), one flow a source port.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Bytes of every frame, its Ethernet header included.
pub(super) const FRAME_BYTES: usize = 60;
/// Payload of an IPv4 UDP packet in such a frame.
const PAYLOAD: [u8; 18] = [0; 18];
const TIME_TO_LIVE: u8 = 64;
/// Source ports there are, the privileged ones apart.
pub(super) const MAX_FLOWS: u32 = 65_536 - 1_024;

/// One frame.
pub(super) type Frame = [u8; FRAME_BYTES];

/// Where frames go, and what varies among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    /// Ethernet address of the sender.
    pub(super) source_mac: [u8; 6],
    /// Ethernet address that the frames are for.
    pub(super) destination_mac: [u8; 6],
    /// Of the sender.
    pub(super) source: Ipv4Addr,
    /// Of the receiver, with its port.
    pub(super) destination: (Ipv4Addr, u16),
    /// Flows, each of another source port: 1 to [`MAX_FLOWS`].
    pub(super) flows: u32,
    /// Of the choice of source ports and of the order.
    pub(super) seed: u64,
}

impl Traffic {
    /// So many frames: at least one of each flow, every flow as often as any other, in random
    /// order, source ports at random (RFC 4814, section 4.5), sums valid.
    pub(super) fn frames(&self, at_least: usize) -> Vec<Frame> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut ports: Vec<u16> = (1_024..=u16::MAX).collect();
        let (chosen, _) = ports.partial_shuffle(&mut random, self.flows as usize);
        let rounds = at_least.div_ceil(chosen.len().max(1));
        let mut frames = Vec::with_capacity(rounds * chosen.len());
        for _ in 0..rounds {
            chosen.shuffle(&mut random);
            frames.extend(chosen.iter().filter_map(|port| self.frame(*port, random.random())));
        }
        frames
    }

    fn frame(&self, source_port: u16, identification: u16) -> Option<Frame> {
        let (destination, destination_port) = self.destination;
        let mut header = etherparse::Ipv4Header::new(
            0,
            TIME_TO_LIVE,
            etherparse::IpNumber::UDP,
            self.source.octets(),
            destination.octets(),
        )
        .ok()?;
        header.identification = identification;
        let builder = PacketBuilder::ethernet2(self.source_mac, self.destination_mac)
            .ip(etherparse::IpHeaders::Ipv4(header, Default::default()))
            .udp(source_port, destination_port);
        let mut bytes = Vec::with_capacity(FRAME_BYTES);
        builder.write(&mut bytes, &PAYLOAD).ok()?;
        bytes.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn traffic(flows: u32, seed: u64) -> Traffic {
        Traffic {
            source_mac: [2; 6],
            destination_mac: [4; 6],
            source: Ipv4Addr::new(10, 244, 0, 1),
            destination: (Ipv4Addr::new(10, 96, 0, 10), 9000),
            flows,
            seed,
        }
    }

    #[test]
    fn every_flow_is_sent_as_often_as_any_other() {
        let frames = traffic(100, 1).frames(256);
        assert_eq!(frames.len(), 300);
        let mut seen = HashMap::new();
        for frame in &frames {
            let headers = etherparse::PacketHeaders::from_ethernet_slice(frame).expect("a packet");
            let udp = headers.transport.and_then(etherparse::TransportHeader::udp).expect("UDP");
            *seen.entry(udp.source_port).or_insert(0) += 1;
        }
        assert!(seen.len() == 100 && seen.values().all(|times| *times == 3), "{seen:?}");
    }

    #[test]
    fn a_seed_says_it_all() {
        assert_eq!(traffic(50, 7).frames(1), traffic(50, 7).frames(1));
        assert_ne!(traffic(50, 7).frames(1), traffic(50, 8).frames(1));
    }

    #[test]
    fn there_may_be_as_many_flows_as_ports() {
        assert_eq!(traffic(MAX_FLOWS, 0).frames(1).len(), MAX_FLOWS as usize);
    }
}
