/* What the bench's devices say: CloudEvents and SenML packs as a gateway sends them (edge/contract.py).
 *
 * Message `index` belongs to device first_device + index % devices; a device's source is
 * urn:dev:org:32473-b-NNNNN and its gateway bench-NNN is its number modulo `gateways`. Every id is a
 * UUIDv7 whose last eight digits are the index, so that whoever sees a message knows which one it was.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_PAYLOAD = 32 * 1024 };

typedef struct {
    const char *leaf; /* alarm, event or telemetry */
    unsigned devices, first_device, gateways;
    unsigned count;             /* messages in all: packs get times before now */
    unsigned records;           /* measurements in a pack */
    unsigned alerting_permille; /* of the events, how many concern a rule */
    uint64_t seed;
    int64_t started_us;         /* Unix time */
} plan;

unsigned device_of(const plan *p, unsigned index);
unsigned gateway_of(const plan *p, unsigned index);
/* Writes the payload of a message at `out` (MAX_PAYLOAD bytes); returns its length. */
size_t put_payload(const plan *p, unsigned index, int64_t now_us, char *out);
/* The index inside the id of an event; -1 when there is none. */
long index_of(const char *payload, size_t length);

#endif
