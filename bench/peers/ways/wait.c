/*
 * Ways to wait for bursts that come at their times, then taken with recvmmsg: asleep, or polling
 * the device's queue (NAPI) meanwhile. A veth device has such a queue if it merges packets (GRO);
 * without, there is nothing to poll. `deferred`: its queue is handed over by timer, so that what
 * polls it comes first (napi_defer_hard_irqs, gro_flush_timeout).
 */
#include "ways.h"
#include <poll.h>
#include <string.h>

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_INCOMING_NAPI_ID
#define SO_INCOMING_NAPI_ID 56
#endif
#define REGISTER_NAPI 27 /* IORING_REGISTER_NAPI, Linux 6.9 */
#define BUSY_POLL_US 50
#define PATIENCE_NS 1000000000U
#define MESSAGES (BURSTS * BURST_MESSAGES)

/* struct io_uring_napi of Linux 6.9 */
struct napi {
    uint32_t busy_poll_us;
    uint8_t prefer_busy_poll;
    uint8_t pad[3];
    uint64_t reserved;
};

struct waiter {
    struct batch batch;
    struct ring ring;
    int socket;
    int flags; /* of the receive: 0 to wait in it */
    uint64_t delays[MESSAGES];
};

static struct waiter *prepare(struct way *way) {
    struct waiter *it = memory(sizeof *it);
    way->state = it;
    batch_to_receive(&it->batch, way->traffic);
    it->socket = udp_socket(way->link.near_ip, way->port);
    it->flags = MSG_DONTWAIT;
    ring_open(&it->ring, FLOWS);
    return it;
}

static void busy_poll(int socket) {
    set(socket, SOL_SOCKET, SO_BUSY_POLL, BUSY_POLL_US, "SO_BUSY_POLL");
    set(socket, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1, "SO_PREFER_BUSY_POLL");
}

static int open_asleep(struct way *way) {
    prepare(way);
    return 1;
}

static int open_socket_option(struct way *way) {
    busy_poll(prepare(way)->socket);
    return 1;
}

static int open_blocking(struct way *way) {
    struct waiter *it = prepare(way);
    struct timeval patience = {.tv_sec = 1};
    if (setsockopt(it->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience))
        fail("SO_RCVTIMEO");
    busy_poll(it->socket);
    it->flags = MSG_WAITFORONE;
    return 1;
}

static int open_ring_napi(struct way *way) {
    struct waiter *it = prepare(way);
    struct napi napi = {.busy_poll_us = BUSY_POLL_US, .prefer_busy_poll = 1};
    return ring_register(&it->ring, REGISTER_NAPI, &napi, 1) == 0;
}

static void await(struct waiter *it) {
    struct io_uring_sqe *sqe = ring_next(&it->ring, IORING_OP_POLL_ADD, it->socket);
    sqe->poll32_events = POLLIN;
    ring_enter(&it->ring, 1);
    while (ring_done(&it->ring))
        ring_seen(&it->ring);
}

static uint32_t take(struct way *way, struct waiter *it, uint32_t had) {
    uint32_t count = batch_receive(&it->batch, it->socket, way->traffic, it->flags);
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < count && had + i < MESSAGES; i++) {
        uint64_t sent;
        memcpy(&sent, it->batch.vectors[i].iov_base, sizeof sent);
        it->delays[had + i] = now - sent;
    }
    return count;
}

/* Whether packets came through a queue that can be polled is not left to belief. */
static void check_queue(const struct way *way, int fd) {
    unsigned id = 0;
    socklen_t length = sizeof id;
    if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &length))
        fail("SO_INCOMING_NAPI_ID");
    if ((id != 0) != way->queue)
        refuse("%s over %s: queue %u, where there is to be %s", way->name, way->link.device, id,
               way->queue ? "one" : "none");
}

static void turn_of_waiting(struct way *way, struct turn *turn) {
    struct waiter *it = way->state;
    far_tell(FAR_PACE, &way->link, way->traffic, way->port);
    uint64_t patience = now_ns() + PATIENCE_NS, start = cpu_ns();
    while (turn->packets < MESSAGES && now_ns() < patience) {
        if (it->flags == MSG_DONTWAIT)
            await(it);
        turn->packets += take(way, it, (uint32_t)turn->packets);
    }
    turn->near_ns = cpu_ns() - start;
    turn->far_ns = far_answer();
    turn->delay_ns = median(it->delays, MESSAGES);
    check_queue(way, it->socket);
}

#define TURN turn_of_waiting

const struct way wait_ways[] = {
    WAY("asleep", "a poll in the ring: the present way", open_asleep),
    WAY("SO_BUSY_POLL", "the same, the socket has it: only receives poll", open_socket_option),
    WAY("SO_BUSY_POLL, recvmmsg", "waiting in recvmmsg instead", open_blocking),
    WAY("ring NAPI", "a poll in a ring with IORING_REGISTER_NAPI", open_ring_napi),
};
const size_t wait_ways_count = sizeof wait_ways / sizeof *wait_ways;
