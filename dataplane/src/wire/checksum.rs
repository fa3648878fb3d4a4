//! One's complement sums (RFC 1071) and their incremental update (RFC 1624).
//!
//! Sums are kept unfolded in 64 bits. As 2^16 and 2^32 are both 1 modulo 0xffff, adding 32-bit
//! words and folding once at the end gives the same as adding 16-bit words with end-around carry.

use super::Address;

/// Folds an unfolded sum to 16 bits. Only a sum of 0 folds to 0; its other multiples of 0xffff
/// fold to 0xffff.
#[inline]
pub(super) const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// The unfolded sum of `bytes` as 16-bit words in network order, an odd last byte padded with 0.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    // Summed in the machine's byte order, which vectorises, and swapped once: RFC 1071, section 2(B).
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_ne_bytes(last));
    u64::from(u16::from_be(fold(total)))
}

/// The unfolded sum of an address.
///
/// A v4-mapped address counts as its 32 bits, because the prefix 0xffff is 0 in this arithmetic.
#[inline]
pub(super) const fn address_sum(address: Address) -> u64 {
    let (high, low) = (address.high(), address.low());
    (high >> 32) + (high & 0xffff_ffff) + (low >> 32) + (low & 0xffff_ffff)
}

/// The unfolded sum of a transport's pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1).
///
/// `length` is that of transport header and payload in bytes.
pub(super) fn pseudo_header_sum(
    source: Address,
    destination: Address,
    protocol: u8,
    length: usize,
) -> u64 {
    address_sum(source) + address_sum(destination) + u64::from(protocol) + length as u64
}

/// What is to be added to a sum because words of the summed bytes changed: for each word the
/// complement of the old one and the new one (RFC 1624, equation 3), unfolded.
#[derive(Clone, Copy, Default)]
pub(super) struct Change(u64);

impl Change {
    #[inline]
    pub(super) fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + u64::from(!old) + u64::from(new))
    }

    #[inline]
    pub(super) fn double_word(self, old: u32, new: u32) -> Self {
        Self(self.0 + u64::from(!old) + u64::from(new))
    }

    #[inline]
    pub(super) fn address(self, old: Address, new: Address) -> Self {
        // Four complemented double words, each of which is -old modulo 0xffff.
        let complement = 4 * 0xffff_ffff - address_sum(old);
        Self(self.0 + complement + address_sum(new))
    }

    /// Both changes.
    #[inline]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The checksum over the changed bytes, given the one over the old bytes.
    #[inline]
    pub(super) const fn apply(self, checksum: u16) -> u16 {
        !fold(!checksum as u64 + self.0)
    }

    /// As [`Self::apply`] for UDP (RFC 768): 0 says "no checksum" and stays, and a checksum that
    /// comes out as 0 is sent as 0xffff.
    #[inline]
    pub(super) const fn apply_udp(self, checksum: u16) -> u16 {
        if checksum == 0 { 0 } else { udp(self.apply(checksum)) }
    }
}

/// A computed UDP checksum as it is sent (RFC 768).
#[inline]
pub(super) const fn udp(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)), 0xddf2);
        assert_eq!(fold(sum(&bytes[..7])), fold(sum(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0])));
        assert_eq!(sum(&[]), 0);
    }

    #[test]
    fn the_example_of_rfc_1624_comes_out_as_0000() {
        assert_eq!(Change::default().word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    #[test]
    fn folding_holds_at_the_ends() {
        assert_eq!(fold(0), 0);
        assert_eq!(fold(0xffff), 0xffff);
        assert_eq!(fold(0x1_0000), 1);
        assert_eq!(fold(0x1_fffe), 0xffff);
        assert_eq!(fold(u64::MAX), 0xffff);
    }

    #[test]
    fn udp_keeps_no_checksum_apart_from_checksum_zero() {
        let change = Change::default().word(0x5555, 0x3285);
        assert_eq!(change.apply_udp(0xdd2f), 0xffff);
        assert_eq!(change.apply_udp(0), 0);
    }

    #[test]
    fn an_address_changes_a_sum_as_its_words_do() {
        let old = Address::from_v6_bits(0x2001_0db8_ffff_0001_8000_0000_dead_beef);
        let new = Address::from_v6_bits(0xfd00_0000_0000_0000_ffff_ffff_ffff_ffff);
        let words = |address: Address| (0..8).map(move |at| (address.bits() >> (16 * at)) as u16);
        let by_words = words(old)
            .zip(words(new))
            .fold(Change::default(), |change, (old, new)| change.word(old, new));
        let at_once = Change::default().address(old, new);
        assert_eq!(at_once.apply(0x1234), by_words.apply(0x1234));
    }
}
