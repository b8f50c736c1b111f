#include "aws/s3.h"

#include <assert.h>
#include <string.h>

#define CONNECT_MS 3000
#define PATH_ROOM  (S3_BUCKET_MAX + 2U + S3_KEY_MAX)
#define URL_CAP    8192U  /* a key of 1 KiB grows threefold */
#define LINES_CAP  32768U /* session tokens have no stated limit */

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* ---- configuration */

/* Source   S3 User Guide, "General purpose buckets naming rules". */
enum err s3_check_bucket(struct str name, struct errbuf *eb)
{
    static const char want[] = "a bucket name: 3 to 63 small letters, digits, dots and hyphens";
    if (name.n < 3 || name.n > S3_BUCKET_MAX)
        return errbuf_set(eb, ERR_INVAL, "%s", want);
    bool address = true; /* looks like 192.168.5.4 */
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool joint = c == '.' || c == '-';
        bool at_end = i == 0 || i == name.n - 1;
        if ((!joint && !is_lower_or_digit(c)) || (joint && at_end) ||
            (c == '.' && (name.p[i - 1] == '.' || name.p[i - 1] == '-')) ||
            (c == '-' && name.p[i - 1] == '.'))
            return errbuf_set(eb, ERR_INVAL, "%s, a letter or digit around each dot", want);
        address = address && (c == '.' || (c >= '0' && c <= '9'));
    }
    if (address && str_find(name, '.') >= 0)
        return errbuf_set(eb, ERR_INVAL, "%s, not an address", want);
    return ERR_OK;
}

const struct conf_key s3_conf_keys[4] = {
    { "LW_S3_ENDPOINT", CONF_TEXT, offsetof(struct s3_conf, endpoint), .flags = CONF_REQUIRED,
      .check = url_check_endpoint,
      .doc = "Where S3 answers: https://s3.<region>.amazonaws.com, or http://127.0.0.1:7070 on a "
             "developer's machine." },
    { "LW_S3_PUBLIC_ENDPOINT", CONF_TEXT, offsetof(struct s3_conf, public_endpoint),
      .check = url_check_endpoint,
      .doc = "The same S3 as clients reach it, for upload and download links; empty: "
             "LW_S3_ENDPOINT." },
    { "LW_S3_BUCKET", CONF_TEXT, offsetof(struct s3_conf, bucket), .flags = CONF_REQUIRED,
      .check = s3_check_bucket, .doc = "Bucket of the uploaded images." },
    { "LW_S3_TIMEOUT", CONF_MS, offsetof(struct s3_conf, timeout_ms), .def = "10s", .min = 500,
      .max = S3_TIMEOUT_MAX_MS,
      .doc = "Limit for one request to S3, from DNS lookup to the last byte of the answer.  Acts "
             "in upload-watcher and recognizer." },
};

static bool is_amazon(struct str host)
{
    static const struct str zones[] = { { ".amazonaws.com", 14 }, { ".amazonaws.com.cn", 17 } };
    for (size_t i = 0; i < N_OF(zones); i++)
        if (host.n > zones[i].n && str_eq_nocase(str_from(host, host.n - zones[i].n), zones[i]))
            return true;
    return false;
}

static enum err site_init(struct s3_site *site, const char *endpoint, struct str bucket,
                          struct errbuf *eb)
{
    struct url u;
    enum err e = url_parse_endpoint(&u, str_of(endpoint), eb);
    if (e != ERR_OK)
        return errbuf_wrap(eb, ERR_CONFIG, "S3 endpoint");
    bool in_host = is_amazon(u.host) && str_find(bucket, '.') < 0;
    char *host = site->host, *prefix = site->prefix;
    memcpy(in_host ? host : prefix + 1, bucket.p, bucket.n);
    if (in_host) {
        host += bucket.n;
        *host++ = '.';
    } else {
        prefix[0] = '/';
    }
    url_authority(&u, host);
    for (; *host != '\0'; host++)
        if (*host >= 'A' && *host <= 'Z')
            *host = (char)(*host - 'A' + 'a');
    site->https = u.https;
    return ERR_OK;
}

enum err s3_init(struct s3 *s, const struct s3_conf *conf, struct str region, struct cred *cred,
                 struct errbuf *eb)
{
    *s = (struct s3){ .cred = cred, .region = region, .timeout_ms = conf->timeout_ms };
    struct str bucket = str_of(conf->bucket);
    if (s3_check_bucket(bucket, eb) != ERR_OK)
        return ERR_CONFIG;
    bool public = conf->public_endpoint != NULL && conf->public_endpoint[0] != '\0';
    enum err e = site_init(&s->inner, conf->endpoint, bucket, eb);
    if (e == ERR_OK)
        e = site_init(&s->outer, public ? conf->public_endpoint : conf->endpoint, bucket, eb);
    if (e == ERR_OK)
        (void)pthread_mutex_init(&s->lock, NULL); /* without attributes it cannot fail */
    return e;
}

void s3_fini(struct s3 *s)
{
    (void)pthread_mutex_destroy(&s->lock);
    explicit_bzero(&s->key, sizeof s->key);
}

/* ---- signing */

/* Good as long as the keys are held. */
static struct sigv4_key day_key(struct s3 *s, const struct cred_keys *keys, wall_t now)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->key_version != keys->version || !sigv4_key_is_for(&s->key, now))
        sigv4_key_init(&s->key, &keys->creds, s->region, S("s3"), now);
    s->key_version = keys->version;
    struct sigv4_key k = s->key;
    (void)pthread_mutex_unlock(&s->lock);
    return k;
}

/* "/bucket/key", "/key", or for the bucket itself "/bucket" or "/". */
static struct str put_path(char dst[PATH_ROOM], const struct s3_site *site, struct str key)
{
    size_t n = strlen(site->prefix);
    memcpy(dst, site->prefix, n);
    if (key.n > 0 || n == 0)
        dst[n++] = '/';
    if (key.n > 0)
        memcpy(dst + n, key.p, key.n);
    return (struct str){ dst, n + key.n };
}

static void put_address(struct buf *out, const struct s3_site *site, struct str path)
{
    buf_puts(out, site->https ? "https://" : "http://");
    buf_puts(out, site->host);
    sigv4_put_path(out, path, false);
}

enum err s3_presign(struct s3 *s, const char *method, struct str key, int64_t expires_s, wall_t now,
                    struct buf *url)
{
    if (key.n == 0 || key.n > S3_KEY_MAX)
        return ERR_INVAL;
    char path[PATH_ROOM];
    struct sigv4_pair host = { S("host"), str_of(s->outer.host) };
    struct sigv4_req rq = {
        .method = str_of(method),
        .path = put_path(path, &s->outer, key),
        .headers = &host,
        .n_headers = 1,
        .payload_hash = SIGV4_UNSIGNED_PAYLOAD,
    };
    struct cred_keys *keys = cred_hold(s->cred);
    struct sigv4_key k = day_key(s, keys, now);
    put_address(url, &s->outer, rq.path);
    buf_putc(url, '?');
    enum err e = sigv4_presign(url, &k, &rq, now, expires_s, false);
    cred_release(keys);
    return e;
}

static bool is_header_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

static void put_line(struct buf *lines, struct str name, struct str value)
{
    buf_put(lines, name);
    buf_puts(lines, ": ");
    buf_put(lines, value);
    buf_putc(lines, '\0');
}

/* All but Host, which httpc takes from the URL, become header lines. */
static enum err sign_lines(struct buf *lines, const struct sigv4_key *k, struct sigv4_req *rq,
                           wall_t now)
{
    for (size_t i = 1; i < rq->n_headers; i++)
        put_line(lines, rq->headers[i].name, rq->headers[i].value);
    buf_puts(lines, "Authorization: ");
    enum err e = sigv4_authorization(lines, k, rq, now);
    buf_putc(lines, '\0');
    return e != ERR_OK ? e : buf_failed(lines) ? ERR_TOOBIG : ERR_OK;
}

static void point_at_lines(struct s3_req *out)
{
    struct str rest = buf_str(&out->lines), line;
    size_t n = 0;
    while (rest.n > 0 && n < S3_HEADERS_MAX && str_cut(&rest, '\0', &line))
        out->hdrs[n++] = line.p;
    assert(rest.n == 0);
    out->hdrs[n] = NULL;
    out->http.hdrs = out->hdrs;
}

static void set_limits(struct httpc_req *http, int64_t timeout_ms)
{
    if (http->connect_ms == 0)
        http->connect_ms = CONNECT_MS;
    if (http->total_ms == 0)
        http->total_ms = timeout_ms;
    if (http->max_answer < S3_ERROR_MAX) { /* an error must fit, or it reads as ERR_TOOBIG */
        http->max_answer = S3_ERROR_MAX;
        http->cut_answer = strcmp(http->method, "GET") != 0; /* half an object is no answer */
    }
}

/* Quotes make the entity tag; lives in quoted. */
static struct str quote(struct buf *quoted, struct str etag)
{
    buf_putc(quoted, '"');
    buf_put(quoted, etag);
    buf_putc(quoted, '"');
    return buf_str(quoted);
}

static enum err build(struct s3 *s, struct s3_req *out, const struct s3_ask *ask,
                      const struct cred_keys *keys, wall_t now)
{
    char path[PATH_ROOM], hash[SHA256_HEX_LEN + 1], date[CLOCK_AMZ_LEN + 1];
    wall_to_amz(now, date);
    sha256_hex(hash, s->inner.https ? STR_NONE : ask->body);
    bool unhashed = s->inner.https && ask->body.n > 0; /* TLS guards it already */
    struct buf etag = BUF_INIT(LINES_CAP);
    const struct sigv4_pair optional[] = {
        { S("x-amz-security-token"), keys->creds.session_token },
        { S("range"), ask->range },
        { S("if-match"), ask->if_match.n > 0 ? quote(&etag, ask->if_match) : STR_NONE },
        { S("content-type"), ask->content_type },
    };
    struct sigv4_pair headers[3 + N_OF(optional)] = {
        { S("host"), str_of(s->inner.host) }, /* first: see sign_lines() */
        { S("x-amz-date"), { date, CLOCK_AMZ_LEN } },
        { S("x-amz-content-sha256"), unhashed ? SIGV4_UNSIGNED_PAYLOAD : str_of(hash) },
    };
    struct sigv4_req rq = {
        .method = str_of(ask->method),
        .path = put_path(path, &s->inner, ask->key),
        .headers = headers,
        .n_headers = 3,
        .payload_hash = headers[2].value,
    };
    enum err e = ERR_OK;
    for (size_t i = 0; i < N_OF(optional) && e == ERR_OK; i++) {
        if (optional[i].value.n > 0)
            headers[rq.n_headers++] = optional[i];
        e = is_header_text(optional[i].value) ? ERR_OK : ERR_INVAL;
    }
    put_address(&out->url, &s->inner, rq.path);
    struct sigv4_key k = day_key(s, keys, now);
    if (e == ERR_OK)
        e = sign_lines(&out->lines, &k, &rq, now);
    buf_fini(&etag);
    return e != ERR_OK ? e : buf_failed(&out->url) ? ERR_TOOBIG : ERR_OK;
}

enum err s3_request(struct s3 *s, struct s3_req *out, const struct s3_ask *ask, wall_t now)
{
    assert(out->http.handle == NULL);
    if (ask->key.n > S3_KEY_MAX)
        return ERR_INVAL;
    out->url.cap = URL_CAP;
    out->lines.cap = LINES_CAP;
    buf_clear(&out->url);
    buf_clear(&out->lines);
    struct cred_keys *keys = cred_hold(s->cred);
    enum err e = build(s, out, ask, keys, now);
    out->key_version = keys->version;
    cred_release(keys);
    if (e != ERR_OK)
        return e;
    out->http.method = ask->method;
    out->http.url = out->url.p;
    out->http.body = ask->body;
    point_at_lines(out);
    set_limits(&out->http, s->timeout_ms);
    return ERR_OK;
}

enum err s3_create_bucket(struct s3 *s, struct s3_req *out, wall_t now)
{
    out->made_body.cap = 512;
    buf_clear(&out->made_body);
    if (!str_eq(s->region, S("us-east-1"))) /* the default, which S3 refuses to be told */
        buf_printf(&out->made_body,
                   "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                   "<LocationConstraint>" STR_FMT "</LocationConstraint>"
                   "</CreateBucketConfiguration>",
                   STR_ARG(s->region));
    if (buf_failed(&out->made_body))
        return ERR_TOOBIG;
    struct s3_ask ask = { .method = "PUT", .body = buf_str(&out->made_body) };
    return s3_request(s, out, &ask, now);
}

void s3_req_fini(struct s3_req *r)
{
    httpc_req_fini(&r->http);
    buf_fini(&r->url);
    buf_fini(&r->lines);
    buf_fini(&r->made_body);
}
