use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address of either family in one 16-byte key.
///
/// Holds host byte order, most significant bit first as in [`Ipv6Addr::to_bits`], as two words
/// (a `u128` would be aligned to 16 bytes and pad every tuple). IPv4 is kept in its v4-mapped form
/// `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2). That form never stands in an IPv6 header on the
/// wire (the parser refuses it), so the two families cannot be confused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address {
    high: u64,
    low: u64,
}

const V4_MAPPED_PREFIX: u64 = 0xffff << 32;

impl Address {
    /// The IPv4 address with these 32 bits in host byte order.
    #[inline]
    pub const fn from_v4_bits(bits: u32) -> Self {
        Self { high: 0, low: V4_MAPPED_PREFIX | bits as u64 }
    }

    /// The IPv6 address with these 128 bits in host byte order.
    #[inline]
    pub const fn from_v6_bits(bits: u128) -> Self {
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    /// Whether this is an IPv4 address (kept v4-mapped).
    #[inline]
    pub const fn is_ipv4(self) -> bool {
        self.high == 0 && self.low >> 32 == 0xffff
    }

    /// All 128 bits in host byte order.
    #[inline]
    pub const fn bits(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// The last 32 bits in host byte order: all of an IPv4 address.
    #[inline]
    pub const fn v4_bits(self) -> u32 {
        self.low as u32
    }

    /// The upper 64 bits in host byte order.
    #[inline]
    pub const fn high(self) -> u64 {
        self.high
    }

    /// The lower 64 bits in host byte order.
    #[inline]
    pub const fn low(self) -> u64 {
        self.low
    }

    /// The address as the standard library has it, IPv4 unmapped.
    pub fn to_ip(self) -> IpAddr {
        if self.is_ipv4() {
            IpAddr::V4(Ipv4Addr::from_bits(self.v4_bits()))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(self.bits()))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4_bits(v4.to_bits()),
            IpAddr::V6(v6) => Self::from_v6_bits(v6.to_bits()),
        }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        Self::from(IpAddr::V4(ip))
    }
}

impl From<Ipv6Addr> for Address {
    fn from(ip: Ipv6Addr) -> Self {
        Self::from(IpAddr::V6(ip))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}
