//! Against the real kernel, in namespaces of their own; they need root and say so when they skip.
//!
//! ```text
//!   namespace "node"                         namespace "pod"
//!   lo 192.168.0.2/32, mlg0 ═ mlg1           eth0 10.244.0.7/32
//!   mlptest ═════════════ veth ═════════════ eth0
//! ```

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::Pid;
use rtnetlink::Handle;

use super::address::{self, Scope, Via};
use super::host_port::{self, HostPortOptions};
use super::link::{self, VethEnd};
use super::watch::Watch;
use super::{NetError, namespace, netlink, processes};

/// A namespace that is gone after the test, whatever becomes of it.
struct TestNamespace(String);

impl TestNamespace {
    /// `None`, with a line that says so, where the test cannot run.
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mgltest-net-{}-{number}", std::process::id());
        namespace::create(&name).unwrap();
        Some(Self(name))
    }

    fn run<T: Send>(&self, work: impl AsyncFnOnce(Handle) -> super::error::Result<T> + Send) -> T {
        namespace::run_in(&self.0, || netlink::block_on(work)).unwrap().unwrap()
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        let _ = processes::end_all(std::slice::from_ref(&self.0), Duration::ZERO);
        let _ = namespace::delete(&self.0);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn options() -> HostPortOptions {
    HostPortOptions {
        workers: 2,
        mtu: host_port::MAX_MTU,
        service_cidrs: vec!["10.96.0.0/16".parse().unwrap(), "fd00:10:96::/112".parse().unwrap()],
        node_addresses: vec![ip("192.168.0.2"), ip("fd00:192:168::2")],
        masquerade_addresses: vec![ip("169.254.1.254"), ip("fd00:192:168::fe")],
    }
}

async fn prepare_node(handle: &Handle) -> super::error::Result<()> {
    let loopback = link::set_loopback_up(handle).await?;
    for (address, length) in [(ip("192.168.0.2"), 32), (ip("fd00:192:168::2"), 128)] {
        address::add(handle, &loopback, address, length, Scope::Global).await?;
    }
    Ok(())
}

fn shell(command: &str) -> String {
    let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_namespace_comes_and_goes_with_its_processes() {
    let Some(test) = TestNamespace::new() else { return };
    let name = &test.0;
    assert!(namespace::exists(name));
    assert!(namespace::list("mgltest-net-").unwrap().contains(name));
    assert!(matches!(
        namespace::create(name),
        Err(NetError::Namespace { operation: "create", .. })
    ));
    let mut child = namespace::run_in(name, || {
        let program = "trap '' TERM; sleep 60 & wait; wait";
        std::process::Command::new("sh").args(["-c", program]).spawn().unwrap()
    })
    .unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    assert!(processes::inside(name).unwrap().contains(&pid));
    assert!(processes::start_ticks(pid).is_some());

    processes::end_all(std::slice::from_ref(name), Duration::from_millis(50)).unwrap();
    assert!(!processes::runs(pid), "ignores SIGTERM, and is killed");
    assert!(!child.wait().unwrap().success());
    namespace::delete(name).unwrap();
    assert!(!namespace::exists(name));
    namespace::delete(name).unwrap();
    assert!(matches!(namespace::run_in(name, || ()), Err(NetError::NoSuchNamespace(_))));
}

#[test]
fn the_host_port_is_made_replaced_and_removed() {
    let Some(test) = TestNamespace::new() else { return };
    let (first, second) = test.run(async |handle| {
        prepare_node(&handle).await?;
        let first = host_port::create(&handle, &options()).await?;
        let second = host_port::create(&handle, &options()).await?;
        Ok((first, second))
    });
    assert_ne!(first.socket_end.index, second.socket_end.index, "the leftover was replaced");
    assert_eq!(second.socket_end.rx_queues, 2);
    assert_eq!(second.kernel_end.mtu, host_port::MAX_MTU);
    assert!(second.kernel_end.up && second.socket_end.up);
    let first_bytes = [&second.socket_end, &second.kernel_end].map(|end| end.mac.unwrap()[0]);
    assert_eq!(first_bytes, [0x02; 2], "no message begins like this");
    let seen = namespace::run_in(&test.0, || {
        shell("ip -o link; ip route; ip -6 route; ip -6 addr; ip route get 10.96.0.10")
    })
    .unwrap();
    assert_eq!(seen.matches("NOARP").count(), 2, "{seen}");
    for expected in [
        "10.96.0.0/16 dev mlg1 proto static scope link src 192.168.0.2",
        "fd00:10:96::/112 dev mlg1 proto static src fd00:192:168::2",
        "169.254.1.254 dev mlg1",
        "fd00:192:168::fe dev mlg1",
        "10.96.0.10 dev mlg1 src 192.168.0.2",
    ] {
        assert!(seen.contains(expected), "{expected} is not in\n{seen}");
    }
    assert!(!seen.contains("inet6 fe80"), "no address that nobody asked for:\n{seen}");
    let again = test.run(async |handle| {
        Ok((host_port::remove(&handle).await?, host_port::remove(&handle).await?))
    });
    assert_eq!(again, (true, false));
}

#[test]
fn the_host_port_refuses_a_foreign_interface_and_a_large_mtu() {
    let Some(test) = TestNamespace::new() else { return };
    namespace::run_in(&test.0, || shell("ip tuntap add mlg0 mode tap")).unwrap();
    let (foreign, large) = test.run(async |handle| {
        let foreign = host_port::create(&handle, &options()).await.unwrap_err();
        let large = HostPortOptions { mtu: 9_000, ..options() };
        Ok((foreign, host_port::create(&handle, &large).await.unwrap_err()))
    });
    assert!(matches!(foreign, NetError::ForeignInterface { name: "mlg0", .. }), "{foreign}");
    assert_eq!(large.to_string(), "MTU 9000 is out of range: 1280 to 3498 bytes");
}

#[test]
fn the_watch_sees_a_pod_come_and_go() {
    let Some(node) = TestNamespace::new() else { return };
    let Some(pod) = TestNamespace::new() else { return };
    let pod_file = namespace::open(&pod.0).unwrap();
    node.run(async |handle| {
        prepare_node(&handle).await?;
        let mut watch = Watch::start(Vec::new()).await?;
        assert_eq!(watch.current().node_addresses, [ip("192.168.0.2"), ip("fd00:192:168::2")]);
        assert!(watch.current().pods.is_empty());
        host_port::create(&handle, &options()).await?;

        let end = VethEnd { name: "mlptest", ..VethEnd::default() };
        let mac = [2, 0, 0, 0, 0, 7];
        let namespace = Some(pod_file.as_fd());
        let peer = VethEnd { name: "eth0", mac: Some(mac), namespace };
        link::add_veth(&handle, end, peer, 1, 1_500).await?;
        let interface = link::by_name(&handle, "mlptest").await?;
        link::set_up(&handle, &interface, true).await?;
        let via = Via { interface: &interface, gateway: None, source: None, mtu: None };
        for text in ["10.244.0.7", "fd00:10:244::7"] {
            address::add_route(&handle, ip(text).into(), via).await?;
            address::add_neighbour(&handle, &interface, ip(text), mac).await?;
        }
        let complete = async {
            loop {
                // Whoever waits has other things to do, all the time.
                let soon = tokio::time::timeout(Duration::from_millis(1), watch.changed()).await;
                let Ok(found) = soon else { continue };
                let [found] = found.unwrap().pods.as_slice() else { continue };
                if found.addresses.len() == 2 && found.mac.is_some() {
                    return found.clone();
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(5), complete).await.unwrap();
        assert_eq!((found.index, found.mtu, found.mac), (interface.index, 1_500, Some(mac)));
        assert_eq!(found.addresses, [ip("10.244.0.7"), ip("fd00:10:244::7")]);

        link::delete(&handle, "mlptest").await?;
        let gone = async { while !watch.changed().await.unwrap().pods.is_empty() {} };
        tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
        let last = watch.current().clone();
        assert_eq!(*watch.refresh().await?, last, "nothing happened since");
        Ok(())
    });
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    let Some(test) = TestNamespace::new() else { return };
    let error = test.run(async |handle| Ok(link::by_name(&handle, "nic7").await.unwrap_err()));
    assert_eq!(error.to_string(), "interface nic7 does not exist");
    assert!(!test.run(async |handle| link::delete(&handle, "nic7").await));
}
