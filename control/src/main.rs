//! Maglane.

mod model;
mod net;
mod source;

fn main() {}
