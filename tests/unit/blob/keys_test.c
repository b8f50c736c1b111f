/* Redis keys: the shard is a CRC16, all keys of one script share a tag, every key is its own. */
#include "blob/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

#define ID "0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e"

/* Source: Redis Cluster specification (the first row); CLUSTER KEYSLOT of a server (the rest). */
static const struct {
    struct str text;
    unsigned modulus, want;
} crcs[] = {
    { S("123456789"), 65536, 0x31c3 },  { S(""), 65536, 0 },        { S("foo"), 16384, 12182 },
    { S("bar"), 16384, 5061 },          { S("hello"), 16384, 866 }, { S(ID), 16384, 10588 },
    { S("\xff\x00\x80"), 16384, 7915 }, { S("123456789"), 1, 0 },   { S("123456789"), 16, 3 },
    { S("123456789"), 64, 3 },
};

static void the_checksum_is_the_clusters(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(crcs); i++) {
        unsigned got = keys_shard(crcs[i].text, crcs[i].modulus);
        if (got != crcs[i].want)
            fail_msg("row %zu: %u", i, got);
    }
}

static void random_id(char dst[37], uint64_t *x)
{
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    uint64_t a = *x, b = a * 0x9e3779b97f4a7c15U;
    (void)snprintf(dst, 37, "%08x-%04x-4%03x-9%03x-%012llx", (unsigned)(a >> 32),
                   (unsigned)(a >> 16) & 0xffffU, (unsigned)a & 0xfffU, (unsigned)(b >> 52),
                   (unsigned long long)(b & 0xffffffffffffU));
}

static void ids_spread_over_the_shards(void **state)
{
    (void)state;
    static const unsigned counts[] = { 1, 4, 16, 64 };
    uint64_t x = 88172645463325252U;
    for (size_t c = 0; c < N_OF(counts); c++) {
        unsigned in[64] = { 0 }, shards = counts[c];
        for (unsigned i = 0; i < shards * 1000; i++) {
            char id[37];
            random_id(id, &x);
            unsigned shard = keys_shard(str_of(id), shards);
            assert_true(shard < shards);
            assert_int_equal(shard, keys_shard(str_of(id), shards)); /* and stays there */
            in[shard]++;
        }
        for (unsigned s = 0; s < shards; s++) /* 1,000 each, give or take six deviations */
            if (in[s] < 800 || in[s] > 1200)
                fail_msg("%u of %u shards: %u ids", s, shards, in[s]);
    }
}

static struct str tag_of(const struct key *k)
{
    struct str s = str_of(k->text), tag;
    assert_true(str_cut(&s, '{', &tag));
    assert_true(str_cut(&s, '}', &tag));
    assert_true(tag.n > 0);
    return tag;
}

/* What one script gets as KEYS must lie in one hash slot and never be the same key twice. */
static void keys_of_one_blob_share_a_tag(void **state)
{
    (void)state;
    uint64_t x = 2463534242U;
    for (int i = 0; i < 500; i++) {
        char id[37];
        struct key k[6 + PHASE_N];
        random_id(id, &x);
        unsigned shards = i % 64 + 1, shard = keys_shard(str_of(id), shards);
        keys_of_blob(&k[0], KEY_BLOB, str_of(id), shards);
        keys_of_blob(&k[1], KEY_LABELS, str_of(id), shards);
        keys_of_blob(&k[2], KEY_TIMELINE, str_of(id), shards);
        keys_of_shard(&k[3], KEY_TIMERS, shard);
        keys_of_shard(&k[4], KEY_OUTBOX, shard);
        keys_of_shard(&k[5], KEY_RELAY, shard);
        for (int p = 0; p < PHASE_N; p++)
            keys_of_phase(&k[6 + p], (enum blob_phase)p, shard);
        for (size_t n = 0; n < N_OF(k); n++) {
            assert_true(str_starts(str_of(k[n].text), S("lw:{")));
            assert_true(str_eq(tag_of(&k[n]), tag_of(&k[0])));
            assert_true(strlen(k[n].text) + 1 < sizeof k[n].text); /* nothing was cut */
            for (size_t m = 0; m < n; m++)
                assert_string_not_equal(k[n].text, k[m].text);
            if (n < 3)
                assert_true(str_ends(str_of(k[n].text), str_of(id)));
        }
    }
}

static void keys_as_they_are_written(void **state)
{
    (void)state;
    struct key k;
    keys_of_blob(&k, KEY_BLOB, S(ID), 1);
    assert_string_equal(k.text, "lw:{0}:blob:" ID);
    keys_of_blob(&k, KEY_LABELS, S(ID), 64);
    assert_string_equal(k.text, "lw:{28}:labels:" ID);
    keys_of_blob(&k, KEY_TIMELINE, S(ID), 64);
    assert_string_equal(k.text, "lw:{28}:timeline:" ID);
    keys_of_shard(&k, KEY_TIMERS, 0);
    assert_string_equal(k.text, "lw:{0}:timers");
    keys_of_shard(&k, KEY_OUTBOX, 63);
    assert_string_equal(k.text, "lw:{63}:outbox");
    keys_of_shard(&k, KEY_RELAY, 7);
    assert_string_equal(k.text, "lw:{7}:relay");
}

static const struct {
    const char *why;
    struct str key;
    bool ours;
} objects[] = {
    { "ours", S("blobs/" ID), true },
    { "dropped by hand", S("uploads/" ID), false },
    { "no folder", S(ID), false },
    { "another folder before", S("x/blobs/" ID), false },
    { "a folder deeper", S("blobs/a/" ID), false },
    { "slash first", S("/blobs/" ID), false },
    { "slash last", S("blobs/" ID "/"), false },
    { "suffix", S("blobs/" ID ".jpg"), false },
    { "folder in capitals", S("Blobs/" ID), false },
    { "id in capitals", S("blobs/0B9F1C3E-7D0A-4C55-9D5E-1F2A3B4C5D6E"), false },
    { "id cut", S("blobs/0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6"), false },
    { "NUL behind", S("blobs/" ID "\0"), false },
    { "the folder alone", S("blobs/"), false },
    { "part of the folder", S("blob"), false },
    { "empty", S(""), false },
    { "none", STR_NONE, false },
};

static void the_id_in_an_object_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(objects); i++) {
        struct str id = keys_id_of_object(objects[i].key);
        if (objects[i].ours ? !str_eq(id, S(ID)) : id.p != NULL || id.n > 0)
            fail_msg("row %zu (%s)", i, objects[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_the_clusters),
        cmocka_unit_test(ids_spread_over_the_shards),
        cmocka_unit_test(keys_of_one_blob_share_a_tag),
        cmocka_unit_test(keys_as_they_are_written),
        cmocka_unit_test(the_id_in_an_object_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
