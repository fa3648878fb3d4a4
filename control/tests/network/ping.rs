//! Echo requests: RFC 792 and RFC 4443, section 4.1.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace::Namespace;

const PAYLOAD: &[u8] = b"is anybody there?";

/// Sends one and waits for the reply, from that address and with the same content.
pub(crate) fn ping(from: Namespace<'_>, to: IpAddr, patience: Duration) -> io::Result<()> {
    let ipv4 = to.is_ipv4();
    let (domain, protocol, request, reply) = if ipv4 {
        (Domain::IPV4, Protocol::ICMPV4, 8, 0)
    } else {
        (Domain::IPV6, Protocol::ICMPV6, 128, 129)
    };
    let socket = from.run(|| Socket::new(domain, Type::RAW, Some(protocol)))?;
    let mut message = [&[request, 0, 0, 0, 0x4d, 0x47, 0, 1], PAYLOAD].concat();
    if ipv4 {
        // For IPv6 the kernel does it.
        let sum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
    let deadline = Instant::now() + patience;
    // Connected, it hears nobody else.
    socket.connect(&SocketAddr::from((to, 0)).into())?;
    socket.send(&message)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let mut packet = [0; 512];
        let length = match (&socket).read(&mut packet) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            other => other?,
        };
        let packet = &packet[..length];
        // A raw IPv4 socket gets the IP header, too.
        let icmp = if ipv4 { &packet[usize::from(packet[0] & 0xf) * 4..] } else { packet };
        if icmp.len() >= 8 && icmp[0] == reply && icmp[4..] == message[4..] {
            return Ok(());
        }
    }
}

fn checksum(message: &[u8]) -> u16 {
    let words = message
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or_default()));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
