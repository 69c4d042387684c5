/*
 * Ways to receive a batch: a message from each of 64 senders, which are there when it is taken.
 * All wait for it, as a shard does, and with one call. What a way has armed makes arrivals dearer:
 * that is in the far side's time, since on this medium packets arrive in their sender's thread.
 */
#include "ways.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

/* A buffer of a multishot receive begins with a header, a name and a control message. */
#define HEAD_BYTES (sizeof(struct io_uring_recvmsg_out) + sizeof(struct sockaddr_in) + \
                    sizeof(union control))
/* Registered buffers in a ring; a power of two, twice what a batch takes. */
#define BUFFERS (2 * FLOWS)
#define BUFFER_GROUP 0
#define PATIENCE_NS 1000000000U

struct receiver {
    struct batch batch;
    struct ring ring;
    int sockets[FLOWS]; /* one, or one connected to each sender */
    int epoll;
    int armed[FLOWS];
    struct io_uring_buf_ring *buffers;
    uint16_t buffers_tail;
    char *bytes;
    uint32_t room_bytes;
    struct msghdr layout;
    void (*arm)(struct way *way);
    uint32_t (*take)(struct way *way);
};

static struct receiver *prepare(struct way *way, int connected, void (*arm)(struct way *),
                                uint32_t (*take)(struct way *)) {
    struct receiver *it = memory(sizeof *it);
    way->state = it;
    it->arm = arm;
    it->take = take;
    batch_to_receive(&it->batch, way->traffic);
    for (uint16_t i = 0; i < (connected ? FLOWS : 1); i++) {
        it->sockets[i] = udp_socket(way->link.near_ip, way->port);
        if (connected)
            udp_connect(it->sockets[i], way->link.far_ip, (uint16_t)(FAR_PORT + i));
    }
    ring_open(&it->ring, FLOWS);
    if (ring_register(&it->ring, IORING_REGISTER_FILES, it->sockets, connected ? FLOWS : 1))
        fail("IORING_REGISTER_FILES");
    return it;
}

/* Gives buffer `number` to the kernel; it sees so when the tail is published. */
static void give(struct receiver *it, uint16_t number) {
    struct io_uring_buf *buffer = &it->buffers->bufs[it->buffers_tail++ % BUFFERS];
    buffer->addr = (uintptr_t)(it->bytes + (size_t)number * it->room_bytes);
    buffer->len = it->room_bytes;
    buffer->bid = number;
}

static void publish(struct receiver *it) {
    __atomic_store_n(&it->buffers->tail, it->buffers_tail, __ATOMIC_RELEASE);
}

static void provide_buffers(struct receiver *it, const struct traffic *traffic) {
    it->room_bytes = traffic->room_bytes;
    it->bytes = memory((size_t)BUFFERS * it->room_bytes);
    it->buffers = memory(BUFFERS * sizeof(struct io_uring_buf));
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)it->buffers,
                                            .ring_entries = BUFFERS, .bgid = BUFFER_GROUP};
    if (ring_register(&it->ring, IORING_REGISTER_PBUF_RING, &registration, 1))
        fail("IORING_REGISTER_PBUF_RING");
    it->layout.msg_namelen = sizeof(struct sockaddr_in);
    it->layout.msg_controllen = sizeof(union control);
    for (uint16_t i = 0; i < BUFFERS; i++)
        give(it, i);
    publish(it);
}

static void arm_poll(struct way *way) {
    struct receiver *it = way->state;
    struct io_uring_sqe *sqe = ring_next(&it->ring, IORING_OP_POLL_ADD, 0);
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->poll32_events = POLLIN;
    ring_enter(&it->ring, 0);
}

static uint32_t take_batch(struct way *way) {
    struct receiver *it = way->state;
    ring_enter(&it->ring, 1);
    while (ring_done(&it->ring))
        ring_seen(&it->ring);
    return batch_receive(&it->batch, it->sockets[0], way->traffic, MSG_DONTWAIT);
}

static void arm_nothing(struct way *way) {
    (void)way;
}

static uint32_t take_each(struct way *way) {
    struct receiver *it = way->state;
    struct epoll_event ready[FLOWS];
    int count = epoll_wait(it->epoll, ready, FLOWS, 1000);
    uint32_t bytes = 0;
    for (int i = 0; i < count; i++) {
        struct msghdr *message = &it->batch.messages[i].msg_hdr;
        message->msg_control = &it->batch.controls[i];
        message->msg_controllen = sizeof it->batch.controls[i];
        ssize_t more = recvmsg(it->sockets[ready[i].data.u32], message, MSG_DONTWAIT);
        if (more < 0)
            fail("recvmsg");
        bytes += (uint32_t)more;
    }
    return bytes / way->traffic->packet_bytes;
}

/* Arms the multishot receives that are not, at first all. */
static void arm_shots(struct way *way) {
    struct receiver *it = way->state;
    for (int i = 0; i < FLOWS && it->sockets[i]; i++) {
        if (it->armed[i])
            continue;
        struct io_uring_sqe *sqe = ring_next(&it->ring, IORING_OP_RECVMSG, i);
        sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
        sqe->buf_group = BUFFER_GROUP;
        sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->addr = (uintptr_t)&it->layout;
        sqe->len = 1;
        sqe->user_data = (unsigned)i;
        it->armed[i] = 1;
    }
    if (it->ring.queued > 0)
        ring_enter(&it->ring, 0);
}

static uint32_t take_shots(struct way *way) {
    struct receiver *it = way->state;
    uint32_t bytes = 0;
    ring_enter(&it->ring, 1);
    for (struct io_uring_cqe *done; (done = ring_done(&it->ring)); ring_seen(&it->ring)) {
        it->armed[done->user_data] = (done->flags & IORING_CQE_F_MORE) != 0;
        if (done->res < 0 && done->res != -ENOBUFS)
            refuse("%s: a receive gave %s", way->name, strerror(-done->res));
        if (!(done->flags & IORING_CQE_F_BUFFER))
            continue;
        uint16_t number = (uint16_t)(done->flags >> IORING_CQE_BUFFER_SHIFT);
        struct io_uring_recvmsg_out *out = (void *)(it->bytes + (size_t)number * it->room_bytes);
        bytes += out->flags & MSG_TRUNC ? 0 : out->payloadlen;
        give(it, number);
    }
    publish(it);
    return bytes / way->traffic->packet_bytes;
}

static uint32_t take_fixed(struct way *way) {
    struct receiver *it = way->state;
    uint32_t bytes = 0;
    for (int i = 0; i < FLOWS; i++) {
        struct io_uring_sqe *sqe = ring_next(&it->ring, IORING_OP_READ_FIXED, i);
        sqe->flags = IOSQE_FIXED_FILE;
        sqe->addr = (uintptr_t)it->batch.vectors[i].iov_base;
        sqe->len = way->traffic->room_bytes;
    }
    ring_enter(&it->ring, FLOWS);
    for (struct io_uring_cqe *done; (done = ring_done(&it->ring)); ring_seen(&it->ring)) {
        if (done->res < 0)
            refuse("%s: a read gave %s", way->name, strerror(-done->res));
        bytes += (uint32_t)done->res;
    }
    return bytes / way->traffic->packet_bytes;
}

static int open_recvmmsg(struct way *way) {
    prepare(way, 0, arm_poll, take_batch);
    return 1;
}

static int open_epoll(struct way *way) {
    struct receiver *it = prepare(way, 1, arm_nothing, take_each);
    it->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < FLOWS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(it->epoll, EPOLL_CTL_ADD, it->sockets[i], &event))
            fail("epoll_ctl");
    }
    return 1;
}

static int open_shots(struct way *way) {
    provide_buffers(prepare(way, 0, arm_shots, take_shots), way->traffic);
    return 1;
}

static int open_connected_shots(struct way *way) {
    provide_buffers(prepare(way, 1, arm_shots, take_shots), way->traffic);
    return 1;
}

static int open_fixed(struct way *way) {
    struct receiver *it = prepare(way, 1, arm_nothing, take_fixed);
    struct iovec all = {it->batch.bytes, (size_t)FLOWS * way->traffic->room_bytes};
    if (ring_register(&it->ring, IORING_REGISTER_BUFFERS, &all, 1))
        fail("IORING_REGISTER_BUFFERS");
    return 1;
}

static void turn_of_receiving(struct way *way, struct turn *turn) {
    struct receiver *it = way->state;
    uint32_t wanted = FLOWS * (way->traffic->bytes / way->traffic->packet_bytes);
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start = cpu_ns();
        it->arm(way);
        turn->near_ns += cpu_ns() - start;
        far_tell(FAR_FILL, &way->link, way->traffic, way->port);
        turn->far_ns += far_answer();
        uint64_t patience = now_ns() + PATIENCE_NS;
        uint32_t packets = 0;
        start = cpu_ns();
        while (packets < wanted && now_ns() < patience)
            packets += it->take(way);
        turn->near_ns += cpu_ns() - start;
        turn->packets += packets;
    }
}

#define TURN turn_of_receiving

const struct way receive_ways[] = {
    WAY("recvmmsg", "a poll in the ring, then one call: the present way", open_recvmmsg),
    WAY("provided buffers", "one socket, a multishot RECVMSG into a buffer ring", open_shots),
    WAY("connected, epoll", "a socket a sender, epoll_wait, a recvmsg each", open_epoll),
    WAY("connected, provided", "a socket a sender, multishot RECVMSGs into a buffer ring",
        open_connected_shots),
    WAY("connected, fixed", "a socket a sender, one submission of READ_FIXED to each; no addresses",
        open_fixed),
};
const size_t receive_ways_count = sizeof receive_ways / sizeof *receive_ways;
