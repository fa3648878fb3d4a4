/* What control and the workers tell the steering programs, and what these count.
 *
 * The constants are set by the loader (src/steer/programs.rs) before the programs are verified.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define MAX_WORKERS 64
#define MAX_PORTS 64
#define FINGERPRINTS_PER_BUCKET 8

const volatile __u64 HASH_KEYS[8];
const volatile __u32 WORKERS = 1;
/* Fingerprint buckets of one worker, a power of two, less one. */
const volatile __u32 BUCKET_MASK;
/* The kernel's end of the host port. */
const volatile __u32 INNER_INTERFACE;
/* The longest frame that a worker can take, in bytes. */
const volatile __u32 MAX_FRAME_BYTES = 3512;

struct address {
	__u64 high; /* host byte order */
	__u64 low;
};

/* The Service addresses, IPv4 as ::ffff:a.b.c.d. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct address);
	__type(value, __u8);
} SERVICE_ADDRESSES SEC(".maps");

struct bucket {
	__u64 fingerprints[FINGERPRINTS_PER_BUCKET];
};

/* One region of BUCKET_MASK + 1 buckets a worker, written by that worker through its mapping
 * (src/flow/fingerprints.rs). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} FLOW_FINGERPRINTS SEC(".maps");

/* Sockets: slot of the port * MAX_WORKERS + queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_PORTS * MAX_WORKERS);
	__type(key, __u32);
	__type(value, __u32);
} SOCKETS SEC(".maps");

/* Interface index of an XDP port to its slot in SOCKETS. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, __u32);
} PORT_SLOTS SEC(".maps");

/* Numbered as STEERING_COUNTERS in src/steer/counters.rs. */
enum counter {
	TO_WORKER_SERVICE,
	TO_WORKER_REPLY,
	TO_POD,
	TO_KERNEL_AS_RECEIVED,
	TO_KERNEL_LOCAL,
	TO_ROUTED,
	IGNORED_MULTICAST,
	DROP_UNALLOCATED_ADDRESS,
	DROP_FRAME_TOO_LONG,
	DROP_NO_MESSAGE,
	DROP_NO_SOCKET,
	DROP_NO_ROUTE,
	COUNTERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} COUNTS SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&COUNTS, &counter);

	if (value)
		*value += 1;
}
