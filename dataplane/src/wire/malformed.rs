use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame is not a packet that anything may be done with.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u32)]
        pub enum Malformed {
            $($(#[$doc])* $variant,)*
        }

        impl Malformed {
            /// Every reason, in the order of `self as usize`: one counter each.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The reason as counters are labelled with it, in snake case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// More bytes than a 16-bit offset can name.
    FrameTooLong = "frame_too_long",
    /// No room for an Ethernet header, or for the 802.1Q tag it announces.
    TruncatedEthernet = "truncated_ethernet",
    /// No room for the fixed IP header.
    TruncatedIp = "truncated_ip",
    /// The IP header's version contradicts the EtherType.
    IpVersion = "ip_version",
    /// IPv4 header length under 20 bytes.
    HeaderLength = "header_length",
    /// IP length shorter than its header or longer than the frame.
    TotalLength = "total_length",
    /// A v4-mapped address in an IPv6 header (RFC 4291, section 2.5.5.2: never on the wire).
    MappedAddress = "mapped_address",
    /// IPv6 payload length 0 with a hop-by-hop header (RFC 2675).
    Jumbogram = "jumbogram",
    /// An IPv6 extension header does not fit into the packet.
    TruncatedExtension = "truncated_extension",
    /// A hop-by-hop header that is not first, or a second fragment header (RFC 8200, section 4.1).
    ExtensionOrder = "extension_order",
    /// More IPv6 extension headers than the parser walks.
    ExtensionChain = "extension_chain",
    /// No room for the fixed TCP, UDP or ICMP header.
    TruncatedTransport = "truncated_transport",
    /// TCP data offset under 20 bytes or beyond the packet.
    TcpDataOffset = "tcp_data_offset",
    /// UDP length under 8 bytes or beyond the packet.
    UdpLength = "udp_length",
    /// Source or destination port 0.
    ZeroPort = "zero_port",
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Malformed;

    #[test]
    fn reasons_index_counters_and_have_names_of_their_own() {
        for (index, reason) in Malformed::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            let same_name = Malformed::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same_name.count(), 1, "{reason}");
        }
    }
}
