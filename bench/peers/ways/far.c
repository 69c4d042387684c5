/* The far process: takes, counts or sends what the near one asks for. */
#include "ways.h"
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int commands;
static int sockets[FLOWS];
static struct batch taken;
/* Messages to send, of the longest traffic. */
static char *outgoing;
#define OUTGOING_BYTES 65536

static uint64_t take(const struct traffic *traffic) {
    static uint32_t room;
    if (room != traffic->room_bytes) {
        batch_to_receive(&taken, traffic);
        room = traffic->room_bytes;
    }
    uint64_t packets = 0;
    for (int i = 0; i < FLOWS; i++) {
        uint32_t more;
        while ((more = batch_receive(&taken, sockets[i], traffic, MSG_DONTWAIT)) > 0)
            packets += more;
    }
    return packets;
}

/* Packets that the device's ingress has seen and dropped; each packet of a train counts. */
static uint64_t count(const char *device) {
    char line[256];
    unsigned long long packets = 0, dropped = 0;
    snprintf(line, sizeof line, "tc -s qdisc show dev %s ingress", device);
    FILE *said = popen(line, "r");
    int found = 0;
    while (said && fgets(line, sizeof line, said))
        found |= sscanf(line, " Sent %*u bytes %llu pkt (dropped %llu", &packets, &dropped) == 2;
    if (!said || pclose(said) || !found)
        refuse("tc does not tell what the ingress of %s has counted", device);
    return packets;
}

static void send_one(const struct command *command, uint32_t flow) {
    const struct traffic *traffic = &command->traffic;
    struct sockaddr_in to = address(command->near_ip, command->port);
    uint64_t now = now_ns();
    memcpy(outgoing, &now, sizeof now);
    struct iovec bytes = {outgoing, traffic->bytes};
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &bytes,
                             .msg_iovlen = 1};
    union control control = {0};
    uint16_t segment = (uint16_t)traffic->packet_bytes;
    if (traffic->bytes != traffic->packet_bytes) {
        control.align = (struct cmsghdr){CMSG_LEN(sizeof segment), IPPROTO_UDP, UDP_SEGMENT};
        memcpy(CMSG_DATA(&control.align), &segment, sizeof segment);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof segment);
    }
    if (sendmsg(sockets[flow], &message, 0) != (ssize_t)traffic->bytes)
        fail("sendmsg");
}

static void fill(const struct command *command) {
    for (uint32_t flow = 0; flow < FLOWS; flow++)
        send_one(command, flow);
}

static void pace(const struct command *command) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    for (uint32_t burst = 0; burst < BURSTS; burst++) {
        for (uint32_t i = 0; i < BURST_MESSAGES; i++)
            send_one(command, (burst * BURST_MESSAGES + i) % FLOWS);
        at.tv_nsec += BURST_GAP_US * 1000;
        if (at.tv_nsec >= 1000000000) {
            at.tv_nsec -= 1000000000;
            at.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
}

static uint64_t obey(const struct command *command) {
    if (command->does == FAR_TAKE)
        return take(&command->traffic);
    if (command->does == FAR_COUNT)
        return count(command->device);
    uint64_t start = cpu_ns();
    if (command->does == FAR_FILL)
        fill(command);
    else
        pace(command);
    return cpu_ns() - start;
}

static void serve(const char *name_space, int core) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    enter(name_space, core);
    prctl(PR_SET_TIMERSLACK, 1UL);
    outgoing = memory(OUTGOING_BYTES);
    struct in_addr any = {htonl(INADDR_ANY)};
    for (uint16_t i = 0; i < FLOWS; i++)
        sockets[i] = udp_socket(any, (uint16_t)(FAR_PORT + i));
    struct command command;
    uint64_t answer = 0; /* the first says that the sockets are there */
    do {
        if (write(commands, &answer, sizeof answer) != sizeof answer)
            exit(1);
        if (read(commands, &command, sizeof command) != sizeof command)
            exit(0);
        answer = obey(&command);
    } while (1);
}

void far_start(const char *name_space, int core) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        fail("socketpair");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    commands = ends[child == 0];
    close(ends[child != 0]);
    if (child == 0)
        serve(name_space, core);
    far_answer();
}

void far_tell(enum far_does does, const struct link *link, const struct traffic *traffic,
              uint16_t port) {
    struct command command = {.does = does, .port = port, .near_ip = link->near_ip,
                              .traffic = *traffic};
    snprintf(command.device, sizeof command.device, "%s", link->device);
    if (write(commands, &command, sizeof command) != sizeof command)
        fail("asking the far process");
}

uint64_t far_answer(void) {
    uint64_t answer;
    if (read(commands, &answer, sizeof answer) != sizeof answer)
        refuse("the far process has ended");
    return answer;
}
