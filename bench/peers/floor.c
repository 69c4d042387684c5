/*
 * The floor: what the kernel's own path costs, and nothing else. Forwards datagrams without
 * looking into them, on one socket and one thread, so whatever a relay costs more is its own.
 *
 *     floor singles|trains IP PORT PEER_IP SOURCE:SINK[,SINK...] ...
 *
 * Listens on IP:PORT. What comes from PEER_IP:SOURCE goes to PEER_IP:SINK, to every SINK named.
 *
 *   singles   recvmmsg and sendmmsg, one message a packet
 *   trains    the same with UDP_GRO and UDP_SEGMENT: a train that was received in one piece leaves
 *             as one message to each of its sinks
 *
 * Prints "ready" once it listens. Any error of a system call ends it: a yardstick that loses
 * packets is none. Build: cc -O2 -o floor floor.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Messages of one system call. More gained nothing: the queue is seldom longer. */
#define BATCH 64
/* The longest train UDP_GRO hands over, and the longest single packet. */
#define TRAIN_BYTES 65536
#define SINGLE_BYTES 2048
/* Sinks of all sources together; the longest call has 31 receivers. */
#define SINKS_MAX 8192
#define ROUTES_MAX 65536
#define QUEUE_BYTES (64 << 20)

struct route {
    uint32_t first; /* of its sinks in `sinks` */
    uint32_t count; /* 0: nobody sends from that port */
};

static struct route routes[ROUTES_MAX]; /* by source port, host order */
static struct sockaddr_in sinks[SINKS_MAX];
static uint32_t sinks_used;

/* Room for one cmsg that carries an int (UDP_GRO) or a uint16_t (UDP_SEGMENT). */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static struct mmsghdr received[BATCH];
static struct iovec received_into[BATCH];
static struct sockaddr_in senders[BATCH];
static union control received_control[BATCH];

static struct mmsghdr outgoing[BATCH * 32];
static struct iovec outgoing_from[BATCH];
static union control outgoing_control[BATCH];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void usage(void) {
    fputs("usage: floor singles|trains IP PORT PEER_IP SOURCE:SINK[,SINK...] ...\n", stderr);
    exit(2);
}

static uint16_t port_of(const char *text, char **end) {
    unsigned long port = strtoul(text, end, 10);
    if (*end == text || port == 0 || port > 65535)
        usage();
    return (uint16_t)port;
}

static void add_route(struct in_addr peer, const char *text) {
    char *rest;
    struct route *route = &routes[port_of(text, &rest)];
    if (*rest != ':')
        usage();
    route->first = sinks_used;
    do {
        if (sinks_used == SINKS_MAX || route->count == 32)
            usage();
        struct sockaddr_in *sink = &sinks[sinks_used++];
        sink->sin_family = AF_INET;
        sink->sin_addr = peer;
        sink->sin_port = htons(port_of(rest + 1, &rest));
        route->count++;
    } while (*rest == ',');
    if (*rest)
        usage();
}

static int listen_on(const char *ip, const char *port, int trains) {
    char *rest;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port_of(port, &rest))};
    if (inet_pton(AF_INET, ip, &here.sin_addr) != 1)
        usage();
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, bytes = QUEUE_BYTES;
    if (fd < 0)
        fail("socket");
    /* As much as the process may have; without the right to it, as much as the limits allow. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (trains && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on))
        fail("UDP_GRO");
    if (bind(fd, (struct sockaddr *)&here, sizeof here))
        fail("bind");
    return fd;
}

static void prepare(int trains) {
    size_t bytes = trains ? TRAIN_BYTES : SINGLE_BYTES;
    char *memory = aligned_alloc(4096, bytes * BATCH);
    if (!memory)
        fail("aligned_alloc");
    memset(memory, 0, bytes * BATCH);
    for (int i = 0; i < BATCH; i++) {
        received_into[i] = (struct iovec){memory + bytes * i, bytes};
        received[i].msg_hdr = (struct msghdr){
            .msg_name = &senders[i],
            .msg_namelen = sizeof senders[i],
            .msg_iov = &received_into[i],
            .msg_iovlen = 1,
            .msg_control = trains ? &received_control[i] : NULL,
        };
        outgoing_from[i].iov_base = received_into[i].iov_base;
        struct cmsghdr *segment = &outgoing_control[i].align;
        segment->cmsg_level = IPPROTO_UDP;
        segment->cmsg_type = UDP_SEGMENT;
        segment->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    }
}

/* Bytes of each packet of a received train, 0 if it is a single packet. */
static uint16_t segment_bytes(struct msghdr *message) {
    struct cmsghdr *it = CMSG_FIRSTHDR(message);
    if (!it || it->cmsg_level != IPPROTO_UDP || it->cmsg_type != UDP_GRO)
        return 0;
    int bytes;
    memcpy(&bytes, CMSG_DATA(it), sizeof bytes);
    return (uint16_t)bytes;
}

/* Adds message `i` of the batch for each of its sinks behind `used`; gives the new count. */
static unsigned route_one(int i, unsigned used, int trains) {
    struct route route = routes[ntohs(senders[i].sin_port)];
    uint16_t segment = trains ? segment_bytes(&received[i].msg_hdr) : 0;
    outgoing_from[i].iov_len = received[i].msg_len;
    if (segment)
        memcpy(CMSG_DATA(&outgoing_control[i].align), &segment, sizeof segment);
    for (uint32_t sink = 0; sink < route.count; sink++) {
        outgoing[used++].msg_hdr = (struct msghdr){
            .msg_name = &sinks[route.first + sink],
            .msg_namelen = sizeof sinks[0],
            .msg_iov = &outgoing_from[i],
            .msg_iovlen = 1,
            .msg_control = segment ? &outgoing_control[i] : NULL,
            .msg_controllen = segment ? CMSG_SPACE(sizeof(uint16_t)) : 0,
        };
    }
    return used;
}

static void send_all(int fd, unsigned count) {
    for (unsigned sent = 0; sent < count;) {
        int now = sendmmsg(fd, outgoing + sent, count - sent, 0);
        if (now < 0 && errno != EINTR)
            fail("sendmmsg");
        if (now > 0)
            sent += (unsigned)now;
    }
}

static void forward(int fd, int trains) {
    for (;;) {
        for (int i = 0; trains && i < BATCH; i++)
            received[i].msg_hdr.msg_controllen = sizeof received_control[i];
        int count = recvmmsg(fd, received, BATCH, MSG_WAITFORONE, NULL);
        if (count < 0 && errno != EINTR)
            fail("recvmmsg");
        unsigned used = 0;
        for (int i = 0; i < count; i++)
            used = route_one(i, used, trains);
        send_all(fd, used);
    }
}

int main(int argc, char **argv) {
    struct in_addr peer;
    if (argc < 6 || inet_pton(AF_INET, argv[4], &peer) != 1)
        usage();
    int trains = strcmp(argv[1], "trains") == 0;
    if (!trains && strcmp(argv[1], "singles") != 0)
        usage();
    for (int i = 5; i < argc; i++)
        add_route(peer, argv[i]);
    prepare(trains);
    int fd = listen_on(argv[2], argv[3], trains);
    puts("ready");
    fflush(stdout);
    forward(fd, trains);
}
