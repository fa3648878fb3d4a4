//! The Ethernet header between the two ends of the host port is nobody's but ours: its address
//! bytes carry the message between the steering programs and the workers. `bpf/message.h` draws
//! the layout.

use super::MacAddress;

const TO_WORKER: u8 = 0x0a;
const FROM_WORKER: u8 = 0x0e;

/// How a packet came to the host port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WayIn {
    /// Received from the Pod behind this interface.
    PodIngress(u32),
    /// On its way out to the Pod behind this interface.
    PodEgress(u32),
    /// Sent by the node itself, or routed by it to a Service.
    Node,
    /// Received from another machine on this interface.
    Uplink(u32),
}

/// How a packet leaves through the host port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WayOut {
    /// Straight into the Pod behind this interface, whose end has this Ethernet address.
    Pod {
        /// Index of the node's end.
        interface: u32,
        /// Of the Pod's end.
        mac: MacAddress,
    },
    /// To the kernel, as if received on this interface.
    AsReceived(u32),
    /// To the kernel, as received on the host port.
    Node,
    /// Out on the interface to which the node's routes lead, past the checks of what is received:
    /// the source may be the node itself.
    Routed,
}

/// Reads the message of a frame that came from the steering programs; `None` if it holds none.
#[inline]
pub fn read_message(frame: &[u8]) -> Option<WayIn> {
    let message = frame.first_chunk::<12>()?;
    if message[0] != TO_WORKER {
        return None;
    }
    let interface = u32::from_be_bytes([message[2], message[3], message[4], message[5]]);
    match message[1] {
        1 => Some(WayIn::PodIngress(interface)),
        2 => Some(WayIn::PodEgress(interface)),
        3 => Some(WayIn::Node),
        4 => Some(WayIn::Uplink(interface)),
        _ => None,
    }
}

/// Writes the message to the steering programs over the frame's Ethernet addresses.
#[inline]
pub fn write_message(frame: &mut [u8], way: WayOut) {
    let (code, interface, mac) = match way {
        WayOut::Pod { interface, mac } => (1, interface, mac),
        WayOut::AsReceived(interface) => (2, interface, [0; 6]),
        WayOut::Node => (3, 0, [0; 6]),
        WayOut::Routed => (4, 0, [0; 6]),
    };
    if let Some(message) = frame.first_chunk_mut::<12>() {
        message[0] = FROM_WORKER;
        message[1] = code;
        message[2..6].copy_from_slice(&interface.to_be_bytes());
        message[6..].copy_from_slice(&mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_layout_of_the_steering_programs() {
        let mut frame = [0u8; 14];
        let mac = [2, 4, 6, 8, 10, 12];
        write_message(&mut frame, WayOut::Pod { interface: 0x0102_0304, mac });
        assert_eq!(frame, [0x0e, 1, 1, 2, 3, 4, 2, 4, 6, 8, 10, 12, 0, 0]);
        frame[..6].copy_from_slice(&[0x0a, 2, 0, 0, 0, 7]);
        assert_eq!(read_message(&frame), Some(WayIn::PodEgress(7)));
    }

    #[test]
    fn frames_without_a_message_are_told_apart() {
        assert_eq!(read_message(&[0x0a, 1, 0, 0]), None);
        assert_eq!(read_message(&[0x02; 60]), None);
        assert_eq!(read_message(&[0x0a; 60]), None);
    }
}
