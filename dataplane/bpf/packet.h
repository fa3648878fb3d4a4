/* Just as much of a packet as it takes to know whose it is. Everything that is wrong with it is
 * the worker's to find and count. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tables.h"

#define VLAN_HEADER_BYTES 4
#define MAX_EXTENSION_HEADERS 8 /* as many as src/wire/ipv6.rs walks */
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_FRAGMENT_OFFSET 0xfff8

struct tuple {
	struct address source;
	struct address destination;
	__u16 source_port; /* host byte order */
	__u16 destination_port;
	__u8 protocol;
};

enum kind {
	NOT_IP,
	WITHOUT_PORTS,
	WITH_PORTS,
	ICMP_ERROR,
};

struct packet {
	enum kind kind;
	struct tuple tuple; /* of the packet; without ports they are 0 */
	struct tuple inner; /* of the packet that an ICMP error quotes */
};

static __always_inline struct address ipv4_address(__be32 bits)
{
	return (struct address){ .high = 0, .low = 0xffff00000000ULL | bpf_ntohl(bits) };
}

static __always_inline struct address ipv6_address(const struct in6_addr *bits)
{
	const __be32 *words = bits->in6_u.u6_addr32;

	return (struct address){
		.high = (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]),
		.low = (__u64)bpf_ntohl(words[2]) << 32 | bpf_ntohl(words[3]),
	};
}

static __always_inline int is_multicast(const struct address *address)
{
	if (address->high == 0 && address->low >> 32 == 0xffff)
		return (address->low >> 28 & 0xf) == 0xe;
	return address->high >> 56 == 0xff;
}

/* Reads the addresses and walks to the transport header. Returns its offset, or 0 if the packet
 * has none that can be read. */
static __always_inline __u32 parse_network(void *data, void *data_end, __u32 offset, __u16 ethertype,
					   struct tuple *tuple)
{
	if (ethertype == ETH_P_IP) {
		struct iphdr *ip = data + offset;

		if ((void *)(ip + 1) > data_end)
			return 0;
		tuple->source = ipv4_address(ip->saddr);
		tuple->destination = ipv4_address(ip->daddr);
		tuple->protocol = ip->protocol;
		if (ip->ihl < 5 || bpf_ntohs(ip->frag_off) & IPV4_FRAGMENT_OFFSET)
			return 0;
		return offset + ip->ihl * 4;
	}

	struct ipv6hdr *ip = data + offset;

	if ((void *)(ip + 1) > data_end)
		return 0;
	tuple->source = ipv6_address(&ip->saddr);
	tuple->destination = ipv6_address(&ip->daddr);

	__u8 next = ip->nexthdr;

	offset += sizeof(*ip);
	/* Not unrolled, which clang leaves it from eight on, it takes the verifier six times as long. */
#pragma clang loop unroll(full)
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		__u8 *header = data + offset;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH)
			break;
		if ((void *)(header + 8) > data_end)
			return 0;
		if (next == IPPROTO_FRAGMENT) {
			if (bpf_ntohs(*(__be16 *)(header + 2)) & IPV6_FRAGMENT_OFFSET)
				return 0;
			offset += 8;
		} else if (next == IPPROTO_AH) {
			offset += (header[1] + 2) * 4;
		} else {
			offset += (header[1] + 1) * 8;
		}
		next = header[0];
	}
	tuple->protocol = next;
	return offset;
}

static __always_inline int parse_ports(void *data, void *data_end, __u32 offset, struct tuple *tuple)
{
	__be16 *ports = data + offset;

	if (tuple->protocol != IPPROTO_TCP && tuple->protocol != IPPROTO_UDP)
		return 0;
	if ((void *)(ports + 2) > data_end)
		return 0;
	tuple->source_port = bpf_ntohs(ports[0]);
	tuple->destination_port = bpf_ntohs(ports[1]);
	return 1;
}

/* Destination unreachable, time exceeded, parameter problem, packet too big. */
static __always_inline int is_icmp_error(__u8 protocol, __u8 type)
{
	if (protocol == IPPROTO_ICMP)
		return type == 3 || type == 11 || type == 12;
	return protocol == IPPROTO_ICMPV6 && type >= 1 && type <= 4;
}

static __always_inline void parse_packet(void *data, void *data_end, struct packet *packet)
{
	struct ethhdr *ethernet = data;
	__u32 offset = sizeof(*ethernet);
	__u16 ethertype;

	packet->kind = NOT_IP;
	if ((void *)(ethernet + 1) > data_end)
		return;
	ethertype = bpf_ntohs(ethernet->h_proto);
	if (ethertype == ETH_P_8021Q) {
		if (data + offset + VLAN_HEADER_BYTES > data_end)
			return;
		ethertype = bpf_ntohs(*(__be16 *)(data + offset + 2));
		offset += VLAN_HEADER_BYTES;
	}
	if (ethertype != ETH_P_IP && ethertype != ETH_P_IPV6)
		return;
	packet->kind = WITHOUT_PORTS;
	offset = parse_network(data, data_end, offset, ethertype, &packet->tuple);
	if (!offset)
		return;
	if (parse_ports(data, data_end, offset, &packet->tuple)) {
		packet->kind = WITH_PORTS;
		return;
	}

	__u8 *icmp = data + offset;

	if ((void *)(icmp + 8) > data_end || !is_icmp_error(packet->tuple.protocol, icmp[0]))
		return;
	offset = parse_network(data, data_end, offset + 8, ethertype, &packet->inner);
	if (offset && parse_ports(data, data_end, offset, &packet->inner))
		packet->kind = ICMP_ERROR;
}
