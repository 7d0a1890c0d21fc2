/* The few MQTT 3.1.1 packets that a load generator speaks. No I/O here.
 *
 * Every put_* writes one packet at `out` and returns its length; the caller guarantees the room. frame()
 * finds the next whole packet in what a socket gave. Section numbers are those of MQTT 3.1.1.
 */
#ifndef BENCH_MQTT_H
#define BENCH_MQTT_H

#include <stddef.h>
#include <stdint.h>

enum { CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBACK = 0x90 };

typedef struct {
    uint8_t first;        /* type and flags */
    const uint8_t *body;  /* what follows the remaining length */
    size_t length;        /* of the body */
    size_t whole;         /* bytes of the packet, header included; 0: not complete yet */
} packet;

packet frame(const uint8_t *data, size_t held);

size_t put_connect(uint8_t *out, const char *client_id);
size_t put_subscribe(uint8_t *out, const char *filter, int qos);
size_t put_publish(uint8_t *out, const char *topic, uint16_t packet_id, const char *payload, size_t length);
size_t put_puback(uint8_t *out, uint16_t packet_id);

uint16_t packet_id_of(const uint8_t *at);

/* Splits the body of a PUBLISH. packet_id is 0 at QoS 0. */
typedef struct {
    const char *payload;
    size_t length;
    uint16_t packet_id;
} message;
message message_of(const packet *p);

#endif
