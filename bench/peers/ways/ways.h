/*
 * What the files of this measurement share. `main.c` tells what is measured.
 *
 * Two processes: the near one is measured, as a relay's shard would be; the far one, in the other
 * network namespace and on the other core, takes what the near one sends or sends what it takes.
 */
#ifndef WAYS_H
#define WAYS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Messages of a batch, each from or to a flow of its own: as `floor.c` and the relay batch. */
#define FLOWS 64
/* The far side's port of flow i is FAR_PORT + i. */
#define FAR_PORT 6000
/* The near side's first port. Each way that receives has a port of its own. */
#define NEAR_PORT 5000
/* Batches of a turn; after every few the far side takes what has come. */
#define BATCHES 32
#define BATCHES_TAKEN 4
#define QUEUE_BYTES (64 << 20)

/* What a message is. */
struct traffic {
    const char *name;
    uint32_t bytes;        /* of a message */
    uint32_t packet_bytes; /* of each of its packets */
    uint32_t room_bytes;   /* between the starts of two messages' memory */
};

/* What a turn of a way came to. */
struct turn {
    uint64_t near_ns; /* CPU time of the measured process */
    uint64_t far_ns;  /* of the far one while it sent */
    uint64_t packets;
    uint64_t notices; /* of zero-copy sends, in messages */
    uint64_t copied;  /* of these, those that the kernel copied after all */
    uint64_t delay_ns; /* median from sending to receiving; waits alone have it */
};

/* What the near process asks of the far one. */
enum far_does {
    FAR_TAKE,  /* take all that has come: answers packets */
    FAR_COUNT, /* what its device has counted and dropped so far: answers packets */
    FAR_FILL,  /* send a batch to a port: answers CPU nanoseconds */
    FAR_PACE,  /* send bursts to a port at their times: answers CPU nanoseconds */
};

/* Bursts of a FAR_PACE: as of calls that a shard carries, at 32,000 packets/s. */
#define BURSTS 150
#define BURST_MESSAGES 16
#define BURST_GAP_US 500

struct link {
    const char *device;
    struct in_addr near_ip, far_ip;
};

struct command {
    enum far_does does;
    uint16_t port;
    struct in_addr near_ip;
    char device[16];
    struct traffic traffic;
};

/* far.c */
void far_start(const char *name_space, int core);
void far_tell(enum far_does does, const struct link *link, const struct traffic *traffic,
              uint16_t port);
uint64_t far_answer(void);

/* common.c */
void fail(const char *what);
void refuse(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void enter(const char *name_space, int core);
uint64_t cpu_ns(void);
uint64_t now_ns(void);
int udp_socket(struct in_addr ip, uint16_t port);
void udp_connect(int fd, struct in_addr ip, uint16_t port);
void set(int fd, int level, int name, int value, const char *what);
struct sockaddr_in address(struct in_addr ip, uint16_t port);
uint64_t median(uint64_t *values, size_t count);
double median_of(double *values, size_t count);
void *memory(size_t bytes);

/* Room for one cmsg that carries an int (UDP_GRO) or a uint16_t (UDP_SEGMENT). */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* Messages of a batch and all they point to. */
struct batch {
    struct mmsghdr messages[FLOWS];
    struct iovec vectors[FLOWS];
    struct sockaddr_in names[FLOWS];
    union control controls[FLOWS];
    char *bytes;
};
void batch_to_send(struct batch *batch, const struct traffic *traffic, struct in_addr ip);
void batch_to_receive(struct batch *batch, const struct traffic *traffic);
/* Takes what is there, one call; gives its packets, 0 if there is nothing. */
uint32_t batch_receive(struct batch *batch, int fd, const struct traffic *traffic, int flags);
void batch_send(struct batch *batch, int fd, int flags);

/* ring.c: as much of io_uring as is needed, for the calling thread alone */
struct ring {
    int fd;
    unsigned *sq_tail, *sq_mask, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    unsigned queued;
};
void ring_open(struct ring *ring, unsigned entries);
struct io_uring_sqe *ring_next(struct ring *ring, int opcode, int fd);
void ring_enter(struct ring *ring, unsigned wait_for);
struct io_uring_cqe *ring_done(struct ring *ring);
void ring_seen(struct ring *ring);
int ring_register(struct ring *ring, unsigned what, void *argument, unsigned count);

/* One way through the kernel: opened once, its turns alternate with those of the others. */
struct way {
    const char *name;
    const char *what;
    /* Whether this kernel has it; what else fails ends the measurement. */
    int (*open)(struct way *way);
    void (*turn)(struct way *way, struct turn *turn);
    /* Set by who measures. */
    struct link link;
    const struct traffic *traffic;
    int counted; /* the far device counts and drops what is sent */
    int queue;   /* the device has a queue that can be polled */
    uint16_t port;
    void *state;
};

/* One of a file's ways; TURN is what all of them have as their turn. */
#define WAY(name_, what_, open_) {.name = name_, .what = what_, .open = open_, .turn = TURN}

/* send.c, receive.c, wait.c; the first of each is the present way */
extern const struct way send_ways[], receive_ways[], wait_ways[];
extern const size_t send_ways_count, receive_ways_count, wait_ways_count;

#endif
