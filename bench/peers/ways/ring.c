/* io_uring by its system calls, set up as the relay sets its own up. */
#include "ways.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void ring_open(struct ring *ring, unsigned entries) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = entries * 8,
    };
    ring->fd = (int)syscall(__NR_io_uring_setup, entries, &params);
    if (ring->fd < 0)
        fail("io_uring_setup (Linux 6.1 or newer?)");
    size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    size_t submissions = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    int shared = MAP_SHARED | MAP_POPULATE, use = PROT_READ | PROT_WRITE;
    char *rings = mmap(NULL, bytes > submissions ? bytes : submissions, use, shared, ring->fd,
                       IORING_OFF_SQ_RING);
    ring->sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), use, shared, ring->fd,
                      IORING_OFF_SQES);
    if (rings == MAP_FAILED || ring->sqes == MAP_FAILED)
        fail("mmap of a ring");
    ring->sq_tail = (unsigned *)(rings + params.sq_off.tail);
    ring->sq_mask = (unsigned *)(rings + params.sq_off.ring_mask);
    ring->cq_head = (unsigned *)(rings + params.cq_off.head);
    ring->cq_tail = (unsigned *)(rings + params.cq_off.tail);
    ring->cq_mask = (unsigned *)(rings + params.cq_off.ring_mask);
    ring->cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
    unsigned *array = (unsigned *)(rings + params.sq_off.array);
    for (unsigned i = 0; i < params.sq_entries; i++)
        array[i] = i;
    ring->queued = 0;
}

/* An empty submission; never more than fit, since every batch is submitted whole. */
struct io_uring_sqe *ring_next(struct ring *ring, int opcode, int fd) {
    unsigned at = (*ring->sq_tail + ring->queued++) & *ring->sq_mask;
    struct io_uring_sqe *sqe = &ring->sqes[at];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = (uint8_t)opcode;
    sqe->fd = fd;
    return sqe;
}

/* Submits what is queued and takes completions in; waits until there are `wait_for`. */
void ring_enter(struct ring *ring, unsigned wait_for) {
    unsigned count = ring->queued;
    __atomic_store_n(ring->sq_tail, *ring->sq_tail + count, __ATOMIC_RELEASE);
    ring->queued = 0;
    long done;
    do
        done = syscall(__NR_io_uring_enter, ring->fd, count, wait_for, IORING_ENTER_GETEVENTS,
                       NULL, 0);
    while (done < 0 && errno == EINTR);
    if (done != (long)count)
        fail("io_uring_enter");
}

struct io_uring_cqe *ring_done(struct ring *ring) {
    unsigned head = *ring->cq_head;
    if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
        return NULL;
    return &ring->cqes[head & *ring->cq_mask];
}

void ring_seen(struct ring *ring) {
    __atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
}

int ring_register(struct ring *ring, unsigned what, void *argument, unsigned count) {
    return (int)syscall(__NR_io_uring_register, ring->fd, what, argument, count);
}
