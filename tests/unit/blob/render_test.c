/* What clients see: the flat status of every phase, result and delivery, and the exact bytes of
 * the bodies. */
#include "blob/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define ID  "0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e"
#define ANY (-1)

/* The first row that fits decides. */
static const struct {
    int phase, result, delivery;
    const char *status;
} table[] = {
    { PHASE_ERASING, ANY, ANY, "not-found" },
    /* upload or recognition failure wins over callback trouble */
    { ANY, RESULT_TIMED_OUT, ANY, "upload-timed-out" },
    { ANY, RESULT_INVALID, ANY, "invalid-blob-has-been-uploaded" },
    { ANY, RESULT_TOO_LARGE, ANY, "too-large-blob-has-been-uploaded" },
    { ANY, RESULT_ERROR, ANY, "unexpected-error" },
    /* nothing is known yet */
    { PHASE_AWAITING, RESULT_NONE, ANY, "waiting-for-upload" },
    { ANY, RESULT_NONE, ANY, "in-progress" },
    /* labels are there: the last attempt's class, and success when one got through */
    { ANY, RESULT_LABELS, DELIVERY_DONE, "success" },
    { ANY, RESULT_LABELS, DELIVERY_FAILURE, "failed-due-to-callback-failure" },
    { ANY, RESULT_LABELS, DELIVERY_TIMEOUT, "failed-due-to-callback-time-out" },
    { ANY, RESULT_LABELS, DELIVERY_CONNECTION, "failed-due-to-callback-connection" },
    { PHASE_FINISHED, RESULT_LABELS, DELIVERY_NONE, "success" }, /* nobody wanted a callback */
    { ANY, RESULT_LABELS, DELIVERY_NONE, "in-progress" },        /* no attempt yet */
};

static bool fits(int want, int is)
{
    return want == ANY || want == is;
}

static const char *expected(const struct blob *b)
{
    for (size_t i = 0; i < N_OF(table); i++)
        if (fits(table[i].phase, (int)b->phase) && fits(table[i].result, (int)b->result) &&
            fits(table[i].delivery, (int)b->delivery))
            return table[i].status;
    return "no row";
}

static void every_state_has_its_name(void **state)
{
    (void)state;
    bool seen[STATUS_NOT_FOUND + 1] = { false };
    for (int p = 0; p < PHASE_N; p++)
        for (int r = 0; r < RESULT_N; r++)
            for (int d = 0; d < DELIVERY_N; d++) {
                const struct blob b = { .id = ID,
                                        .phase = (enum blob_phase)p,
                                        .result = (enum blob_result)r,
                                        .delivery = (enum blob_delivery)d };
                enum status s = render_status(&b);
                if (strcmp(render_status_name(s), expected(&b)) != 0)
                    fail_msg("%s, %s, %s: %s, not %s", phase_name(b.phase), result_name(b.result),
                             delivery_name(b.delivery), render_status_name(s), expected(&b));
                seen[s] = true;
            }
    for (int s = 0; s <= STATUS_NOT_FOUND; s++)
        assert_true(seen[s]);
}

static const struct {
    enum status status;
    const char *body;
} bodies[] = {
#define BODY(description, name)                                                                    \
    "{\"description\":\"" description "\",\"payload\":{\"blob_id\":\"" ID "\",\"status\":\"" name  \
    "\"}}"
    { STATUS_NOT_FOUND, BODY("Blob not found.", "not-found") },
    { STATUS_WAITING_FOR_UPLOAD, BODY("Blob hasn't been uploaded yet.", "waiting-for-upload") },
    { STATUS_UPLOAD_TIMED_OUT, BODY("Blob upload is timed out.", "upload-timed-out") },
    { STATUS_IN_PROGRESS, BODY("Recognition is in progress.", "in-progress") },
    { STATUS_INVALID_BLOB,
      BODY("Invalid image format has been uploaded.", "invalid-blob-has-been-uploaded") },
    { STATUS_TOO_LARGE_BLOB,
      BODY("Too large image has been uploaded.", "too-large-blob-has-been-uploaded") },
    { STATUS_UNEXPECTED_ERROR,
      BODY("Unexpected error occurred while recognition, try again.", "unexpected-error") },
    /* with these three and success the labels are there, so GET shows them instead; each has a
     * description all the same */
    { STATUS_CALLBACK_FAILURE, BODY("The callback URL answered with an unexpected status.",
                                    "failed-due-to-callback-failure") },
    { STATUS_CALLBACK_TIME_OUT,
      BODY("The callback URL did not answer in time.", "failed-due-to-callback-time-out") },
    { STATUS_CALLBACK_CONNECTION,
      BODY("The callback URL could not be connected to.", "failed-due-to-callback-connection") },
    { STATUS_SUCCESS, BODY("Recognition succeeded.", "success") },
#undef BODY
};

static void bodies_of_every_status(void **state)
{
    (void)state;
    assert_int_equal(N_OF(bodies), STATUS_NOT_FOUND + 1);
    for (size_t i = 0; i < N_OF(bodies); i++) {
        struct buf out = BUF_INIT(RENDER_MAX_BYTES);
        struct json root;
        render_status_body(&out, S(ID), bodies[i].status);
        assert_string_equal(out.p, bodies[i].body);
        assert_int_equal(json_parse(&root, buf_str(&out), NULL), ERR_OK);
        buf_fini(&out);
    }
}

/* An unknown id is what the client sent. */
static void an_unknown_id_is_escaped(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(RENDER_MAX_BYTES);
    render_status_body(&out, S("\"},\n\xff<"), STATUS_NOT_FOUND);
    assert_string_equal(out.p, "{\"description\":\"Blob not found.\",\"payload\":{\"blob_id\":"
                               "\"\\\"},\\n\\ufffd<\",\"status\":\"not-found\"}}");
    buf_fini(&out);
}

#define LABELS "[{\"label\":\"Car\",\"confidence\":98.95704650878906,\"parents\":[\"Vehicle\"]}]"

static const struct {
    const char *why;
    enum blob_result result;
    enum blob_phase phase;
    int64_t has_labels;
    struct str labels;
    int http;
    const char *body;
} gets[] = {
    { "labels", RESULT_LABELS, PHASE_FINISHED, 1, S(LABELS), 200,
      "{\"blob_id\":\"" ID "\",\"labels\":" LABELS "}" },
    { "readable before the callback", RESULT_LABELS, PHASE_DELIVERING, 1, S(LABELS), 200,
      "{\"blob_id\":\"" ID "\",\"labels\":" LABELS "}" },
    { "nothing recognized is an answer too", RESULT_LABELS, PHASE_FINISHED, 1, S("[]"), 200,
      "{\"blob_id\":\"" ID "\",\"labels\":[]}" },
    { "old labels stay while it is done again", RESULT_NONE, PHASE_QUEUED, 1, S(LABELS), 200,
      "{\"blob_id\":\"" ID "\",\"labels\":" LABELS "}" },
    { "not yet", RESULT_NONE, PHASE_AWAITING, 0, S(""), 404,
      "{\"description\":\"Blob hasn't been uploaded yet.\",\"payload\":{\"blob_id\":\"" ID
      "\",\"status\":\"waiting-for-upload\"}}" },
    { "failed", RESULT_INVALID, PHASE_FINISHED, 0, S(""), 404,
      "{\"description\":\"Invalid image format has been uploaded.\",\"payload\":{\"blob_id\":\"" ID
      "\",\"status\":\"invalid-blob-has-been-uploaded\"}}" },
    { "labels of a record that has none are not shown", RESULT_NONE, PHASE_QUEUED, 0, S(LABELS),
      404,
      "{\"description\":\"Recognition is in progress.\",\"payload\":{\"blob_id\":\"" ID
      "\",\"status\":\"in-progress\"}}" },
};

static void what_get_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(gets); i++) {
        const struct blob b = { .id = ID,
                                .phase = gets[i].phase,
                                .result = gets[i].result,
                                .has_labels = gets[i].has_labels };
        struct buf out = BUF_INIT(RENDER_MAX_BYTES);
        print_message("%s\n", gets[i].why);
        assert_int_equal(render_blob(&out, &b, gets[i].labels), gets[i].http);
        assert_string_equal(out.p, gets[i].body);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_has_its_name),
        cmocka_unit_test(bodies_of_every_status),
        cmocka_unit_test(an_unknown_id_is_escaped),
        cmocka_unit_test(what_get_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
