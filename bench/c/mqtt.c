#include "mqtt.h"

#include <string.h>

static size_t put_length(uint8_t *out, size_t n) {
    size_t i = 0;
    do {
        uint8_t digit = n % 128;
        n /= 128;
        out[i++] = digit | (n ? 0x80 : 0);
    } while (n);
    return i;
}

static size_t put_text(uint8_t *out, const char *text) {
    size_t n = strlen(text);
    out[0] = n >> 8;
    out[1] = n & 0xff;
    memcpy(out + 2, text, n);
    return n + 2;
}

uint16_t packet_id_of(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

packet frame(const uint8_t *data, size_t held) {
    packet p = {0};
    size_t length = 0, at = 1;
    for (int shift = 0; at < held && shift < 28; shift += 7) {
        uint8_t digit = data[at++];
        length |= (size_t)(digit & 0x7f) << shift;
        if (!(digit & 0x80)) {
            if (held - at < length) return p;
            return (packet){data[0], data + at, length, at + length};
        }
    }
    return p;
}

size_t put_connect(uint8_t *out, const char *client_id) {
    /* Level 4, clean session, keep-alive off: a bench ends long before a broker would ask. */
    static const uint8_t head[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0};
    size_t n = 0;
    out[n++] = 0x10;
    n += put_length(out + n, sizeof head + 2 + strlen(client_id));
    memcpy(out + n, head, sizeof head);
    n += sizeof head;
    return n + put_text(out + n, client_id);
}

size_t put_subscribe(uint8_t *out, const char *filter, int qos) {
    size_t n = 0;
    out[n++] = 0x82;
    n += put_length(out + n, 2 + 2 + strlen(filter) + 1);
    out[n++] = 0;
    out[n++] = 1;
    n += put_text(out + n, filter);
    out[n++] = (uint8_t)qos;
    return n;
}

size_t put_publish(uint8_t *out, const char *topic, uint16_t packet_id, const char *payload, size_t length) {
    size_t n = 0;
    out[n++] = PUBLISH | 1 << 1;
    n += put_length(out + n, 2 + strlen(topic) + 2 + length);
    n += put_text(out + n, topic);
    out[n++] = packet_id >> 8;
    out[n++] = packet_id & 0xff;
    memcpy(out + n, payload, length);
    return n + length;
}

size_t put_puback(uint8_t *out, uint16_t packet_id) {
    out[0] = PUBACK;
    out[1] = 2;
    out[2] = packet_id >> 8;
    out[3] = packet_id & 0xff;
    return 4;
}

message message_of(const packet *p) {
    size_t at = 2 + packet_id_of(p->body);
    uint16_t id = 0;
    if (p->first & 0x06) {
        id = packet_id_of(p->body + at);
        at += 2;
    }
    return (message){(const char *)p->body + at, p->length - at, id};
}
