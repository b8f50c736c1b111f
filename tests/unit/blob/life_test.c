/* The whole phase table, and every event against every phase: what is not in the table must not
 * change anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "blob/life.h"
#include "blob/render.h"

#define S_(n) ((n) * INT64_C(1000))
#define H_(n) ((n) * INT64_C(3600000))

static const struct life_policy policy = {
    .upload_grace_ms = S_(10),
    .recognize_lease_ms = S_(60),
    .recognize_tries = 3,
    .callback_attempts = 9,
    .callback_lease_ms = S_(20),
    .callback_on_failure = true,
    .retention_ms = H_(720),
};

static struct blob blob_in(enum blob_phase phase)
{
    return (struct blob){ .id = "0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e",
                          .owner = "acme",
                          .phase = phase,
                          .result = phase >= PHASE_DELIVERING ? RESULT_LABELS : RESULT_NONE,
                          .has_labels = phase >= PHASE_DELIVERING,
                          .seq = 7,
                          .gen = 1,
                          .window_ms = S_(30),
                          .etag = "e1",
                          .size = 100,
                          .callback_url = "https://receiver.example/hook" };
}

static struct life_step next(const struct blob *b, struct life_event ev)
{
    struct life_step step;
    life_next(b, &ev, &policy, 0, &step);
    return step;
}

#define ANY INT64_C(-2)

static const struct {
    const char *why;
    enum blob_phase from;
    enum life_event_type ev;
    enum blob_phase to;
    int64_t delay_ms;
    unsigned says;
    const char *event;
} arrows[] = {
    /* clang-format off */
    { "uploaded", PHASE_AWAITING, LIFE_UPLOADED, PHASE_QUEUED, H_(1), LIFE_SAYS_RECOGNIZE, "upload.seen" },
    { "not there", PHASE_AWAITING, LIFE_ABSENT, PHASE_FINISHED, S_(600), 0, "upload.timed_out" },
    { "hand-off lost", PHASE_QUEUED, LIFE_TIMER_DUE, PHASE_QUEUED, H_(2), LIFE_SAYS_RECOGNIZE, "recognition.queued_again" },
    { "start", PHASE_QUEUED, LIFE_RECOGNIZE_START, PHASE_RECOGNIZING, S_(60), 0, "recognition.started" },
    { "probed", PHASE_RECOGNIZING, LIFE_PROBED, PHASE_RECOGNIZING, S_(60), 0, "image.probed" },
    { "labels", PHASE_RECOGNIZING, LIFE_LABELED, PHASE_DELIVERING, H_(1), LIFE_SAYS_DELIVER, "labels.saved" },
    { "final failure", PHASE_RECOGNIZING, LIFE_REJECTED, PHASE_DELIVERING, H_(1), LIFE_SAYS_DELIVER, "recognition.failed" },
    { "transient", PHASE_RECOGNIZING, LIFE_TRANSIENT, PHASE_RESTING, 100, 0, "recognition.postponed" },
    { "spend cap", PHASE_RECOGNIZING, LIFE_OVER_CAP, PHASE_PARKED, S_(300), 0, "recognition.parked" },
    { "lease over", PHASE_RECOGNIZING, LIFE_TIMER_DUE, PHASE_QUEUED, H_(1), LIFE_SAYS_RECOGNIZE, "recognition.lease_ended" },
    { "rested", PHASE_RESTING, LIFE_TIMER_DUE, PHASE_QUEUED, H_(1), LIFE_SAYS_RECOGNIZE, "recognition.queued" },
    { "cap looked at", PHASE_PARKED, LIFE_TIMER_DUE, PHASE_QUEUED, H_(1), LIFE_SAYS_RECOGNIZE, "recognition.queued" },
    { "hand-off lost", PHASE_DELIVERING, LIFE_TIMER_DUE, PHASE_DELIVERING, H_(2), LIFE_SAYS_DELIVER, "delivery.queued_again" },
    { "start", PHASE_DELIVERING, LIFE_DELIVER_START, PHASE_ATTEMPTING, S_(20), 0, "delivery.started" },
    { "answered", PHASE_ATTEMPTING, LIFE_DELIVERED, PHASE_FINISHED, H_(720), 0, "delivery.done" },
    { "failed", PHASE_ATTEMPTING, LIFE_DELIVERY_FAILED, PHASE_HOLDING, S_(4), 0, "delivery.failed" },
    { "lease over", PHASE_ATTEMPTING, LIFE_TIMER_DUE, PHASE_DELIVERING, H_(1), LIFE_SAYS_DELIVER, "delivery.lease_ended" },
    { "next try", PHASE_HOLDING, LIFE_TIMER_DUE, PHASE_DELIVERING, H_(1), LIFE_SAYS_DELIVER, "delivery.queued" },
    { "retention over", PHASE_FINISHED, LIFE_TIMER_DUE, PHASE_ERASING, 0, 0, "retention.ended" },
    { "again", PHASE_FINISHED, LIFE_RECOGNIZE_AGAIN, PHASE_QUEUED, H_(1), LIFE_SAYS_RECOGNIZE, "recognition.asked_again" },
    { "redeliver", PHASE_FINISHED, LIFE_REDELIVER, PHASE_DELIVERING, H_(1), LIFE_SAYS_DELIVER, "delivery.asked_again" },
    { "object gone", PHASE_ERASING, LIFE_ERASED, PHASE_ERASING, LIFE_NO_TIMER, 0, "blob.erased" },
    /* clang-format on */
};

static void every_arrow_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(arrows); i++) {
        struct blob b = blob_in(arrows[i].from);
        struct life_step s = next(&b, (struct life_event){ .type = arrows[i].ev,
                                                           .etag = S("e1"),
                                                           .result = RESULT_INVALID,
                                                           .delivery = DELIVERY_FAILURE });
        print_message("%s from %s\n", arrows[i].why, phase_name(arrows[i].from));
        assert_true(s.changed);
        assert_int_equal(s.next.phase, arrows[i].to);
        assert_int_equal(s.next.seq, b.seq + 1);
        assert_int_equal(s.delay_ms, arrows[i].delay_ms);
        assert_int_equal(s.says, arrows[i].says);
        assert_string_equal(s.event, arrows[i].event);
        assert_int_equal(s.erased, arrows[i].ev == LIFE_ERASED);
    }
}

static bool has_arrow(enum blob_phase from, enum life_event_type ev)
{
    for (size_t i = 0; i < N_OF(arrows); i++)
        if (arrows[i].from == from && arrows[i].ev == ev)
            return true;
    return ev == LIFE_DELETE && from != PHASE_ERASING;
}

static void nothing_but_the_table_changes_anything(void **state)
{
    (void)state;
    for (int p = 0; p < PHASE_N; p++)
        for (int ev = 0; ev < LIFE_EVENT_N; ev++) {
            struct blob b = blob_in((enum blob_phase)p);
            struct life_step s = next(&b, (struct life_event){ .type = (enum life_event_type)ev,
                                                               .etag = S("e1"),
                                                               .result = RESULT_INVALID });
            print_message("phase %s, event %d\n", phase_name((enum blob_phase)p), ev);
            assert_int_equal(s.changed, has_arrow((enum blob_phase)p, (enum life_event_type)ev));
        }
}

/* Every step but the last leaves exactly one timer, grows seq by one and never shrinks gen. */
static void invariants_of_random_lives(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252U;
    for (int life = 0; life < 3000; life++) {
        struct blob start = blob_in(PHASE_AWAITING);
        struct life_step s;
        life_create(&start, &policy, &s);
        for (int step = 0; step < 60 && !s.erased; step++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            struct blob b = s.next;
            struct life_step t;
            struct life_event ev = { .type = (enum life_event_type)(x % LIFE_EVENT_N),
                                     .etag = (x >> 20) % 4 == 0 ? S("e2") : S("e1"),
                                     .size = 10,
                                     .result = (enum blob_result)(RESULT_INVALID + (x >> 24) % 3),
                                     .delivery =
                                         (enum blob_delivery)(DELIVERY_FAILURE + (x >> 28) % 3),
                                     .gone = (x >> 32) % 16 == 0 };
            life_next(&b, &ev, &policy, x, &t);
            if (!t.changed)
                continue;
            assert_int_equal(t.next.seq, b.seq + 1);
            assert_true(t.next.gen == b.gen || t.next.gen == b.gen + 1);
            assert_true(t.erased ? t.delay_ms == LIFE_NO_TIMER : t.delay_ms >= 0);
            assert_non_null(t.event);
            assert_true(t.next.starts < LIFE_STARTS_MAX);
            if ((t.says & LIFE_SAYS_RECOGNIZE) != 0)
                assert_int_equal(t.next.phase, PHASE_QUEUED);
            if ((t.says & LIFE_SAYS_DELIVER) != 0)
                assert_int_equal(t.next.phase, PHASE_DELIVERING);
            s = t;
        }
    }
}

static void a_fenced_event_needs_its_start(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_RECOGNIZING);
    assert_true(next(&b, (struct life_event){ .type = LIFE_LABELED, .fence = 7 }).changed);
    assert_false(next(&b, (struct life_event){ .type = LIFE_LABELED, .fence = 6 }).changed);
}

static void the_fifth_start_fails_the_blob(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_QUEUED);
    for (int start = 1; start < LIFE_STARTS_MAX; start++) {
        struct life_step s = next(&b, (struct life_event){ .type = LIFE_RECOGNIZE_START });
        assert_int_equal(s.next.phase, PHASE_RECOGNIZING);
        b = s.next;
        do /* after some deaths it rests first */
            b = next(&b, (struct life_event){ .type = LIFE_TIMER_DUE }).next;
        while (b.phase == PHASE_RESTING);
    }
    struct life_step s = next(&b, (struct life_event){ .type = LIFE_RECOGNIZE_START });
    assert_int_equal(s.next.result, RESULT_ERROR);
    assert_string_equal(s.next.code, "crashed");
    assert_int_equal(s.next.phase, PHASE_DELIVERING);
    assert_int_equal(render_status(&s.next), STATUS_UNEXPECTED_ERROR);
}

static void without_a_callback_it_is_finished_at_once(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_RECOGNIZING);
    b.callback_url[0] = '\0';
    struct life_step s = next(&b, (struct life_event){ .type = LIFE_LABELED });
    assert_int_equal(s.next.phase, PHASE_FINISHED);
    assert_int_equal(s.says, 0);
    assert_int_equal(render_status(&s.next), STATUS_SUCCESS);
}

static void failures_are_told_only_if_wanted(void **state)
{
    (void)state;
    struct life_policy silent = policy;
    silent.callback_on_failure = false;
    struct blob b = blob_in(PHASE_RECOGNIZING);
    struct life_event ev = { .type = LIFE_REJECTED, .result = RESULT_TOO_LARGE };
    struct life_step s;
    life_next(&b, &ev, &silent, 0, &s);
    assert_int_equal(s.next.phase, PHASE_FINISHED);
    assert_int_equal(render_status(&s.next), STATUS_TOO_LARGE_BLOB);
}

static void a_late_object_is_welcome_once_more(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_AWAITING);
    b.etag[0] = '\0';
    struct life_step s = next(&b, (struct life_event){ .type = LIFE_ABSENT });
    assert_int_equal(render_status(&s.next), STATUS_UPLOAD_TIMED_OUT);
    assert_true(life_wants_look(&s.next));
    struct life_step late =
        next(&s.next, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") });
    assert_int_equal(late.next.gen, 2);
    assert_int_equal(late.next.phase, PHASE_QUEUED);
    assert_int_equal(render_status(&late.next), STATUS_IN_PROGRESS);

    struct life_step looked = next(&s.next, (struct life_event){ .type = LIFE_ABSENT });
    assert_true(looked.changed);
    assert_false(life_wants_look(&looked.next));
    assert_int_equal(looked.delay_ms, policy.retention_ms);
}

/* A blob that timed out, and whose owner was told, may be told again; the late look stays. */
static void a_redelivery_keeps_the_late_look(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_ATTEMPTING);
    b.result = RESULT_TIMED_OUT;
    struct life_step s = next(&b, (struct life_event){ .type = LIFE_DELIVERED });
    assert_true(life_wants_look(&s.next));
    assert_int_equal(s.delay_ms, S_(600));
}

/* What a PUT brings while the blob is erased goes with the second deletion. */
static void the_object_is_deleted_again_when_its_url_is_over(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_FINISHED);
    b.created_ms = S_(1000);
    assert_int_equal(life_uploads_until_ms(&b, &policy), S_(1040));
    struct life_step s = next(&b, (struct life_event){ .type = LIFE_DELETE });
    assert_false(s.next.has_labels);
    assert_int_equal(render_status(&s.next), STATUS_NOT_FOUND);

    s = next(&s.next, (struct life_event){ .type = LIFE_ERASED, .url_left_ms = 5000 });
    assert_int_equal(s.next.phase, PHASE_ERASING);
    assert_int_equal(s.delay_ms, 5000);
    assert_string_equal(s.event, "object.erased");
    assert_false(s.erased);
    s = next(&s.next, (struct life_event){ .type = LIFE_ERASED, .url_left_ms = -1 });
    assert_true(s.erased);
}

static void a_replaced_object_is_a_new_generation_in_every_phase(void **state)
{
    (void)state;
    for (int p = PHASE_QUEUED; p < PHASE_ERASING; p++) {
        struct blob b = blob_in((enum blob_phase)p);
        struct life_step s =
            next(&b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e2"), .size = 5 });
        assert_true(s.changed);
        assert_int_equal(s.next.gen, 2);
        assert_int_equal(s.next.phase, PHASE_QUEUED);
        assert_string_equal(s.next.etag, "e2");
        assert_int_equal(s.next.has_labels, b.has_labels); /* old labels stay until replaced */
    }
}

static void an_event_about_another_object_is_only_hearsay(void **state)
{
    (void)state;
    struct life_event ev = { .type = LIFE_UPLOADED, .etag = S("e2"), .hearsay = true };
    for (int p = PHASE_QUEUED; p < PHASE_N; p++) {
        struct blob b = blob_in((enum blob_phase)p);
        assert_false(next(&b, ev).changed); /* it may be old and late: a look decides */
    }
    struct blob b = blob_in(PHASE_AWAITING);
    assert_int_equal(next(&b, ev).next.phase, PHASE_QUEUED);
}

static void a_redelivery_that_crashes_keeps_the_success(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_DELIVERING);
    b.delivery = DELIVERY_DONE;
    b.starts = LIFE_STARTS_MAX - 1;
    struct life_step s = next(&b, (struct life_event){ .type = LIFE_DELIVER_START });
    assert_int_equal(s.next.phase, PHASE_FINISHED);
    assert_int_equal(render_status(&s.next), STATUS_SUCCESS);
    b.delivery = DELIVERY_NONE;
    s = next(&b, (struct life_event){ .type = LIFE_DELIVER_START });
    assert_int_equal(render_status(&s.next), STATUS_CALLBACK_FAILURE);
}

static void transient_failures_end_after_the_budget(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_RECOGNIZING);
    int64_t tries = 0;
    struct life_event ev = { .type = LIFE_TRANSIENT, .code = S("throttled") };
    for (;;) {
        struct life_step s = next(&b, ev);
        tries++;
        b = s.next;
        if (b.phase != PHASE_RESTING)
            break;
        b.phase = PHASE_RECOGNIZING;
    }
    assert_int_equal(tries, policy.recognize_tries);
    assert_int_equal(b.result, RESULT_ERROR);
    assert_string_equal(b.code, "throttled");
}

/* Those that died together must not start together again: the one that kills would take the
 * others along until all are given up. */
static void after_two_deaths_each_blob_waits_for_itself(void **state)
{
    (void)state;
    static const struct {
        enum blob_phase from, first, then;
    } rows[] = { { PHASE_RECOGNIZING, PHASE_QUEUED, PHASE_RESTING },
                 { PHASE_ATTEMPTING, PHASE_DELIVERING, PHASE_HOLDING } };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct blob b = blob_in(rows[i].from);
        const struct life_event due = { .type = LIFE_TIMER_DUE };
        struct life_step soon, late;
        b.starts = 1;
        assert_int_equal(next(&b, due).next.phase, rows[i].first);
        for (b.starts = 2; b.starts < LIFE_STARTS_MAX; b.starts++) {
            life_next(&b, &due, &policy, 0, &soon);
            life_next(&b, &due, &policy, (uint64_t)S_(15) << (b.starts - 2), &late);
            assert_int_equal(soon.next.phase, rows[i].then);
            assert_int_equal(soon.next.starts, b.starts);
            assert_true(late.delay_ms > soon.delay_ms);
            assert_int_equal(soon.delay_ms, (S_(15) << (b.starts - 2)) / 10);
        }
        assert_int_equal(next(&soon.next, due).next.phase, rows[i].first);
    }
}

static void trouble_of_our_own_never_fails_a_blob(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_RECOGNIZING);
    struct life_step s;
    for (int64_t i = 1; i < 40; i++) {
        s = next(&b, (struct life_event){ .type = LIFE_TRANSIENT, .ours = true });
        assert_int_equal(s.next.phase, PHASE_RESTING);
        b = s.next;
        b.phase = PHASE_RECOGNIZING;
    }
    assert_int_equal(b.tries, policy.recognize_tries - 1);
    s = next(&b, (struct life_event){ .type = LIFE_TRANSIENT });
    assert_int_equal(s.next.result, RESULT_ERROR);
}

static void the_callback_schedule(void **state)
{
    (void)state;
    static const int64_t want_s[] = { 5, 30, 120, 600, 1800, 7200, 18000, 36000 };
    struct blob b = blob_in(PHASE_ATTEMPTING);
    struct life_event ev = { .type = LIFE_DELIVERY_FAILED, .delivery = DELIVERY_TIMEOUT };
    for (size_t i = 0; i < N_OF(want_s); i++) {
        struct life_step low, high;
        life_next(&b, &ev, &policy, 0, &low);
        int64_t span = 2 * (S_(want_s[i]) / 5);
        life_next(&b, &ev, &policy, (uint64_t)span, &high);
        assert_int_equal(low.delay_ms, S_(want_s[i]) * 8 / 10);
        assert_int_equal(high.delay_ms, S_(want_s[i]) * 12 / 10);
        assert_int_equal(render_status(&low.next), STATUS_CALLBACK_TIME_OUT);
        b = low.next;
        b.phase = PHASE_ATTEMPTING;
    }
    struct life_step last = next(&b, ev);
    assert_int_equal(last.next.attempts, 9);
    assert_int_equal(last.next.phase, PHASE_FINISHED);
    assert_int_equal(render_status(&last.next), STATUS_CALLBACK_TIME_OUT);
}

static void anonymous_owners_get_three_attempts(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_ATTEMPTING);
    strcpy(b.owner, "public");
    b.attempts = 2;
    struct life_step s = next(
        &b, (struct life_event){ .type = LIFE_DELIVERY_FAILED, .delivery = DELIVERY_CONNECTION });
    assert_int_equal(s.next.phase, PHASE_FINISHED);
    assert_int_equal(render_status(&s.next), STATUS_CALLBACK_CONNECTION);
}

static void gone_ends_and_retry_after_is_bounded(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_ATTEMPTING);
    struct life_event ev = { .type = LIFE_DELIVERY_FAILED,
                             .delivery = DELIVERY_FAILURE,
                             .gone = true };
    assert_int_equal(next(&b, ev).next.phase, PHASE_FINISHED);
    ev.gone = false;
    ev.retry_after_ms = S_(6);
    assert_int_equal(next(&b, ev).delay_ms, S_(6));
    ev.retry_after_ms = H_(5); /* twice the own step at most */
    assert_int_equal(next(&b, ev).delay_ms, S_(8));
}

static void a_failed_redelivery_keeps_the_success(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_FINISHED);
    b.delivery = DELIVERY_DONE;
    struct life_step s = next(&b, (struct life_event){ .type = LIFE_REDELIVER });
    s = next(&s.next, (struct life_event){ .type = LIFE_DELIVER_START });
    s = next(&s.next,
             (struct life_event){ .type = LIFE_DELIVERY_FAILED, .delivery = DELIVERY_FAILURE });
    assert_int_equal(render_status(&s.next), STATUS_SUCCESS);
}

static void hand_offs_are_repeated_later_each_time(void **state)
{
    (void)state;
    struct blob b = blob_in(PHASE_QUEUED);
    int64_t last = 0;
    for (int i = 0; i < 10; i++) {
        struct life_step s = next(&b, (struct life_event){ .type = LIFE_TIMER_DUE });
        assert_true(s.delay_ms > last || s.delay_ms == H_(24));
        last = s.delay_ms;
        b = s.next;
    }
    assert_int_equal(last, H_(24));
}

static void a_new_blob_waits_for_window_and_grace(void **state)
{
    (void)state;
    struct blob b = { .id = "x", .window_ms = S_(30) };
    struct life_step s;
    life_create(&b, &policy, &s);
    assert_int_equal(s.next.seq, 1);
    assert_int_equal(s.next.gen, 1);
    assert_int_equal(s.delay_ms, S_(40));
    assert_int_equal(render_status(&s.next), STATUS_WAITING_FOR_UPLOAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_arrow_of_the_table),
        cmocka_unit_test(nothing_but_the_table_changes_anything),
        cmocka_unit_test(invariants_of_random_lives),
        cmocka_unit_test(a_fenced_event_needs_its_start),
        cmocka_unit_test(the_fifth_start_fails_the_blob),
        cmocka_unit_test(without_a_callback_it_is_finished_at_once),
        cmocka_unit_test(failures_are_told_only_if_wanted),
        cmocka_unit_test(a_late_object_is_welcome_once_more),
        cmocka_unit_test(a_redelivery_keeps_the_late_look),
        cmocka_unit_test(the_object_is_deleted_again_when_its_url_is_over),
        cmocka_unit_test(a_replaced_object_is_a_new_generation_in_every_phase),
        cmocka_unit_test(an_event_about_another_object_is_only_hearsay),
        cmocka_unit_test(a_redelivery_that_crashes_keeps_the_success),
        cmocka_unit_test(transient_failures_end_after_the_budget),
        cmocka_unit_test(after_two_deaths_each_blob_waits_for_itself),
        cmocka_unit_test(trouble_of_our_own_never_fails_a_blob),
        cmocka_unit_test(the_callback_schedule),
        cmocka_unit_test(anonymous_owners_get_three_attempts),
        cmocka_unit_test(gone_ends_and_retry_after_is_bounded),
        cmocka_unit_test(a_failed_redelivery_keeps_the_success),
        cmocka_unit_test(hand_offs_are_repeated_later_each_time),
        cmocka_unit_test(a_new_blob_waits_for_window_and_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
