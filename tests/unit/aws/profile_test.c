#include "aws/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define FILE_OF_TWO                                                                                \
    "# ours\n[default]\naws_access_key_id = AKID\naws_secret_access_key=se/c=ret+\n\n"             \
    "[ other ]\r\naws_access_key_id=A2\r\n; temporary\r\naws_secret_access_key\t= s2\r\n"          \
    "aws_session_token = t2==\r\n"

static void profiles(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *key, *secret, *token; /* token NULL: none */
        const char *why;                                /* of a refusal */
    } rows[] = {
        { FILE_OF_TWO, "default", "AKID", "se/c=ret+", NULL, NULL },
        { FILE_OF_TWO, "other", "A2", "s2", "t2==", NULL },
        { FILE_OF_TWO, "third", "", "", NULL, "no profile third" },
        { FILE_OF_TWO, "ther", "", "", NULL, "no profile ther" },
        { "[profile dev]\naws_access_key_id=a\naws_secret_access_key=b", "dev", "a", "b", NULL,
          NULL }, /* without a line end */
        { "[d]\naws_access_key_id=a\nAWS_Secret_Access_Key=b\nregion=x\ns3 =\n  "
          "aws_session_token=c\n",
          "d", "a", "b", NULL, NULL }, /* indented: of s3 */
        { "[d]\naws_access_key_id=a\naws_secret_access_key=b\naws_session_token=\n", "d", "a", "b",
          NULL, NULL },
        { "[d]\naws_access_key_id=a\naws_secret_access_key=b\n[d]\naws_secret_access_key=c\n", "d",
          "a", "c", NULL, NULL },
        { "[d]\naws_access_key_id=a\naws_secr", "d", "", "", NULL, "no aws_secret_access_key" },
        { "[d]\naws_secret_access_key=b\n", "d", "", "", NULL, "no aws_access_key_id" },
        { "[d]\naws_access_key_id=a\naws_secret_access_key=b c\n", "d", "", "", NULL,
          "aws_secret_access_key: want" },
        { "[d]\naws_access_key_id=a\naws_secret_access_key=b\naws_session_token=x\ry\n", "d", "",
          "", NULL, "aws_session_token: want" },
        { "[d\naws_access_key_id=a\naws_secret_access_key=b\n", "d", "", "", NULL, "no profile d" },
        { "aws_access_key_id=a\naws_secret_access_key=b\n", "default", "", "", NULL, "no profile" },
        { "", "default", "", "", NULL, "no profile" },
        { "\n[\n]\n=\n[]\n", "default", "", "", NULL, "no profile" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct aws_creds c;
        struct errbuf eb = { "" };
        enum err e = profile_read(&c, str_of(rows[i].text), str_of(rows[i].name), &eb);
        if (rows[i].why != NULL) {
            if (e != ERR_CONFIG || strstr(eb.text, rows[i].why) == NULL)
                fail_msg("row %zu: %s: %s", i, err_name(e), eb.text);
            assert_null(strstr(eb.text, "b c"));
        } else if (e != ERR_OK || !str_eq(c.access_key, str_of(rows[i].key)) ||
                   !str_eq(c.secret_key, str_of(rows[i].secret)) ||
                   !str_eq(c.session_token, str_of(rows[i].token)) ||
                   (rows[i].token == NULL) != (c.session_token.p == NULL)) {
            fail_msg("row %zu: %s: %s", i, err_name(e), eb.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(profiles) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
