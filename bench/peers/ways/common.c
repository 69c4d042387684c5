/* Sockets, clocks and batches: what both processes need. */
#include "ways.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void fail(const char *what) {
    perror(what);
    exit(1);
}

void refuse(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

/*
 * The process's own clock. CLOCK_PROCESS_CPUTIME_ID will not do on a busy machine: a kernel without
 * PREEMPT keeps a thread that is to be preempted to the end of its system call, and then bills that
 * part to whoever comes next. A batch in one submission, one long call, would look cheap.
 */
static int own_clock;

static void open_clock(void) {
    struct perf_event_attr clock = {.type = PERF_TYPE_SOFTWARE, .size = sizeof clock,
                                    .config = PERF_COUNT_SW_TASK_CLOCK, .inherit = 1};
    own_clock = (int)syscall(SYS_perf_event_open, &clock, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (own_clock < 0)
        fail("perf_event_open");
}

/* Moves the process to a network namespace made by `ip netns` and to a core, before all ordinary
 * processes there. */
void enter(const char *name_space, int core) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name_space);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET))
        fail(path);
    close(fd);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)core, &cores);
    if (sched_setaffinity(0, sizeof cores, &cores))
        fail("sched_setaffinity");
    struct sched_param first = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &first))
        fail("sched_setscheduler");
    open_clock();
}

/*
 * Of all threads of the process, io_uring's workers among them, and of the softirqs that ran in
 * them: all that a packet causes on a veth device. What was left to the softirq thread would not be
 * there yet when the other side looks, and the counts would not agree.
 */
uint64_t cpu_ns(void) {
    uint64_t ran;
    if (read(own_clock, &ran, sizeof ran) != sizeof ran)
        fail("reading the clock");
    return ran;
}

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

struct sockaddr_in address(struct in_addr ip, uint16_t port) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip};
    return name;
}

void set(int fd, int level, int name, int value, const char *what) {
    if (setsockopt(fd, level, name, &value, sizeof value))
        fail(what);
}

/* Trains arrive whole; the port may be shared with sockets that are connected. */
int udp_socket(struct in_addr ip, uint16_t port) {
    struct sockaddr_in here = address(ip, port);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES, "SO_RCVBUFFORCE");
    set(fd, SOL_SOCKET, SO_SNDBUFFORCE, QUEUE_BYTES, "SO_SNDBUFFORCE");
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    set(fd, IPPROTO_UDP, UDP_GRO, 1, "UDP_GRO");
    if (bind(fd, (struct sockaddr *)&here, sizeof here))
        fail("bind");
    return fd;
}

void udp_connect(int fd, struct in_addr ip, uint16_t port) {
    struct sockaddr_in there = address(ip, port);
    if (connect(fd, (struct sockaddr *)&there, sizeof there))
        fail("connect");
}

static int by_size(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

uint64_t median(uint64_t *values, size_t count) {
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

static int by_ratio(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

double median_of(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_ratio);
    return values[count / 2];
}

void *memory(size_t bytes) {
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (start == MAP_FAILED)
        fail("mmap");
    return start;
}

static void batch_lay(struct batch *batch, const struct traffic *traffic, uint32_t bytes) {
    batch->bytes = memory((size_t)FLOWS * traffic->room_bytes);
    for (uint32_t i = 0; i < FLOWS; i++) {
        char *start = batch->bytes + (size_t)i * traffic->room_bytes;
        batch->vectors[i] = (struct iovec){start, bytes};
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->names[i],
            .msg_namelen = sizeof batch->names[i],
            .msg_iov = &batch->vectors[i],
            .msg_iovlen = 1,
        };
    }
}

void batch_to_send(struct batch *batch, const struct traffic *traffic, struct in_addr ip) {
    batch_lay(batch, traffic, traffic->bytes);
    uint16_t segment = (uint16_t)traffic->packet_bytes;
    for (uint16_t i = 0; i < FLOWS; i++) {
        batch->names[i] = address(ip, (uint16_t)(FAR_PORT + i));
        if (traffic->bytes == traffic->packet_bytes)
            continue;
        struct cmsghdr *cut = &batch->controls[i].align;
        *cut = (struct cmsghdr){CMSG_LEN(sizeof segment), IPPROTO_UDP, UDP_SEGMENT};
        memcpy(CMSG_DATA(cut), &segment, sizeof segment);
        batch->messages[i].msg_hdr.msg_control = cut;
        batch->messages[i].msg_hdr.msg_controllen = CMSG_SPACE(sizeof segment);
    }
}

void batch_to_receive(struct batch *batch, const struct traffic *traffic) {
    batch_lay(batch, traffic, traffic->room_bytes);
}

uint32_t batch_receive(struct batch *batch, int fd, const struct traffic *traffic, int flags) {
    for (int i = 0; i < FLOWS; i++) {
        batch->messages[i].msg_hdr.msg_control = &batch->controls[i];
        batch->messages[i].msg_hdr.msg_controllen = sizeof batch->controls[i];
    }
    int count = recvmmsg(fd, batch->messages, FLOWS, flags, NULL);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        fail("recvmmsg");
    uint32_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += batch->messages[i].msg_len;
    return bytes / traffic->packet_bytes;
}

void batch_send(struct batch *batch, int fd, int flags) {
    for (int sent = 0; sent < FLOWS;) {
        int now = sendmmsg(fd, batch->messages + sent, (unsigned)(FLOWS - sent), flags);
        if (now < 0 && errno != EINTR)
            fail("sendmmsg");
        if (now > 0)
            sent += now;
    }
}
