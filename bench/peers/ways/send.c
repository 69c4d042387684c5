/*
 * Ways to send a batch: a message to each of 64 destinations. What zero-copy sends owe, their
 * notices, is reaped within the batch: until then the memory may not be written again.
 */
#include "ways.h"
#include <errno.h>
#include <linux/errqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct sender {
    struct batch batch;
    struct ring ring;
    int sockets[FLOWS]; /* one, or one connected to each destination */
    void (*send)(struct way *way, struct turn *turn);
};

static int is_train(const struct way *way) {
    return way->traffic->bytes != way->traffic->packet_bytes;
}

static int near_socket(const struct way *way, int cuts) {
    int fd = udp_socket(way->link.near_ip, NEAR_PORT);
    if (cuts && is_train(way))
        set(fd, IPPROTO_UDP, UDP_SEGMENT, (int)way->traffic->packet_bytes, "UDP_SEGMENT");
    return fd;
}

/* What a way needs; CUTS: sends that carry no control message. */
enum needs { RING = 1, CONNECTED = 2, FIXED = 4, CUTS = 8, ZEROCOPY = 16 };

static struct sender *prepare(struct way *way, enum needs needs,
                              void (*send)(struct way *, struct turn *)) {
    struct sender *it = memory(sizeof *it);
    way->state = it;
    it->send = send;
    batch_to_send(&it->batch, way->traffic, way->link.far_ip);
    for (uint16_t i = 0; i < (needs & CONNECTED ? FLOWS : 1); i++) {
        it->sockets[i] = near_socket(way, needs & (CUTS | CONNECTED));
        if (needs & CONNECTED)
            udp_connect(it->sockets[i], way->link.far_ip, (uint16_t)(FAR_PORT + i));
    }
    if (needs & ZEROCOPY)
        set(it->sockets[0], SOL_SOCKET, SO_ZEROCOPY, 1, "SO_ZEROCOPY");
    if (needs & RING) {
        ring_open(&it->ring, FLOWS);
        if (ring_register(&it->ring, IORING_REGISTER_FILES, it->sockets,
                          needs & CONNECTED ? FLOWS : 1))
            fail("IORING_REGISTER_FILES");
    }
    struct iovec all = {it->batch.bytes, (size_t)FLOWS * way->traffic->room_bytes};
    if ((needs & FIXED) && ring_register(&it->ring, IORING_REGISTER_BUFFERS, &all, 1))
        fail("IORING_REGISTER_BUFFERS");
    return it;
}

static void send_batch(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    (void)turn;
    batch_send(&it->batch, it->sockets[0], 0);
}

static void send_each(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    (void)turn;
    for (int i = 0; i < FLOWS; i++) {
        const struct iovec *bytes = &it->batch.vectors[i];
        if (send(it->sockets[i], bytes->iov_base, bytes->iov_len, 0) != (ssize_t)bytes->iov_len)
            fail("send");
    }
}

/* Reads the socket's error queue until every message of the batch is accounted for. */
static void reap_errors(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    for (uint32_t reaped = 0; reaped < FLOWS;) {
        char control[256];
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(it->sockets[0], &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno != EAGAIN)
                fail("MSG_ERRQUEUE");
            continue;
        }
        struct cmsghdr *first = CMSG_FIRSTHDR(&message);
        struct sock_extended_err *notice = first ? (void *)CMSG_DATA(first) : NULL;
        if (!notice || notice->ee_origin != SO_EE_ORIGIN_ZEROCOPY || notice->ee_errno)
            refuse("%s: the error queue holds something else", way->name);
        uint32_t range = notice->ee_data - notice->ee_info + 1;
        reaped += range;
        turn->copied += notice->ee_code & SO_EE_CODE_ZEROCOPY_COPIED ? range : 0;
    }
    turn->notices += FLOWS;
}

static void send_zero_copy(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    batch_send(&it->batch, it->sockets[0], MSG_ZEROCOPY);
    reap_errors(way, turn);
}

/* Submits what is queued; takes in every completion and every notice that one promises. */
static void finish(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    uint32_t wanted = FLOWS;
    ring_enter(&it->ring, wanted);
    while (wanted > 0) {
        struct io_uring_cqe *done = ring_done(&it->ring);
        if (!done) {
            ring_enter(&it->ring, 1);
            continue;
        }
        wanted--;
        if (done->flags & IORING_CQE_F_NOTIF) {
            turn->notices++;
            turn->copied += ((uint32_t)done->res & IORING_NOTIF_USAGE_ZC_COPIED) != 0;
        } else if (done->res != (int)way->traffic->bytes) {
            refuse("%s: a send gave %s", way->name, strerror(-done->res));
        } else if (done->flags & IORING_CQE_F_MORE) {
            wanted++;
        }
        ring_seen(&it->ring);
    }
}

static struct io_uring_sqe *queue(struct sender *it, int opcode, int socket) {
    struct io_uring_sqe *sqe = ring_next(&it->ring, opcode, socket);
    sqe->flags = IOSQE_FIXED_FILE;
    return sqe;
}

static void queue_bytes(struct io_uring_sqe *sqe, const struct iovec *bytes) {
    sqe->addr = (uintptr_t)bytes->iov_base;
    sqe->len = (uint32_t)bytes->iov_len;
}

static void ring_send_each(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    for (int i = 0; i < FLOWS; i++)
        queue_bytes(queue(it, IORING_OP_SEND, i), &it->batch.vectors[i]);
    finish(way, turn);
}

static void ring_messages(struct way *way, struct turn *turn, int opcode, uint16_t flags) {
    struct sender *it = way->state;
    for (int i = 0; i < FLOWS; i++) {
        struct io_uring_sqe *sqe = queue(it, opcode, 0);
        sqe->addr = (uintptr_t)&it->batch.messages[i].msg_hdr;
        sqe->len = 1;
        sqe->ioprio = flags;
    }
    finish(way, turn);
}

static void ring_sendmsg(struct way *way, struct turn *turn) {
    ring_messages(way, turn, IORING_OP_SENDMSG, 0);
}

static void ring_sendmsg_zc(struct way *way, struct turn *turn) {
    ring_messages(way, turn, IORING_OP_SENDMSG_ZC, IORING_SEND_ZC_REPORT_USAGE);
}

static void ring_sendmsg_zc_fixed(struct way *way, struct turn *turn) {
    ring_messages(way, turn, IORING_OP_SENDMSG_ZC,
                  IORING_SEND_ZC_REPORT_USAGE | IORING_RECVSEND_FIXED_BUF);
}

static void ring_send_zc_fixed(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    for (int i = 0; i < FLOWS; i++) {
        struct io_uring_sqe *sqe = queue(it, IORING_OP_SEND_ZC, 0);
        queue_bytes(sqe, &it->batch.vectors[i]);
        sqe->addr2 = (uintptr_t)&it->batch.names[i];
        sqe->addr_len = sizeof it->batch.names[i];
        sqe->ioprio = IORING_SEND_ZC_REPORT_USAGE | IORING_RECVSEND_FIXED_BUF;
    }
    finish(way, turn);
}

static void ring_send_zc_each(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    for (int i = 0; i < FLOWS; i++) {
        struct io_uring_sqe *sqe = queue(it, IORING_OP_SEND_ZC, i);
        queue_bytes(sqe, &it->batch.vectors[i]);
        sqe->ioprio = IORING_SEND_ZC_REPORT_USAGE | IORING_RECVSEND_FIXED_BUF;
    }
    finish(way, turn);
}

/* Whether the ring takes messages from registered memory (Linux 6.15): tried with one that goes to
 * nobody. Every other error than EINVAL says that it was understood. */
static int has_fixed_messages(struct way *way) {
    struct sender *it = way->state;
    struct msghdr message = it->batch.messages[0].msg_hdr;
    message.msg_name = NULL;
    message.msg_namelen = 0;
    struct io_uring_sqe *sqe = queue(it, IORING_OP_SENDMSG_ZC, 0);
    sqe->addr = (uintptr_t)&message;
    sqe->len = 1;
    sqe->ioprio = IORING_RECVSEND_FIXED_BUF;
    int result = 0;
    for (uint32_t wanted = 1; wanted > 0; wanted--) {
        ring_enter(&it->ring, 1);
        struct io_uring_cqe *done = ring_done(&it->ring);
        wanted += (done->flags & IORING_CQE_F_MORE) != 0;
        result = done->flags & IORING_CQE_F_NOTIF ? result : done->res;
        ring_seen(&it->ring);
    }
    return result != -EINVAL;
}

static int open_sendmmsg(struct way *way) {
    prepare(way, 0, send_batch);
    return 1;
}

static int open_connected(struct way *way) {
    prepare(way, CONNECTED, send_each);
    return 1;
}

static int open_ring_connected(struct way *way) {
    prepare(way, RING | CONNECTED, ring_send_each);
    return 1;
}

static int open_ring_sendmsg(struct way *way) {
    prepare(way, RING, ring_sendmsg);
    return 1;
}

static int open_zero_copy(struct way *way) {
    prepare(way, ZEROCOPY, send_zero_copy);
    return 1;
}

static int open_sendmsg_zc(struct way *way) {
    prepare(way, RING, ring_sendmsg_zc);
    return 1;
}

static int open_sendmsg_zc_fixed(struct way *way) {
    prepare(way, RING | FIXED, ring_sendmsg_zc_fixed);
    return has_fixed_messages(way);
}

static int open_send_zc_fixed(struct way *way) {
    prepare(way, RING | FIXED | CUTS, ring_send_zc_fixed);
    return 1;
}

static int open_send_zc_connected(struct way *way) {
    prepare(way, RING | FIXED | CONNECTED, ring_send_zc_each);
    return 1;
}

static uint64_t ask(const struct way *way, enum far_does does) {
    far_tell(does, &way->link, way->traffic, 0);
    return far_answer();
}

static void turn_of_sending(struct way *way, struct turn *turn) {
    struct sender *it = way->state;
    uint64_t before = way->counted ? ask(way, FAR_COUNT) : 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start = cpu_ns();
        it->send(way, turn);
        turn->near_ns += cpu_ns() - start;
        if (!way->counted && (batch + 1) % BATCHES_TAKEN == 0)
            turn->packets += ask(way, FAR_TAKE);
    }
    if (way->counted)
        turn->packets = ask(way, FAR_COUNT) - before;
}

#define TURN turn_of_sending

const struct way send_ways[] = {
    WAY("sendmmsg", "one call, one socket, an address a message: the present way", open_sendmmsg),
    WAY("connected send", "a socket a destination, a call each", open_connected),
    WAY("connected ring", "a socket a destination, one submission of SENDs", open_ring_connected),
    WAY("ring sendmsg", "one socket, one submission of SENDMSGs", open_ring_sendmsg),
    WAY("MSG_ZEROCOPY", "sendmmsg with it; notices from the error queue", open_zero_copy),
    WAY("SENDMSG_ZC", "one submission of them", open_sendmsg_zc),
    WAY("SENDMSG_ZC fixed", "the same from registered buffers", open_sendmsg_zc_fixed),
    WAY("SEND_ZC fixed", "one submission of SEND_ZCs from registered buffers", open_send_zc_fixed),
    WAY("connected SEND_ZC fixed", "the same, a socket a destination", open_send_zc_connected),
};
const size_t send_ways_count = sizeof send_ways / sizeof *send_ways;
