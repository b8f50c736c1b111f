#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"

static void every_error_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_OK), "ok");
    assert_string_equal(err_name(ERR_CONFIG), "configuration");
    assert_string_equal(err_name((enum err)(ERR_CONFIG + 1)), "unknown");
    assert_string_equal(err_name((enum err) - 1), "unknown");
    for (int e = ERR_OK; e <= ERR_CONFIG; e++)
        assert_non_null(err_name((enum err)e));
}

static void context_goes_in_front(void **state)
{
    (void)state;
    struct errbuf eb = { "" };
    assert_int_equal(errbuf_set(&eb, ERR_IO, "port %d refused", 80), ERR_IO);
    assert_int_equal(errbuf_wrap(&eb, ERR_REMOTE, "host %s", "h"), ERR_REMOTE);
    assert_int_equal(errbuf_wrap(&eb, ERR_REMOTE, "blob %d", 7), ERR_REMOTE);
    assert_string_equal(eb.text, "blob 7: host h: port 80 refused");
    assert_int_equal(errbuf_set(NULL, ERR_IO, "x"), ERR_IO);
    assert_int_equal(errbuf_wrap(NULL, ERR_IO, "x"), ERR_IO);
}

/* Whatever the lengths, the text ends inside, keeps the context and never half a separator. */
static void long_texts_are_cut(void **state)
{
    (void)state;
    char outer[400], inner[400];
    memset(outer, 'o', sizeof outer);
    memset(inner, 'i', sizeof inner);
    for (int n = 0; n < 300; n++)
        for (int m = 0; m < 300; m += 7) {
            struct errbuf eb;
            memset(&eb, 0x5a, sizeof eb);
            (void)errbuf_set(&eb, ERR_IO, "%.*s", m, inner);
            size_t was = strlen(eb.text);
            (void)errbuf_wrap(&eb, ERR_IO, "%.*s", n, outer);
            size_t len = strnlen(eb.text, sizeof eb.text), context = strspn(eb.text, "o");
            size_t all = (size_t)n + 2 + was;
            if (len >= sizeof eb.text || context != (size_t)(n < 255 ? n : 255) ||
                (n < 253 && len != (all < 255 ? all : 255)) || (n >= 253 && len != context))
                fail_msg("%d and %d bytes: '%s'", n, m, eb.text);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
