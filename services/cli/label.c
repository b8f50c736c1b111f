/* label.c - `labelwire label`: for each picture create a blob, upload, wait, show the labels. */
#include <string.h>

#include "cli/gateway.h"
#include "cli/picture.h"
#include "cli/progress.h"
#include "cli/screen.h"
#include "cli/show.h"
#include "cli/verb.h"
#include "net/url.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 1000
#define OPERANDS_MAX 100000U

struct conf {
    struct screen_conf screen;
    struct gateway_conf gateway;
    char *callback;
    bool json;
    int64_t timeout_ms;
};

static enum err check_callback(struct str value, struct errbuf *eb)
{
    struct url u;
    enum err e = url_parse(&u, value, eb);
    return e == ERR_OK ? e : errbuf_wrap(eb, e, "an http or https URL");
}

static const struct conf_key flag_keys[] = {
    { "--callback", CONF_TEXT, offsetof(struct conf, callback), .check = check_callback },
    { "--json", CONF_BOOL, offsetof(struct conf, json), .def = "off" },
    { "--timeout", CONF_MS, offsetof(struct conf, timeout_ms), .def = "120s", .min = 100,
      .max = 86400000 },
};

static const struct conf_group groups[] = {
    { NULL, flag_keys, N_OF(flag_keys), 0 },
    { "Gateway", gateway_conf_keys, N_OF(gateway_conf_keys), offsetof(struct conf, gateway) },
    SCREEN_CONF_GROUP(struct conf, screen),
};

static const struct verb_flag flags[] = {
    GATEWAY_FLAG,
    { "--callback", "URL", "--callback", "also have each result posted there" },
    { "--json", NULL, "--json", "one JSON object per file, on one line" },
    { "--timeout", "TIME", "--timeout",
      "for each file, from the first request to its labels (120s)" },
};

struct label {
    const struct conf *conf;
    struct screen screen;
    struct gateway gateway;
    bool deaf; /* standard output takes no more */
};

/* One file on its way. */
struct job {
    struct label *l;
    const char *file;
    struct gateway_blob blob;
    struct gateway_answer answer; /* the last one */
    struct progress progress;
};

static const char *id_of(const struct job *j)
{
    return j->blob.id[0] != '\0' ? j->blob.id : NULL;
}

static void print(struct label *l, struct buf *out)
{
    if (!screen_print(&l->screen, out))
        l->deaf = true;
    buf_fini(out);
}

/* A failure that is not the gateway's verdict on the picture. */
static int trouble(struct job *j, const struct errbuf *eb)
{
    struct label *l = j->l;
    screen_say(&l->screen, "%s: %s", j->file, eb->text);
    if (l->conf->json) {
        struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
        bool stands = j->answer.status[0] != '\0';
        show_json_status(&out, &l->screen, (struct show_of){ j->file, id_of(j) },
                         stands ? j->answer.status : "error",
                         stands ? buf_str(&j->answer.description) : str_of(eb->text));
        print(l, &out);
    }
    return EXIT_FAILED;
}

static int show(struct job *j)
{
    struct label *l = j->l;
    struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
    struct show_of of = { j->file, id_of(j) };
    bool labelled = j->answer.labels.type == JSON_ARRAY;
    if (labelled && l->conf->json)
        show_json_labels(&out, &l->screen, of, j->answer.labels);
    else if (labelled)
        show_table(&out, &l->screen, of, j->answer.labels);
    else if (l->conf->json)
        show_json_status(&out, &l->screen, of, j->answer.status, buf_str(&j->answer.description));
    if (!labelled)
        screen_say(&l->screen, "%s: %s: " STR_FMT " (blob %s)", j->file, j->answer.status,
                   STR_ARG(buf_str(&j->answer.description)), j->blob.id);
    print(l, &out);
    return labelled ? EXIT_WELL : EXIT_FAILED;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static bool is_on_its_way(const struct gateway_answer *a)
{
    return strcmp(a->status, "waiting-for-upload") == 0 || strcmp(a->status, "in-progress") == 0;
}

static enum err too_late(struct job *j, const struct errbuf *trouble, struct errbuf *eb)
{
    return errbuf_set(eb, ERR_TIMEOUT, "no labels in time; look later: labelwire get %s (%s)",
                      j->blob.id, trouble->text[0] != '\0' ? trouble->text : j->answer.status);
}

/* Looks with growing pauses.  A gateway that is away for a while is waited for: the picture is
 * in the store already.  After an error j->answer is what was known last. */
static enum err wait_for_labels(struct job *j, struct errbuf *eb)
{
    struct gateway *g = &j->l->gateway;
    for (int64_t pause_ms = PAUSE_MIN_MS;; pause_ms += pause_ms / 2) {
        struct gateway_answer seen = { 0 };
        struct errbuf away = { "" };
        enum err e = gateway_look(g, str_of(j->blob.id), &seen, &away);
        if (e == ERR_OK) {
            gateway_answer_fini(&j->answer);
            j->answer = seen;
            if (!is_on_its_way(&j->answer))
                return ERR_OK;
        }
        if (e == ERR_REMOTE)
            return errbuf_set(eb, e, "%s", away.text);
        if (mono_until_ms(mono_now(), g->deadline) == 0)
            return too_late(j, &away, eb);
        j->progress.what = e == ERR_OK ? "waiting for labels" : "waiting for the gateway";
        gateway_pause(g, pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
        if (pause_ms > PAUSE_MAX_MS)
            pause_ms = PAUSE_MAX_MS;
    }
}

static int label_one(struct label *l, const char *file)
{
    struct job j = { .l = l, .file = file };
    struct gateway *g = &l->gateway;
    struct errbuf eb = { "" };
    struct buf bytes;
    enum err e = picture_read(&bytes, file, &eb);
    progress_begin(&j.progress, &l->screen, str_of(file));
    g->tick_arg = &j.progress;
    g->deadline = mono_after_ms(mono_now(), l->conf->timeout_ms);
    if (e == ERR_OK)
        e = gateway_create(g, str_of(l->conf->callback), &j.blob, &eb);
    if (e == ERR_OK)
        e = gateway_upload(g, j.blob.upload_url, buf_str(&bytes), progress_upload, &j.progress,
                           &eb);
    buf_fini(&bytes);
    if (e == ERR_OK)
        e = wait_for_labels(&j, &eb);
    int code = e == ERR_OK ? show(&j) : trouble(&j, &eb);
    gateway_answer_fini(&j.answer);
    g->tick_arg = NULL;
    return code;
}

static int run(const void *arg, char *const *files, size_t n)
{
    struct label l = { .conf = arg };
    struct errbuf eb = { "" };
    int code = EXIT_WELL;
    screen_init(&l.screen, &l.conf->screen);
    enum err e = gateway_open(&l.gateway, &l.conf->gateway, &eb);
    if (e != ERR_OK) {
        screen_say(&l.screen, "%s", eb.text);
        code = EXIT_FAILED;
    }
    l.gateway.tick = progress_wait;
    for (size_t i = 0; i < n && e == ERR_OK && !l.deaf; i++)
        if (label_one(&l, files[i]) != EXIT_WELL)
            code = EXIT_FAILED;
    gateway_close(&l.gateway);
    return l.screen.broken ? EXIT_FAILED : code;
}

const struct verb verb_label = {
    .name = "label",
    .operands = "FILE...",
    .about = "upload pictures and print their labels",
    .more =
        "FILE may be -, standard input.  At most 64 MiB each.  A file that fails does not keep\n"
        "the others from being labelled; the exit code is then 1.  With --json such a file has\n"
        "a line with \"status\" and \"description\" instead of labels; the status is \"error\"\n"
        "when the gateway has said nothing about it.\n",
    .example = "labelwire label --json cat.jpg | jq '.labels[].label'",
    .flags = flags,
    .n_flags = N_OF(flags),
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .least = 1,
    .most = OPERANDS_MAX,
    .run = run,
};
