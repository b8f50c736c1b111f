/* get.c - `labelwire get`: the labels of one blob, or where it stands. */
#include <string.h>

#include "cli/gateway.h"
#include "cli/screen.h"
#include "cli/show.h"
#include "cli/verb.h"

#define LIMIT_MS 15000

struct conf {
    struct screen_conf screen;
    struct gateway_conf gateway;
    bool json;
};

static const struct conf_key flag_keys[] = {
    { "--json", CONF_BOOL, offsetof(struct conf, json), .def = "off" },
};

static const struct conf_group groups[] = {
    { NULL, flag_keys, N_OF(flag_keys), 0 },
    { "Gateway", gateway_conf_keys, N_OF(gateway_conf_keys), offsetof(struct conf, gateway) },
    SCREEN_CONF_GROUP(struct conf, screen),
};

static const struct verb_flag flags[] = {
    GATEWAY_FLAG,
    { "--json", NULL, "--json", "one JSON object, on one line" },
};

/* "<id>  in-progress: Recognition is in progress." */
static void put_standing(struct buf *out, const struct screen *s, const char *id,
                         const struct gateway_answer *a)
{
    struct buf line = BUF_INIT(SCREEN_TEXT_MAX);
    buf_printf(&line, "  %s: " STR_FMT, a->status, STR_ARG(buf_str(&a->description)));
    screen_paint(s, out, PAINT_BOLD, str_of(id));
    screen_paint(s, out, PAINT_YELLOW, buf_str(&line));
    buf_putc(out, '\n');
    buf_fini(&line);
}

static int show(const struct conf *c, struct screen *s, const char *id,
                const struct gateway_answer *a)
{
    struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
    struct show_of of = { NULL, id };
    bool known = strcmp(a->status, "not-found") != 0;
    bool labelled = a->labels.type == JSON_ARRAY;
    if (labelled && c->json)
        show_json_labels(&out, s, of, a->labels);
    else if (labelled)
        show_table(&out, s, of, a->labels);
    else if (c->json)
        show_json_status(&out, s, of, a->status, buf_str(&a->description));
    else if (known)
        put_standing(&out, s, id, a);
    else
        screen_say(s, "%s: not found; `labelwire label` prints the id of each blob", id);
    bool printed = screen_print(s, &out);
    buf_fini(&out);
    return known && printed ? EXIT_WELL : EXIT_FAILED;
}

static int run(const void *arg, char *const *operands, size_t n)
{
    const struct conf *c = arg;
    struct screen screen;
    struct gateway gateway;
    struct gateway_answer answer = { 0 };
    struct errbuf eb = { "" };
    int code = EXIT_FAILED;
    (void)n;
    screen_init(&screen, &c->screen);
    enum err e = gateway_open(&gateway, &c->gateway, &eb);
    gateway.deadline = mono_after_ms(mono_now(), LIMIT_MS);
    if (e == ERR_OK)
        e = gateway_look(&gateway, str_of(operands[0]), &answer, &eb);
    if (e == ERR_OK)
        code = show(c, &screen, operands[0], &answer);
    else
        screen_say(&screen, "%s", eb.text);
    gateway_answer_fini(&answer);
    gateway_close(&gateway);
    return code;
}

const struct verb verb_get = {
    .name = "get",
    .operands = "ID",
    .about = "print the labels of a blob, or where it stands",
    .more = "The exit code is 1 when there is no such blob.\n",
    .example = "labelwire get 2f1c0a52-94c8-4b7e-8a39-5e0f6c1d7b24",
    .flags = flags,
    .n_flags = N_OF(flags),
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .least = 1,
    .most = 1,
    .run = run,
};
