#include "aws/cred.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "aws/profile.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOK_MS 1000 /* between two looks whether the file has changed */

/* ---- configuration */

/* What stands between slashes in a signature's scope, and between dots in a host name. */
static enum err check_region(struct str value, struct errbuf *eb)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return errbuf_set(eb, ERR_INVAL, "a region such as eu-west-1");
    }
    return ERR_OK;
}

const struct conf_key aws_conf_keys[7] = {
    { "AWS_ACCESS_KEY_ID", CONF_TEXT, offsetof(struct aws_conf, access_key),
      .check = profile_check_key,
      .doc = "Key that signs requests to S3 and Rekognition. Required, unless "
             "AWS_SHARED_CREDENTIALS_FILE is given." },
    { "AWS_SECRET_ACCESS_KEY", CONF_TEXT, offsetof(struct aws_conf, secret_key),
      .flags = CONF_SECRET, .check = profile_check_key,
      .doc = "The secret that belongs to AWS_ACCESS_KEY_ID." },
    { "AWS_SESSION_TOKEN", CONF_TEXT, offsetof(struct aws_conf, session_token),
      .flags = CONF_SECRET, .check = profile_check_key,
      .doc = "Only with temporary keys.  Those of the environment are not renewed: the process "
             "must be restarted with new ones before they expire." },
    { "AWS_SHARED_CREDENTIALS_FILE", CONF_TEXT, offsetof(struct aws_conf, credentials_file),
      .doc = "File with the keys, in the AWS tools' own format, used when AWS_ACCESS_KEY_ID is "
             "not set; read again when it changes, so its keys may be temporary ones." },
    { "AWS_PROFILE", CONF_TEXT, offsetof(struct aws_conf, profile), .def = "default",
      .doc = "The profile of AWS_SHARED_CREDENTIALS_FILE to use." },
    { "AWS_REGION", CONF_TEXT, offsetof(struct aws_conf, region), .flags = CONF_REQUIRED,
      .check = check_region, .doc = "Region of the bucket and of Rekognition." },
    { "AWS_CA_BUNDLE", CONF_TEXT, offsetof(struct aws_conf, ca_bundle),
      .doc = "PEM file of the certificate authorities to trust instead of the system's." },
};

static bool is_set(const char *value)
{
    return value != NULL && value[0] != '\0';
}

void aws_conf_check(const struct aws_conf *c, struct buf *problems)
{
    if (is_set(c->access_key) != is_set(c->secret_key))
        buf_printf(problems, "%s: is not set, but %s is; they belong together\n",
                   is_set(c->access_key) ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                   is_set(c->access_key) ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
    else if (!is_set(c->access_key) && !is_set(c->credentials_file))
        buf_puts(problems, "AWS_ACCESS_KEY_ID: is required with AWS_SECRET_ACCESS_KEY, or a file "
                           "with both in AWS_SHARED_CREDENTIALS_FILE\n");
}

/* ---- a set of keys */

static struct cred_keys *keys_new(void)
{
    struct cred_keys *k = xcalloc(1, sizeof *k);
    atomic_store(&k->holders, 1);
    buf_init(&k->text, CRED_FILE_MAX);
    return k;
}

void cred_release(struct cred_keys *k)
{
    if (k == NULL || atomic_fetch_sub(&k->holders, 1) > 1)
        return;
    if (k->text.p != NULL)
        explicit_bzero(k->text.p, k->text.room);
    buf_fini(&k->text);
    free(k);
}

static struct cred_keys *keys_from_environment(const struct aws_conf *c)
{
    struct cred_keys *k = keys_new();
    struct str token = str_of(c->session_token);
    k->creds = (struct aws_creds){ .access_key = str_of(c->access_key),
                                   .secret_key = str_of(c->secret_key),
                                   .session_token = token.n == 0 ? STR_NONE : token };
    return k;
}

/* NULL: eb says why. */
static struct cred_keys *keys_from_file(const struct aws_conf *c, struct errbuf *eb)
{
    FILE *f = fopen(c->credentials_file, "re");
    if (f == NULL) {
        (void)errbuf_set(eb, ERR_CONFIG, "%s: %m", c->credentials_file);
        return NULL;
    }
    struct cred_keys *k = keys_new();
    char *at = buf_reserve(&k->text, CRED_FILE_MAX); /* at once: no copy of a secret stays behind */
    if (at != NULL)
        buf_grew(&k->text, fread(at, 1, CRED_FILE_MAX, f));
    bool whole = at != NULL && feof(f) && !ferror(f);
    (void)fclose(f);
    enum err e = whole ? profile_read(&k->creds, buf_str(&k->text), str_of(c->profile), eb)
                       : errbuf_set(eb, ERR_CONFIG, "cannot be read, or is larger than %u bytes",
                                    CRED_FILE_MAX);
    if (e == ERR_OK)
        return k;
    (void)errbuf_wrap(eb, e, "%s", c->credentials_file);
    cred_release(k);
    return NULL;
}

static bool same_creds(const struct aws_creds *a, const struct aws_creds *b)
{
    return str_eq(a->access_key, b->access_key) && str_eq(a->secret_key, b->secret_key) &&
           str_eq(a->session_token, b->session_token);
}

/* ---- the source */

struct cred {
    const struct aws_conf *conf;
    bool from_file;
    pthread_mutex_t lock; /* over the rest */
    struct cred_keys *keys;
    struct stat seen; /* of the file when it was read */
    mono_t next_look, next_alarm;
};

enum err cred_open(struct cred **out, const struct aws_conf *conf, struct errbuf *eb)
{
    struct buf problems = BUF_INIT(512);
    struct cred *c = xcalloc(1, sizeof *c);
    enum err e = ERR_OK;
    aws_conf_check(conf, &problems);
    c->conf = conf;
    c->from_file = !is_set(conf->access_key);
    (void)pthread_mutex_init(&c->lock, NULL); /* without attributes it cannot fail */
    if (problems.n > 0)
        e = errbuf_set(eb, ERR_CONFIG, "%.*s", STR_ARG(str_trim(buf_str(&problems))));
    else if (!c->from_file)
        c->keys = keys_from_environment(conf);
    else if (stat(conf->credentials_file, &c->seen) != 0)
        e = errbuf_set(eb, ERR_CONFIG, "AWS_SHARED_CREDENTIALS_FILE: %s: %m",
                       conf->credentials_file);
    else if ((c->keys = keys_from_file(conf, eb)) == NULL)
        e = errbuf_wrap(eb, ERR_CONFIG, "AWS_SHARED_CREDENTIALS_FILE");
    buf_fini(&problems);
    if (c->keys != NULL) {
        c->keys->version = 1;
    } else {
        cred_close(c);
        c = NULL;
    }
    *out = c;
    return e;
}

void cred_close(struct cred *c)
{
    if (c == NULL)
        return;
    cred_release(c->keys);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* A file that cannot be read just now, or is half written, leaves the keys as they are. */
static void read_again(struct cred *c)
{
    struct errbuf eb = { "" };
    struct cred_keys *fresh = keys_from_file(c->conf, &eb);
    if (fresh == NULL) {
        LOG(WARN, "credentials.unreadable", F_STR("reason", eb.text));
        return;
    }
    if (same_creds(&fresh->creds, &c->keys->creds)) {
        cred_release(fresh);
        return;
    }
    fresh->version = c->keys->version + 1;
    cred_release(c->keys);
    c->keys = fresh;
    LOG(INFO, "credentials.renewed", F_STR("file", c->conf->credentials_file));
}

static void look(struct cred *c)
{
    struct stat now;
    mono_t t = mono_now();
    if (!c->from_file || mono_until_ms(t, c->next_look) > 0)
        return;
    c->next_look = mono_after_ms(t, LOOK_MS);
    if (stat(c->conf->credentials_file, &now) != 0 ||
        (now.st_ino == c->seen.st_ino && now.st_size == c->seen.st_size &&
         now.st_mtim.tv_sec == c->seen.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == c->seen.st_mtim.tv_nsec))
        return;
    c->seen = now;
    read_again(c);
}

struct cred_keys *cred_hold(struct cred *c)
{
    (void)pthread_mutex_lock(&c->lock);
    look(c);
    struct cred_keys *k = c->keys;
    atomic_fetch_add(&k->holders, 1);
    (void)pthread_mutex_unlock(&c->lock);
    return k;
}

bool cred_renew(struct cred *c, unsigned version)
{
    (void)pthread_mutex_lock(&c->lock);
    if (c->from_file && c->keys->version == version)
        read_again(c);
    bool renewed = c->keys->version != version;
    if (!renewed && log_once_a_minute(&c->next_alarm))
        LOG(ERROR, "credentials.expired",
            F_STR("hint", c->from_file ? "put new keys into AWS_SHARED_CREDENTIALS_FILE"
                                       : "restart with new keys in the environment, or use "
                                         "AWS_SHARED_CREDENTIALS_FILE, which is read again"));
    (void)pthread_mutex_unlock(&c->lock);
    return renewed;
}
