//! As much HTTP/1.1 as it takes to ask who answers, and as whom it sees the client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use nix::sys::socket::shutdown;
use std::os::fd::AsRawFd;

use crate::namespace::{Namespace, PATIENCE, plain};

/// Answers every request with its name and the client's address, until it is dropped.
pub(crate) struct Server {
    listener: Arc<TcpListener>,
    /// Those that somebody still serves.
    streams: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(namespace: Namespace<'_>, name: &str, port: u16) -> Self {
        let listener = Arc::new(namespace.listen(port));
        let streams = Arc::<Mutex<Vec<Weak<TcpStream>>>>::default();
        let (accepting, accepted, name) = (listener.clone(), streams.clone(), name.to_owned());
        let thread = std::thread::spawn(move || {
            while let Ok((stream, peer)) = accepting.accept() {
                let stream = Arc::new(stream);
                accepted.lock().expect("no panic").push(Arc::downgrade(&stream));
                let name = name.clone();
                // A client that goes away in the middle is the client's affair.
                std::thread::spawn(move || serve(&stream, &name, plain(peer)).ok());
            }
        });
        Self { listener, streams, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for stream in self.streams.lock().expect("no panic").iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut stream: &TcpStream, name: &str, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            let body = format!("{name} {peer}\n");
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        }
    }
}

/// Who answered, and as whom it saw the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) client: SocketAddr,
}

/// One connection, kept alive.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(from: Namespace<'_>, to: SocketAddr) -> io::Result<Self> {
        let stream = from.connect(to)?;
        assert_eq!(stream.peer_addr()?, to, "the client talks to the Service's address");
        Ok(Self::new(stream))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        plain(self.reader.get_ref().local_addr().expect("an address"))
    }

    /// Ends the connection, and waits for the other side to do so, too.
    pub(crate) fn finish(mut self) {
        self.reader.get_ref().shutdown(Shutdown::Write).expect("shutdown");
        assert_eq!(self.reader.read(&mut [0]).expect("the end"), 0);
    }

    pub(crate) fn ask(&mut self) -> io::Result<Answer> {
        let request = b"GET /who HTTP/1.1\r\nHost: lab\r\n\r\n";
        self.reader.get_mut().write_all(request)?;
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(io::Error::other)?;
        let (name, client) = body.trim().split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
        let client = client.parse().map_err(io::Error::other)?;
        Ok(Answer { name: name.to_owned(), client })
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(from: Namespace<'_>, to: SocketAddr) -> io::Result<Answer> {
    Client::connect(from, to)?.ask()
}

/// Asks several times on one connection and several times on fresh ones: always answered by one
/// of `names`, and seen as coming from `source`.
pub(crate) fn check(from: Namespace<'_>, to: SocketAddr, names: &[&str], source: IpAddr) {
    let mut kept =
        Client::connect(from, to).unwrap_or_else(|error| panic!("{from:?} {to}: {error}"));
    let first = kept.ask().unwrap_or_else(|error| panic!("{from:?} {to}: {error}"));
    assert!(names.contains(&first.name.as_str()), "{first:?}");
    assert_eq!(first.client, (source, kept.local().port()).into(), "{from:?} {to}");
    for _ in 0..20 {
        assert_eq!(kept.ask().expect("keep-alive"), first, "{from:?} {to}");
        let other = ask(from, to).expect("a fresh connection");
        assert!(names.contains(&other.name.as_str()), "{other:?}");
        assert_eq!(other.client.ip(), source, "{from:?} {to}");
    }
}
