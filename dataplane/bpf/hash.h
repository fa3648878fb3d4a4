/* The hash of src/wire/hash.rs, word for word. */
#pragma once

#include "packet.h"
#include "tables.h"

/* Both halves of the 128-bit product, folded. BPF has no such product: four of 32 bits make it. */
static __always_inline __u64 fold(__u64 a, __u64 b)
{
	__u64 a_low = (__u32)a, a_high = a >> 32;
	__u64 b_low = (__u32)b, b_high = b >> 32;
	__u64 low = a_low * b_low;
	__u64 cross_1 = a_low * b_high;
	__u64 cross_2 = a_high * b_low;
	__u64 middle = (low >> 32) + (__u32)cross_1 + (__u32)cross_2;
	__u64 high = a_high * b_high + (cross_1 >> 32) + (cross_2 >> 32) + (middle >> 32);

	return (middle << 32 | (__u32)low) ^ high;
}

static __always_inline __u64 tuple_hash(const struct tuple *t)
{
	__u64 source = fold(t->source.high ^ HASH_KEYS[0], t->source.low ^ HASH_KEYS[1]);
	__u64 destination = fold(t->destination.high ^ HASH_KEYS[2], t->destination.low ^ HASH_KEYS[3]);
	__u64 rest = t->source_port | (__u64)t->destination_port << 32 | (__u64)t->protocol << 48;

	return fold(source ^ rest ^ HASH_KEYS[4], destination ^ HASH_KEYS[5]);
}

/* The worker that owns all flows of this client. */
static __always_inline __u32 worker_of(const struct address *client, __u16 port)
{
	__u64 address = fold(client->high ^ HASH_KEYS[0], client->low ^ HASH_KEYS[1]);
	__u64 hash = fold(address ^ port ^ HASH_KEYS[6], HASH_KEYS[7]);

	return (hash >> 32) * WORKERS >> 32;
}

/* Whether the worker tracks a flow whose replies have this tuple (or, once in 2^64 tuples, one
 * whose fingerprint is the same: the worker then hands the packet back). */
static __always_inline int is_tracked(__u32 worker, const struct tuple *reply)
{
	__u64 hash = tuple_hash(reply);
	__u64 fingerprint = hash ? hash : 1; /* 0 is a free slot */
	__u32 region = worker * (BUCKET_MASK + 1);
	__u32 first = region + ((__u32)fingerprint & BUCKET_MASK);
	__u32 second = region + ((__u32)(fingerprint >> 32) & BUCKET_MASK);
	struct bucket *bucket;

	bucket = bpf_map_lookup_elem(&FLOW_FINGERPRINTS, &first);
	if (!bucket)
		return 0;
	for (int slot = 0; slot < FINGERPRINTS_PER_BUCKET; slot++)
		if (bucket->fingerprints[slot] == fingerprint)
			return 1;
	bucket = bpf_map_lookup_elem(&FLOW_FINGERPRINTS, &second);
	if (!bucket)
		return 0;
	for (int slot = 0; slot < FINGERPRINTS_PER_BUCKET; slot++)
		if (bucket->fingerprints[slot] == fingerprint)
			return 1;
	return 0;
}
