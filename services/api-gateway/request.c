#include "api-gateway/request.h"

#include "base/json.h"
#include "net/url.h"

static enum err read_url(struct create_request *out, struct json v, struct errbuf *eb)
{
    char text[BLOB_URL_MAX + 64]; /* room for blanks around it */
    struct url url;
    if (v.type == JSON_NULL)
        return ERR_OK;
    if (v.type != JSON_STRING)
        return errbuf_set(eb, ERR_DENIED, "expected a string, got %s", json_type_name(v.type));
    if (json_copy(text, sizeof text, v) != ERR_OK)
        return errbuf_set(eb, ERR_DENIED, "longer than %u bytes, or it holds a NUL", BLOB_URL_MAX);
    struct str trimmed = str_trim(str_of(text));
    if (url_parse(&url, trimmed, eb) != ERR_OK ||
        str_copy(out->callback_url, sizeof out->callback_url, trimmed) != ERR_OK)
        return ERR_DENIED;
    return ERR_OK;
}

enum err request_parse(struct create_request *out, struct str body, struct str *sent,
                       struct errbuf *eb)
{
    struct json root, key, value, url = { .type = JSON_NULL, .raw = STR_NONE };
    out->callback_url[0] = '\0';
    *sent = S("null");
    if (str_trim(body).n == 0)
        return ERR_OK;
    if (json_parse(&root, body, eb) != ERR_OK)
        return ERR_INVAL;
    if (root.type != JSON_OBJECT)
        return errbuf_set(eb, ERR_INVAL, "expected a JSON object, got %s",
                          json_type_name(root.type));
    struct json_iter it = json_iter(root);
    while (json_next(&it, &key, &value)) {
        if (!json_is(key, S("callback_url")) && !json_is(key, S("calback_url")))
            continue;
        if (url.raw.p != NULL)
            return errbuf_set(eb, ERR_INVAL, "callback_url is given twice");
        url = value;
    }
    if (url.raw.p != NULL)
        *sent = url.raw;
    return read_url(out, url, eb);
}

bool request_is_traceparent(struct str s)
{
    static const char shape[] = "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";
    if (s.n != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
        if (shape[i] == 'h' ? !hex : s.p[i] != shape[i])
            return false;
    }
    return true;
}
