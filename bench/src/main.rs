//! Maglane.
fn main() {}
