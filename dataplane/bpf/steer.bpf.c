/* Steering: which packets go to a worker, to which one, and what becomes of those that come back.
 *
 *   Pod ──veth── pod_ingress ─┐                       ┌─ outer_receive ── AF_XDP, worker
 *                             ├─ mlg1 inner_egress ═══╡ (mlg0)
 *   Pod ──veth── pod_egress  ─┘  mlg1 inner_ingress ══╧════════════════ AF_XDP, worker
 *
 *   NIC ── port_receive ── AF_XDP, worker
 *
 * A packet that is not for a Service and not of a tracked flow goes on as if there were no
 * program.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NULL ((void *)0)
#define AF_INET 2
#define AF_INET6 10

#include "hash.h"
#include "message.h"
#include "packet.h"
#include "tables.h"

#define NO_WORKER (-1)
/* Enough for Ethernet, IPv6 with extension headers, ICMPv6 and the packet inside it. */
#define HEADER_BYTES 192
/* On a packet that a worker gave back: let it pass once, else it would come again. */
#define MARK_GIVEN_BACK 0x6d676c01

/* The Ethernet source of what workers hand to the kernel. */
static const __u8 OUR_ADDRESS[6] = { 0x02, 'm', 'a', 'g', 'l', 'n' };

static __always_inline int worker_for_service(const struct packet *packet)
{
	const struct tuple *tuple = &packet->tuple;

	if (!bpf_map_lookup_elem(&SERVICE_ADDRESSES, &tuple->destination))
		return NO_WORKER;
	if (packet->kind == ICMP_ERROR)
		return worker_of(&packet->inner.destination, packet->inner.destination_port);
	return worker_of(&tuple->source, packet->kind == WITH_PORTS ? tuple->source_port : 0);
}

static __always_inline int worker_for_reply(const struct packet *packet)
{
	struct tuple reply;
	__u32 worker;

	if (packet->kind == WITH_PORTS) {
		reply = packet->tuple;
	} else if (packet->kind == ICMP_ERROR) {
		/* It quotes what went to the backend. */
		reply.source = packet->inner.destination;
		reply.source_port = packet->inner.destination_port;
		reply.destination = packet->inner.source;
		reply.destination_port = packet->inner.source_port;
		reply.protocol = packet->inner.protocol;
	} else {
		return NO_WORKER;
	}
	worker = worker_of(&reply.destination, reply.destination_port);
	return is_tracked(worker, &reply) ? (int)worker : NO_WORKER;
}

static __always_inline void parse_skb(struct __sk_buff *skb, struct packet *packet)
{
	void *data = (void *)(long)skb->data;
	void *data_end = (void *)(long)skb->data_end;

	if (data + HEADER_BYTES > data_end && skb->len > data_end - data) {
		bpf_skb_pull_data(skb, skb->len < HEADER_BYTES ? skb->len : HEADER_BYTES);
		data = (void *)(long)skb->data;
		data_end = (void *)(long)skb->data_end;
	}
	parse_packet(data, data_end, packet);
}

static __always_inline int write_message(struct __sk_buff *skb, struct message *message)
{
	return bpf_skb_store_bytes(skb, 0, message, sizeof(*message), 0);
}

/* Whether every frame that the kernel will cut this packet into fits a worker's frame. */
static __always_inline int fits(struct __sk_buff *skb)
{
	if (skb->gso_size)
		return skb->gso_size + HEADER_BYTES <= MAX_FRAME_BYTES;
	return skb->len <= MAX_FRAME_BYTES;
}

/* Writes the message and chooses the worker's queue. */
static __always_inline int address_to_worker(struct __sk_buff *skb, int worker, __u8 way_in)
{
	struct message message = {
		.what = MESSAGE_TO_WORKER,
		.way = way_in,
		.interface = bpf_htonl(skb->ifindex),
	};

	if (!fits(skb)) {
		count(DROP_FRAME_TOO_LONG);
		return 0;
	}
	if (write_message(skb, &message)) {
		count(DROP_NO_MESSAGE);
		return 0;
	}
	skb->queue_mapping = worker + 1; /* 0 means "not chosen" */
	return 1;
}

/* Whether a worker gave the packet back. Its Ethernet address is not the interface's any more, but
 * it is for us. */
static __always_inline int is_given_back(struct __sk_buff *skb)
{
	if (skb->mark != MARK_GIVEN_BACK)
		return 0;
	skb->mark = 0;
	bpf_skb_change_type(skb, PACKET_HOST);
	return 1;
}

SEC("classifier")
int pod_ingress(struct __sk_buff *skb)
{
	struct packet packet = {};
	int worker;

	if (is_given_back(skb))
		return TC_ACT_UNSPEC;
	parse_skb(skb, &packet);
	if (packet.kind == NOT_IP)
		return TC_ACT_UNSPEC;
	worker = worker_for_service(&packet);
	if (worker != NO_WORKER) {
		count(TO_WORKER_SERVICE);
	} else {
		worker = worker_for_reply(&packet);
		if (worker == NO_WORKER)
			return TC_ACT_UNSPEC;
		count(TO_WORKER_REPLY);
	}
	if (!address_to_worker(skb, worker, IN_POD_INGRESS))
		return TC_ACT_SHOT;
	return bpf_redirect(INNER_INTERFACE, 0);
}

/* Nothing but replies of tracked flows. */
static __always_inline int take_reply(struct __sk_buff *skb, __u8 way_in)
{
	struct packet packet = {};
	int worker;

	parse_skb(skb, &packet);
	worker = worker_for_reply(&packet);
	if (worker == NO_WORKER)
		return TC_ACT_UNSPEC;
	count(TO_WORKER_REPLY);
	if (!address_to_worker(skb, worker, way_in))
		return TC_ACT_SHOT;
	return bpf_redirect(INNER_INTERFACE, 0);
}

SEC("classifier")
int pod_egress(struct __sk_buff *skb)
{
	return take_reply(skb, IN_POD_EGRESS);
}

/* From other machines: replies to the node's own processes come in here and go no further. */
SEC("classifier")
int uplink_ingress(struct __sk_buff *skb)
{
	if (is_given_back(skb))
		return TC_ACT_UNSPEC;
	return take_reply(skb, IN_UPLINK);
}

SEC("classifier")
int inner_egress(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct message message;
	int worker;

	if (bpf_skb_load_bytes(skb, 0, &message, sizeof(message)))
		return TC_ACT_SHOT;
	if (message.what == MESSAGE_TO_WORKER)
		return TC_ACT_OK;
	parse_skb(skb, &packet);
	if (packet.kind == NOT_IP || is_multicast(&packet.tuple.destination)) {
		/* What a kernel says on any link (MLD, mostly). There is nobody to hear it. */
		count(IGNORED_MULTICAST);
		return TC_ACT_SHOT;
	}
	worker = worker_for_service(&packet);
	if (worker != NO_WORKER) {
		count(TO_WORKER_SERVICE);
	} else {
		worker = worker_for_reply(&packet);
		if (worker == NO_WORKER) {
			/* Nobody has this address: it would only go round in circles. */
			count(DROP_UNALLOCATED_ADDRESS);
			return TC_ACT_SHOT;
		}
		count(TO_WORKER_REPLY);
	}
	return address_to_worker(skb, worker, IN_NODE) ? TC_ACT_OK : TC_ACT_SHOT;
}

/* A packet whose source is the node itself: received, the kernel would call it a martian. The
 * node's routes say where it leaves, and the kernel finds the neighbour. */
static __always_inline int send_routed(struct __sk_buff *skb)
{
	struct bpf_fib_lookup route = { .ifindex = skb->ifindex };
	struct packet packet = {};
	struct in6_addr *source = (void *)route.ipv6_src, *destination = (void *)route.ipv6_dst;

	parse_skb(skb, &packet);
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		route.family = AF_INET;
		route.ipv4_src = bpf_htonl(packet.tuple.source.low);
		route.ipv4_dst = bpf_htonl(packet.tuple.destination.low);
	} else {
		route.family = AF_INET6;
		source->in6_u.u6_addr32[0] = bpf_htonl(packet.tuple.source.high >> 32);
		source->in6_u.u6_addr32[1] = bpf_htonl(packet.tuple.source.high);
		source->in6_u.u6_addr32[2] = bpf_htonl(packet.tuple.source.low >> 32);
		source->in6_u.u6_addr32[3] = bpf_htonl(packet.tuple.source.low);
		destination->in6_u.u6_addr32[0] = bpf_htonl(packet.tuple.destination.high >> 32);
		destination->in6_u.u6_addr32[1] = bpf_htonl(packet.tuple.destination.high);
		destination->in6_u.u6_addr32[2] = bpf_htonl(packet.tuple.destination.low >> 32);
		destination->in6_u.u6_addr32[3] = bpf_htonl(packet.tuple.destination.low);
	}
	route.l4_protocol = packet.tuple.protocol;
	route.tot_len = skb->len - ETH_HLEN;
	if (bpf_fib_lookup(skb, &route, sizeof(route), BPF_FIB_LOOKUP_SKIP_NEIGH) !=
	    BPF_FIB_LKUP_RET_SUCCESS) {
		count(DROP_NO_ROUTE);
		return TC_ACT_SHOT;
	}
	count(TO_ROUTED);
	return bpf_redirect_neigh(route.ifindex, NULL, 0, 0);
}

SEC("classifier")
int inner_ingress(struct __sk_buff *skb)
{
	struct message message;

	if (bpf_skb_load_bytes(skb, 0, &message, sizeof(message)) || message.what != MESSAGE_FROM_WORKER) {
		count(DROP_NO_MESSAGE);
		return TC_ACT_SHOT;
	}
	if (bpf_skb_store_bytes(skb, 0, message.ethernet_address, 6, 0) ||
	    bpf_skb_store_bytes(skb, 6, OUR_ADDRESS, 6, 0) || bpf_skb_change_type(skb, PACKET_HOST)) {
		count(DROP_NO_MESSAGE);
		return TC_ACT_SHOT;
	}
	switch (message.way) {
	case OUT_POD:
		count(TO_POD);
		return bpf_redirect_peer(bpf_ntohl(message.interface), 0);
	case OUT_AS_RECEIVED:
		count(TO_KERNEL_AS_RECEIVED);
		skb->mark = MARK_GIVEN_BACK;
		return bpf_redirect(bpf_ntohl(message.interface), BPF_F_INGRESS);
	case OUT_NODE:
		count(TO_KERNEL_LOCAL);
		return TC_ACT_OK;
	case OUT_ROUTED:
		return send_routed(skb);
	default:
		count(DROP_NO_MESSAGE);
		return TC_ACT_SHOT;
	}
}

SEC("xdp")
int outer_receive(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data;
	void *data_end = (void *)(long)xdp->data_end;
	struct message *message = data;
	int action;

	if ((void *)(message + 1) > data_end || message->what != MESSAGE_TO_WORKER) {
		count(DROP_NO_MESSAGE);
		return XDP_DROP;
	}
	action = bpf_redirect_map(&SOCKETS, xdp->rx_queue_index, XDP_DROP);
	if (action == XDP_DROP)
		count(DROP_NO_SOCKET);
	return action;
}

/* Broadcast and multicast frames, and what a worker gave back: under generic XDP that comes by here
 * again, before tc has seen its mark. */
static __always_inline int is_not_for_workers(const __u8 *ethernet)
{
	if (ethernet[0] & 1)
		return 1;
	for (int i = 0; i < 6; i++)
		if (ethernet[6 + i] != OUR_ADDRESS[i])
			return 0;
	return 1;
}

SEC("xdp")
int port_receive(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data;
	void *data_end = (void *)(long)xdp->data_end;
	__u32 interface = xdp->ingress_ifindex;
	struct packet packet = {};
	__u32 *slot;
	int worker;

	if (data + ETH_HLEN > data_end || is_not_for_workers(data))
		return XDP_PASS;
	parse_packet(data, data_end, &packet);
	if (packet.kind == NOT_IP)
		return XDP_PASS;
	worker = worker_for_service(&packet);
	if (worker != NO_WORKER) {
		count(TO_WORKER_SERVICE);
	} else {
		if (worker_for_reply(&packet) == NO_WORKER)
			return XDP_PASS;
		count(TO_WORKER_REPLY);
	}
	slot = bpf_map_lookup_elem(&PORT_SLOTS, &interface);
	if (!slot)
		return XDP_PASS;
	/* The socket of the queue on which the packet came; if its flow is another worker's, the
	 * worker hands it over. */
	return bpf_redirect_map(&SOCKETS, *slot * MAX_WORKERS + xdp->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
