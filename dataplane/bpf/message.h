/* The Ethernet header between the two ends of the host port is nobody's but ours: its twelve
 * address bytes carry the message between the steering programs and the workers.
 *
 *   byte  0      what the message is (an even number: no multicast address)
 *         1      how the packet came in, or how it is to go out
 *         2..6   interface index, big endian
 *         6..12  out: the Ethernet address that the packet is for
 *
 * src/wire/message.rs writes and reads the same.
 */
#pragma once

#include <linux/types.h>

#define MESSAGE_TO_WORKER 0x0a
#define MESSAGE_FROM_WORKER 0x0e

enum way_in {
	IN_POD_INGRESS = 1, /* received from the Pod behind the interface */
	IN_POD_EGRESS = 2, /* on its way out to the Pod behind the interface */
	IN_NODE = 3, /* sent by the node itself, or routed by it to a Service */
	IN_UPLINK = 4, /* received from another machine on the interface */
};

enum way_out {
	OUT_POD = 1, /* straight into the Pod behind the interface */
	OUT_AS_RECEIVED = 2, /* to the kernel, as if received on the interface */
	OUT_NODE = 3, /* to the kernel, as received on the host port */
	OUT_ROUTED = 4, /* out on the interface to which the node's routes lead */
};

struct message {
	__u8 what;
	__u8 way;
	__be32 interface;
	__u8 ethernet_address[6];
} __attribute__((packed));
