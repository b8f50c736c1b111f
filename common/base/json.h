/* json.h - strict JSON, read in place.
 *
 * json_parse() checks the whole text once (RFC 8259, UTF-8, no lone surrogates, depth and
 * nothing behind the value); after that a struct json is a view of one value in that text and
 * reading it cannot fail.  Nothing is copied and no tree is built, so a number keeps the digits
 * it came with: 98.95704650878906 goes out as it came in.
 *
 * Pure.  Views are borrowed and live as long as the text.  Writing JSON is buf_json().
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 16U

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json {
    enum json_type type;
    struct str raw; /* the bytes of the value as they stand in the text */
};

/* ERR_INVAL: eb says what was expected and at which byte.  ERR_TOOBIG: deeper than
 * JSON_DEPTH_MAX. */
MUSTUSE enum err json_parse(struct json *root, struct str text, struct errbuf *eb);

const char *json_type_name(enum json_type t); /* "a string", for messages */

/* Walks an array or an object in order.  key is JSON_NULL for arrays. */
struct json_iter {
    struct str rest;
    bool in_object;
};
struct json_iter json_iter(struct json container); /* any other type: an empty walk */
bool json_next(struct json_iter *it, struct json *key, struct json *value);

/* The first member with that name.  False also when v is not an object. */
bool json_get(struct json v, struct str name, struct json *out);

/* The decoded text of a string equals s. */
bool json_is(struct json v, struct str s);

/* Appends the decoded text of a string. */
void json_text(struct buf *out, struct json v);
/* The same into a C string.  ERR_INVAL: not a string, or it holds a NUL.  ERR_TOOBIG. */
MUSTUSE enum err json_copy(char *dst, size_t cap, struct json v);

/* A whole number without fraction or exponent; ERR_INVAL, ERR_RANGE. */
MUSTUSE enum err json_to_i64(struct json v, int64_t *out);
MUSTUSE enum err json_to_double(struct json v, double *out); /* finite, else ERR_RANGE */

#endif
