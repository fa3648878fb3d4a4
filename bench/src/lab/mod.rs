//! The comparison: who forwards how many packets, at what cost, how late.

mod result;

pub(crate) use result::{LabFigure, LabResult};
