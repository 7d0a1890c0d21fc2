/* The bare subscribers that the hub is measured against: libmosquitto, one thread, QoS 1, nothing else.
 *
 *   subscriber HOST PORT FILTER COUNT MODE [CONNINFO]
 *
 * MODE  session  make the persistent session and leave, so that a queue can fill
 *       count    count messages
 *       log      append each message to bench_log by COPY, 500 rows or 5 ms at a time
 *       keyed    the same into bench_keyed, which has the columns, the key and an index as a hub needs them
 *
 * libmosquitto acknowledges when the callback returns, so these may lose what is not yet committed; and
 * they detect no duplicate (in `keyed` one fails the batch), evaluate no rule and send no receipt. That is
 * what makes them a mark: nobody who stores events can do much less. Says "ready" when subscribed, and ends
 * after COUNT messages with one JSON object; times are Unix microseconds.
 */
#define _GNU_SOURCE
#include <libpq-fe.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH_ROWS = 500, BATCH_US = 5000, ROW_BYTES = 4096 };

static long wanted, seen;
static long long first_us, last_us;
static int is_keyed, rows_held, is_subscribed;
static PGconn *database;
static char *rows;
static size_t rows_bytes;
static long long batch_since_us;

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "subscriber: %s: %s\n", what, why);
    exit(1);
}

/* --------------------------------------------------------------------------------------------- COPY */

static void check(PGresult *result, ExecStatusType expected) {
    if (PQresultStatus(result) != expected) fail("PostgreSQL", PQerrorMessage(database));
    PQclear(result);
}

static void flush_rows(void) {
    if (!rows_held) return;
    check(PQexec(database, is_keyed ? "copy bench_keyed (id, source, type, happened_at, topic, payload) from stdin"
                                    : "copy bench_log (topic, payload) from stdin"),
          PGRES_COPY_IN);
    if (PQputCopyData(database, rows, (int)rows_bytes) != 1 || PQputCopyEnd(database, NULL) != 1)
        fail("COPY", PQerrorMessage(database));
    check(PQgetResult(database), PGRES_COMMAND_OK);
    while (PQgetResult(database)) {}
    rows_held = 0;
    rows_bytes = 0;
    last_us = now_us();
}

/* COPY's text format: a backslash, a tab and a line end need a backslash. */
static void put_cell(const char *text, size_t length, char end) {
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '\\' || c == '\t' || c == '\n' || c == '\r') rows[rows_bytes++] = '\\';
        rows[rows_bytes++] = c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : c;
    }
    rows[rows_bytes++] = end;
}

/* A text field of a JSON object that is known to be flat and without escapes: as cheap as it gets. */
static void put_field(const char *payload, size_t length, const char *mark) {
    const char *at = memmem(payload, length, mark, strlen(mark));
    if (!at) fail("a message lacks", mark);
    at += strlen(mark);
    const char *end = memchr(at, '"', (size_t)(payload + length - at));
    if (!end) fail("a message is cut in", mark);
    put_cell(at, (size_t)(end - at), '\t');
}

static void add_row(const struct mosquitto_message *m) {
    size_t length = (size_t)m->payloadlen;
    if (length + strlen(m->topic) > ROW_BYTES / 3) fail("a message", "too long for this bench");
    if (!rows_held++) batch_since_us = now_us();
    if (is_keyed) {
        put_field(m->payload, length, "\"id\":\"");
        put_field(m->payload, length, "\"source\":\"");
        put_field(m->payload, length, "\"type\":\"");
        put_field(m->payload, length, "\"time\":\"");
    }
    put_cell(m->topic, strlen(m->topic), '\t');
    put_cell(m->payload, length, '\n');
    if (rows_held == BATCH_ROWS) flush_rows();
}

/* ------------------------------------------------------------------------------------------ mosquitto */

static void on_message(struct mosquitto *m, void *unused, const struct mosquitto_message *message) {
    (void)m, (void)unused;
    if (!seen++) first_us = now_us();
    if (database) add_row(message);
    else if (seen == wanted) last_us = now_us();
}

static void on_subscribe(struct mosquitto *m, void *unused, int id, int n, const int *granted) {
    (void)m, (void)unused, (void)id, (void)n, (void)granted;
    is_subscribed = 1;
    puts("ready");
    fflush(stdout);
}

static void on_connect(struct mosquitto *m, void *filter, int code) {
    if (code) fail("the broker refuses", mosquitto_connack_string(code));
    mosquitto_subscribe(m, NULL, filter, 1);
}

static void run(struct mosquitto *m, int is_session_only) {
    while (is_session_only ? !is_subscribed : seen < wanted || rows_held) {
        int code = mosquitto_loop(m, rows_held ? 1 : 100, 1);
        if (code) fail("connection", mosquitto_strerror(code));
        if (rows_held && now_us() - batch_since_us >= BATCH_US) flush_rows();
    }
}

int main(int argc, char **argv) {
    if (argc < 6) return fprintf(stderr, "use: subscriber HOST PORT FILTER COUNT MODE [CONNINFO]\n"), 2;
    const char *mode = argv[5];
    wanted = atol(argv[4]);
    is_keyed = !strcmp(mode, "keyed");
    if (is_keyed || !strcmp(mode, "log")) {
        database = PQconnectdb(argc > 6 ? argv[6] : "");
        if (PQstatus(database) != CONNECTION_OK) fail("PostgreSQL", PQerrorMessage(database));
        if (!(rows = malloc((size_t)BATCH_ROWS * ROW_BYTES))) fail("memory", "none");
    }
    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new("bench-subscriber", 0, argv[3]);
    if (!m) fail("libmosquitto", "no client");
    mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_callback_set(m, on_connect);
    mosquitto_subscribe_callback_set(m, on_subscribe);
    mosquitto_message_callback_set(m, on_message);
    if (mosquitto_connect(m, argv[1], atoi(argv[2]), 60)) fail("connect", "nobody answers");
    run(m, !strcmp(mode, "session"));
    mosquitto_disconnect(m);
    mosquitto_loop(m, 100, 1);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"seen\":%ld,\"first_us\":%lld,\"last_us\":%lld,\"cpu_s\":%.6f,\"peak_kb\":%ld}\n", seen, first_us,
           last_us, cpu_s, used.ru_maxrss);
    return 0;
}
