/*
 * What other ways through the kernel cost beside the present one of the relay: recvmmsg and
 * sendmmsg on one UDP socket, trains whole (UDP_GRO, UDP_SEGMENT), waits in an io_uring ring.
 *
 *     ways NEAR FAR ROUNDS JSON DEVICE,NEAR_IP,FAR_IP ...
 *
 * NEAR and FAR are network namespaces, joined by four devices that `run` makes: plain; one whose
 * ingress counts and drops what is sent; one with a queue of its own; and the same, deferred.
 *
 * All ways of a comparison are open at once; each round gives each a turn, in alternating order.
 * A ratio is the median of the rounds' ratios to the present way's turn of that round. A turn in
 * which a packet is missing ends the measurement: what loses packets does less work.
 */
#include "ways.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEAR_CORE 1
#define FAR_CORE 0
#define ROUNDS_MAX 999
#define TURN_SECONDS 20
#define WAYS_MAX 10

static const struct traffic voice = {"voice", 160, 160, 2048};
static const struct traffic trains = {"trains", 8 * 1200, 1200, 16384};

enum { PLAIN, COUNTED, QUEUE, DEFERRED, LINKS };

static const struct comparison {
    const char *name;
    const char *what;
    const struct way *ways;
    const size_t *count;
    const struct traffic *traffic;
    int link;
} comparisons[] = {
    {"send voice", "64 x 160 B a batch, into the far side's sockets", send_ways, &send_ways_count,
     &voice, PLAIN},
    {"send voice, counted", "the same, counted and dropped behind the far device: the send alone",
     send_ways, &send_ways_count, &voice, COUNTED},
    {"send trains", "64 x 8 x 1,200 B a batch, into the far side's sockets", send_ways,
     &send_ways_count, &trains, PLAIN},
    {"send trains, counted", "the same, counted and dropped behind the far device", send_ways,
     &send_ways_count, &trains, COUNTED},
    {"receive voice", "64 x 160 B a batch", receive_ways, &receive_ways_count, &voice, PLAIN},
    {"receive trains", "64 x 8 x 1,200 B a batch", receive_ways, &receive_ways_count, &trains,
     PLAIN},
    {"wait", "16 x 160 B every 500 us, a device without a queue", wait_ways, &wait_ways_count,
     &voice, PLAIN},
    {"wait, queue", "the same, a device with one", wait_ways, &wait_ways_count, &voice, QUEUE},
    {"wait, deferred queue", "the same, handed over by timer", wait_ways, &wait_ways_count, &voice,
     DEFERRED},
};
#define COMPARISONS (sizeof comparisons / sizeof *comparisons)

static struct link links[LINKS];

struct row {
    struct way way;
    int has;
    struct turn turns[ROUNDS_MAX];
};

static struct row rows[WAYS_MAX];

static void hangs(int number) {
    static const char said[] = "a turn does not end: packets were lost\n";
    (void)number;
    _exit(write(STDERR_FILENO, said, sizeof said - 1) > 0 ? 1 : 2);
}

static void take_turn(const struct comparison *it, struct row *row, struct turn *turn) {
    uint64_t expected = it->ways == wait_ways ? BURSTS * BURST_MESSAGES : BATCHES * FLOWS;
    expected *= it->traffic->bytes / it->traffic->packet_bytes;
    memset(turn, 0, sizeof *turn);
    alarm(TURN_SECONDS);
    row->way.turn(&row->way, turn);
    if (turn->packets != expected)
        refuse("%s, %s: %llu packets arrived of %llu", it->name, row->way.name,
               (unsigned long long)turn->packets, (unsigned long long)expected);
}

static void open_all(const struct comparison *it, size_t number) {
    for (size_t i = 0; i < *it->count; i++) {
        rows[i].way = it->ways[i];
        rows[i].way.link = links[it->link];
        rows[i].way.traffic = it->traffic;
        rows[i].way.counted = it->link == COUNTED;
        rows[i].way.queue = it->link == QUEUE || it->link == DEFERRED;
        rows[i].way.port = (uint16_t)(NEAR_PORT + number * WAYS_MAX + i);
        rows[i].has = rows[i].way.open(&rows[i].way);
        if (rows[i].has)
            take_turn(it, &rows[i], &rows[i].turns[0]); /* warm */
    }
}

static void measure(const struct comparison *it, size_t rounds) {
    for (size_t round = 0; round < rounds; round++)
        for (size_t turn = 0; turn < *it->count; turn++) {
            size_t i = round % 2 ? *it->count - 1 - turn : turn;
            if (rows[i].has)
                take_turn(it, &rows[i], &rows[i].turns[round]);
        }
}

/* Medians of a row's turns. */
struct result {
    double near_ns, far_ns, near_ratio, low, high, whole_ratio;
    double copied, delay_us;
};

static double per_packet(const struct turn *turn, int whole) {
    return (double)(turn->near_ns + (whole ? turn->far_ns : 0)) / (double)turn->packets;
}

static struct result result_of(const struct row *row, size_t rounds) {
    static double near[ROUNDS_MAX], far[ROUNDS_MAX], ratio[ROUNDS_MAX], whole[ROUNDS_MAX],
        delay[ROUNDS_MAX];
    uint64_t notices = 0, copied = 0;
    for (size_t i = 0; i < rounds; i++) {
        const struct turn *turn = &row->turns[i], *present = &rows[0].turns[i];
        near[i] = per_packet(turn, 0);
        far[i] = per_packet(turn, 1) - near[i];
        ratio[i] = near[i] / per_packet(present, 0);
        whole[i] = per_packet(turn, 1) / per_packet(present, 1);
        delay[i] = (double)turn->delay_ns / 1000;
        notices += turn->notices;
        copied += turn->copied;
    }
    struct result result = {.near_ns = median_of(near, rounds),
                            .far_ns = median_of(far, rounds),
                            .near_ratio = median_of(ratio, rounds),
                            .whole_ratio = median_of(whole, rounds),
                            .delay_us = median_of(delay, rounds),
                            .copied = notices ? (double)copied / (double)notices : -1};
    result.low = ratio[rounds / 4];
    result.high = ratio[rounds - 1 - rounds / 4];
    return result;
}

static void print_row(const struct comparison *it, const struct row *row, size_t rounds) {
    struct result result = result_of(row, rounds);
    printf("  %-24s %8.0f %6.2f  %4.2f-%4.2f", row->way.name, result.near_ns, result.near_ratio,
           result.low, result.high);
    if (it->ways != send_ways)
        printf("  %6.2f", result.whole_ratio);
    if (it->ways == wait_ways)
        printf("  %6.1f", result.delay_us);
    if (result.copied >= 0)
        printf("  notices for all, copied: %.0f %%", 100 * result.copied);
    putchar('\n');
}

static void print(const struct comparison *it, size_t rounds) {
    printf("\n%s: %s\n  %-24s ns/pkt  ratio   quartiles%s%s\n", it->name, it->what, "",
           it->ways != send_ways ? "  +far" : "", it->ways == wait_ways ? "  delay us" : "");
    for (size_t i = 0; i < *it->count; i++)
        if (rows[i].has)
            print_row(it, &rows[i], rounds);
        else
            printf("  %-24s this kernel has it not\n", rows[i].way.name);
    fflush(stdout);
}

static void write_rows(FILE *file, const struct comparison *it, size_t rounds) {
    for (size_t i = 0; i < *it->count; i++) {
        if (!rows[i].has)
            continue;
        struct result result = result_of(&rows[i], rounds);
        fprintf(file,
                "%s\n  {\"comparison\": \"%s\", \"way\": \"%s\", \"what\": \"%s\", "
                "\"ns_per_packet\": %.1f, \"far_ns_per_packet\": %.1f, \"ratio\": %.3f, "
                "\"quartiles\": [%.3f, %.3f], \"ratio_with_far\": %.3f",
                it == comparisons && i == 0 ? "" : ",", it->name, rows[i].way.name,
                rows[i].way.what, result.near_ns, result.far_ns, result.near_ratio, result.low,
                result.high, result.whole_ratio);
        if (result.copied >= 0)
            fprintf(file, ", \"copied\": %.3f", result.copied);
        if (it->ways == wait_ways)
            fprintf(file, ", \"delay_us\": %.1f", result.delay_us);
        fputc('}', file);
    }
}

static void read_link(struct link *link, char *text) {
    link->device = strtok(text, ",");
    char *near = strtok(NULL, ","), *far = strtok(NULL, ",");
    if (!far || inet_pton(AF_INET, near, &link->near_ip) != 1 ||
        inet_pton(AF_INET, far, &link->far_ip) != 1)
        refuse("not DEVICE,NEAR_IP,FAR_IP: %s", text);
}

int main(int argc, char **argv) {
    size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    if (argc != 5 + LINKS || rounds < 1 || rounds > ROUNDS_MAX)
        refuse("usage: ways NEAR FAR ROUNDS JSON LINK LINK LINK LINK; started by `run`");
    for (int i = 0; i < LINKS; i++)
        read_link(&links[i], argv[5 + i]);
    FILE *json = fopen(argv[4], "w");
    if (!json)
        fail(argv[4]);
    signal(SIGALRM, hangs);
    far_start(argv[2], FAR_CORE);
    enter(argv[1], NEAR_CORE);
    fprintf(json, "{\"rounds\": %zu, \"rows\": [", rounds);
    for (size_t i = 0; i < COMPARISONS; i++) {
        open_all(&comparisons[i], i);
        measure(&comparisons[i], rounds);
        print(&comparisons[i], rounds);
        write_rows(json, &comparisons[i], rounds);
    }
    fputs("\n]}\n", json);
    return fclose(json) ? 1 : 0;
}
