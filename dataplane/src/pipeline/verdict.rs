use std::num::NonZeroU32;

use crate::wire::Malformed;

/// The device on which a packet leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// The host port.
    HostPort,
    /// The XDP port with this interface index.
    Port(NonZeroU32),
}

impl Via {
    /// The XDP port with this interface index.
    #[inline]
    pub fn port(interface: u32) -> Self {
        // There is no interface 0.
        NonZeroU32::new(interface).map_or(Self::HostPort, Self::Port)
    }
}

/// What becomes of a packet. Every packet gets exactly one, and each is counted.
///
/// A tag and one 32-bit value in every variant: it travels in two registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Translated, and on its way.
    Forward(Via),
    /// Turned into its answer: a TCP reset, an ICMP error or an echo reply.
    Answer(Via),
    /// Not ours after all: back to the kernel as it was.
    Kernel(Via),
    /// Of a flow that this other worker owns.
    HandOver(u32),
    /// Not forwarded.
    Drop(DropReason),
    /// Not forwarded: its headers contradict themselves or its length.
    Malformed(Malformed),
}

const _: () = assert!(size_of::<Verdict>() == 8);

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a packet was not forwarded.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of `self as usize`, with its name as a counter.
            pub const NAMED: &[(Self, &str)] = &[$((Self::$variant, $name),)*];
        }
    };
}

drop_reasons! {
    /// A frame on the host port without a message of the steering programs.
    NoMessage = "drop_no_message",
    /// A frame that holds no IP packet.
    NotIp = "drop_not_ip",
    /// A fragment without ports.
    LaterFragment = "drop_later_fragment",
    /// To a Service, with a transport that Services do not have.
    UnsupportedProtocol = "drop_unsupported_protocol",
    /// A new flow whose client claims to be a Service or a stand-in address: its replies would come
    /// round again.
    SpoofedSource = "drop_spoofed_source",
    /// A TCP reset of a connection that nobody knows.
    UnknownReset = "drop_unknown_reset",
    /// On the host port, of no Service and of no connection that is known: handed to the kernel it
    /// would come again.
    UnknownFlow = "drop_unknown_flow",
    /// An ICMP error to a Service about a connection that nobody knows.
    UnknownIcmpError = "drop_unknown_icmp_error",
    /// A new flow, and the flow table is full of established ones.
    FlowTableFull = "drop_flow_table_full",
    /// A new flow, and its buckets of the flow table or of the fingerprints are full.
    FlowBucketFull = "drop_flow_bucket_full",
    /// A new flow, and no source port is free that would tell it from the others.
    PortsExhausted = "drop_ports_exhausted",
    /// Too long for the link it would leave on, and its sender may not be told so.
    TooBig = "drop_too_big",
    /// It may not be answered: it is an answer itself, or its source is no single host.
    Unanswerable = "drop_unanswerable",
    /// More answers than the limit allows.
    AnswerLimit = "drop_answer_limit",
    /// It would leave through a host port, and there is none.
    NoHostPort = "drop_no_host_port",
    /// Its flow is another worker's, whose ring is full.
    HandOverRingFull = "drop_hand_over_ring_full",
    /// It was handed over, and there was no frame free to send it from.
    NoFrame = "drop_no_frame",
    /// The port on which it was to leave is gone.
    PortGone = "drop_port_gone",
    /// The ring of the port on which it was to leave is full.
    TransmitRingFull = "drop_transmit_ring_full",
}
