use std::net::{IpAddr, Ipv4Addr};

use maglane_dataplane::wire::{Address, Protocol};

use super::problem::Reporter;

/// Reads an IP address as Kubernetes does: blanks around it and leading zeros in IPv4 (which are
/// decimal) are accepted, `::ffff:a.b.c.d` is IPv4.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

/// Reads an address that packets can be sent to; reports it and gives `None` when it is none.
pub(super) fn unicast(text: &str, field: &str, reporter: &mut Reporter) -> Option<Address> {
    let Some(ip) = parse_ip(text) else {
        reporter.invalid(
            field,
            text,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
        return None;
    };
    if let Some(range) = forbidden_range(ip) {
        reporter.invalid(field, text, format_args!("may not be in the {range} range"));
        return None;
    }
    Some(ip.into())
}

/// Whether an address means something on one link only.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether no two addresses are of the same family.
pub(crate) fn one_of_each_family(ips: impl IntoIterator<Item = IpAddr>) -> bool {
    let (ipv4, ipv6): (Vec<_>, Vec<_>) = ips.into_iter().partition(IpAddr::is_ipv4);
    ipv4.len() <= 1 && ipv6.len() <= 1
}

fn forbidden_range(ip: IpAddr) -> Option<&'static str> {
    if ip.is_unspecified() {
        Some("unspecified")
    } else if ip.is_loopback() {
        Some("loopback")
    } else if ip.is_multicast() {
        Some("multicast")
    } else if is_link_local(ip) {
        Some("link-local")
    } else if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("broadcast")
    } else {
        None
    }
}

/// Checks a port number; reports it and gives `None` when it is out of range.
pub(super) fn port_number(value: i32, field: &str, reporter: &mut Reporter) -> Option<u16> {
    let port = u16::try_from(value).ok().filter(|port| *port != 0);
    if port.is_none() {
        reporter.invalid(field, value, "must be between 1 and 65535, inclusive");
    }
    port
}

/// What a `protocol` field says.
pub(super) enum ProtocolField {
    /// One that packets of Services are forwarded for.
    Known(Protocol),
    /// Valid in Kubernetes, not forwarded here.
    Sctp,
    /// Not a protocol of Kubernetes.
    Unknown,
}

/// Reads a `protocol` field; absent means TCP.
pub(super) fn protocol(text: Option<&str>) -> ProtocolField {
    match text {
        None | Some("" | "TCP") => ProtocolField::Known(Protocol::Tcp),
        Some("UDP") => ProtocolField::Known(Protocol::Udp),
        Some("SCTP") => ProtocolField::Sctp,
        Some(_) => ProtocolField::Unknown,
    }
}
