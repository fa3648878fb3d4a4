//! From labels to objects, and from objects to the selectors that mean them, without looking at
//! every object or at every selector.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A label and its value.
type Pair = (String, String);

/// Objects by each of their labels, within a namespace.
#[derive(Default, Debug)]
pub(in super::super) struct LabelIndex {
    names: HashMap<(String, Pair), BTreeSet<String>>,
}

impl LabelIndex {
    /// Adds an object.
    pub(in super::super) fn insert(
        &mut self,
        namespace: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) {
        for (label, value) in labels {
            let key = (namespace.to_owned(), (label.clone(), value.clone()));
            self.names.entry(key).or_default().insert(name.to_owned());
        }
    }

    /// Takes an object out, of which the labels were these.
    pub(in super::super) fn remove(
        &mut self,
        namespace: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) {
        for (label, value) in labels {
            let key = (namespace.to_owned(), (label.clone(), value.clone()));
            if let Some(names) = self.names.get_mut(&key) {
                names.remove(name);
                if names.is_empty() {
                    self.names.remove(&key);
                }
            }
        }
    }

    /// All objects that have all the labels are among these; not all of these have them. The labels
    /// are at least one.
    pub(in super::super) fn candidates(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = &String> {
        let sets = labels.iter().map(|(label, value)| {
            self.names.get(&(namespace.to_owned(), (label.clone(), value.clone())))
        });
        let fewest = sets.min_by_key(|names| names.map_or(0, BTreeSet::len)).flatten();
        fewest.into_iter().flatten()
    }
}

/// Selectors, each under one of the labels that it wants: the one with the fewest selectors so far.
/// Without that choice, a label that all selectors share would make every look-up look at all.
#[derive(Default, Debug)]
pub(in super::super) struct SelectorIndex {
    names: HashMap<(String, Pair), BTreeSet<String>>,
    /// Where each selector stands. Those without a wanted label stand under the namespace alone.
    places: HashMap<(String, String), Option<Pair>>,
    others: HashMap<String, BTreeSet<String>>,
}

impl SelectorIndex {
    /// Adds what has a selector, in place of what had its name.
    pub(in super::super) fn insert(
        &mut self,
        namespace: &str,
        name: &str,
        wanted: &BTreeMap<String, String>,
    ) {
        self.remove(namespace, name);
        let count = |pair: &Pair| {
            self.names.get(&(namespace.to_owned(), pair.clone())).map_or(0, BTreeSet::len)
        };
        let pairs = wanted.iter().map(|(label, value)| (label.clone(), value.clone()));
        let place = pairs.min_by_key(count);
        let names = match &place {
            Some(pair) => self.names.entry((namespace.to_owned(), pair.clone())).or_default(),
            None => self.others.entry(namespace.to_owned()).or_default(),
        };
        names.insert(name.to_owned());
        self.places.insert((namespace.to_owned(), name.to_owned()), place);
    }

    /// Takes a selector out.
    pub(in super::super) fn remove(&mut self, namespace: &str, name: &str) {
        match self.places.remove(&(namespace.to_owned(), name.to_owned())) {
            Some(Some(pair)) => {
                let key = (namespace.to_owned(), pair);
                if let Some(names) = self.names.get_mut(&key) {
                    names.remove(name);
                    if names.is_empty() {
                        self.names.remove(&key);
                    }
                }
            }
            Some(None) => {
                if let Some(names) = self.others.get_mut(namespace) {
                    names.remove(name);
                }
            }
            None => {}
        }
    }

    /// All selectors that mean an object with these labels are among these; not all of these do.
    pub(in super::super) fn candidates(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = &String> {
        let wanted = labels.iter().filter_map(move |(label, value)| {
            self.names.get(&(namespace.to_owned(), (label.clone(), value.clone())))
        });
        wanted.flatten().chain(self.others.get(namespace).into_iter().flatten())
    }
}
