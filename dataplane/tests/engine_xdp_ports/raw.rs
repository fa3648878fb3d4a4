//! Frames that no kernel would send.

use arrayvec::ArrayVec;
use etherparse::PacketBuilder;
use maglane_dataplane::xsk::{
    BATCH, Frame, FramePool, FramePoolConfig, PortQueue, PortQueueConfig,
};

use crate::rig::{CLIENT_END, CLIENT_MAC, CLIENT_PORT_MAC};

/// The name of what is wrong with it, and a frame to a Service.
pub(crate) fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let changed = |frame: &[u8], at: usize, value: u8| {
        let mut frame = frame.to_vec();
        frame[at] = value;
        frame
    };
    let (v4, v6) = (segment(false), segment(true));
    let udp = datagram();
    let mut cases = vec![
        ("header_length", changed(&v4, 14, 0x41)),
        ("ip_version", changed(&v4, 14, 0x65)),
        ("total_length", changed(&v4, 16, 0x40)),
        ("total_length", changed(&v4, 14, 0x4f)),
        ("total_length", v4[..v4.len() - 1].to_vec()),
        ("truncated_transport", changed(&v4, 17, 39)),
        ("tcp_data_offset", changed(&v4, 46, 0x40)),
        ("tcp_data_offset", changed(&v4, 46, 0xf0)),
        ("udp_length", changed(&udp, 39, 7)),
        ("udp_length", changed(&udp, 39, 200)),
        ("total_length", v6[..v6.len() - 1].to_vec()),
        ("truncated_extension", changed(&v6, 20, 60)),
        ("tcp_data_offset", changed(&v6, 66, 0x10)),
    ];
    let mut zero_port = v4.clone();
    zero_port[34..36].fill(0);
    cases.push(("zero_port", zero_port));
    let mut mapped = v6.clone();
    mapped[22..34].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    cases.push(("mapped_address", mapped));
    let mut jumbogram = v6.clone();
    jumbogram[18..21].fill(0);
    cases.push(("jumbogram", jumbogram));
    // Nine destination option headers, each of which leads to the next.
    let mut chain = v6;
    let extension = [60, 0, 1, 4, 0, 0, 0, 0];
    chain.splice(54..54, extension.repeat(9));
    chain[20] = 60;
    chain[19] += 72;
    cases.push(("extension_chain", chain));
    cases
}

fn segment(v6: bool) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(CLIENT_MAC, CLIENT_PORT_MAC);
    let ip = match v6 {
        false => ethernet.ipv4([10, 71, 0, 2], [10, 96, 0, 10], 64),
        true => {
            let address = |subnet: u16, host: u16| {
                std::net::Ipv6Addr::new(0xfd00, subnet, 0, 0, 0, 0, 0, host).octets()
            };
            ethernet.ipv6(address(0x71, 2), address(0x96, 0xa), 64)
        }
    };
    let mut frame = Vec::new();
    ip.tcp(40_000, 80, 1_000, 8_192).ack(1).write(&mut frame, b"payload").expect("a segment");
    frame
}

fn datagram() -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, CLIENT_PORT_MAC)
        .ipv4([10, 71, 0, 2], [10, 96, 0, 10], 64)
        .udp(40_000, 53)
        .write(&mut frame, b"payload")
        .expect("a datagram");
    frame
}

/// Sends frames from the client's end as they are, by AF_XDP: it looks into none.
pub(crate) fn send<'a>(frames: impl Iterator<Item = &'a [u8]>) {
    const FRAMES: u32 = 128;
    let config = FramePoolConfig { frames: FRAMES, ring_size_frames: 64, huge_pages: false };
    let mut pool = FramePool::new(config).expect("pool");
    let config = PortQueueConfig {
        interface: CLIENT_END.to_owned(),
        queue: 0,
        copy: None,
        ring_size_frames: 64,
    };
    let mut queue = PortQueue::bind(&mut pool, &config).expect("bind");
    let mut batch = ArrayVec::<Frame, BATCH>::new();
    for bytes in frames {
        let mut frame = pool.allocate().expect("a free frame");
        pool.buffer(&mut frame)[..bytes.len()].copy_from_slice(bytes);
        frame.set_length(bytes.len());
        batch.push(frame);
    }
    queue.transmit(&mut batch);
    assert!(batch.is_empty(), "no room in the transmit ring");
    queue.kick();
    assert_eq!(queue.last_error(), None);
    queue.unbind(&mut pool).expect("unbind");
}
