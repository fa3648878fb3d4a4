//! Servers behind the Services, and what clients ask of them.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use crate::rig::{PATIENCE, Rig};

/// How often a server looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(50);
const CHUNK_BYTES: usize = 16_384;

/// Threads in the backends' namespace; ended with it.
pub(crate) struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    /// TCP on port 8080 of every address: takes a number of bytes, sends their hash, then as many
    /// bytes as it was asked for. UDP on 10.72.0.2:5353: echo.
    pub(crate) fn start(rig: &Rig) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (listener, socket) = rig.as_backend(|| {
            let listener = TcpListener::bind("[::]:8080").expect("listen");
            let socket = UdpSocket::bind("10.72.0.2:5353").expect("bind");
            setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).expect("receive buffer");
            (listener, socket)
        });
        let look_up = TimeVal::new(0, LOOK_UP.as_micros() as i64);
        setsockopt(&listener, sockopt::ReceiveTimeout, &look_up).expect("timeout");
        socket.set_read_timeout(Some(LOOK_UP)).expect("timeout");
        let (stop_tcp, stop_udp) = (stop.clone(), stop.clone());
        let tcp = thread::spawn(move || {
            let mut connections = Vec::new();
            while !stop_tcp.load(Ordering::Acquire) {
                if let Ok((stream, _)) = listener.accept() {
                    let ours = stream.try_clone().expect("a descriptor");
                    connections.push((ours, thread::spawn(move || drop(serve(stream)))));
                }
            }
            for (stream, connection) in connections {
                let _ = stream.shutdown(Shutdown::Both);
                let _ = connection.join();
            }
        });
        let udp = thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while !stop_udp.load(Ordering::Acquire) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        Self { stop, threads: vec![tcp, udp] }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = [0; 16];
    // As many requests as the client likes.
    loop {
        stream.read_exact(&mut request)?;
        let [upload, download] = [&request[..8], &request[8..]]
            .map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap_or_default()));
        let hash = receive(&mut stream, upload)?;
        stream.write_all(&hash.to_be_bytes())?;
        send(&mut stream, download)?;
    }
}

/// Reads so many bytes and hashes them.
fn receive(stream: &mut TcpStream, mut missing: u64) -> io::Result<u64> {
    let (mut buffer, mut hasher) = ([0; CHUNK_BYTES], DefaultHasher::new());
    while missing > 0 {
        let wanted = missing.min(CHUNK_BYTES as u64) as usize;
        let length = stream.read(&mut buffer[..wanted])?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.write(&buffer[..length]);
        missing -= length as u64;
    }
    Ok(hasher.finish())
}

/// Writes so many bytes and hashes them.
fn send(stream: &mut impl Write, bytes: u64) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes;
    let mut left = bytes as usize;
    let mut chunk = [0; CHUNK_BYTES];
    while left > 0 {
        for word in chunk.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_ne_bytes());
        }
        let length = left.min(CHUNK_BYTES);
        stream.write_all(&chunk[..length])?;
        hasher.write(&chunk[..length]);
        left -= length;
    }
    Ok(hasher.finish())
}

/// A client's connection to a Service.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn open(rig: &Rig, service: &str) -> io::Result<Self> {
        let to: SocketAddr = service.parse().expect("an address and a port");
        let stream = rig.as_client(|| TcpStream::connect_timeout(&to, PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Uploads, then downloads, and compares hashes.
    #[track_caller]
    pub(crate) fn exchange(&mut self, upload: u64, download: u64) {
        let stream = &mut self.0;
        let request = [upload.to_be_bytes(), download.to_be_bytes()].concat();
        stream.write_all(&request).expect("request");
        let sent = send(stream, upload).expect("upload");
        let mut hash = [0; 8];
        stream.read_exact(&mut hash).expect("hash");
        assert_eq!(u64::from_be_bytes(hash), sent, "what arrived at the backend");
        let received = receive(stream, download).expect("download");
        let expected = send(&mut io::sink(), download).expect("hashed");
        assert_eq!(received, expected, "what arrived at the client");
    }
}

/// Sends datagrams to a Service and gets each of them back, a window of them at once.
#[track_caller]
pub(crate) fn echo(rig: &Rig, service: &str, datagrams: u32, clients: u32) {
    const WINDOW: u32 = 250;
    let to: SocketAddr = service.parse().expect("an address and a port");
    let sockets: Vec<UdpSocket> = rig.as_client(|| {
        let open = |_| {
            let socket = UdpSocket::bind("10.71.0.2:0").expect("bind");
            socket.connect(to).expect("connect");
            socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
            setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).expect("receive buffer");
            socket
        };
        (0..clients).map(open).collect()
    });
    let mut buffer = [0; 2_048];
    for (window, socket) in (0..datagrams.div_ceil(WINDOW)).zip(sockets.iter().cycle()) {
        let numbers = window * WINDOW..((window + 1) * WINDOW).min(datagrams);
        for number in numbers.clone() {
            socket.send(&datagram(number)).expect("send");
        }
        for number in numbers.clone() {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("{number} of {numbers:?} and what follows is missing: {error}")
            });
            assert_eq!(buffer[..length], datagram(number), "in order, unharmed");
        }
    }
}

/// A datagram that tells its number and has a length of its own.
fn datagram(number: u32) -> Vec<u8> {
    let length = 4 + number as usize * 7 % 1_400;
    let mut bytes: Vec<u8> = (0..length).map(|index| (index + number as usize) as u8).collect();
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}
