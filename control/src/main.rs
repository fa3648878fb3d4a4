//! Maglane.
mod net;
fn main() {}
