#define _GNU_SOURCE
#include "payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

unsigned device_of(const plan *p, unsigned index) { return p->first_device + index % p->devices; }

unsigned gateway_of(const plan *p, unsigned index) { return device_of(p, index) % p->gateways; }

/* splitmix64: the same seed and index give the same bits, in any order. */
static uint64_t mixed(uint64_t seed, uint64_t index) {
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static size_t put_id(const plan *p, unsigned index, int64_t now_us, char *out) {
    uint64_t ms = (uint64_t)(now_us / 1000), bits = mixed(p->seed, index);
    return (size_t)sprintf(out, "%08x-%04x-7%03x-%04x-%04x%08x", (unsigned)(ms >> 16), (unsigned)(ms & 0xffff),
                           (unsigned)(bits & 0xfff), (unsigned)(0x8000 | (bits >> 12 & 0x3fff)),
                           (unsigned)(bits >> 26 & 0xffff), index);
}

static void put_time(int64_t at_us, char *out, size_t room) {
    time_t s = at_us / 1000000;
    struct tm utc;
    gmtime_r(&s, &utc);
    size_t n = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, room - n, ".%03dZ", (int)(at_us / 1000 % 1000));
}

static size_t put_event(const plan *p, unsigned index, int64_t now_us, char *out) {
    int is_alarm = p->leaf[0] == 'a';
    int concerns = mixed(p->seed ^ 0xa1e27, index) % 1000 < p->alerting_permille;
    const char *type = is_alarm ? "panic.pressed" : concerns ? "gate.opened" : "motion.detected";
    char id[40], at[40];
    put_id(p, index, now_us, id);
    put_time(now_us, at, sizeof at);
    return (size_t)sprintf(
        out,
        "{\"id\":\"%s\",\"source\":\"urn:dev:org:32473-b-%05u\",\"type\":\"%s\",\"specversion\":\"1.0\","
        "\"time\":\"%s\",\"sequence\":\"%012u\",\"bootid\":\"b1\",\"clock\":\"synced\",\"age\":2,"
        "\"data\":{\"zone\":%u}}",
        id, device_of(p, index), type, at, index / p->devices + 1, index % 10);
}

static const char *const NAMES[10] = {"temperature", "humidity", "pressure", "battery", "rssi",
                                      "wind",        "rain",     "light",    "soil",    "noise"};
static const char *const UNITS[10] = {"Cel", "%RH", "Pa", "/", "dBW", "m/s", "m", "lx", "/", "dB"};

/* (device, name, time) is a key: each pack of a device takes ten milliseconds of its own in the past. */
static size_t put_pack(const plan *p, unsigned index, int64_t now_us, char *out) {
    unsigned packs = p->count / p->devices + 1, pack = index / p->devices;
    int64_t base_ms = p->started_us / 1000 - 10 * (int64_t)packs + 10 * (int64_t)pack;
    char id[40];
    put_id(p, index, now_us, id);
    size_t n = (size_t)sprintf(out, "[{\"bn\":\"urn:dev:org:32473-b-%05u:\",\"bt\":%lld.%03d,\"id\":\"%s\",\"clock\":\"synced\",",
                               device_of(p, index), (long long)(base_ms / 1000), (int)(base_ms % 1000), id);
    for (unsigned i = 0; i < p->records; i++) {
        unsigned q = i % 10, value = (unsigned)(mixed(p->seed, (uint64_t)index * 128 + i) % 100);
        if (i) n += (size_t)sprintf(out + n, ",{");
        if (i >= 10) n += (size_t)sprintf(out + n, "\"t\":0.%03u,", i / 10);
        /* A ratio stays high: a flat battery would be an alert, which is another bench. */
        n += (size_t)sprintf(out + n, "\"n\":\"%s\",\"u\":\"%s\",\"v\":%s%02u}", NAMES[q], UNITS[q],
                             q == 3 || q == 8 ? "0.9" : "1.", value);
    }
    out[n++] = ']';
    return n;
}

size_t put_payload(const plan *p, unsigned index, int64_t now_us, char *out) {
    return p->leaf[0] == 't' ? put_pack(p, index, now_us, out) : put_event(p, index, now_us, out);
}

long index_of(const char *payload, size_t length) {
    static const char mark[] = "\"id\":\"";
    const char *at = memmem(payload, length, mark, sizeof mark - 1);
    if (!at || (size_t)(payload + length - at) < sizeof mark - 1 + 36) return -1;
    char digits[9] = {0};
    memcpy(digits, at + sizeof mark - 1 + 28, 8);
    return strtol(digits, NULL, 16);
}
