#include "rekognition-local/ask.h"

#include "base/enc.h"
#include "base/json.h"

#define WRONG_TYPE      "SerializationException"
#define WRONG_VALUE     "ValidationException"
#define WRONG_PARAMETER "InvalidParameterException"
#define CONSTRAINT      "1 validation error detected: Value at '%s' failed to satisfy constraint: "

/* ---- members: what is absent reads as null */

/* One walk for all names: a member may be seven megabytes long. */
static void collect(struct json object, const struct str *names, struct json *values, size_t n)
{
    struct json_iter it = json_iter(object);
    struct json key, value;
    for (size_t i = 0; i < n; i++)
        values[i] = (struct json){ JSON_NULL, STR_NONE };
    while (object.type == JSON_OBJECT && json_next(&it, &key, &value))
        for (size_t i = 0; i < n; i++)
            if (values[i].raw.p == NULL && json_is(key, names[i]))
                values[i] = value;
}

static enum err wrong_type(struct fault *f, const char *member, struct json v, const char *want)
{
    return fault_set(f, WRONG_TYPE, "%s: expected %s, not %s", member, want,
                     json_type_name(v.type));
}

static enum err need_object(struct json v, const char *member, struct fault *f)
{
    if (v.type == JSON_NULL)
        return fault_set(f, WRONG_VALUE, CONSTRAINT "Member must not be null", member);
    return v.type == JSON_OBJECT ? ERR_OK : wrong_type(f, member, v, "an object");
}

/* Text of 1 to cap - 1 bytes; null is "" unless it is required. */
static enum err read_text(struct json v, const char *member, char *dst, size_t cap, bool required,
                          struct fault *f)
{
    dst[0] = '\0';
    if (v.type == JSON_NULL)
        return required
                   ? fault_set(f, WRONG_PARAMETER, "Request has Invalid Parameters (%s)", member)
                   : ERR_OK;
    if (v.type != JSON_STRING)
        return wrong_type(f, member, v, "a string");
    if (json_copy(dst, cap, v) != ERR_OK || dst[0] == '\0')
        return fault_set(f, WRONG_VALUE, CONSTRAINT "Member must have length 1 to %zu", member,
                         cap - 1);
    return ERR_OK;
}

static enum err read_count(struct json v, const char *member, int64_t *out, struct fault *f)
{
    if (v.type == JSON_NULL)
        return ERR_OK;
    if (json_to_i64(v, out) != ERR_OK)
        return wrong_type(f, member, v, "an integer");
    if (*out < 0)
        return fault_set(f, WRONG_VALUE,
                         CONSTRAINT "Member must have value greater than or equal to 0", member);
    return ERR_OK;
}

static enum err read_percent(struct json v, const char *member, double *out, struct fault *f)
{
    if (v.type == JSON_NULL)
        return ERR_OK;
    if (json_to_double(v, out) != ERR_OK)
        return wrong_type(f, member, v, "a number");
    if (*out < 0 || *out > 100)
        return fault_set(f, WRONG_VALUE, CONSTRAINT "Member must have value %s", member,
                         *out < 0 ? "greater than or equal to 0" : "less than or equal to 100");
    return ERR_OK;
}

/* ---- the image */

static enum err read_bytes(struct ask *a, struct json v, struct fault *f)
{
    if (v.type != JSON_STRING)
        return wrong_type(f, "image.bytes", v, "a base64 string");
    struct buf text = BUF_INIT(v.raw.n);
    struct str base64 = { v.raw.p + 1, v.raw.n - 2 };
    if (str_find(base64, '\\') >= 0) { /* "\/" is what some encoders make of a slash */
        json_text(&text, v);
        base64 = buf_str(&text);
    }
    size_t decoded = base64.n / 4 * 3;
    for (size_t i = 1; i <= 2 && decoded > 0 && base64.p[base64.n - i] == '='; i++)
        decoded--;
    enum err e = ERR_OK;
    buf_init(&a->image, decoded + 2);
    if (decoded > ASK_BYTES_MAX)
        e = fault_set(f, WRONG_VALUE, CONSTRAINT "Member must have length less than or equal to %u",
                      "image.bytes", ASK_BYTES_MAX);
    else if (base64.n == 0)
        e = fault_set(f, WRONG_VALUE,
                      CONSTRAINT "Member must have length greater than or equal to 1",
                      "image.bytes");
    else if (enc_base64_decode(&a->image, base64) != ERR_OK)
        e = fault_set(f, WRONG_TYPE, "image.bytes: not base64 with padding");
    buf_fini(&text);
    return e;
}

static enum err read_s3_object(struct ask *a, struct json object, struct fault *f)
{
    static const struct str names[] = { S("Bucket"), S("Name"), S("Version") };
    struct json v[N_OF(names)];
    enum err e = need_object(object, "image.s3Object", f);
    collect(object, names, v, N_OF(names));
    if (e == ERR_OK)
        e = read_text(v[0], "image.s3Object.bucket", a->bucket, sizeof a->bucket, true, f);
    if (e == ERR_OK)
        e = read_text(v[1], "image.s3Object.name", a->name, sizeof a->name, true, f);
    if (e == ERR_OK)
        e = read_text(v[2], "image.s3Object.version", a->version, sizeof a->version, false, f);
    return e;
}

static enum err read_image(struct ask *a, struct json image, struct fault *f)
{
    static const struct str names[] = { S("Bytes"), S("S3Object") };
    struct json v[N_OF(names)];
    enum err e = need_object(image, "image", f);
    if (e != ERR_OK)
        return e;
    collect(image, names, v, N_OF(names));
    if ((v[0].type == JSON_NULL) == (v[1].type == JSON_NULL))
        return fault_set(f, WRONG_PARAMETER,
                         "Request has Invalid Parameters (image: want bytes or s3Object)");
    return v[0].type != JSON_NULL ? read_bytes(a, v[0], f) : read_s3_object(a, v[1], f);
}

/* ---- what is wanted */

static enum err read_features(struct ask *a, struct json features, struct fault *f)
{
    struct json key, v;
    a->labels = true;
    if (features.type == JSON_NULL)
        return ERR_OK;
    if (features.type != JSON_ARRAY)
        return wrong_type(f, "features", features, "an array");
    struct json_iter it = json_iter(features);
    size_t n = 0;
    for (a->labels = false; json_next(&it, &key, &v); n++) {
        bool labels = json_is(v, S("GENERAL_LABELS")),
             properties = json_is(v, S("IMAGE_PROPERTIES"));
        if (!labels && !properties)
            return fault_set(f, WRONG_VALUE,
                             CONSTRAINT "Member must satisfy enum value set: [GENERAL_LABELS, "
                                        "IMAGE_PROPERTIES]",
                             "features");
        a->labels = a->labels || labels;
        a->properties = a->properties || properties;
    }
    a->labels = a->labels || n == 0;
    return ERR_OK;
}

/* Filters of labels are the one part of the request that is not done here: saying so is better
 * than answering something else. */
static enum err read_settings(struct ask *a, struct json settings, struct fault *f)
{
    static const struct str names[] = { S("GeneralLabels"), S("ImageProperties") };
    static const struct str colors = S("MaxDominantColors");
    struct json v[N_OF(names)], key, filter, max;
    if (settings.type == JSON_NULL)
        return ERR_OK;
    if (settings.type != JSON_OBJECT)
        return wrong_type(f, "settings", settings, "an object");
    collect(settings, names, v, N_OF(names));
    struct json_iter it = json_iter(v[0]);
    while (json_next(&it, &key, &filter)) {
        struct json_iter inside = json_iter(filter);
        struct json item;
        if (json_next(&inside, &key, &item))
            return fault_set(f, WRONG_PARAMETER,
                             "rekognition-local has no label filters (settings.generalLabels)");
    }
    collect(v[1], &colors, &max, 1);
    return read_count(max, "settings.imageProperties.maxDominantColors", &a->max_colors, f);
}

enum member { IMAGE, FEATURES, MAX_LABELS, MIN_CONFIDENCE, SETTINGS, N_MEMBERS };

static enum err read_wants(struct ask *a, const struct json v[N_MEMBERS], struct fault *f)
{
    enum err e = read_features(a, v[FEATURES], f);
    if (e == ERR_OK)
        e = read_count(v[MAX_LABELS], "maxLabels", &a->max_labels, f);
    if (e == ERR_OK)
        e = read_percent(v[MIN_CONFIDENCE], "minConfidence", &a->min_confidence, f);
    if (e == ERR_OK)
        e = read_settings(a, v[SETTINGS], f);
    if (e == ERR_OK && !a->labels &&
        (v[MAX_LABELS].type != JSON_NULL || v[MIN_CONFIDENCE].type != JSON_NULL))
        e = fault_set(f, WRONG_PARAMETER,
                      "Request has Invalid Parameters (maxLabels and minConfidence need "
                      "GENERAL_LABELS)");
    if (a->max_labels > ASK_LABELS_MAX)
        a->max_labels = ASK_LABELS_MAX;
    if (a->max_colors > ASK_COLORS_MAX)
        a->max_colors = ASK_COLORS_MAX;
    return e;
}

enum err ask_parse(struct ask *out, struct str body, struct fault *f)
{
    static const struct str names[N_MEMBERS] = {
        [IMAGE] = S("Image"),          [FEATURES] = S("Features"),
        [MAX_LABELS] = S("MaxLabels"), [MIN_CONFIDENCE] = S("MinConfidence"),
        [SETTINGS] = S("Settings"),
    };
    struct json root, v[N_MEMBERS];
    struct errbuf eb = { "" };
    *out = (struct ask){ .max_labels = ASK_LABELS_MAX, .min_confidence = 55, .max_colors = 10 };
    if (json_parse(&root, body, &eb) != ERR_OK)
        return fault_set(f, WRONG_TYPE, "%s", eb.text);
    if (root.type != JSON_OBJECT)
        return wrong_type(f, "request", root, "an object");
    collect(root, names, v, N_MEMBERS);
    enum err e = read_wants(out, v, f);
    return e == ERR_OK ? read_image(out, v[IMAGE], f) : e;
}

void ask_fini(struct ask *a)
{
    buf_fini(&a->image);
}
