/* The first gate: runs in the network driver on every packet that a queue of the NIC receives.
 *
 *     for another address, ARP, ND, TCP, a fragment, options ... -> the kernel, untouched
 *     media, from where no terminal is seen, if the relay says so -> dropped, counted
 *     media, but its lengths contradict each other               -> dropped, counted
 *     media, and a shard has this queue                          -> the shard, without a copy
 *     media, but no shard has this queue or it is another's      -> the kernel, whose socket hands
 *                                                                   it to the right shard; counted
 *     UDP for our address that nobody listens to                 -> dropped, counted
 *
 * It decides nothing that the path decides: keys, legs and rates are not its business. What it
 * passes is as unproven as before: who can send from a terminal's address passes, too.
 *
 * Built by ./build into gate.o, which is committed.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* As many shards as a relay has at most, and so queues that matter (`SHARDS_PER_RELAY_MAX`). */
#define QUEUES_MAX 256

/* Addresses of the relay on one NIC (`MEDIA_ADDRESSES_MAX`). */
#define ADDRESSES_MAX 64

/* Addresses of terminals; the relay asks for as many as it has room for legs. */
#define SOURCES_MAX 1

/* An 802.1Q or 802.1ad tag behind the addresses. */
struct tag {
	__be16 id;
	__be16 next;
};

/* An address: IPv6, or IPv4 as IPv4-mapped IPv6 (RFC 4291 2.5.5.2). */
struct address {
	__be32 word[4];
};

/* What the relay says, written anew as a whole whenever it changes (`Settings`). */
struct settings {
	/* Ports of the shards, in host order. */
	__u16 first_port;
	__u16 ports;
	/* Whether UDP for our address that no socket takes is dropped. */
	__u8 drop_unknown;
	/* Whether media is dropped unless its source is in `SOURCES`. */
	__u8 signed_in_only;
	__u8 padding[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} SETTINGS SEC(".maps");

/* Our addresses at which media is received. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ADDRESSES_MAX);
	__type(key, struct address);
	__type(value, __u8);
} ADDRESSES SEC(".maps");

/* Where terminals with a leg are seen. Memory is taken for those that are there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SOURCES_MAX);
	__type(key, struct address);
	__type(value, __u8);
} SOURCES SEC(".maps");

/* The socket of each queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} SOCKETS SEC(".maps");

/* What became of what the shard did not get, in the order of the relay's names for it (`Gated`). */
enum counter {
	TO_KERNEL,
	MALFORMED,
	UNKNOWN_PORT,
	UNKNOWN_SOURCE,
	COUNTERS,
};

/* All counters of queue 0, then those of queue 1, ... */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, QUEUES_MAX *COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} COUNTS SEC(".maps");

static __always_inline int count(const struct xdp_md *context, enum counter counter, int action)
{
	__u32 place = context->rx_queue_index * COUNTERS + counter;
	__u64 *value = bpf_map_lookup_elem(&COUNTS, &place);

	/* A queue is served by one core at a time, but not by the same one for ever. */
	if (value)
		__sync_fetch_and_add(value, 1);
	return action;
}

static __always_inline struct address mapped(__be32 v4)
{
	struct address address = { { 0, 0, bpf_htonl(0xffff), v4 } };

	return address;
}

/* A UDP packet from `source` for an address of ours, at `udp`, with `before` bytes of the frame
 * before it; the IP header says that `room` bytes are UDP's. Lengths are compared as numbers: a pointer moved by one
 * asks for more rights than the relay has (CAP_PERFMON).
 */
static __always_inline int meet(struct xdp_md *context, struct settings settings,
				const struct address *source, const struct udphdr *udp,
				int before, int room, struct bpf_sock_tuple *tuple, __u32 tuple_bytes)
{
	void *end = (void *)(long)context->data_end;
	__u16 port, shard;
	int bytes;
	__u32 queue = context->rx_queue_index;
	struct bpf_sock *socket;

	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	port = bpf_ntohs(udp->dest);
	shard = port - settings.first_port;
	if (shard >= settings.ports) {
		if (!settings.drop_unknown)
			return XDP_PASS;
		socket = bpf_sk_lookup_udp(context, tuple, tuple_bytes, BPF_F_CURRENT_NETNS, 0);
		if (!socket)
			return count(context, UNKNOWN_PORT, XDP_DROP);
		bpf_sk_release(socket);
		return XDP_PASS;
	}
	if (settings.signed_in_only && !bpf_map_lookup_elem(&SOURCES, source))
		return count(context, UNKNOWN_SOURCE, XDP_DROP);
	bytes = bpf_ntohs(udp->len);
	if (bytes <= (int)sizeof(*udp) || bytes > room || before + bytes > (int)bpf_xdp_get_buff_len(context) ||
	    !udp->source)
		return count(context, MALFORMED, XDP_DROP);
	/* Shard N has queue N. */
	if (shard != queue || !bpf_map_lookup_elem(&SOCKETS, &queue))
		return count(context, TO_KERNEL, XDP_PASS);
	return bpf_redirect_map(&SOCKETS, queue, XDP_PASS);
}

static __always_inline int meet_v4(struct xdp_md *context, struct settings settings,
				   const struct iphdr *ip, int before)
{
	void *end = (void *)(long)context->data_end;
	struct address destination, source;
	struct bpf_sock_tuple tuple = {};
	__u16 bytes;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	destination = mapped(ip->daddr);
	source = mapped(ip->saddr);
	if (!bpf_map_lookup_elem(&ADDRESSES, &destination))
		return XDP_PASS;
	/* Options and fragments are for the kernel to sort out: IHL is 5, MF and offset are 0. */
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(0x3fff))
		return XDP_PASS;
	bytes = bpf_ntohs(ip->tot_len);
	tuple.ipv4.saddr = ip->saddr;
	tuple.ipv4.daddr = ip->daddr;
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	tuple.ipv4.sport = udp->source;
	tuple.ipv4.dport = udp->dest;
	before += sizeof(*ip);
	return meet(context, settings, &source, udp, before, bytes - (int)sizeof(*ip), &tuple,
		    sizeof(tuple.ipv4));
}

static __always_inline int meet_v6(struct xdp_md *context, struct settings settings,
				   const struct ipv6hdr *ip, int before)
{
	void *end = (void *)(long)context->data_end;
	struct address destination, source;
	struct bpf_sock_tuple tuple = {};

	/* Extension headers, a fragment's among them, are for the kernel to sort out. */
	if ((void *)(ip + 1) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
		return XDP_PASS;
	__builtin_memcpy(&destination, &ip->daddr, sizeof(destination));
	__builtin_memcpy(&source, &ip->saddr, sizeof(source));
	if (!bpf_map_lookup_elem(&ADDRESSES, &destination))
		return XDP_PASS;
	__builtin_memcpy(tuple.ipv6.saddr, &ip->saddr, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, &ip->daddr, sizeof(tuple.ipv6.daddr));
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	tuple.ipv6.sport = udp->source;
	tuple.ipv6.dport = udp->dest;
	before += sizeof(*ip);
	return meet(context, settings, &source, udp, before, bpf_ntohs(ip->payload_len), &tuple,
		    sizeof(tuple.ipv6));
}

SEC("xdp")
int gate(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = data;
	struct settings *told, settings;
	__u32 zero = 0;
	int before = sizeof(*ethernet);
	__be16 kind;
	void *at;

	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	told = bpf_map_lookup_elem(&SETTINGS, &zero);
	if (!told)
		return XDP_PASS;
	/* As numbers: a pointer that has to be put aside asks for more rights as well. */
	settings = *told;
	kind = ethernet->h_proto;
	at = ethernet + 1;
	if (kind == bpf_htons(ETH_P_8021Q) || kind == bpf_htons(ETH_P_8021AD)) {
		struct tag *tag = at;

		if ((void *)(tag + 1) > end)
			return XDP_PASS;
		kind = tag->next;
		at = tag + 1;
		before += sizeof(*tag);
	}
	if (kind == bpf_htons(ETH_P_IP))
		return meet_v4(context, settings, at, before);
	if (kind == bpf_htons(ETH_P_IPV6))
		return meet_v6(context, settings, at, before);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
