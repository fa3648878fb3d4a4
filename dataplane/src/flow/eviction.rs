//! Who gives way when the table is full, and where there is room.
//!
//! Each eviction class is a doubly linked list in the order in which flows entered the class,
//! and vacant places are a stack, all in one array beside the entries. A flow moves when its
//! class changes, never for a packet.

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
    vacant: u32,
}

impl EvictionLists {
    /// All places vacant, the first to be taken first.
    pub(super) fn new(capacity_flows: u32) -> Self {
        let links = (1..=capacity_flows)
            .map(|next| Link {
                previous: NONE,
                next: if next < capacity_flows { next } else { NONE },
            })
            .collect();
        Self { links, lists: [List { head: NONE, tail: NONE }; EvictionClass::COUNT], vacant: 0 }
    }

    /// Takes a vacant place.
    pub(super) fn take_vacant(&mut self) -> Option<FlowId> {
        let id = self.vacant;
        self.vacant = self.links.get(id as usize)?.next;
        Some(FlowId(id))
    }

    /// Gives a place back that is on no list.
    pub(super) fn give_vacant(&mut self, id: FlowId) {
        self.links[id.index()] = Link { previous: NONE, next: self.vacant };
        self.vacant = id.0;
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
