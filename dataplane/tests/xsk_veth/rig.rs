//! The namespaces, veth pairs and the XDP program that the tests stand on.

use std::{
    fs::File,
    net::{SocketAddr, UdpSocket},
    os::fd::BorrowedFd,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use aya::{
    Ebpf,
    maps::XskMap,
    programs::{Xdp, xdp::XdpMode},
};
use nix::{
    sched::{CloneFlags, setns},
    sys::socket::{setsockopt, sockopt::RcvBufForce},
    unistd::geteuid,
};

/// Sends every packet to the socket of its queue, if there is one.
const PROGRAM: &str = r#"
typedef unsigned int u32;
#define SEC(name) __attribute__((section(name), used))
struct xdp_md { u32 data, data_end, data_meta, ifindex, queue, egress; };
struct {
    int (*type)[17];
    int (*max_entries)[2];
    u32 *key;
    u32 *value;
} sockets SEC(".maps");
static long (*redirect_map)(void *, u32, unsigned long long) = (void *)51;
SEC("xdp") int to_socket(struct xdp_md *packet) {
    return redirect_map(&sockets, packet->queue, 2);
}
char _license[] SEC("license") = "GPL";
"#;

pub(crate) const XSK_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const KERNEL_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const PORT: u16 = 9_000;

/// Two namespaces of this test's own; removed with it.
pub(crate) struct Rig {
    xsk: String,
    kernel: String,
}

/// An attached program; detached with it.
pub(crate) struct Steering {
    program: Ebpf,
}

/// Runs a test in a fresh rig, on a thread in the sockets' namespace. Says so when it cannot.
pub(crate) fn with_rig(test: impl FnOnce(&Rig) + Send) {
    if !geteuid().is_root() {
        eprintln!("SKIPPED {}: needs root", thread::current().name().unwrap_or("test"));
        return;
    }
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("mlgxsk-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let rig = Rig { xsk: format!("{prefix}-x"), kernel: format!("{prefix}-k") };
    for namespace in [&rig.xsk, &rig.kernel] {
        ip(&format!("netns add {namespace}")).expect("namespace");
        // Only the packets that a test sends are to be seen.
        sysctl(namespace, "net.ipv6.conf.default.disable_ipv6=1");
    }
    within(&rig.xsk, || test(&rig));
}

impl Rig {
    /// Adds pair `number`: `mlgxsk-xN` for sockets, `mlgxsk-kN` with 10.77.N.1 for the kernel.
    pub(crate) fn add_pair(&self, number: u8) -> String {
        let Self { xsk, kernel } = self;
        let (x, k) = (format!("mlgxsk-x{number}"), format!("mlgxsk-k{number}"));
        let queues = "numrxqueues 2 numtxqueues 2";
        let mac = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":");
        let (xsk_mac, kernel_mac) = (mac(XSK_MAC), mac(KERNEL_MAC));
        for command in [
            format!("-n {xsk} link add {x} {queues} type veth peer {k} netns {kernel} {queues}"),
            format!("-n {xsk} link set {x} address {xsk_mac} up"),
            format!("-n {kernel} link set {k} address {kernel_mac} up"),
            format!("-n {kernel} address add 10.77.{number}.1/24 dev {k}"),
            format!("-n {kernel} neighbour add 10.77.{number}.2 lladdr {xsk_mac} dev {k}"),
        ] {
            ip(&command).expect("pair");
        }
        x
    }

    pub(crate) fn in_xsk_namespace(&self, command: &str) -> Result<(), String> {
        ip(&format!("-n {} {command}", self.xsk))
    }

    pub(crate) fn in_kernel_namespace(&self, command: &str) -> Result<(), String> {
        ip(&format!("-n {} {command}", self.kernel))
    }

    /// Runs `work` in the namespace of the kernel's ends.
    pub(crate) fn on_the_other_side<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.kernel, work)
    }

    /// A socket of the kernel's end of pair `number`, connected to the other end.
    pub(crate) fn client(&self, number: u8) -> UdpSocket {
        self.on_the_other_side(|| {
            let socket = UdpSocket::bind(SocketAddr::from(([10, 77, number, 1], 0))).expect("bind");
            socket.connect(SocketAddr::from(([10, 77, number, 2], PORT))).expect("connect");
            socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
            setsockopt(&socket, RcvBufForce, &(64 << 20)).expect("receive buffer");
            socket
        })
    }

    /// Attaches the program to an interface of the sockets' namespace, natively.
    pub(crate) fn steer(&self, interface: &str) -> Result<Steering, String> {
        let mut program = Ebpf::load(&compile()).expect("load");
        let xdp: &mut Xdp =
            program.program_mut("to_socket").expect("program").try_into().expect("XDP");
        xdp.load().expect("verifier");
        xdp.attach(interface, XdpMode::Driver).map_err(|error| format!("{error:?}"))?;
        Ok(Steering { program })
    }
}

impl Steering {
    pub(crate) fn set(&mut self, queue: u32, socket: BorrowedFd<'_>) {
        let map = self.program.map_mut("sockets").expect("map");
        let mut sockets = XskMap::try_from(map).expect("XSKMAP");
        sockets.set(queue, socket, 0).expect("socket in the map");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for namespace in [&self.xsk, &self.kernel] {
            if let Err(error) = ip(&format!("netns del {namespace}")) {
                eprintln!("{error}");
            }
        }
    }
}

/// Runs `work` on a thread of its own in a namespace.
fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        let file = File::open(format!("/run/netns/{namespace}")).expect("namespace");
        setns(file, CloneFlags::CLONE_NEWNET).expect("setns");
        work()
    };
    thread::scope(|scope| match scope.spawn(enter).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn compile() -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let stem = format!("mlgxsk-{}-{number}", std::process::id());
    let source = std::env::temp_dir().join(format!("{stem}.c"));
    let object = source.with_extension("o");
    std::fs::write(&source, PROGRAM).expect("source");
    run(Command::new("clang")
        .args(["-target", "bpf", "-O2", "-g", "-c", "-o"])
        .args([&object, &source]))
    .expect("clang");
    let bytes = std::fs::read(&object).expect("object");
    for file in [source, object] {
        std::fs::remove_file(file).expect("clean up");
    }
    bytes
}

fn sysctl(namespace: &str, setting: &str) {
    let write = ["netns", "exec", namespace, "sysctl", "-qw", setting];
    run(Command::new("ip").args(write)).expect("sysctl");
}

fn ip(arguments: &str) -> Result<(), String> {
    run(Command::new("ip").args(arguments.split_whitespace()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
