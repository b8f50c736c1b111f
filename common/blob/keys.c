#include "blob/keys.h"

#include <stdio.h>

#include "base/rand.h"

static uint16_t crc16(struct str s)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < s.n; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)((unsigned char)s.p[i] << 8));
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

unsigned keys_shard(struct str id, unsigned shards)
{
    return shards == 1 ? 0 : crc16(id) % shards;
}

void keys_of_blob(struct key *out, enum key_kind kind, struct str id, unsigned shards)
{
    static const char *const names[] = { "blob", "labels", "timeline" };
    (void)snprintf(out->text, sizeof out->text, "lw:{%u}:%s:%.*s", keys_shard(id, shards),
                   names[kind], (int)id.n, id.p);
}

void keys_of_shard(struct key *out, enum shard_key kind, unsigned shard)
{
    static const char *const names[] = { "timers", "outbox", "relay", "epoch" };
    (void)snprintf(out->text, sizeof out->text, "lw:{%u}:%s", shard, names[kind]);
}

void keys_of_phase(struct key *out, enum blob_phase phase, unsigned shard)
{
    (void)snprintf(out->text, sizeof out->text, "lw:{%u}:phase:%s", shard, phase_name(phase));
}

struct str keys_id_of_object(struct str object_key)
{
    struct str id = str_from(object_key, sizeof OBJECT_PREFIX - 1);
    bool ours = str_starts(object_key, S(OBJECT_PREFIX)) && uuid_is_canonical(id);
    return ours ? id : STR_NONE;
}
