use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::Endpoint;

/// How many places are known before those are looked for that nobody is at any more.
const FEW: usize = 1024;

/// Where an endpoint is, and whose traffic it is meant for.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Place {
    /// `nodeName`; an endpoint without one is on another node.
    node: Option<Box<str>>,
    /// `zone`.
    zone: Option<Box<str>>,
    /// `hints.forZones`.
    for_zones: Box<[Box<str>]>,
    /// `hints.forNodes`.
    for_nodes: Box<[Box<str>]>,
}

impl Place {
    fn of(endpoint: &Endpoint) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Box::from);
        let hints = endpoint.hints.as_ref();
        let zones = hints.and_then(|hints| hints.for_zones.as_deref()).unwrap_or_default();
        let nodes = hints.and_then(|hints| hints.for_nodes.as_deref()).unwrap_or_default();
        Self {
            node: text(&endpoint.node_name),
            zone: text(&endpoint.zone),
            for_zones: zones.iter().map(|zone| zone.name.as_str().into()).collect(),
            for_nodes: nodes.iter().map(|node| node.name.as_str().into()).collect(),
        }
    }
}

/// Every place once: a quarter of a million endpoints are on some thousand nodes.
pub(super) struct Places {
    known: HashSet<Arc<Place>>,
    /// How many there may be until those without an endpoint are dropped.
    limit: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self { known: HashSet::new(), limit: FEW }
    }
}

impl Places {
    /// The place of an endpoint, shared with all others that are there.
    pub(super) fn of(&mut self, endpoint: &Endpoint) -> Arc<Place> {
        let place = Place::of(endpoint);
        if let Some(known) = self.known.get(&place) {
            return known.clone();
        }
        if self.known.len() >= self.limit {
            self.known.retain(|place| Arc::strong_count(place) > 1);
            self.limit = FEW.max(self.known.len() * 2);
        }
        let place = Arc::new(place);
        self.known.insert(place.clone());
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(node: usize) -> Endpoint {
        let node_name = Some(format!("node-{node}"));
        Endpoint { node_name, zone: Some("a".to_owned()), ..Endpoint::default() }
    }

    #[test]
    fn endpoints_on_one_node_share_their_place() {
        let mut places = Places::default();
        let (one, two, other) =
            (places.of(&endpoint(1)), places.of(&endpoint(1)), places.of(&endpoint(2)));
        assert!(Arc::ptr_eq(&one, &two));
        assert_ne!(one, other);
    }

    #[test]
    fn places_that_nobody_is_at_are_forgotten() {
        let mut places = Places::default();
        let kept = places.of(&endpoint(0));
        (1..10 * FEW).for_each(|node| drop(places.of(&endpoint(node))));
        assert!(places.known.len() <= FEW + 1, "{} are known", places.known.len());
        assert!(Arc::ptr_eq(&kept, &places.of(&endpoint(0))));
    }
}
