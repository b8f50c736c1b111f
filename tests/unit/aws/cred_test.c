#include "aws/cred.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "aws/s3.h"

#define WAIT_MS 10000

struct file {
    char dir[32], path[64], profile[16];
};

static void write_keys(const struct file *f, const char *token)
{
    char part[80];
    (void)snprintf(part, sizeof part, "%s.part", f->path);
    FILE *out = fopen(part, "w");
    assert_non_null(out);
    (void)fprintf(out,
                  "[default]\naws_access_key_id=AKID\naws_secret_access_key=secret\n"
                  "aws_session_token=%s\n",
                  token);
    (void)fclose(out);
    assert_int_equal(rename(part, f->path), 0);
}

static struct aws_conf file_conf(struct file *f)
{
    *f = (struct file){ "/tmp/cred_test.XXXXXX", "", "default" };
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/credentials", f->dir);
    return (struct aws_conf){ .credentials_file = f->path, .profile = f->profile };
}

static void remove_file(const struct file *f)
{
    (void)unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0);
}

static bool has_token(struct cred *c, const char *token)
{
    struct cred_keys *k = cred_hold(c);
    bool same =
        str_eq(k->creds.session_token, str_of(token)) && str_eq(k->creds.secret_key, S("secret"));
    cred_release(k);
    return same;
}

/* ---- what is given */

static void sources(void **state)
{
    (void)state;
    char key[] = "AKID", secret[] = "secret", token[] = "t", none[] = "", file[] = "/no/such/file";
    char profile[] = "default";
    const struct {
        struct aws_conf conf;
        enum err want;
        const char *why;
    } rows[] = {
        { { .access_key = key, .secret_key = secret }, ERR_OK, "" },
        { { key, secret, token, file, profile, NULL, NULL }, ERR_OK, "" }, /* environment wins */
        { { key, secret, none, none, profile, NULL, NULL }, ERR_OK, "" },
        { { .access_key = none, .secret_key = none }, ERR_CONFIG, "AWS_SHARED_CREDENTIALS_FILE" },
        { { .access_key = key }, ERR_CONFIG, "AWS_SECRET_ACCESS_KEY: is not set" },
        { { .access_key = none, .secret_key = secret, .credentials_file = file },
          ERR_CONFIG,
          "AWS_ACCESS_KEY_ID: is not set" },
        { { .credentials_file = file, .profile = profile }, ERR_CONFIG, "/no/such/file: No such" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct cred *c = NULL;
        struct errbuf eb = { "" };
        enum err e = cred_open(&c, &rows[i].conf, &eb);
        if (e != rows[i].want || strstr(eb.text, rows[i].why) == NULL)
            fail_msg("row %zu: %s: %s", i, err_name(e), eb.text);
        assert_int_equal(c != NULL, e == ERR_OK);
        if (e == ERR_OK) {
            assert_false(cred_renew(c, 1)); /* there are no others */
            assert_true(has_token(c, rows[i].conf.session_token));
        }
        cred_close(c);
    }
}

/* ---- a file */

static void renewed_when_expired(void **state)
{
    (void)state;
    struct file f;
    struct cred *c;
    struct aws_conf conf = file_conf(&f);
    struct errbuf eb = { "" };
    write_keys(&f, "first");
    assert_int_equal(cred_open(&c, &conf, &eb), ERR_OK);
    struct cred_keys *old = cred_hold(c);
    assert_int_equal(old->version, 1);
    assert_false(cred_renew(c, 1)); /* the file is as it was */
    write_keys(&f, "second");
    assert_true(cred_renew(c, 1));
    assert_true(has_token(c, "second"));
    assert_true(cred_renew(c, 1));  /* another request with the old keys: no need to read */
    assert_false(cred_renew(c, 2)); /* the new ones have expired, too */
    assert_true(str_eq(old->creds.session_token, S("first"))); /* held: still there */
    cred_release(old);
    cred_close(c);
    remove_file(&f);
}

static void followed_when_changed(void **state)
{
    (void)state;
    struct file f;
    struct cred *c;
    struct aws_conf conf = file_conf(&f);
    struct errbuf eb = { "" };
    write_keys(&f, "first");
    assert_int_equal(cred_open(&c, &conf, &eb), ERR_OK);
    assert_true(has_token(c, "first"));
    write_keys(&f, "second");
    mono_t limit = mono_after_ms(mono_now(), WAIT_MS);
    while (!has_token(c, "second") && mono_until_ms(mono_now(), limit) > 0)
        continue;
    assert_true(has_token(c, "second"));
    assert_int_equal(unlink(f.path), 0); /* being replaced by somebody who is in no hurry */
    assert_false(cred_renew(c, 2));
    write_keys(&f, "bad token");
    assert_false(cred_renew(c, 2));
    assert_true(has_token(c, "second"));
    write_keys(&f, "third");
    assert_true(cred_renew(c, 2));
    cred_close(c);
    remove_file(&f);
}

static void too_large(void **state)
{
    (void)state;
    struct file f;
    struct cred *c;
    struct aws_conf conf = file_conf(&f);
    struct errbuf eb = { "" };
    char *token = calloc(1, CRED_FILE_MAX + 1);
    assert_non_null(token);
    memset(token, 't', CRED_FILE_MAX);
    write_keys(&f, token);
    assert_int_equal(cred_open(&c, &conf, &eb), ERR_CONFIG);
    assert_non_null(strstr(eb.text, "larger than"));
    free(token);
    remove_file(&f);
}

/* The kept key of the day does not outlive the keys that it was made of. */
static void s3_signs_with_the_new_keys(void **state)
{
    (void)state;
    struct file f;
    struct cred *c;
    struct s3 s3;
    struct aws_conf conf = file_conf(&f);
    char endpoint[] = "http://h", bucket[] = "bkt", public[] = "";
    const struct s3_conf s3_conf = { endpoint, public, bucket, 10000 };
    struct errbuf eb = { "" };
    struct buf url = BUF_INIT(8192);
    wall_t now = { INT64_C(1795229307000) };
    write_keys(&f, "first");
    assert_int_equal(cred_open(&c, &conf, &eb), ERR_OK);
    assert_int_equal(s3_init(&s3, &s3_conf, S("us-east-1"), c, &eb), ERR_OK);
    assert_int_equal(s3_presign(&s3, "GET", S("k"), 60, now, &url), ERR_OK);
    assert_non_null(strstr(url.p, "X-Amz-Security-Token=first"));
    write_keys(&f, "second");
    assert_true(cred_renew(c, 1));
    buf_clear(&url);
    assert_int_equal(s3_presign(&s3, "GET", S("k"), 60, now, &url), ERR_OK);
    assert_non_null(strstr(url.p, "X-Amz-Security-Token=second"));
    buf_fini(&url);
    s3_fini(&s3);
    cred_close(c);
    remove_file(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources),
        cmocka_unit_test(renewed_when_expired),
        cmocka_unit_test(followed_when_changed),
        cmocka_unit_test(too_large),
        cmocka_unit_test(s3_signs_with_the_new_keys),
    };
    log_open("cred_test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
