//! Floor 1: what a Service is to a packet.
