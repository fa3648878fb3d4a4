//! The flow table's promises one by one: expiry, eviction, refusals, revival, reading out.

use maglane_dataplane::flow::{
    Direction, Entered, FlowConfig, FlowId, FlowTable, NewFlow, Refused, RemovalReason, State,
    Timeouts,
};
use maglane_dataplane::wire::{Address, Endpoint, HashKeys, Protocol};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
/// How late the sweep may be.
const TICK_MS: u64 = 1_024;

fn table(capacity_flows: u32) -> FlowTable {
    let config = FlowConfig { capacity_flows, timeouts: Timeouts::default() };
    FlowTable::new(config, HashKeys::PUBLIC).expect("valid")
}

fn flow(number: u32, protocol: Protocol) -> NewFlow {
    let endpoint = |bits, port| Endpoint { address: Address::from_v4_bits(bits), port };
    let client = endpoint(0x0af4_0000 + number, 40_000);
    NewFlow {
        client,
        service: endpoint(0x0a60_0001, 80),
        backend: endpoint(0x0a2a_0001, 8080),
        translated: client,
        protocol,
        generation: 1,
    }
}

/// Enters a flow and brings it into the state that these segments lead to.
fn enter(table: &mut FlowTable, new: &NewFlow, first: u8, then: Segments) -> FlowId {
    let entered = table.insert(new, first, 60, 0, |_| panic!("there is room"));
    let id = entered.expect("room").id;
    for &(direction, flags) in then {
        table.advance(id, direction, flags, 60, 0);
    }
    id
}

/// What follows a flow's first packet.
type Segments<'a> = &'a [(Direction, u8)];

const OPEN: [(Direction, u8); 2] = [(Direction::Reply, SYN | ACK), (Direction::Forward, ACK)];

fn is_found(table: &mut FlowTable, new: &NewFlow, now_ms: u64) -> bool {
    let tuple = new.reply_tuple();
    let hash = table.keys().tuple(&tuple);
    table.lookup(&tuple, hash, now_ms, |_| ()).is_some()
}

#[test]
fn each_state_has_its_timeout_to_the_millisecond() {
    use Direction::{Forward, Reply};
    let ways: [(Protocol, u8, Segments, u64); 12] = [
        (Protocol::Tcp, SYN, &[], 120_000),
        (Protocol::Tcp, ACK, &[], 120_000),
        (Protocol::Tcp, RST, &[], 10_000),
        (Protocol::Tcp, SYN, &OPEN[..1], 60_000),
        (Protocol::Tcp, SYN, &OPEN, 86_400_000),
        (Protocol::Tcp, ACK, &[(Reply, ACK), (Forward, FIN | ACK)], 120_000),
        (Protocol::Tcp, ACK, &[(Reply, FIN | ACK), (Forward, ACK)], 3_600_000),
        (Protocol::Tcp, ACK, &[(Reply, FIN | ACK), (Forward, FIN | ACK)], 30_000),
        (Protocol::Tcp, ACK, &[(Reply, FIN | ACK), (Forward, FIN), (Reply, ACK)], 120_000),
        (Protocol::Tcp, SYN, &[(Reply, RST | ACK)], 10_000),
        (Protocol::Udp, 0, &[], 30_000),
        (Protocol::Udp, 0, &[(Reply, 0)], 180_000),
    ];
    for (protocol, first, then, timeout_ms) in ways {
        for (now_ms, found) in [(timeout_ms - 1, true), (timeout_ms, false)] {
            let (mut table, new) = (table(2), flow(1, protocol));
            enter(&mut table, &new, first, then);
            assert_eq!(is_found(&mut table, &new, now_ms), found, "{then:?} at {now_ms}");
            assert_eq!(table.len(), u32::from(found));
        }
    }
}

#[test]
fn an_expired_flow_is_handed_over_and_makes_room_for_its_like() {
    let (mut table, new) = (table(2), flow(1, Protocol::Udp));
    enter(&mut table, &new, 0, &[]);
    let mut removed = vec![];
    let again = table.insert(&new, 0, 60, 30_000, |flow| removed.push(*flow));
    assert!(again.is_ok());
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].reason, RemovalReason::Expired);
    assert_eq!(removed[0].reply_hash, table.keys().tuple(&new.reply_tuple()));
    assert_eq!(table.len(), 1);
}

#[test]
fn the_sweep_finds_silent_flows_within_its_budget_and_spares_busy_ones() {
    let mut table = table(1_000);
    for number in 0..1_000 {
        enter(&mut table, &flow(number, Protocol::Udp), 0, &[]);
    }
    let mut removed = 0;
    table.expire(29_999, 1_000, |_| removed += 1);
    assert_eq!(removed, 0);
    let busy = flow(500, Protocol::Udp);
    let hash = table.keys().tuple(&busy.forward_tuple());
    let hit = table.lookup(&busy.forward_tuple(), hash, 29_999, |_| ()).expect("there");
    table.advance(hit.id, hit.direction, 0, 60, 29_999);
    for round in 1..=10 {
        table.expire(30_000 + TICK_MS, 100, |_| removed += 1);
        assert_eq!(removed, if round <= 5 { 100 * round } else { 100 * round - 1 });
    }
    assert!(is_found(&mut table, &busy, 30_000 + TICK_MS));
    assert_eq!(table.len(), 1);
    table.expire(59_999 + TICK_MS, 1_000, |_| removed += 1);
    assert_eq!((removed, table.len()), (1_000, 0));
}

#[test]
fn the_sweep_hears_of_states_that_shorten_the_timeout() {
    let mut table = table(8);
    let id = enter(&mut table, &flow(1, Protocol::Tcp), SYN, &OPEN);
    // Past the first deadline, so that the next is a day away.
    table.expire(130_000, 8, |_| panic!("established"));
    table.advance(id, Direction::Reply, RST, 60, 200_000);
    let mut removed = 0;
    table.expire(209_999, 8, |_| removed += 1);
    assert_eq!(removed, 0);
    table.expire(210_000 + TICK_MS, 8, |_| removed += 1);
    assert_eq!(removed, 1);
}

#[test]
fn a_full_table_gives_up_unreplied_then_closing_then_udp_and_no_established() {
    let mut table = table(8);
    let closing: [Segments; 2] = [&[(Direction::Reply, FIN | ACK)], &[(Direction::Reply, RST)]];
    let ids = [
        enter(&mut table, &flow(0, Protocol::Udp), 0, &[(Direction::Reply, 0)]),
        enter(&mut table, &flow(1, Protocol::Tcp), SYN, &OPEN),
        enter(&mut table, &flow(2, Protocol::Tcp), ACK, closing[0]),
        enter(&mut table, &flow(3, Protocol::Udp), 0, &[]),
        enter(&mut table, &flow(4, Protocol::Tcp), ACK, closing[1]),
        enter(&mut table, &flow(5, Protocol::Tcp), SYN, &[]),
        enter(&mut table, &flow(6, Protocol::Udp), 0, &[(Direction::Reply, 0)]),
        enter(&mut table, &flow(7, Protocol::Tcp), SYN, &OPEN[..1]),
    ];
    // Traffic does not change the order, a new class does.
    table.advance(ids[3], Direction::Forward, 0, 60, 1);
    table.advance(ids[0], Direction::Forward, 0, 60, 1);

    let mut gone = vec![];
    for number in 100.. {
        let new = flow(number, Protocol::Tcp);
        let mut hashes = vec![];
        let entered = table.insert(&new, SYN, 60, 1, |flow| {
            assert_eq!(flow.reason, RemovalReason::Evicted);
            hashes.push(flow.reply_hash);
        });
        let Ok(Entered { id, .. }) = entered else {
            assert_eq!((entered, hashes.len()), (Err(Refused::TableFull), 0));
            break;
        };
        for (direction, flags) in OPEN {
            table.advance(id, direction, flags, 60, 1);
        }
        let of = |old: u32, protocol| table.keys().tuple(&flow(old, protocol).reply_tuple());
        let is_gone =
            |old: &u32| hashes == [of(*old, Protocol::Tcp)] || hashes == [of(*old, Protocol::Udp)];
        gone.extend((0..8).find(is_gone));
    }
    assert_eq!(gone, [3, 5, 7, 2, 4, 0, 6]);
    assert!(is_found(&mut table, &flow(1, Protocol::Tcp), 1));
}

#[test]
fn flows_that_look_alike_are_refused() {
    let mut table = table(4);
    let new = flow(1, Protocol::Tcp);
    enter(&mut table, &new, SYN, &[]);
    let mut refused = |new: &NewFlow| table.insert(new, SYN, 60, 0, |_| ()).err();
    assert_eq!(refused(&new), Some(Refused::Duplicate));
    let other_service = Endpoint { port: 81, ..new.service };
    assert_eq!(refused(&NewFlow { service: other_service, ..new }), Some(Refused::Duplicate));
    let other_backend = Endpoint { port: 81, ..new.backend };
    assert_eq!(refused(&NewFlow { backend: other_backend, ..new }), Some(Refused::Duplicate));
    let to_itself = NewFlow { service: other_service, backend: new.client, ..new };
    let to_itself = NewFlow { translated: other_service, ..to_itself };
    assert_eq!(refused(&to_itself), Some(Refused::Duplicate));
    assert_eq!(refused(&NewFlow { protocol: Protocol::Udp, ..new }), None);
}

#[test]
fn a_full_table_of_any_size_can_be_filled_emptied_and_filled_again() {
    for capacity in [1, 2, 3, 7, 64, 1_000, 1 << 14] {
        let mut table = table(capacity);
        for _ in 0..2 {
            let ids: Vec<_> = (0..capacity)
                .map(|number| enter(&mut table, &flow(number, Protocol::Tcp), SYN, &OPEN))
                .collect();
            assert_eq!(table.len(), table.capacity());
            for number in 0..capacity {
                assert!(is_found(&mut table, &flow(number, Protocol::Tcp), 0));
            }
            for id in ids {
                table.remove(id);
            }
            assert!(table.is_empty());
        }
    }
}

#[test]
fn mixed_families_are_kept_apart() {
    // The same lower 32 bits in all four: only the upper bits differ.
    let v4 = flow(1, Protocol::Tcp);
    let widen = |end: Endpoint, upper: u128| Endpoint {
        address: Address::from_v6_bits(upper << 32 | u128::from(end.address.v4_bits())),
        ..end
    };
    let v6 = |upper| NewFlow {
        client: widen(v4.client, upper),
        service: widen(v4.service, upper),
        backend: widen(v4.backend, upper),
        translated: widen(v4.translated, upper),
        ..v4
    };
    let mixed = NewFlow { client: widen(v4.client, 5), ..v4 };
    let mixed = NewFlow { translated: Endpoint { port: 9, ..v4.translated }, ..mixed };
    let mut table = table(8);
    for new in [v4, v6(1), v6(1 << 95), v6(1 << 32), mixed] {
        let id = enter(&mut table, &new, SYN, &[]);
        assert!(is_found(&mut table, &new, 0));
        assert_eq!(table.translation(id, Direction::Forward), new.reply_tuple().reversed());
        assert_eq!(table.translation(id, Direction::Reply), new.forward_tuple().reversed());
        assert_eq!(table.get(id).client, new.client);
    }
}

#[test]
fn a_flow_carries_its_state_and_generation() {
    let mut table = table(2);
    let id = enter(&mut table, &flow(1, Protocol::Tcp), SYN, &OPEN);
    assert!(!table.accepts_new_syn(id));
    table.advance(id, Direction::Reply, RST, 40, 5);
    assert!(table.accepts_new_syn(id));
    assert_eq!(table.get(id).state, State::CloseReply);
    assert_eq!(table.generation(id), 1);
    table.set_generation(id, 9);
    assert_eq!((table.generation(id), table.get(id).generation), (9, 9));
}

#[test]
fn records_are_read_out_in_pieces() {
    let mut table = table(10);
    for number in 0..7 {
        enter(&mut table, &flow(number, Protocol::Tcp), SYN, &[]);
    }
    let pieces = [(0, 4, Some(4)), (4, 4, Some(8)), (8, 4, None), (10, 4, None), (99, 1, None)];
    let mut clients = vec![];
    for (from, places, expected_next) in pieces {
        let (records, next) = table.records(from, places);
        clients.extend(records.map(|record| record.client));
        assert_eq!(next, expected_next);
    }
    clients.sort();
    assert_eq!(clients, (0..7).map(|n| flow(n, Protocol::Tcp).client).collect::<Vec<_>>());
}
