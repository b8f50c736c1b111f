#include "aws/sigv4.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ALGORITHM       "AWS4-HMAC-SHA256"
#define TERMINATOR      "aws4_request"
#define DAY_LEN         8U
#define OUR_PARAMS      6U      /* X-Amz-*: what presigning adds */
#define CANONICAL_MAX   262144U /* far above what any server takes */
#define CANONICAL_USUAL 1000U   /* spares the buffer its first growing steps */

/* Pairs in canonical order; they stay where they are. */
struct list {
    const struct sigv4_pair *at[SIGV4_PARAMS_MAX + OUR_PARAMS];
    size_t n;
};

struct lists {
    struct list query, headers;
};

/* ---- order */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Where a byte stands among percent-encoded bytes: '%' is less than every byte that needs no
 * escape, and upper-case hex digits keep the order of the bytes they stand for. */
static unsigned encoded_rank(char c)
{
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '~';
    return (unsigned char)c + (plain ? 256U : 0U);
}

/* Byte order of what enc_percent() would make of a and b, without making it. */
static int encoded_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++)
        if (a.p[i] != b.p[i])
            return encoded_rank(a.p[i]) < encoded_rank(b.p[i]) ? -1 : 1;
    return (a.n > b.n) - (a.n < b.n);
}

static int query_cmp(const struct sigv4_pair *a, const struct sigv4_pair *b)
{
    int c = encoded_cmp(a->name, b->name);
    return c != 0 ? c : encoded_cmp(a->value, b->value);
}

/* By name only: "x-amz-meta-a" comes before "x-amz-meta-a-b", whatever the values. */
static int header_cmp(const struct sigv4_pair *a, const struct sigv4_pair *b)
{
    size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)lower(a->name.p[i]);
        unsigned char y = (unsigned char)lower(b->name.p[i]);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a->name.n > b->name.n) - (a->name.n < b->name.n);
}

typedef int pair_cmp(const struct sigv4_pair *a, const struct sigv4_pair *b);

/* Equal pairs keep the order in which they came.  The caller has counted. */
static void list_add(struct list *l, const struct sigv4_pair *pair, pair_cmp *cmp)
{
    size_t i = l->n++;
    for (; i > 0 && cmp(l->at[i - 1], pair) > 0; i--)
        l->at[i] = l->at[i - 1];
    l->at[i] = pair;
}

static enum err lists_fill(struct lists *l, const struct sigv4_req *rq)
{
    if (rq->n_query > SIGV4_PARAMS_MAX || rq->n_headers > SIGV4_PARAMS_MAX)
        return ERR_TOOBIG;
    l->query.n = l->headers.n = 0;
    for (size_t i = 0; i < rq->n_query; i++)
        list_add(&l->query, &rq->query[i], query_cmp);
    bool host = false;
    for (size_t i = 0; i < rq->n_headers; i++) {
        list_add(&l->headers, &rq->headers[i], header_cmp);
        host = host || str_eq_nocase(rq->headers[i].name, S("host"));
    }
    return host ? ERR_OK : ERR_INVAL;
}

/* ---- the canonical request */

static void put_query_list(struct buf *out, const struct list *query)
{
    for (size_t i = 0; i < query->n; i++) {
        if (i > 0)
            buf_putc(out, '&');
        enc_percent(out, query->at[i]->name, false);
        buf_putc(out, '=');
        enc_percent(out, query->at[i]->value, false);
    }
}

void sigv4_put_query(struct buf *out, const struct sigv4_pair *query, size_t n)
{
    struct list l = { .n = 0 };
    if (n > SIGV4_PARAMS_MAX) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        list_add(&l, &query[i], query_cmp);
    put_query_list(out, &l);
}

/* Takes the last segment and its slash off again, but nothing before `start`. */
static void drop_segment(struct buf *out, size_t start)
{
    while (out->n > start)
        if (out->p[--out->n] == '/')
            break;
    if (out->p != NULL)
        out->p[out->n] = '\0';
}

void sigv4_put_path(struct buf *out, struct str path, bool normalize)
{
    if (!normalize) {
        enc_percent(out, path.n == 0 ? S("/") : path, true);
        return;
    }
    size_t start = out->n;
    struct str rest = path, segment;
    while (str_cut(&rest, '/', &segment)) {
        if (segment.n == 0 || str_eq(segment, S(".")))
            continue;
        if (str_eq(segment, S(".."))) {
            drop_segment(out, start);
            continue;
        }
        buf_putc(out, '/');
        enc_percent(out, segment, false);
    }
    if (out->n == start || str_ends(path, S("/")))
        buf_putc(out, '/');
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without blanks around it, and each run of blanks inside one space. */
static void put_header_value(struct buf *out, struct str value)
{
    char *at = buf_reserve(out, value.n);
    size_t n = 0;
    for (size_t i = 0; at != NULL && i < value.n; i++) {
        if (!is_blank(value.p[i]))
            at[n++] = value.p[i];
        else if (n > 0 && at[n - 1] != ' ')
            at[n++] = ' ';
    }
    if (at != NULL)
        buf_grew(out, n > 0 && at[n - 1] == ' ' ? n - 1 : n);
}

static void put_lower(struct buf *out, struct str name)
{
    char *at = buf_reserve(out, name.n);
    for (size_t i = 0; at != NULL && i < name.n; i++)
        at[i] = lower(name.p[i]);
    if (at != NULL)
        buf_grew(out, name.n);
}

static bool repeats(const struct list *headers, size_t i)
{
    /* cppcheck-suppress arrayIndexOutOfBoundsCond -- i is an index of the list */
    return i > 0 && header_cmp(headers->at[i - 1], headers->at[i]) == 0;
}

static void put_signed_names(struct buf *out, const struct list *headers)
{
    for (size_t i = 0; i < headers->n; i++) {
        if (repeats(headers, i))
            continue;
        if (i > 0)
            buf_putc(out, ';');
        put_lower(out, headers->at[i]->name);
    }
}

static void put_headers(struct buf *out, const struct list *headers)
{
    for (size_t i = 0; i < headers->n; i++) {
        if (repeats(headers, i)) {
            buf_putc(out, ',');
        } else {
            if (i > 0)
                buf_putc(out, '\n');
            put_lower(out, headers->at[i]->name);
            buf_putc(out, ':');
        }
        put_header_value(out, headers->at[i]->value);
    }
}

/* The six lines.  `query` is already encoded, or STR_NONE: made here from l->query. */
static void put_canonical(struct buf *out, const struct sigv4_req *rq, const struct lists *l,
                          struct str query)
{
    buf_put(out, rq->method);
    buf_putc(out, '\n');
    sigv4_put_path(out, rq->path, rq->normalize);
    buf_putc(out, '\n');
    if (query.p == NULL)
        put_query_list(out, &l->query);
    else
        buf_put(out, query);
    buf_putc(out, '\n');
    put_headers(out, &l->headers);
    buf_put(out, S("\n\n"));
    put_signed_names(out, &l->headers);
    buf_putc(out, '\n');
    buf_put(out, rq->payload_hash);
}

enum err sigv4_canonical_request(struct buf *out, const struct sigv4_req *rq)
{
    struct lists l;
    enum err e = lists_fill(&l, rq);
    if (e != ERR_OK)
        return e;
    put_canonical(out, rq, &l, STR_NONE);
    return buf_failed(out) ? ERR_TOOBIG : ERR_OK;
}

/* ---- keys and signatures */

void sigv4_key_init(struct sigv4_key *k, const struct aws_creds *c, struct str region,
                    struct str service, wall_t now)
{
    *k = (struct sigv4_key){ .creds = *c, .region = region, .service = service };
    char amz[CLOCK_AMZ_LEN + 1];
    wall_to_amz(now, amz);
    memcpy(k->day, amz, DAY_LEN);

    size_t n = c->secret_key.n + 4;
    char *first = xcalloc(n, 1);
    memcpy(first, "AWS4", 4);
    if (c->secret_key.n > 0)
        memcpy(first + 4, c->secret_key.p, c->secret_key.n);
    hmac_sha256(k->key, first, n, (struct str){ k->day, DAY_LEN });
    explicit_bzero(first, n);
    free(first);

    unsigned char next[SHA256_LEN];
    hmac_sha256(next, k->key, SHA256_LEN, region);
    hmac_sha256(k->key, next, SHA256_LEN, service);
    hmac_sha256(next, k->key, SHA256_LEN, S(TERMINATOR));
    memcpy(k->key, next, SHA256_LEN);
    explicit_bzero(next, sizeof next);
}

bool sigv4_key_is_for(const struct sigv4_key *k, wall_t now)
{
    char amz[CLOCK_AMZ_LEN + 1];
    wall_to_amz(now, amz);
    return memcmp(amz, k->day, DAY_LEN) == 0;
}

static void put_scope(struct buf *out, const struct sigv4_key *k)
{
    buf_put(out, (struct str){ k->day, DAY_LEN });
    buf_putc(out, '/');
    buf_put(out, k->region);
    buf_putc(out, '/');
    buf_put(out, k->service);
    buf_put(out, S("/" TERMINATOR));
}

static void put_credential(struct buf *out, const struct sigv4_key *k)
{
    buf_put(out, k->creds.access_key);
    buf_putc(out, '/');
    put_scope(out, k);
}

/* text holds the canonical request, and afterwards the string to sign. */
static enum err sign(char hex[SHA256_HEX_LEN], struct buf *text, const struct sigv4_key *k,
                     const char amz[CLOCK_AMZ_LEN + 1])
{
    if (buf_failed(text))
        return ERR_TOOBIG;
    char digest[SHA256_HEX_LEN + 1];
    sha256_hex(digest, buf_str(text));
    buf_clear(text);
    buf_put(text, S(ALGORITHM "\n"));
    buf_put(text, (struct str){ amz, CLOCK_AMZ_LEN });
    buf_putc(text, '\n');
    put_scope(text, k);
    buf_putc(text, '\n');
    buf_put(text, (struct str){ digest, SHA256_HEX_LEN });
    if (buf_failed(text))
        return ERR_TOOBIG;
    unsigned char raw[SHA256_LEN];
    hmac_sha256(raw, k->key, SHA256_LEN, buf_str(text));
    enc_hex(hex, raw, sizeof raw);
    return ERR_OK;
}

enum err sigv4_authorization(struct buf *out, const struct sigv4_key *k, const struct sigv4_req *rq,
                             wall_t now)
{
    struct lists l;
    enum err e = lists_fill(&l, rq);
    if (e != ERR_OK || !sigv4_key_is_for(k, now))
        return e != ERR_OK ? e : ERR_INVAL;
    char amz[CLOCK_AMZ_LEN + 1], signature[SHA256_HEX_LEN];
    wall_to_amz(now, amz);

    struct buf text = BUF_INIT(CANONICAL_MAX);
    (void)buf_reserve(&text, CANONICAL_USUAL);
    put_canonical(&text, rq, &l, STR_NONE);
    e = sign(signature, &text, k, amz);
    buf_fini(&text);
    if (e != ERR_OK)
        return e;

    buf_put(out, S(ALGORITHM " Credential="));
    put_credential(out, k);
    buf_put(out, S(", SignedHeaders="));
    put_signed_names(out, &l.headers);
    buf_put(out, S(", Signature="));
    buf_put(out, (struct str){ signature, sizeof signature });
    return buf_failed(out) ? ERR_TOOBIG : ERR_OK;
}

/* ---- presigned URLs */

/* The parameters that presigning adds; their values stand one after the other in `words`. */
static size_t presign_params(struct sigv4_pair dst[OUR_PARAMS], struct buf *words,
                             const struct sigv4_key *k, const struct list *headers, struct str amz,
                             int64_t expires_s)
{
    put_credential(words, k);
    size_t expires_at = words->n;
    buf_u64(words, (uint64_t)expires_s);
    size_t names_at = words->n;
    put_signed_names(words, headers);

    struct str all = buf_str(words);
    const struct sigv4_pair params[OUR_PARAMS] = {
        { S("X-Amz-Algorithm"), S(ALGORITHM) },
        { S("X-Amz-Credential"), str_head(all, expires_at) },
        { S("X-Amz-Date"), amz },
        { S("X-Amz-Expires"), { all.p + expires_at, names_at - expires_at } },
        { S("X-Amz-SignedHeaders"), str_from(all, names_at) },
        { S("X-Amz-Security-Token"), k->creds.session_token },
    };
    memcpy(dst, params, sizeof params);
    return k->creds.session_token.n > 0 ? OUR_PARAMS : OUR_PARAMS - 1;
}

enum err sigv4_presign(struct buf *out, const struct sigv4_key *k, const struct sigv4_req *rq,
                       wall_t now, int64_t expires_s, bool token_unsigned)
{
    if (expires_s < 1 || expires_s > SIGV4_EXPIRES_MAX_S)
        return ERR_RANGE;
    struct lists l;
    enum err e = lists_fill(&l, rq);
    if (e != ERR_OK || !sigv4_key_is_for(k, now))
        return e != ERR_OK ? e : ERR_INVAL;
    char amz[CLOCK_AMZ_LEN + 1], signature[SHA256_HEX_LEN];
    wall_to_amz(now, amz);

    struct buf words = BUF_INIT(CANONICAL_MAX), text = BUF_INIT(CANONICAL_MAX);
    struct sigv4_pair ours[OUR_PARAMS];
    struct str when = { amz, CLOCK_AMZ_LEN };
    size_t n_ours = presign_params(ours, &words, k, &l.headers, when, expires_s);
    bool token_last = n_ours == OUR_PARAMS && token_unsigned;
    for (size_t i = 0; i < n_ours - token_last; i++)
        list_add(&l.query, &ours[i], query_cmp);

    size_t from = out->n;
    (void)buf_reserve(&text, CANONICAL_USUAL);
    put_query_list(out, &l.query);
    put_canonical(&text, rq, &l, str_from(buf_str(out), from));
    e = buf_failed(&words) || buf_failed(out) ? ERR_TOOBIG : sign(signature, &text, k, amz);
    buf_fini(&text);
    buf_fini(&words);
    if (e != ERR_OK)
        return e;

    buf_put(out, S("&X-Amz-Signature="));
    buf_put(out, (struct str){ signature, sizeof signature });
    if (token_last) {
        buf_put(out, S("&X-Amz-Security-Token="));
        enc_percent(out, k->creds.session_token, false);
    }
    return buf_failed(out) ? ERR_TOOBIG : ERR_OK;
}
