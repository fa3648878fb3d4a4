//! Who gives way when the table is full, and where there is room.
//!
//! Each eviction class is a doubly linked list in the order in which flows entered the class, all
//! in one array beside the entries. A flow moves when its class changes, never for a packet. Vacant
//! places are a stack of their own: which ones are taken next is known without waiting for memory.

use std::ops::Range;

use prefetch_index::prefetch_index;

use super::key::FlowId;
use super::state::EvictionClass;

/// No flow: the end of a list.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

/// The lists of vacant and of evictable places.
pub(super) struct EvictionLists {
    links: Box<[Link]>,
    lists: [List; EvictionClass::COUNT],
    /// Taken from the end. Has room for all places.
    vacant: Vec<FlowId>,
}

impl EvictionLists {
    /// All places vacant, the first to be taken first.
    pub(super) fn new(capacity_flows: u32) -> Self {
        let links = vec![Link { previous: NONE, next: NONE }; capacity_flows as usize].into();
        let lists = [List { head: NONE, tail: NONE }; EvictionClass::COUNT];
        Self { links, lists, vacant: (0..capacity_flows).rev().map(FlowId).collect() }
    }

    pub(super) fn memory(&self) -> Range<*const u8> {
        let Range { start, end } = self.links.as_ptr_range();
        start.cast()..end.cast()
    }

    /// The place that the `nth` flow from now will take, if none is given back before.
    #[inline]
    pub(super) fn upcoming(&self, nth: usize) -> Option<FlowId> {
        self.vacant.iter().nth_back(nth).copied()
    }

    /// Asks the processor for what a change of class will read.
    #[inline]
    pub(super) fn prefetch(&self, id: FlowId) {
        prefetch_index(&self.links, id.index());
    }

    /// Takes a vacant place.
    pub(super) fn take_vacant(&mut self) -> Option<FlowId> {
        self.vacant.pop()
    }

    /// Gives a place back that is on no list.
    pub(super) fn give_vacant(&mut self, id: FlowId) {
        self.vacant.push(id);
    }

    /// The flow that has been longest in the first class that has any.
    pub(super) fn next_victim(&self) -> Option<FlowId> {
        EvictionClass::IN_ORDER
            .into_iter()
            .map(|class| self.lists[class as usize].head)
            .find(|&head| head != NONE)
            .map(FlowId)
    }

    /// Moves a flow from one class to the end of another; `None` is the class never evicted.
    pub(super) fn change_class(
        &mut self,
        id: FlowId,
        from: Option<EvictionClass>,
        to: Option<EvictionClass>,
    ) {
        if from == to {
            return;
        }
        if let Some(class) = from {
            self.unlink(id, class);
        }
        if let Some(class) = to {
            self.append(id, class);
        }
    }

    fn append(&mut self, id: FlowId, class: EvictionClass) {
        let tail = std::mem::replace(&mut self.lists[class as usize].tail, id.0);
        self.links[id.index()] = Link { previous: tail, next: NONE };
        match self.links.get_mut(tail as usize) {
            Some(last) => last.next = id.0,
            None => self.lists[class as usize].head = id.0,
        }
    }

    fn unlink(&mut self, id: FlowId, class: EvictionClass) {
        let Link { previous, next } = self.links[id.index()];
        match self.links.get_mut(previous as usize) {
            Some(link) => link.next = next,
            None => self.lists[class as usize].head = next,
        }
        match self.links.get_mut(next as usize) {
            Some(link) => link.previous = previous,
            None => self.lists[class as usize].tail = previous,
        }
    }
}
