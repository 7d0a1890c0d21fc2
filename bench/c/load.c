/* A fleet of gateways in one process: publishes numbered messages at QoS 1 and counts what comes back.
 *
 *   load HOST PORT name=value...     see OPTIONS below
 *
 * Each gateway has its own connection and listens to its own receipts. With rate=0 all of them publish as
 * fast as their windows allow; otherwise message i is due i/rate seconds after the start (with jitter=1 at
 * a random moment of its own slot). Ends when every message has its PUBACK and, with receipts=1, its
 * receipt; or when nothing has come back for patience_s. Says "acked" when the broker has all of it, and
 * ends with one JSON object.
 *
 * log=FILE writes for each message: index,sent_us,acked_us,witnessed_us (Unix microseconds; 0: never).
 * witnessed_us is when one more subscriber of ours, witness=1, got the message from the broker.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mqtt.h"
#include "payload.h"

enum { IN_BYTES = 1 << 18, OUT_BYTES = 1 << 18, MAX_IN_FLIGHT = 60000 };

typedef struct {
    int fd, is_ready, is_witness;
    unsigned next;      /* its next message's index */
    unsigned in_flight; /* published, no PUBACK yet */
    uint16_t last_id;
    uint32_t *index_of_id;
    uint8_t *in, *out;
    size_t in_held, out_held, out_sent;
    char topic[64];
} gateway;

typedef struct { int64_t sent_us, acked_us, witnessed_us; } trace;

static plan PLAN = {"event", 200, 0, 10, 10000, 1, 0, 1, 0};
static unsigned RATE, WINDOW = 200, WANTS_RECEIPTS, JITTER, WITNESS, PATIENCE_S = 20;
static const char *LOG;
static trace *TRACES;
static unsigned sent, acked, receipts, refused;
static int64_t last_sent_us, last_acked_us, first_receipt_us, last_receipt_us;
static unsigned first_receipts;

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ------------------------------------------------------------------------------------- what comes in */

static void take_receipt(const message *m) {
    /* {"ids":["…","…"]}: two quotation marks for the name, two for each id. */
    unsigned marks = 0;
    for (size_t i = 0; i < m->length; i++) marks += m->payload[i] == '"';
    if (memmem(m->payload, m->length, "\"refused\"", 9)) {
        refused++;
        return;
    }
    last_receipt_us = now_us();
    receipts += marks / 2 - 1;
    if (!first_receipt_us) {
        first_receipt_us = last_receipt_us;
        first_receipts = receipts;
    }
}

static void take(gateway *g, const packet *p) {
    switch (p->first & 0xf0) {
    case CONNACK:
        if (p->body[1]) errno = EACCES, fail("the broker refuses the connection");
        break;
    case SUBACK:
        g->is_ready = 1;
        break;
    case PUBACK:
        g->in_flight--;
        acked++;
        last_acked_us = now_us();
        if (TRACES) TRACES[g->index_of_id[packet_id_of(p->body)]].acked_us = last_acked_us;
        if (acked == PLAN.count) puts("acked"), fflush(stdout);
        break;
    case PUBLISH: {
        message m = message_of(p);
        if (g->is_witness) {
            long index = index_of(m.payload, m.length);
            if (TRACES && index >= 0 && (unsigned)index < PLAN.count) TRACES[index].witnessed_us = now_us();
        } else {
            take_receipt(&m);
        }
        if (m.packet_id) g->out_held += put_puback(g->out + g->out_held, m.packet_id);
        break;
    }
    }
}

static void read_all(gateway *g) {
    for (;;) {
        ssize_t n = recv(g->fd, g->in + g->in_held, IN_BYTES - g->in_held, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) fail("a connection ended");
        g->in_held += (size_t)n;
        size_t at = 0;
        int has_room = 1;
        for (packet p; (p = frame(g->in + at, g->in_held - at)).whole; at += p.whole) {
            if (!(has_room = OUT_BYTES - g->out_held > 64)) break; /* answers must leave first */
            take(g, &p);
        }
        memmove(g->in, g->in + at, g->in_held - at);
        g->in_held -= at;
        if (!has_room) return;
    }
}

/* ------------------------------------------------------------------------------------ what goes out */

static int64_t due_us(unsigned index) {
    if (!RATE) return 0;
    int64_t slot = 1000000 / RATE, at = (int64_t)index * 1000000 / RATE;
    uint64_t noise = (PLAN.seed + index) * 0x9e3779b97f4a7c15ULL >> 40;
    return PLAN.started_us + at + (JITTER ? (int64_t)(noise % (uint64_t)slot) : 0);
}

static void fill(gateway *g) {
    static char payload[MAX_PAYLOAD];
    while (g->next < PLAN.count && g->in_flight < WINDOW && OUT_BYTES - g->out_held > MAX_PAYLOAD + 256) {
        int64_t now = now_us();
        if (now < due_us(g->next)) return;
        size_t length = put_payload(&PLAN, g->next, now, payload);
        g->last_id = g->last_id % MAX_IN_FLIGHT + 1;
        g->index_of_id[g->last_id] = g->next;
        g->out_held += put_publish(g->out + g->out_held, g->topic, g->last_id, payload, length);
        g->in_flight++;
        sent++;
        last_sent_us = now;
        if (TRACES) TRACES[g->next].sent_us = now;
        g->next += PLAN.gateways;
        if (RATE) return; /* paced messages leave one by one */
    }
}

static void flush(gateway *g) {
    while (g->out_sent < g->out_held) {
        ssize_t n = send(g->fd, g->out + g->out_sent, g->out_held - g->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) fail("a connection broke");
        g->out_sent += (size_t)n;
    }
    g->out_held = g->out_sent = 0;
}

/* --------------------------------------------------------------------------------------- connections */

static void open_gateway(gateway *g, const struct sockaddr_in *broker, unsigned number, int is_witness) {
    char name[64], filter[96];
    int one = 1;
    g->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (g->fd < 0 || connect(g->fd, (const struct sockaddr *)broker, sizeof *broker)) fail("connect");
    setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(g->fd, F_SETFL, O_NONBLOCK);
    g->in = malloc(IN_BYTES);
    g->out = malloc(OUT_BYTES);
    g->index_of_id = calloc(MAX_IN_FLIGHT + 1, sizeof *g->index_of_id);
    if (!g->in || !g->out || !g->index_of_id) fail("memory");
    g->is_witness = is_witness;
    /* The device that message i concerns decides its gateway; see payload.h. */
    g->next = is_witness ? PLAN.count : (number + PLAN.gateways - PLAN.first_device % PLAN.gateways) % PLAN.gateways;
    snprintf(g->topic, sizeof g->topic, "almenara/1/bench-%03u/%s", number, PLAN.leaf);
    /* The process id: several fleets may share one broker. */
    snprintf(name, sizeof name, "load-%d-%s-%u", getpid(), is_witness ? "witness" : PLAN.leaf, number);
    snprintf(filter, sizeof filter, is_witness ? "almenara/1/+/alarm" : "almenara/1/bench-%03u/receipt", number);
    g->out_held = put_connect(g->out, name);
    g->out_held += put_subscribe(g->out + g->out_held, filter, is_witness ? 0 : 1);
    flush(g);
}

static void step(int poll, gateway *all, unsigned total, int timeout_ms) {
    struct epoll_event ready[128];
    int n = epoll_wait(poll, ready, 128, timeout_ms);
    for (int i = 0; i < n; i++)
        if (ready[i].events & ~(unsigned)EPOLLOUT) read_all(&all[ready[i].data.u32]);
    for (unsigned i = 0; i < total; i++) {
        if (all[i].is_ready && PLAN.started_us) fill(&all[i]);
        if (all[i].out_held) flush(&all[i]);
    }
}

static int is_done(void) {
    return acked == PLAN.count && (!WANTS_RECEIPTS || receipts + refused >= PLAN.count);
}

static int run(int poll, gateway *all, unsigned total) {
    unsigned ready = 0;
    while (ready < total) {
        step(poll, all, total, 100);
        ready = 0;
        for (unsigned i = 0; i < total; i++) ready += (unsigned)all[i].is_ready;
    }
    PLAN.started_us = now_us();
    /* Flat out there is always something to read; paced, half a millisecond is lost at most. */
    unsigned before = 0;
    int64_t moved_us = PLAN.started_us;
    while (!is_done()) {
        step(poll, all, total, 1);
        unsigned state = sent + acked + receipts + refused;
        if (state != before) before = state, moved_us = now_us();
        if (now_us() - moved_us > (int64_t)PATIENCE_S * 1000000) return 3;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------ the rest */

typedef struct { const char *name; unsigned *number; const char **text; } option;

static unsigned SEED = 1;
static const option OPTIONS[] = {
    {"leaf", 0, &PLAN.leaf},        {"devices", &PLAN.devices, 0},   {"first_device", &PLAN.first_device, 0},
    {"gateways", &PLAN.gateways, 0}, {"count", &PLAN.count, 0},       {"records", &PLAN.records, 0},
    {"alerting_permille", &PLAN.alerting_permille, 0},                {"seed", &SEED, 0},
    {"rate", &RATE, 0},             {"window", &WINDOW, 0},          {"receipts", &WANTS_RECEIPTS, 0},
    {"jitter", &JITTER, 0},         {"witness", &WITNESS, 0},        {"patience_s", &PATIENCE_S, 0},
    {"log", 0, &LOG},
};

static void read_option(const char *word) {
    const char *equals = strchr(word, '=');
    for (size_t i = 0; equals && i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        const option *o = &OPTIONS[i];
        if (strlen(o->name) != (size_t)(equals - word) || strncmp(o->name, word, strlen(o->name))) continue;
        if (o->text) *o->text = equals + 1;
        else *o->number = (unsigned)strtoul(equals + 1, NULL, 10);
        return;
    }
    fprintf(stderr, "load: no option %s\n", word);
    exit(2);
}

static void write_log(void) {
    FILE *file = fopen(LOG, "w");
    if (!file) fail(LOG);
    for (unsigned i = 0; i < PLAN.count; i++)
        fprintf(file, "%u,%lld,%lld,%lld\n", device_of(&PLAN, i), (long long)TRACES[i].sent_us,
                (long long)TRACES[i].acked_us, (long long)TRACES[i].witnessed_us);
    if (fclose(file)) fail(LOG);
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "use: load HOST PORT name=value...\n"), 2;
    for (int i = 3; i < argc; i++) read_option(argv[i]);
    PLAN.seed = SEED;
    if (!PLAN.devices || !PLAN.gateways || PLAN.devices % PLAN.gateways || PLAN.records > 100 || WINDOW > MAX_IN_FLIGHT)
        return fprintf(stderr, "load: devices must be a multiple of gateways, records at most 100\n"), 2;
    if (LOG && !(TRACES = calloc(PLAN.count, sizeof *TRACES))) fail("memory");
    struct sockaddr_in broker = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &broker.sin_addr) != 1) return fprintf(stderr, "load: HOST is an IPv4 address\n"), 2;
    unsigned total = PLAN.gateways + (WITNESS ? 1 : 0);
    gateway *all = calloc(total, sizeof *all);
    int poll = epoll_create1(0);
    if (!all || poll < 0) fail("memory");
    for (unsigned i = 0; i < total; i++) {
        open_gateway(&all[i], &broker, i, i == PLAN.gateways);
        struct epoll_event wish = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &wish)) fail("epoll");
    }
    int code = run(poll, all, total);
    if (LOG) write_log();
    char sample[MAX_PAYLOAD];
    printf("{\"sent\":%u,\"acked\":%u,\"receipts\":%u,\"refused\":%u,\"payload_bytes\":%zu,\"started_us\":%lld,"
           "\"last_sent_us\":%lld,\"last_acked_us\":%lld,\"first_receipt_us\":%lld,\"first_receipts\":%u,"
           "\"last_receipt_us\":%lld}\n",
           sent, acked, receipts, refused, put_payload(&PLAN, 0, now_us(), sample), (long long)PLAN.started_us,
           (long long)last_sent_us, (long long)last_acked_us, (long long)first_receipt_us, first_receipts,
           (long long)last_receipt_us);
    return code;
}
