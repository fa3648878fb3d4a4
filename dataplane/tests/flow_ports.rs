//! Source-port translation: no two flows look alike to a backend, and replies come to the worker
//! that the requests came to.

use std::collections::HashSet;

use maglane_dataplane::flow::{FlowConfig, FlowTable, NewFlow};
use maglane_dataplane::wire::{Address, Endpoint, HashKeys, Protocol};
use proptest::prelude::*;

const ACK: u8 = 16;
const BACKEND: Endpoint = Endpoint { address: Address::from_v4_bits(0x0a2a_0001), port: 8080 };
const MASQUERADE: Address = Address::from_v4_bits(0xa9fe_0102);

fn endpoint(bits: u32, port: u16) -> Endpoint {
    Endpoint { address: Address::from_v4_bits(bits), port }
}

fn table(capacity_flows: u32) -> FlowTable {
    let config = FlowConfig { capacity_flows, ..FlowConfig::default() };
    FlowTable::new(config, HashKeys::PUBLIC).expect("valid")
}

/// Enters a flow of this client, to a Service of its own, if it gets a port.
fn connect(
    table: &mut FlowTable,
    client: Endpoint,
    masquerade: Option<Address>,
    workers: u32,
) -> Option<Endpoint> {
    let worker = table.keys().worker_of(&client, workers);
    let address = masquerade.unwrap_or(client.address);
    let port = table.allocate_port(&client, &BACKEND, Protocol::Tcp, address, worker, workers)?;
    let translated = Endpoint { address, port };
    assert_eq!(table.keys().worker_of(&translated, workers), worker);
    let service = endpoint(0x0a60_0000 + table.len(), 80);
    let new = NewFlow {
        client,
        service,
        backend: BACKEND,
        translated,
        protocol: Protocol::Tcp,
        generation: 0,
    };
    // Refused as a duplicate if the reply tuple is not unique.
    table.insert(&new, ACK, 60, 0, |_| panic!("there is room")).expect("unique");
    Some(translated)
}

#[test]
fn sixty_four_thousand_clients_of_one_backend_keep_their_ports() {
    let mut table = table(1 << 16);
    for number in 0..64_000u32 {
        let client = endpoint(0x0af4_0000 + number % 250, 32_768 + (number / 250) as u16);
        assert_eq!(connect(&mut table, client, None, 4), Some(client));
    }
    assert_eq!(table.len(), 64_000);
}

#[test]
fn clients_behind_one_masquerade_address_use_up_its_ports() {
    let mut table = table(1 << 17);
    let mut ports = HashSet::new();
    let (mut entered, mut refused) = (0u32, 0u32);
    for number in 0..70_000u32 {
        let client = endpoint(0x0af4_0000 + number / 200, 32_768 + (number % 28_000) as u16);
        match connect(&mut table, client, Some(MASQUERADE), 1) {
            Some(translated) => {
                assert!(ports.insert(translated.port));
                entered += 1;
            }
            None => refused += 1,
        }
    }
    // 28,000 own ports and 36,277 drawn ones.
    assert!((64_000..=64_277).contains(&entered), "{entered}, refused {refused}");
}

#[test]
fn the_same_client_to_the_same_backend_by_many_services() {
    let mut table = table(1 << 12);
    let client = endpoint(0x0af4_0007, 40_000);
    let mut seen = HashSet::new();
    for _ in 0..2_000 {
        let translated = connect(&mut table, client, None, 8).expect("a port");
        assert!(seen.insert(translated));
        let port = translated.port;
        let drawn = (1_024..32_768).contains(&port) || port >= 61_000;
        assert!(port == client.port || drawn, "{port} is the client's own to use");
    }
}

#[test]
fn drawn_ports_do_not_follow_each_other() {
    let mut table = table(1 << 10);
    let client = endpoint(0x0af4_0007, 40_000);
    let mut next = |number| {
        let client = Endpoint { port: client.port + number, ..client };
        connect(&mut table, client, None, 1);
        connect(&mut table, client, None, 1).expect("a port").port
    };
    let ports: Vec<u16> = (0..100).map(&mut next).collect();
    let neighbours = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 16).count();
    assert!(neighbours <= 2, "{ports:?}");
}

#[test]
fn another_protocol_has_ports_of_its_own() {
    let mut table = table(16);
    let client = endpoint(0x0af4_0007, 40_000);
    connect(&mut table, client, None, 1);
    let udp = table.allocate_port(&client, &BACKEND, Protocol::Udp, client.address, 0, 1);
    assert_eq!(udp, Some(client.port));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_translation_is_unique_and_stays_with_its_worker(
        clients in prop::collection::vec((0u32..8, 1u16.., any::<bool>()), 1..300),
        workers in 1u32..16,
    ) {
        let mut table = table(512);
        let mut seen = HashSet::new();
        for (host, port, masquerade) in clients {
            let client = endpoint(0x0af4_0000 + host, port);
            let translated =
                connect(&mut table, client, masquerade.then_some(MASQUERADE), workers);
            prop_assert!(translated.is_some_and(|translated| seen.insert(translated)));
        }
    }
}
