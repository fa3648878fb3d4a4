//! The flow table against a plain map that does everything the slow way.

use std::collections::{BTreeMap, HashMap};

use maglane_dataplane::flow::{
    Direction, Entered, FlowConfig, FlowId, FlowTable, Hit, NewFlow, Refused, RemovalReason,
    Removed, State, Timeouts,
};
use maglane_dataplane::wire::{Address, Endpoint, HashKeys, Protocol, Tuple};
use proptest::prelude::*;

const CAPACITY: u32 = 6;
/// How late the sweep may be.
const TICK_MS: u64 = 1_024;

#[derive(Clone, Debug)]
enum Operation {
    Insert { flow: u32, flags: u8 },
    Packet { flow: u32, direction: Direction, flags: u8, bytes: u32 },
    Remove { flow: u32 },
    Wait { ms: u64 },
    Expire { budget: usize },
}

/// Flow number 0 to 23. Every other pair of numbers shares the reply tuple; a third are UDP, and
/// some have IPv6 addresses.
fn flow(number: u32) -> NewFlow {
    let address = |last: u32| match number % 4 {
        0 => Address::from_v6_bits(0xfd00 << 112 | u128::from(last)),
        _ => Address::from_v4_bits(0x0a00_0000 + last),
    };
    let client = Endpoint { address: address(1), port: 40_000 + number as u16 / 8 * 8 };
    NewFlow {
        client,
        service: Endpoint { address: address(2 + number), port: 80 },
        backend: Endpoint { address: address(100), port: 8080 },
        translated: client,
        protocol: if number.is_multiple_of(3) { Protocol::Udp } else { Protocol::Tcp },
        generation: number,
    }
}

fn tuple(flow: &NewFlow, direction: Direction) -> Tuple {
    match direction {
        Direction::Forward => flow.forward_tuple(),
        Direction::Reply => flow.reply_tuple(),
    }
}

fn timeout_ms(state: State) -> u64 {
    let t = Timeouts::default();
    u64::from(match state.name() {
        "SYN_SENT" | "PICKED_UP" => t.syn_sent_ms,
        "SYN_RECV" => t.syn_received_ms,
        "ESTABLISHED" => t.established_ms,
        "FIN_WAIT" => t.fin_wait_ms,
        "CLOSE_WAIT" => t.close_wait_ms,
        "LAST_ACK" => t.last_ack_ms,
        "TIME_WAIT" => t.time_wait_ms,
        "CLOSE" => t.close_ms,
        "UNREPLIED" => t.udp_unreplied_ms,
        _ => t.udp_replied_ms,
    })
}

/// Lower goes first; 3 never goes.
fn class(state: State) -> u8 {
    match state {
        State::SynSent | State::SynReceived | State::PickedUp => 0,
        State::CloseUnreplied | State::UdpUnreplied => 0,
        State::Established => 3,
        State::UdpReplied => 2,
        _ => 1,
    }
}

struct Known {
    new: NewFlow,
    id: FlowId,
    state: State,
    expires_ms: u64,
    /// When it entered its class, in operations.
    entered: usize,
    /// Packets and bytes by direction.
    counted: [[u64; 2]; 2],
}

struct Model {
    table: FlowTable,
    known: BTreeMap<u32, Known>,
    /// Where each flow was when it was last asked for.
    likely: HashMap<(u32, Direction), Option<Hit>>,
    now_ms: u64,
    operations: usize,
}

impl Model {
    fn new() -> Self {
        let config = FlowConfig { capacity_flows: CAPACITY, timeouts: Timeouts::default() };
        let table = FlowTable::new(config, HashKeys::PUBLIC).expect("valid");
        Self { table, known: BTreeMap::new(), likely: HashMap::new(), now_ms: 0, operations: 0 }
    }

    /// Removes from the model what the table has removed, if it was right to do so.
    fn forget(&mut self, removed: &[Removed]) {
        for removed in removed {
            let hash = |known: &Known| HashKeys::PUBLIC.tuple(&known.new.reply_tuple());
            let found = self.known.iter().find(|(_, known)| hash(known) == removed.reply_hash);
            let number = *found.expect("a flow that was in the table").0;
            match removed.reason {
                RemovalReason::Expired => {
                    assert!(self.known[&number].expires_ms <= self.now_ms, "before its time");
                }
                RemovalReason::Evicted => {
                    assert_eq!(self.known.len(), CAPACITY as usize, "evicted for no reason");
                    let order = |known: &Known| (class(known.state), known.entered);
                    let victim = self.known.iter().min_by_key(|(_, known)| order(known));
                    assert_eq!(victim.map(|(number, _)| *number), Some(number));
                    assert_ne!(class(self.known[&number].state), 3, "evicted an established flow");
                }
                RemovalReason::Requested => panic!("nobody asked"),
            }
            self.known.remove(&number);
        }
    }

    fn apply(&mut self, operation: &Operation) {
        self.operations += 1;
        match *operation {
            Operation::Insert { flow, flags } => self.insert(flow, flags),
            Operation::Packet { flow, direction, flags, bytes } => {
                self.packet(flow, direction, flags, bytes);
            }
            Operation::Remove { flow } => {
                if let Some(known) = self.known.remove(&flow) {
                    let removed = self.table.remove(known.id);
                    let reply_hash = HashKeys::PUBLIC.tuple(&known.new.reply_tuple());
                    assert_eq!(removed, Removed { reply_hash, reason: RemovalReason::Requested });
                }
            }
            Operation::Wait { ms } => self.now_ms += ms,
            Operation::Expire { budget } => {
                let mut removed = vec![];
                self.table.expire(self.now_ms, budget, |flow| removed.push(*flow));
                self.forget(&removed);
                let late = |known: &Known| known.expires_ms + TICK_MS <= self.now_ms;
                let swept_all = budget >= CAPACITY as usize;
                assert!(!(swept_all && self.known.values().any(late)), "overlooked");
            }
        }
        self.compare();
    }

    fn insert(&mut self, number: u32, flags: u8) {
        let new = flow(number);
        let mut removed = vec![];
        let result = self.table.insert(&new, flags, 60, self.now_ms, |flow| removed.push(*flow));
        self.forget(&removed);
        let tuples = |flow: &NewFlow| [flow.forward_tuple(), flow.reply_tuple()];
        let clashes =
            |known: &Known| tuples(&known.new).iter().any(|tuple| tuples(&new).contains(tuple));
        let established = self.known.values().filter(|known| class(known.state) == 3).count();
        match result {
            Ok(Entered { id, reply_hash }) => {
                assert_eq!(reply_hash, HashKeys::PUBLIC.tuple(&new.reply_tuple()));
                assert!(!self.known.values().any(clashes), "entered a duplicate");
                let state = self.table.get(id).state;
                let known = Known {
                    new,
                    id,
                    state,
                    expires_ms: self.now_ms + timeout_ms(state),
                    entered: self.operations,
                    counted: [[1, 60], [0, 0]],
                };
                self.known.insert(number, known);
            }
            Err(Refused::Duplicate) => {
                assert!(self.known.values().any(|k| clashes(k) && self.now_ms < k.expires_ms));
            }
            Err(Refused::TableFull) => assert_eq!(established, CAPACITY as usize),
            Err(Refused::IndexFull) => panic!("half of the index is free"),
        }
    }

    fn packet(&mut self, number: u32, direction: Direction, flags: u8, bytes: u32) {
        let tuple = tuple(&flow(number), direction);
        let hash = HashKeys::PUBLIC.tuple(&tuple);
        self.table.prefetch_bucket(hash);
        // Where the flow is now, or where it was when this was last asked for.
        let likely = self.table.prefetch_entry(hash);
        let likely = self.likely.insert((number, direction), likely).unwrap_or(likely);
        let confirmed = likely.and_then(|likely| self.table.confirm(likely, &tuple, self.now_ms));
        let mut removed = vec![];
        let hit = self.table.lookup(&tuple, hash, self.now_ms, |flow| removed.push(*flow));
        assert!(confirmed.is_none() || confirmed == hit, "a flow that has left");
        self.forget(&removed);
        let same = |known: &&mut Known| self::tuple(&known.new, direction) == tuple;
        let known = self.known.values_mut().find(same);
        assert_eq!(hit.map(|hit| hit.id), known.as_ref().map(|known| known.id));
        let Some((hit, known)) = hit.zip(known) else { return };
        assert!(self.now_ms < known.expires_ms, "found after its time");
        assert_eq!(hit.direction, direction);
        let flags = if known.new.protocol == Protocol::Udp { 0 } else { flags };
        self.table.advance(hit.id, direction, flags, bytes, self.now_ms);
        let state = self.table.get(hit.id).state;
        if class(state) != class(known.state) {
            known.entered = self.operations;
        }
        known.state = state;
        known.expires_ms = self.now_ms + timeout_ms(state);
        known.counted[direction as usize][0] += 1;
        known.counted[direction as usize][1] += u64::from(bytes);
        let NewFlow { client, service, backend, translated, protocol, .. } = known.new;
        let (source, destination) = match direction {
            Direction::Forward => (translated, backend),
            Direction::Reply => (service, client),
        };
        let translation = self.table.translation(hit.id, direction);
        assert_eq!(translation, Tuple { source, destination, protocol });
    }

    /// The table holds what the model knows, and nothing else.
    fn compare(&self) {
        assert_eq!(self.table.len() as usize, self.known.len());
        assert_eq!(self.table.is_empty(), self.known.is_empty());
        let (mut records, mut from) = (vec![], Some(0));
        while let Some(place) = from {
            let (some, next) = self.table.records(place, 4);
            records.extend(some);
            from = next;
        }
        assert_eq!(records.len(), self.known.len());
        for known in self.known.values() {
            let record = self.table.get(known.id);
            assert!(records.contains(&record));
            let NewFlow { client, service, backend, translated, protocol, generation } = known.new;
            assert_eq!((record.client, record.service), (client, service));
            assert_eq!((record.backend, record.translated), (backend, translated));
            assert_eq!((record.protocol, record.generation), (protocol, generation));
            assert_eq!(record.expires_ms, known.expires_ms);
            assert_eq!(record.last_packet_ms, known.expires_ms - timeout_ms(known.state));
            assert_eq!([record.forward_packets, record.forward_bytes], known.counted[0]);
            assert_eq!([record.reply_packets, record.reply_bytes], known.counted[1]);
        }
    }
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let flags = prop_oneof![
        4 => Just(16u8),
        2 => Just(2u8),
        2 => Just(18u8),
        1 => Just(17u8),
        1 => Just(4u8),
        1 => any::<u8>(),
    ];
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Reply)];
    let wait_ms = prop_oneof![8 => 0u64..2_000, 4 => 5_000u64..40_000, 1 => 0u64..200_000_000];
    let number = 0u32..24;
    prop_oneof![
        4 => (number.clone(), flags.clone())
            .prop_map(|(flow, flags)| Operation::Insert { flow, flags }),
        8 => (number.clone(), direction, flags, 0u32..10_000).prop_map(
            |(flow, direction, flags, bytes)| Operation::Packet { flow, direction, flags, bytes }
        ),
        1 => number.prop_map(|flow| Operation::Remove { flow }),
        2 => wait_ms.prop_map(|ms| Operation::Wait { ms }),
        1 => (0usize..10).prop_map(|budget| Operation::Expire { budget }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_does_what_the_model_does(
        operations in prop::collection::vec(any_operation(), 1..200)
    ) {
        let mut model = Model::new();
        for operation in &operations {
            model.apply(operation);
        }
    }
}
