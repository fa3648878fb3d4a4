/// What the steering programs count, in the order of `enum counter` in `bpf/tables.h`.
pub const STEERING_COUNTERS: [&str; 12] = [
    "to_worker_service",
    "to_worker_reply",
    "to_pod",
    "to_kernel_as_received",
    "to_kernel_local",
    "to_routed",
    "ignored_multicast",
    "drop_unallocated_address",
    "drop_frame_too_long",
    "drop_no_message",
    "drop_no_socket",
    "drop_no_route",
];
