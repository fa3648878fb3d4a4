//! AF_XDP ports against the real kernel. Needs root; says so when it skips.
//!
//! ```text
//!   namespace mlgxsk-PID-N-x                    namespace mlgxsk-PID-N-k
//!
//!   PortQueue 0 --\                                      UDP sockets
//!   PortQueue 1 --- XSKMAP -- XDP (native) on            10.77.I.1:*
//!                             mlgxsk-xI ===== veth ===== mlgxsk-kI
//!                             2 queues                   2 queues
//! ```
//!
//! The kernel's end sends to 10.77.I.2:9000, which nobody has; a test's worker does with the frames
//! what the test is about.

#[path = "xsk_veth/rig.rs"]
mod rig;
#[path = "xsk_veth/traffic.rs"]
mod traffic;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use arrayvec::ArrayVec;
use maglane_dataplane::xsk::{
    BATCH, CopyMode, Frame, FramePool, FramePoolConfig, KernelStatistics, MAX_MTU, PortQueue,
    PortQueueConfig, Waker, Wakeup, XskError, wait,
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
};
use rig::{Rig, Steering, with_rig};
use traffic::{datagram, exchange, frame_to, turn_around};

const RING_FRAMES: u32 = 1_024;

fn pool() -> FramePool {
    let config =
        FramePoolConfig { frames: 8_192, ring_size_frames: RING_FRAMES, huge_pages: false };
    FramePool::new(config).expect("pool")
}

fn port(interface: &str, queue: u32) -> PortQueueConfig {
    PortQueueConfig {
        interface: interface.to_owned(),
        queue,
        copy: None,
        ring_size_frames: RING_FRAMES,
    }
}

/// Binds a queue, fills its ring.
fn bind(pool: &mut FramePool, interface: &str, queue: u32) -> PortQueue {
    let mut port = PortQueue::bind(pool, &port(interface, queue)).expect("bind");
    port.refill(pool);
    port
}

#[track_caller]
fn refused(pool: &mut FramePool, config: &PortQueueConfig) -> XskError {
    PortQueue::bind(pool, config).expect_err("refused")
}

/// One breath of a worker that turns everything around. Returns how many frames it sent.
fn breathe(port: &mut PortQueue, pool: &mut FramePool) -> usize {
    let mut received = ArrayVec::<Frame, BATCH>::new();
    let mut answers = ArrayVec::<Frame, BATCH>::new();
    port.reclaim(pool);
    port.refill(pool);
    port.receive(&mut received);
    for mut frame in received {
        let length = frame.length();
        match turn_around(&mut pool.buffer(&mut frame)[..length]) {
            true => answers.push(frame),
            false => pool.free(frame),
        }
    }
    let sent = port.transmit(&mut answers);
    assert!(answers.is_empty(), "no room in the transmit ring");
    port.kick();
    sent
}

#[test]
fn ten_thousand_datagrams_go_through_and_every_frame_comes_back() {
    with_rig(|rig| {
        let interface = rig.add_pair(0);
        let mut pool = pool();
        let mut ports = [bind(&mut pool, &interface, 0), bind(&mut pool, &interface, 1)];
        let mut steering = rig.steer(&interface).expect("attach");
        for port in &ports {
            assert_eq!(port.copy_mode(), CopyMode::Copy, "veth has no zero-copy");
            steering.set(port.queue(), port.fd());
        }
        // Several sockets, because the kernel picks the queue by a hash of the ports.
        let clients: Vec<_> = (0..16).map(|_| rig.client(0)).collect();
        let waker = Waker::new().expect("waker");
        let stop = AtomicBool::new(false);

        let mut sent = [0; 2];
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    for (port, sent) in ports.iter_mut().zip(&mut sent) {
                        *sent += breathe(port, &mut pool);
                    }
                    wait(&ports, &waker, 1_000).expect("wait");
                }
            });
            for start in (0..10_000).step_by(500) {
                exchange(&clients, start..start + 500);
            }
            stop.store(true, Ordering::Release);
            waker.wake();
        });

        assert_eq!(sent[0] + sent[1], 10_000);
        assert!(sent[0] > 0 && sent[1] > 0, "both queues were used: {sent:?}");
        for port in ports {
            let statistics = port.statistics().expect("statistics");
            let tx_ring_empty_descs = statistics.tx_ring_empty_descs;
            let clean = KernelStatistics { tx_ring_empty_descs, ..Default::default() };
            assert_eq!(statistics, clean);
            assert_eq!(port.counters().alien_descriptors, 0);
            let unbound = port.unbind(&mut pool).expect("unbind");
            assert_eq!(unbound.unsent, 0);
            assert!(unbound.recovered > 0, "the fill ring was full");
        }
        assert_eq!(pool.available(), pool.total());
    });
}

#[test]
fn a_device_can_be_bound_again_by_the_same_pool_and_by_another() {
    with_rig(|rig| {
        let interface = rig.add_pair(0);
        let mut steering = rig.steer(&interface).expect("attach");
        // Where a pool was made does not matter: its interfaces are those of the binding thread.
        let mut pools = [pool(), rig.on_the_other_side(pool)];
        for round in 0..6 {
            let pool = &mut pools[round % 2];
            let mut port = bind(pool, &interface, 1);
            assert_eq!(pool.available(), pool.total() - RING_FRAMES as usize);
            let mut frame = receive_one(&mut port, rig, &mut steering);
            assert_eq!(&pool.buffer(&mut frame)[42..47], b"hello");
            pool.free(frame);
            port.unbind(pool).expect("unbind");
            assert_eq!(pool.available(), pool.total());
        }
    });
}

#[test]
fn a_busy_queue_is_waited_for() {
    with_rig(|rig| {
        let interface = rig.add_pair(0);
        let (mut one, mut other) = (pool(), pool());
        let holder = bind(&mut one, &interface, 0);
        let flags = fcntl(holder.fd(), FcntlArg::F_GETFD).expect("flags");
        assert_eq!(flags, FdFlag::FD_CLOEXEC.bits(), "a child process would hold it, too");
        thread::scope(|scope| {
            // It cannot be seen from outside that a bind was refused once, hence the time.
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(300));
                holder.unbind(&mut one).expect("unbind");
            });
            let start = Instant::now();
            let port = bind(&mut other, &interface, 0);
            assert!(start.elapsed() >= Duration::from_millis(250));
            port.unbind(&mut other).expect("unbind");
        });
    });
}

/// Receives a frame of the client's through a port that was just bound.
fn receive_one(port: &mut PortQueue, rig: &Rig, steering: &mut Steering) -> Frame {
    steering.set(port.queue(), port.fd());
    let waker = Waker::new().expect("waker");
    let mut frames = ArrayVec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while frames.is_empty() {
        assert!(Instant::now() < deadline, "no frame on queue {}", port.queue());
        // A new socket each time, until one falls on this queue.
        rig.client(0).send(b"hello").expect("send");
        wait([&*port], &waker, 20).expect("wait");
        port.receive(&mut frames);
    }
    frames.pop().expect("a frame")
}

#[test]
fn a_burst_leaves_with_one_kick() {
    with_rig(|rig| {
        const BURST: u32 = 1_000;
        let interface = rig.add_pair(0);
        let client = rig.client(0);
        let mut pool = pool();
        let mut port = bind(&mut pool, &interface, 0);
        let mut batch = ArrayVec::<Frame, BATCH>::new();
        for number in 0..BURST {
            batch.push(frame_to(&client, &datagram(number), &mut pool));
            if batch.is_full() || number + 1 == BURST {
                port.transmit(&mut batch);
                assert!(batch.is_empty());
            }
        }
        assert_eq!(port.outstanding(), BURST as usize);
        port.kick();
        let mut buffer = [0; 2_048];
        for number in 0..BURST {
            let length = client.recv(&mut buffer).expect("none lost");
            assert_eq!(&buffer[..length], datagram(number), "in order");
        }
        let counters = port.counters();
        // One where the kernel lets a call send more than 32.
        assert!((1..=32).contains(&counters.kicks), "{counters:?}");
        assert_eq!(counters.kicks, counters.kicks_again + 1, "{counters:?}");
        port.reclaim(&mut pool);
        assert_eq!(port.outstanding(), 0);
        port.unbind(&mut pool).expect("unbind");
        assert_eq!(pool.available(), pool.total());
    });
}

#[test]
fn what_cannot_be_sent_stays_with_the_caller() {
    with_rig(|rig| {
        let interface = rig.add_pair(0);
        let client = rig.client(0);
        let (mut pool, mut foreign) = (pool(), pool());
        let small = PortQueueConfig { ring_size_frames: 64, ..port(&interface, 0) };
        let mut port = PortQueue::bind(&mut pool, &small).expect("bind");
        let mut frames = ArrayVec::<Frame, BATCH>::new();
        frames.push(pool.allocate().expect("a frame of length 0"));
        frames.push(foreign.allocate().expect("another pool's"));
        frames.push(frame_to(&client, b"good", &mut pool));
        assert_eq!(port.transmit(&mut frames), 1);
        assert_eq!(frames.len(), 2);
        pool.free(frames.remove(0));
        foreign.free(frames.remove(0));
        while !frames.is_full() {
            frames.push(frame_to(&client, b"good", &mut pool));
        }
        assert_eq!(port.transmit(&mut frames), BATCH - 1, "the ring holds 64");
        assert_eq!(frames.len(), 1);
        frames.into_iter().for_each(|frame| pool.free(frame));

        rig.in_xsk_namespace(&format!("link set {interface} down")).expect("down");
        port.kick();
        assert_eq!(port.counters().kicks_net_down, 1);
        assert_eq!(port.last_error(), None, "a passing one");
        rig.in_xsk_namespace(&format!("link set {interface} up")).expect("up");
        port.kick();
        let mut buffer = [0; 64];
        for _ in 0..BATCH {
            assert_eq!(client.recv(&mut buffer).expect("kept while the link was down"), 4);
        }
        let foreigner = port.unbind(&mut foreign).expect_err("another pool");
        assert!(matches!(foreigner, XskError::ForeignPool { .. }), "{foreigner}");
    });
}

#[test]
fn a_wait_ends_with_a_frame_a_wake_or_the_time() {
    with_rig(|rig| {
        let interface = rig.add_pair(0);
        let mut steering = rig.steer(&interface).expect("attach");
        let mut pool = pool();
        let ports = [bind(&mut pool, &interface, 0), bind(&mut pool, &interface, 1)];
        ports.iter().for_each(|port| steering.set(port.queue(), port.fd()));
        let waker = Waker::new().expect("waker");
        let nothing = Wakeup::default();
        let start = Instant::now();
        assert_eq!(wait(&ports, &waker, 50).expect("wait"), nothing);
        assert!(start.elapsed() >= Duration::from_millis(50));

        // From here on a wait that misses its event runs into a minute.
        let elsewhere = waker.clone();
        thread::scope(|scope| {
            scope.spawn(move || elsewhere.wake());
            let woken = wait(&ports, &waker, 60_000).expect("wait");
            assert_eq!(woken, Wakeup { waker: true, frames: false });
        });
        assert_eq!(wait(&ports, &waker, 0).expect("wait"), nothing, "a wake is told once");

        let client = rig.client(0);
        thread::scope(|scope| {
            scope.spawn(|| client.send(b"hello").expect("send"));
            let woken = wait(&ports, &waker, 60_000).expect("wait");
            assert_eq!(woken, Wakeup { waker: false, frames: true });
        });
        assert!(start.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn the_first_port_of_a_pool_can_go_before_the_others() {
    with_rig(|rig| {
        let interfaces = [0, 1, 2].map(|number| rig.add_pair(number));
        let client = rig.client(0);
        let mut pool = pool();
        let first = bind(&mut pool, &interfaces[0], 0);
        let mut second = bind(&mut pool, &interfaces[1], 0);
        let error = refused(&mut pool, &port(&interfaces[1], 0));
        assert!(matches!(error, XskError::AlreadyBound { queue: 0, .. }), "{error}");
        first.unbind(&mut pool).expect("unbind");

        // It really is free, and the UMEM can still be joined.
        let mut other = FramePool::new(FramePoolConfig {
            frames: RING_FRAMES,
            ring_size_frames: RING_FRAMES,
            huge_pages: false,
        })
        .expect("pool");
        bind(&mut other, &interfaces[0], 0).unbind(&mut other).expect("unbind");
        let third = bind(&mut pool, &interfaces[2], 0);
        let again = bind(&mut pool, &interfaces[0], 0);
        let abroad = rig.on_the_other_side(|| bind(&mut pool, "mlgxsk-k2", 0));

        // The second one stands for the UMEM now: its device goes.
        rig.in_xsk_namespace(&format!("link del {}", interfaces[1])).expect("delete");
        let error = refused(&mut pool, &port(&interfaces[0], 1));
        assert!(matches!(error, XskError::FirstPortGone { .. }), "{error}");
        let start = Instant::now();
        let woken = wait([&second], &Waker::new().expect("waker"), 20).expect("wait");
        assert_eq!(woken, Wakeup::default(), "a dead port must not keep a worker busy");
        assert!(start.elapsed() >= Duration::from_millis(20));
        let mut frames = ArrayVec::from_iter([frame_to(&client, b"lost", &mut pool)]);
        second.transmit(&mut frames);
        second.kick();
        assert_eq!(second.last_error(), Some(Errno::ENXIO));
        second.unbind(&mut pool).expect("unbind");
        let beside = bind(&mut pool, &interfaces[0], 1);
        for port in [third, abroad, beside, again] {
            port.unbind(&mut pool).expect("unbind");
        }
        assert_eq!(pool.available(), pool.total());
    });
}

#[test]
fn a_refusal_names_the_device_the_queue_and_the_remedy() {
    with_rig(|rig| {
        let interface = rig.add_pair(0);
        let mut pool = pool();
        let error = refused(&mut pool, &port("mlgxsk-none", 0));
        assert!(matches!(error, XskError::NoSuchInterface { .. }), "{error}");
        let error = refused(&mut pool, &port(&interface, 2));
        assert!(matches!(error, XskError::NoSuchQueue { queue: 2, .. }), "{error}");
        let zero_copy = PortQueueConfig { copy: Some(CopyMode::ZeroCopy), ..port(&interface, 0) };
        let error = refused(&mut pool, &zero_copy);
        assert!(matches!(error, XskError::ZeroCopyUnsupported { .. }), "{error}");

        let held = bind(&mut pool, &interface, 0);
        let other_queue = PortQueueConfig { queue: 1, ..zero_copy };
        let error = refused(&mut pool, &other_queue);
        assert!(matches!(error, XskError::CopyModeDiffers { queue: 1, .. }), "{error}");
        let mut other =
            FramePool::new(FramePoolConfig { frames: 64, ring_size_frames: 64, huge_pages: false })
                .expect("pool");
        let start = Instant::now();
        let error = refused(&mut other, &port(&interface, 0));
        assert!(matches!(error, XskError::QueueBusy { queue: 0, .. }), "{error}");
        assert!(start.elapsed() >= Duration::from_secs(2), "it is tried for two seconds");
        assert!(error.to_string().contains(&format!("queue 0 of {interface}")), "{error}");

        held.unbind(&mut pool).expect("unbind");
        assert_eq!(pool.available(), pool.total());
    });
}

#[test]
fn the_largest_mtu_is_the_kernels() {
    with_rig(|rig| {
        let interface = rig.add_pair(0);
        let set = |mtu| rig.in_kernel_namespace(&format!("link set mlgxsk-k0 mtu {mtu}"));
        set(MAX_MTU + 1).expect("without a program");
        assert!(rig.steer(&interface).is_err(), "beyond MAX_MTU nothing can be attached");
        set(MAX_MTU).expect("MTU");
        let mut steering = rig.steer(&interface).expect("attach");
        assert!(set(MAX_MTU + 1).is_err());
        rig.in_xsk_namespace(&format!("link set {interface} mtu {MAX_MTU}")).expect("MTU");

        let mut pool = pool();
        let mut ports = [bind(&mut pool, &interface, 0), bind(&mut pool, &interface, 1)];
        ports.iter().for_each(|port| steering.set(port.queue(), port.fd()));
        let client = rig.client(0);
        let payload: Vec<u8> = (0..MAX_MTU - 28).map(|index| index as u8).collect();
        client.send(&payload).expect("send");
        wait(&ports, &Waker::new().expect("waker"), 5_000).expect("wait");
        let sent: usize = ports.iter_mut().map(|port| breathe(port, &mut pool)).sum();
        assert_eq!(sent, 1);
        let mut buffer = [0; 4_096];
        let length = client.recv(&mut buffer).expect("back");
        assert_eq!(buffer[..length], payload);
    });
}
