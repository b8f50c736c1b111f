/* labelwire - the command line: labels pictures, watches the system, sets it up. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/screen.h"
#include "cli/verb.h"
#include "svc/svc.h"

#define HELP_MAX 65536U

extern char **environ;

static const struct verb *const verbs[] = { &verb_label,     &verb_get,       &verb_tail,
                                            &verb_recognize, &verb_redeliver, &verb_erase,
                                            &verb_dead,      &verb_setup };

static int print_help(void)
{
    (void)printf("labelwire - label pictures, and look after the system that does it\n\n"
                 "usage: labelwire COMMAND [OPTION...] [OPERAND...]\n\n");
    for (size_t i = 0; i < N_OF(verbs); i++)
        (void)printf("  %-10s %s\n", verbs[i]->name, verbs[i]->about);
    (void)printf("\n  -h, --help after a command: its options and variables\n"
                 "  --version  the version\n\n"
                 "Example\n  labelwire label cat.jpg\n\n"
                 "Colours and progress are for terminals; NO_COLOR=1 takes the colours away,\n"
                 "TERM=dumb both.\n");
    return EXIT_WELL;
}

static void print_verb_help(const struct verb *v, FILE *to)
{
    struct buf out = BUF_INIT(HELP_MAX);
    args_put_help(&out, v);
    (void)fputs(out.p, to);
    buf_fini(&out);
}

static int refuse(const struct verb *v, const char *why)
{
    struct screen s = { 0 };
    struct buf usage = BUF_INIT(HELP_MAX);
    screen_say(&s, "%s: %s", v->name, why);
    args_put_usage(&usage, v);
    (void)fprintf(stderr, "%slabelwire %s --help tells more\n", usage.p, v->name);
    buf_fini(&usage);
    return EXIT_USAGE;
}

static int check_operands(const struct verb *v, const struct args *a)
{
    struct errbuf eb = { "" };
    if (a->n_operands >= v->least && a->n_operands <= v->most)
        return EXIT_WELL;
    if (a->n_operands + a->n_lines == 0) { /* "what is this?", but a script must notice */
        print_verb_help(v, stderr);
        return EXIT_USAGE;
    }
    if (a->n_operands < v->least)
        (void)errbuf_set(&eb, ERR_INVAL, "%s is missing", v->operands);
    else
        (void)errbuf_set(&eb, ERR_INVAL, "'%.64s' is one too many", a->operands[v->most]);
    return refuse(v, eb.text);
}

static int load_and_run(const struct verb *v, const struct args *a)
{
    struct buf problems = BUF_INIT(HELP_MAX);
    void *conf = xcalloc(1, v->conf_size);
    int code;
    if (args_load(a, v, conf, environ, &problems) == ERR_OK) {
        code = v->run(conf, a->operands, a->n_operands);
    } else {
        struct str rest = str_trim(buf_str(&problems)), line;
        struct screen s = { 0 };
        while (str_cut(&rest, '\n', &line))
            screen_say(&s, "%s: " STR_FMT, v->name, STR_ARG(line));
        screen_say(&s, "see: labelwire %s --help", v->name);
        code = EXIT_USAGE;
    }
    conf_fini(conf, v->conf, v->n_conf);
    free(conf);
    buf_fini(&problems);
    return code;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
    struct args a;
    struct errbuf eb = { "" };
    for (size_t i = 0; argc > 0 && i < v->n_parts; i++)
        if (strcmp(argv[0], strrchr(v->parts[i].name, ' ') + 1) == 0)
            return run_verb(&v->parts[i], argc - 1, argv + 1);
    enum err e = args_parse(&a, v, argc, argv, &eb);
    int code = EXIT_WELL;
    if (e != ERR_OK)
        code = refuse(v, eb.text);
    else if (a.help)
        print_verb_help(v, stdout);
    else if ((code = check_operands(v, &a)) == EXIT_WELL)
        code = load_and_run(v, &a);
    args_fini(&a);
    return code;
}

/* A reader that leaves is an error code of a write, not a death. */
static void block_sigpipe(void)
{
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "--help";
    struct screen s = { 0 };
    block_sigpipe();
    log_open("labelwire", LOG_NOTHING); /* the modules below tell it in their results too */
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return print_help();
    if (strcmp(word, "--version") == 0) {
        (void)printf("labelwire %s\n", SVC_VERSION);
        return EXIT_WELL;
    }
    for (size_t i = 0; i < N_OF(verbs); i++)
        if (strcmp(word, verbs[i]->name) == 0)
            return run_verb(verbs[i], argc - 2, argv + 2);
    screen_say(&s, "unknown %s '%.64s'; labelwire --help lists the commands",
               word[0] == '-' ? "option" : "command", word);
    return EXIT_USAGE;
}
