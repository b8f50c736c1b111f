/* keys.h - every Redis key, object key and topic name, in one place.  Pure.
 *
 * Redis keys are lw:{n}:… with n = crc16(id) mod shards, so that all keys of one script share a
 * hash slot and a shard can live on any node.
 * Source   Redis Cluster specification, "Hash tags" and CRC16 (XMODEM).
 */
#ifndef BLOB_KEYS_H
#define BLOB_KEYS_H

#include <stdint.h>

#include "base/str.h"
#include "blob/blob.h"

#define TOPIC_UPLOADS   "labelwire.uploads"
#define TOPIC_RECOGNIZE "labelwire.recognize"
#define TOPIC_DELIVER   "labelwire.deliver"
#define TOPIC_EVENTS    "labelwire.events"
#define TOPIC_DEAD      "labelwire.dead"

#define GROUP_WATCHER    "labelwire-upload-watcher"
#define GROUP_RECOGNIZER "labelwire-recognizer"
#define GROUP_DISPATCHER "labelwire-callback-dispatcher"

#define OBJECT_PREFIX "blobs/"           /* + id: the objects that upload URLs are for */
#define OBJECT_EPOCH  ".labelwire/epoch" /* whose bucket this is, see epoch.h */

#define KEY_MAX  80U
#define KEY_META "lw:meta"

struct key {
    char text[KEY_MAX];
};

unsigned keys_shard(struct str id, unsigned shards);

enum key_kind {
    KEY_BLOB,     /* hash: the record */
    KEY_LABELS,   /* string: the labels array, ready to send */
    KEY_TIMELINE, /* list: "seq ms event" */
};
void keys_of_blob(struct key *out, enum key_kind kind, struct str id, unsigned shards);

enum shard_key {
    KEY_TIMERS, /* sorted set: blob ids by the time their timer is due */
    KEY_OUTBOX, /* stream: what must be said on Kafka */
    KEY_RELAY,  /* string: who may relay the outbox */
    KEY_EPOCH,  /* string: whose data this is; missing: it was lost */
};
void keys_of_shard(struct key *out, enum shard_key kind, unsigned shard);

/* Sorted set: the ids of the blobs in a phase, by the time they came into it.  Of the finished
 * ones none is kept: they are the rest of KEY_TIMERS. */
void keys_of_phase(struct key *out, enum blob_phase phase, unsigned shard);

/* The blob id in an object key that an upload URL was for; STR_NONE for any other object. */
struct str keys_id_of_object(struct str object_key);

#endif
