//! Services, EndpointSlices, the own Node and ServiceCIDRs as an API server has them.

mod options;

pub(crate) use options::{Access, ClusterOptions, in_cluster};
