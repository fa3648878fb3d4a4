//! Sockets inside a network namespace. A socket stays where it was made, so only making it
//! happens there.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};

/// Longer than anything here takes unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A network namespace by name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Namespace<'a> {
    /// Of a Pod of the namespace `default`.
    Pod(&'a str),
    /// Any other, by its whole name.
    Named(&'a str),
}

/// The lab's node.
pub(crate) const NODE: Namespace<'_> = Namespace::Named("maglane-node");
/// The Pod that tests use Services from.
pub(crate) const CLIENT: Namespace<'_> = Namespace::Pod("client");

impl Namespace<'_> {
    /// Its name in `/run/netns`.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Pod(name) => format!("maglane-default-{name}"),
            Self::Named(name) => name.to_owned(),
        }
    }

    /// Runs `work` on a thread of its own inside the namespace.
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let name = self.name();
        let file = File::open(format!("/run/netns/{name}")).expect(&name);
        let inside = move || {
            setns(&file, CloneFlags::CLONE_NEWNET).expect("setns");
            work()
        };
        std::thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// A listener for both families.
    pub(crate) fn listen(self, port: u16) -> TcpListener {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        self.run(|| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).expect("TCP");
            socket.set_reuse_address(true).expect("SO_REUSEADDR");
            socket.bind(&any.into()).expect("bind");
            socket.listen(1024).expect("listen");
            socket.into()
        })
    }

    /// A connection whose operations give up after [`PATIENCE`].
    pub(crate) fn connect(self, to: SocketAddr) -> io::Result<TcpStream> {
        self.connect_within(to, PATIENCE)
    }

    pub(crate) fn connect_within(
        self,
        to: SocketAddr,
        patience: Duration,
    ) -> io::Result<TcpStream> {
        let stream = self.run(|| TcpStream::connect_timeout(&to, patience))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// A connection from a port of the caller's choice, which others may have, too.
    pub(crate) fn connect_from(self, port: u16, to: SocketAddr) -> io::Result<TcpStream> {
        let any: SocketAddr = match to.ip() {
            IpAddr::V4(_) => ([0, 0, 0, 0], port).into(),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
        };
        self.run(|| {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(true)?;
            socket.bind(&any.into())?;
            socket.connect_timeout(&to.into(), PATIENCE)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket.into())
        })
    }

    /// An unconnected UDP socket for both families.
    pub(crate) fn udp(self, port: u16) -> UdpSocket {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let socket = self.run(|| UdpSocket::bind(any)).expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
        socket
    }

    /// A UDP socket that hears only `to`, and what ICMP says of it.
    pub(crate) fn udp_connected(self, to: SocketAddr) -> UdpSocket {
        let socket = self.udp(0);
        socket.connect(mapped(to)).expect("connect");
        socket
    }

    /// What a command says inside the namespace. It must succeed.
    pub(crate) fn command(self, line: &str) -> String {
        let output = self.output(line);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn output(self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().expect("a command"));
        self.run(|| command.args(words).output()).expect(line)
    }
}

/// As an IPv6 socket says it.
pub(crate) fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => (ip.to_ipv6_mapped(), address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// As a human says it: 10.0.0.1, not ::ffff:10.0.0.1.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    (address.ip().to_canonical(), address.port()).into()
}

/// Waits until something is so.
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
