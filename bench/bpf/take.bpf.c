/* Takes packets off an interface for the generator's sockets.
 *
 * UDP and TCP only: ARP, neighbour discovery and the rest stay the kernel's, which answers them as
 * ever, so that whatever is measured finds the generator as it finds any neighbour. A replay takes
 * all IP but neighbour discovery, since it may hold anything.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_QUEUES 64
#define ICMPV6 58

const volatile __u32 TAKE_ALL_IP;

/* One socket a queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} SOCKETS SEC(".maps");

static __always_inline int is_taken(void *data, void *data_end)
{
	struct ethhdr *ethernet = data;
	__u8 protocol;

	if ((void *)(ethernet + 1) > data_end)
		return 0;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(ethernet + 1);

		if ((void *)(ip + 1) > data_end)
			return 0;
		protocol = ip->protocol;
		if (TAKE_ALL_IP)
			return 1;
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(ethernet + 1);

		if ((void *)(ip + 1) > data_end)
			return 0;
		protocol = ip->nexthdr;
		if (TAKE_ALL_IP)
			return protocol != ICMPV6;
	} else {
		return 0;
	}
	return protocol == IPPROTO_UDP || protocol == IPPROTO_TCP;
}

SEC("xdp")
int take(struct xdp_md *xdp)
{
	if (!is_taken((void *)(long)xdp->data, (void *)(long)xdp->data_end))
		return XDP_PASS;
	return bpf_redirect_map(&SOCKETS, xdp->rx_queue_index, XDP_PASS);
}

/* Nothing here is of the kernel's making; it lends some of its functions to such licences only. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
