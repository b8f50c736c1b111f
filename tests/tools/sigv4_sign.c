/* sigv4_sign - signs what JSON lines on standard input describe, one JSON line of answer for each.
 *
 *   {"mode":"header","method":"GET","path":"/a b","query":[["k","v"]],"headers":[["host","h"]],
 *    "payload":"UNSIGNED-PAYLOAD","time":"20150830T123600Z","access_key":"A","secret_key":"S",
 *    "token":"","region":"us-east-1","service":"s3","normalize":false}
 *   {"path":"/a%20b","query":"k=v","authorization":"…","canonical":"…"}
 *
 * With "mode":"presign" and "expires":N the answer's query is the signed one and there is no
 * authorization.  {"error":"…"} for what is refused.  Exit status 1: a line could not be read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4.h"
#include "base/json.h"

#define ANSWER_MAX 1048576U

struct task {
    struct buf text; /* decoded strings; reserved for a whole line, so it never moves */
    struct sigv4_pair query[SIGV4_PARAMS_MAX + 1], headers[SIGV4_PARAMS_MAX + 1]; /* one too many */
    struct sigv4_req rq;
    struct aws_creds creds;
    struct str region, service;
    wall_t when;
    int64_t expires_s;
    bool presign;
};

static struct str text_of(struct task *t, struct json v)
{
    size_t from = t->text.n;
    json_text(&t->text, v);
    return str_from(buf_str(&t->text), from);
}

static enum err text_member(struct str *out, struct task *t, struct json root, const char *name,
                            struct errbuf *eb)
{
    struct json v;
    if (!json_get(root, str_of(name), &v) || v.type != JSON_STRING)
        return errbuf_set(eb, ERR_INVAL, "%s: want a string", name);
    *out = text_of(t, v);
    return ERR_OK;
}

static enum err pairs_member(struct sigv4_pair dst[SIGV4_PARAMS_MAX + 1], size_t *n, struct task *t,
                             struct json root, const char *name, struct errbuf *eb)
{
    struct json all, pair, key;
    if (!json_get(root, str_of(name), &all) || all.type != JSON_ARRAY)
        return errbuf_set(eb, ERR_INVAL, "%s: want an array", name);
    struct json_iter it = json_iter(all);
    while (json_next(&it, &key, &pair)) {
        struct json_iter two = json_iter(pair);
        struct json first, second;
        if (*n > SIGV4_PARAMS_MAX)
            return errbuf_set(eb, ERR_TOOBIG, "%s: too many", name);
        if (pair.type != JSON_ARRAY || !json_next(&two, &key, &first) ||
            !json_next(&two, &key, &second) || first.type != JSON_STRING ||
            second.type != JSON_STRING)
            return errbuf_set(eb, ERR_INVAL, "%s: want pairs of strings", name);
        dst[*n].name = text_of(t, first);
        dst[(*n)++].value = text_of(t, second);
    }
    return ERR_OK;
}

static enum err read_task(struct task *t, struct str line, struct errbuf *eb)
{
    struct json root, v;
    enum err e = json_parse(&root, line, eb);
    if (e != ERR_OK)
        return e;
    struct str mode, when;
    const struct {
        struct str *dst;
        const char *name;
    } texts[] = {
        { &mode, "mode" },
        { &t->rq.method, "method" },
        { &t->rq.path, "path" },
        { &t->rq.payload_hash, "payload" },
        { &when, "time" },
        { &t->creds.access_key, "access_key" },
        { &t->creds.secret_key, "secret_key" },
        { &t->creds.session_token, "token" },
        { &t->region, "region" },
        { &t->service, "service" },
    };
    for (size_t i = 0; i < N_OF(texts) && e == ERR_OK; i++)
        e = text_member(texts[i].dst, t, root, texts[i].name, eb);
    if (e == ERR_OK)
        e = pairs_member(t->query, &t->rq.n_query, t, root, "query", eb);
    if (e == ERR_OK)
        e = pairs_member(t->headers, &t->rq.n_headers, t, root, "headers", eb);
    if (e != ERR_OK)
        return e;
    t->rq.query = t->query;
    t->rq.headers = t->headers;
    t->rq.normalize = json_get(root, S("normalize"), &v) && v.type == JSON_TRUE;
    t->presign = str_eq(mode, S("presign"));
    if (t->presign &&
        (!json_get(root, S("expires"), &v) || json_to_i64(v, &t->expires_s) != ERR_OK))
        return errbuf_set(eb, ERR_INVAL, "expires: want a whole number");
    e = wall_from_amz(when, &t->when);
    return e == ERR_OK ? e : errbuf_set(eb, e, "time: want YYYYMMDDThhmmssZ");
}

static void put_member(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "%c\"%s\":", out->n == 0 ? '{' : ',', name);
    buf_json(out, value);
}

static enum err answer(struct buf *out, const struct task *t)
{
    struct sigv4_key k;
    sigv4_key_init(&k, &t->creds, t->region, t->service, t->when);
    struct buf one = BUF_INIT(ANSWER_MAX);
    sigv4_put_path(&one, t->rq.path, t->rq.normalize);
    put_member(out, "path", buf_str(&one));

    buf_clear(&one);
    enum err e = ERR_OK;
    if (t->presign)
        e = sigv4_presign(&one, &k, &t->rq, t->when, t->expires_s, false);
    else
        sigv4_put_query(&one, t->rq.query, t->rq.n_query);
    put_member(out, "query", buf_str(&one));

    if (e == ERR_OK && !t->presign) {
        buf_clear(&one);
        e = sigv4_authorization(&one, &k, &t->rq, t->when);
        put_member(out, "authorization", buf_str(&one));
    }
    if (e == ERR_OK) {
        buf_clear(&one);
        e = sigv4_canonical_request(&one, &t->rq);
        put_member(out, "canonical", buf_str(&one));
    }
    buf_putc(out, '}');
    buf_fini(&one);
    return e == ERR_OK && buf_failed(out) ? ERR_TOOBIG : e;
}

static bool handle(struct str line)
{
    struct errbuf eb = { "" };
    struct task t = { .text = BUF_INIT(line.n) };
    (void)buf_reserve(&t.text, line.n);
    struct buf out = BUF_INIT(ANSWER_MAX);
    enum err e = read_task(&t, line, &eb);
    bool readable = e == ERR_OK;
    if (readable)
        e = answer(&out, &t);
    if (e != ERR_OK) {
        buf_clear(&out);
        put_member(&out, "error", str_of(readable ? err_name(e) : eb.text));
        buf_putc(&out, '}');
    }
    puts(buf_str(&out).p);
    buf_fini(&out);
    buf_fini(&t.text);
    return readable;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool good = true;
    while ((n = getline(&line, &room, stdin)) > 0)
        good = handle(str_trim((struct str){ line, (size_t)n })) && good;
    free(line);
    return good && !ferror(stdin) ? 0 : 1;
}
