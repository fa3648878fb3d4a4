//! Maglane.

mod model;
mod source;

fn main() {}
