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

#[cfg(test)]
mod tests {
    use super::STEERING_COUNTERS;

    #[test]
    fn names_are_those_of_the_steering_programs() {
        let header = include_str!("../../bpf/tables.h");
        let (_, list) = header.split_once("enum counter {").expect("the list");
        let (list, _) = list.split_once("COUNTERS,").expect("its end");
        let names: Vec<String> = list
            .split(',')
            .map(|name| name.trim().to_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(names, STEERING_COUNTERS);
    }
}
