/* sigv4_suite DIR - signs every case of AWS's published Signature Version 4 test suite.
 *
 * DIR holds one folder for each case: context.json, request.txt, and the expected results
 * header-signature.txt and query-signature.txt.  Prints a line for each mismatch and, last,
 * "N of M signatures".  Exit status: 0 all match, 1 not all, 2 DIR cannot be read.
 *
 * Source   awslabs/aws-c-auth, tests/aws-signing-test-suite/v4.  The request line is raw: the
 *          path is encoded once after optional normalisation, the query is decoded first; the
 *          payload line is always the hash of the body, sign_body only adds the header.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "aws/sigv4.h"
#include "base/json.h"

#define FILE_MAX  262144U
#define VALUE_MAX 4096U
#define PATH_ROOM 4096U

/* One case as read from its folder. */
struct scase {
    const char *dir, *name;
    struct buf context, request, decoded;
    struct sigv4_pair query[SIGV4_PARAMS_MAX];
    struct sigv4_pair headers[SIGV4_PARAMS_MAX + 4]; /* room for what signing adds */
    struct sigv4_req rq;
    struct str body;
    char access_key[VALUE_MAX], secret_key[VALUE_MAX], token[VALUE_MAX];
    char region[64], service[64], amz[CLOCK_AMZ_LEN + 1], body_hash[SHA256_HEX_LEN + 1];
    int64_t expires_s;
    bool sign_body, omit_token;
    wall_t when;
};

static void scase_fini(struct scase *c)
{
    buf_fini(&c->context);
    buf_fini(&c->request);
    buf_fini(&c->decoded);
}

static enum err read_file(struct buf *out, const struct scase *c, const char *file,
                          struct errbuf *eb)
{
    char path[PATH_ROOM];
    if ((size_t)snprintf(path, sizeof path, "%s/%s/%s", c->dir, c->name, file) >= sizeof path)
        return errbuf_set(eb, ERR_TOOBIG, "%s: path is too long", file);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return errbuf_set(eb, ERR_MISSING, "%s: %s", file, strerror(errno));
    buf_init(out, FILE_MAX);
    size_t n = 1;
    while (n > 0 && !buf_failed(out)) {
        char *at = buf_reserve(out, 4096);
        n = at == NULL ? 0 : fread(at, 1, 4096, f);
        if (n > 0)
            buf_grew(out, n);
    }
    bool broken = ferror(f) != 0;
    (void)fclose(f);
    if (broken)
        return errbuf_set(eb, ERR_IO, "%s: cannot be read", file);
    return buf_failed(out) ? errbuf_set(eb, ERR_TOOBIG, "%s: too big", file) : ERR_OK;
}

/* ---- context.json */

static enum err text_member(char *dst, size_t cap, struct json of, const char *name, bool needed,
                            struct errbuf *eb)
{
    struct json v;
    dst[0] = '\0';
    if (!json_get(of, str_of(name), &v))
        return needed ? errbuf_set(eb, ERR_INVAL, "context.json: no %s", name) : ERR_OK;
    enum err e = json_copy(dst, cap, v);
    return e == ERR_OK ? e : errbuf_set(eb, e, "context.json: %s: not a short string", name);
}

static bool flag_member(struct json of, const char *name)
{
    struct json v;
    return json_get(of, str_of(name), &v) && v.type == JSON_TRUE;
}

/* "2015-08-30T12:36:00Z" without its punctuation is the time as it is signed. */
static enum err read_timestamp(struct scase *c, const char *text, struct errbuf *eb)
{
    size_t n = 0;
    for (; *text != '\0' && n < CLOCK_AMZ_LEN; text++)
        if (*text != '-' && *text != ':')
            c->amz[n++] = *text;
    c->amz[n] = '\0';
    if (*text != '\0' || wall_from_amz(str_of(c->amz), &c->when) != ERR_OK)
        return errbuf_set(eb, ERR_INVAL, "context.json: timestamp: want YYYY-MM-DDThh:mm:ssZ");
    return ERR_OK;
}

static enum err read_context(struct scase *c, struct errbuf *eb)
{
    enum err e = read_file(&c->context, c, "context.json", eb);
    if (e != ERR_OK)
        return e;
    struct json root, keys, v;
    e = json_parse(&root, buf_str(&c->context), eb);
    if (e != ERR_OK)
        return errbuf_wrap(eb, e, "context.json");
    if (!json_get(root, S("credentials"), &keys))
        return errbuf_set(eb, ERR_INVAL, "context.json: no credentials");
    char timestamp[64];
    const struct {
        char *dst;
        size_t cap;
        struct json of;
        const char *name;
        bool needed;
    } texts[] = {
        { c->access_key, sizeof c->access_key, keys, "access_key_id", true },
        { c->secret_key, sizeof c->secret_key, keys, "secret_access_key", true },
        { c->token, sizeof c->token, keys, "token", false },
        { c->region, sizeof c->region, root, "region", true },
        { c->service, sizeof c->service, root, "service", true },
        { timestamp, sizeof timestamp, root, "timestamp", true },
    };
    for (size_t i = 0; i < N_OF(texts) && e == ERR_OK; i++)
        e = text_member(texts[i].dst, texts[i].cap, texts[i].of, texts[i].name, texts[i].needed,
                        eb);
    if (e != ERR_OK)
        return e;
    c->expires_s = 3600;
    if (json_get(root, S("expiration_in_seconds"), &v) && json_to_i64(v, &c->expires_s) != ERR_OK)
        return errbuf_set(eb, ERR_INVAL, "context.json: expiration_in_seconds: not a number");
    c->rq.normalize = flag_member(root, "normalize");
    c->sign_body = flag_member(root, "sign_body");
    c->omit_token = flag_member(root, "omit_session_token");
    return read_timestamp(c, timestamp, eb);
}

/* ---- request.txt */

static struct str without_cr(struct str line)
{
    return str_ends(line, S("\r")) ? str_head(line, line.n - 1) : line;
}

static struct str decoded(struct scase *c, struct str text)
{
    size_t from = c->decoded.n;
    if (enc_percent_decode(&c->decoded, text, false) != ERR_OK) {
        c->decoded.n = from; /* not an escape: taken as it is */
        buf_put(&c->decoded, text);
    }
    return str_from(buf_str(&c->decoded), from);
}

static enum err read_query(struct scase *c, struct str query, struct errbuf *eb)
{
    buf_init(&c->decoded, query.n * 2);
    (void)buf_reserve(&c->decoded, query.n * 2); /* so that it never moves */
    struct str part, name;
    while (query.n > 0 && str_cut(&query, '&', &part)) {
        if (c->rq.n_query == SIGV4_PARAMS_MAX)
            return errbuf_set(eb, ERR_TOOBIG, "request.txt: too many parameters");
        (void)str_cut(&part, '=', &name);
        c->query[c->rq.n_query++] =
            (struct sigv4_pair){ .name = decoded(c, name), .value = decoded(c, part) };
    }
    c->rq.query = c->query;
    return ERR_OK;
}

static enum err read_request_line(struct scase *c, struct str line, struct errbuf *eb)
{
    struct str target = line;
    bool ok = str_cut(&target, ' ', &c->rq.method) && target.p != NULL;
    while (ok && target.n > 0 && target.p[target.n - 1] != ' ')
        target.n--;
    if (!ok || target.n < 2)
        return errbuf_set(eb, ERR_INVAL, "request.txt: want METHOD TARGET HTTP/1.1");
    target.n--; /* the blank before HTTP/1.1 */
    (void)str_cut(&target, '?', &c->rq.path);
    return read_query(c, target, eb);
}

/* A folded line stays in the value with its line end: signing sees a run of blanks. */
static enum err read_header(struct scase *c, struct str line, struct errbuf *eb)
{
    struct sigv4_pair *last = c->rq.n_headers > 0 ? &c->headers[c->rq.n_headers - 1] : NULL;
    if (last != NULL && (line.p[0] == ' ' || line.p[0] == '\t')) {
        last->value.n = (size_t)(line.p + line.n - last->value.p);
        return ERR_OK;
    }
    if (str_find(line, ':') <= 0)
        return errbuf_set(eb, ERR_INVAL, "request.txt: header line without a name");
    if (c->rq.n_headers == SIGV4_PARAMS_MAX)
        return errbuf_set(eb, ERR_TOOBIG, "request.txt: too many headers");
    struct sigv4_pair *h = &c->headers[c->rq.n_headers++];
    (void)str_cut(&line, ':', &h->name);
    h->value = line;
    return ERR_OK;
}

static enum err read_request(struct scase *c, struct errbuf *eb)
{
    enum err e = read_file(&c->request, c, "request.txt", eb);
    struct str rest = buf_str(&c->request), line;
    if (e == ERR_OK && str_cut(&rest, '\n', &line))
        e = read_request_line(c, without_cr(line), eb);
    while (e == ERR_OK && str_cut(&rest, '\n', &line)) {
        line = without_cr(line);
        if (line.n == 0)
            break;
        e = read_header(c, line, eb);
    }
    c->body = rest;
    c->rq.headers = c->headers;
    sha256_hex(c->body_hash, c->body);
    c->rq.payload_hash = str_of(c->body_hash);
    return e;
}

/* ---- signing and comparing */

static struct sigv4_key key_of(const struct scase *c)
{
    struct aws_creds creds = { str_of(c->access_key), str_of(c->secret_key), str_of(c->token) };
    struct sigv4_key k;
    sigv4_key_init(&k, &creds, str_of(c->region), str_of(c->service), c->when);
    return k;
}

static struct str last_signature(struct str text)
{
    return str_from(text, text.n < SHA256_HEX_LEN ? 0 : text.n - SHA256_HEX_LEN);
}

/* Adds to the request what a client adds, signs it, and has it checked as a server would. */
static enum err sign_headers(struct buf *out, const struct scase *c, struct errbuf *eb)
{
    struct sigv4_key k = key_of(c);
    struct sigv4_pair headers[N_OF(c->headers)];
    memcpy(headers, c->headers, sizeof headers);
    struct sigv4_req rq = c->rq;
    rq.headers = headers;
    headers[rq.n_headers++] = (struct sigv4_pair){ S("X-Amz-Date"), str_of(c->amz) };
    if (c->sign_body)
        headers[rq.n_headers++] =
            (struct sigv4_pair){ S("x-amz-content-sha256"), str_of(c->body_hash) };
    struct sigv4_pair token = { S("X-Amz-Security-Token"), str_of(c->token) };
    if (c->token[0] != '\0' && !c->omit_token)
        headers[rq.n_headers++] = token;
    enum err e = sigv4_authorization(out, &k, &rq, c->when);
    if (e != ERR_OK)
        return errbuf_set(eb, e, "not signed");
    if (c->token[0] != '\0' && c->omit_token)
        headers[rq.n_headers++] = token;
    headers[rq.n_headers++] = (struct sigv4_pair){ S("Authorization"), buf_str(out) };
    return sigv4_verify(&k, &rq, c->when, 0, eb);
}

static enum err sign_query(struct buf *out, const struct scase *c, struct errbuf *eb)
{
    struct sigv4_key k = key_of(c);
    if (c->omit_token)
        k.creds.session_token = STR_NONE; /* it would follow the signature */
    enum err e = sigv4_presign(out, &k, &c->rq, c->when, c->expires_s, false);
    return e == ERR_OK ? e : errbuf_set(eb, e, "not presigned");
}

static bool matches(const struct scase *c, const char *file,
                    enum err sign(struct buf *, const struct scase *, struct errbuf *))
{
    struct errbuf eb = { "" };
    struct buf expected = { .p = NULL }, got = BUF_INIT(FILE_MAX);
    bool same = false;
    enum err e = read_file(&expected, c, file, &eb);
    if (e == ERR_OK)
        e = sign(&got, c, &eb);
    struct str want = str_trim(buf_str(&expected)), have = last_signature(buf_str(&got));
    if (e != ERR_OK) {
        printf("%s/%s: %s\n", c->name, file, eb.text[0] != '\0' ? eb.text : err_name(e));
    } else {
        same = str_eq(want, have);
        if (!same)
            printf("%s/%s: expected " STR_FMT ", got " STR_FMT "\n", c->name, file, STR_ARG(want),
                   STR_ARG(have));
    }
    buf_fini(&expected);
    buf_fini(&got);
    return same;
}

static unsigned run_case(const char *dir, const char *name)
{
    static struct scase c; /* big for a stack */
    c = (struct scase){ .dir = dir, .name = name };
    struct errbuf eb = { "" };
    unsigned good = 0;
    if (read_context(&c, &eb) != ERR_OK || read_request(&c, &eb) != ERR_OK) {
        printf("%s: %s\n", name, eb.text);
    } else {
        good += matches(&c, "header-signature.txt", sign_headers);
        good += matches(&c, "query-signature.txt", sign_query);
    }
    scase_fini(&c);
    return good;
}

static bool is_folder(const char *dir, const char *name)
{
    char path[PATH_ROOM];
    struct stat st;
    return name[0] != '.' &&
           (size_t)snprintf(path, sizeof path, "%s/%s", dir, name) < sizeof path &&
           stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: sigv4_suite DIR\n");
        return 2;
    }
    struct dirent **entries;
    int n = scandir(argv[1], &entries, NULL, alphasort);
    if (n < 0) {
        (void)fprintf(stderr, "sigv4_suite: %s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    unsigned cases = 0, good = 0;
    for (int i = 0; i < n; i++) {
        if (is_folder(argv[1], entries[i]->d_name)) {
            cases++;
            good += run_case(argv[1], entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    if (cases == 0) {
        (void)fprintf(stderr, "sigv4_suite: %s: no folders with cases in it\n", argv[1]);
        return 2;
    }
    printf("%u of %u signatures\n", good, cases * 2);
    return good == cases * 2 ? 0 : 1;
}
