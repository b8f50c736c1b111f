#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/metric.h"

static struct metric rows[] = {
    { .name = "labelwire_x_calls_total",
      .labels = "class=\"ok\"",
      .help = "Calls by outcome.",
      .kind = METRIC_COUNTER },
    { .name = "labelwire_x_calls_total", .labels = "class=\"timeout\"", .kind = METRIC_COUNTER },
    { .name = "labelwire_x_depth", .help = "Items waiting.", .kind = METRIC_GAUGE },
};
static struct metric other[] = {
    { .name = "labelwire_y_bytes_total", .help = "Bytes sent.", .kind = METRIC_COUNTER },
};

static void text_format(void **state)
{
    (void)state;
    const struct metric_set sets[] = { { rows, N_OF(rows) }, { other, N_OF(other) }, { NULL, 0 } };
    metric_add(&rows[0], 2);
    metric_add(&rows[0], 3);
    metric_add(&rows[1], 1);
    metric_set(&rows[2], 9);
    metric_set(&rows[2], -4);
    metric_add(&other[0], INT64_MAX);
    struct buf out = BUF_INIT(4096);
    metric_format(&out, sets, N_OF(sets));
    assert_string_equal(out.p, "# HELP labelwire_x_calls_total Calls by outcome.\n"
                               "# TYPE labelwire_x_calls_total counter\n"
                               "labelwire_x_calls_total{class=\"ok\"} 5\n"
                               "labelwire_x_calls_total{class=\"timeout\"} 1\n"
                               "# HELP labelwire_x_depth Items waiting.\n"
                               "# TYPE labelwire_x_depth gauge\n"
                               "labelwire_x_depth -4\n"
                               "# HELP labelwire_y_bytes_total Bytes sent.\n"
                               "# TYPE labelwire_y_bytes_total counter\n"
                               "labelwire_y_bytes_total 9223372036854775807\n");
    buf_fini(&out);
}

static void *count(void *m)
{
    for (int i = 0; i < 50000; i++)
        metric_add(m, 1);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    struct metric m = { .name = "n", .kind = METRIC_COUNTER };
    pthread_t t[4];
    for (size_t i = 0; i < N_OF(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, count, &m), 0);
    for (size_t i = 0; i < N_OF(t); i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(atomic_load(&m.value), 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_format),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
