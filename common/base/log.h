/* log.h - one line, one event, typed fields, as JSON on standard output.
 *
 *   LOG(INFO, "callback.delivered", F_STR("blob", id), F_INT("status", 204));
 *   {"ts":"…","level":"info","service":"callback-dispatcher","event":"callback.delivered",
 *    "src":"dispatch.c:120","blob":"…","status":204}
 *
 * Event names are noun.verb_past and stable; values are escaped and cut at 1 KiB; secrets have
 * no field constructor.  Any thread; a line is one write(2), so lines never mix.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NOTHING /* for log_open() */ };

struct log_field {
    const char *name;
    enum { LOG_FIELD_STR, LOG_FIELD_INT } type;
    struct str text;
    int64_t number;
};

#define F_STR(field, value)  { .name = (field), .type = LOG_FIELD_STR, .text = str_of(value) }
#define F_VIEW(field, value) { .name = (field), .type = LOG_FIELD_STR, .text = (value) }
#define F_INT(field, value)  { .name = (field), .type = LOG_FIELD_INT, .number = (value) }

/* Before the first thread.  service: static text. */
void log_open(const char *service, enum log_level least);
bool log_wants(enum log_level level);

void log_write(enum log_level level, const char *src, int line, const char *event,
               const struct log_field *fields, size_t n);

/* For a line that would come again and again: true once a minute.  *next is zero at first. */
bool log_once_a_minute(mono_t *next);

#define LOG(level, event, ...)                                                                     \
    do {                                                                                           \
        if (log_wants(LOG_##level)) {                                                              \
            const struct log_field log_fields_[] = { F_INT(NULL, 0), ##__VA_ARGS__ };              \
            log_write(LOG_##level, __FILE__, __LINE__, (event), log_fields_ + 1,                   \
                      N_OF(log_fields_) - 1);                                                      \
        }                                                                                          \
    } while (0)

#endif
