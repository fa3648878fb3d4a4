//! Floor 1: Maglev lookup tables.
