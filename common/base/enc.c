#include "base/enc.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

void enc_hex(char *dst, const void *src, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = src;
    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = digits[from[i] >> 4];
        dst[2 * i + 1] = digits[from[i] & 15];
    }
}

void enc_base64(struct buf *out, struct str raw)
{
    size_t n = (raw.n + 2) / 3 * 4;
    char *at = raw.n > INT32_MAX ? NULL : buf_reserve(out, n);
    if (at == NULL) {
        out->failed = true;
        return;
    }
    EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)raw.p, (int)raw.n);
    buf_grew(out, n);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum err enc_base64_decode(struct buf *out, struct str text)
{
    if (text.n % 4 != 0)
        return ERR_INVAL;
    size_t pad = 0;
    while (pad < 2 && pad < text.n && text.p[text.n - 1 - pad] == '=')
        pad++;
    char *at = buf_reserve(out, text.n / 4 * 3 - pad);
    if (at == NULL)
        return ERR_TOOBIG;
    size_t n = 0, significant = text.n - pad;
    uint32_t bits = 0;
    bool good = true;
    for (size_t i = 0; i < significant && good; i++) {
        int v = base64_value(text.p[i]);
        good = v >= 0;
        bits = bits << 6 | ((uint32_t)v & 63);
        if (i % 4 != 0)
            at[n++] = (char)(bits >> (6 - 2 * (i % 4)) & 0xff);
    }
    good = good && (bits & (pad == 2 ? 15U : pad == 1 ? 3U : 0U)) == 0;
    buf_grew(out, good ? n : 0); /* 0: only puts back the NUL that was written over */
    return good ? ERR_OK : ERR_INVAL;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void enc_percent(struct buf *out, struct str raw, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t from = 0;
    for (size_t i = 0; i < raw.n && !out->failed; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (is_unreserved((char)c) || (c == '/' && keep_slash))
            continue;
        char escape[] = { '%', digits[c >> 4], digits[c & 15] };
        buf_put(out, str_head(str_from(raw, from), i - from));
        buf_put(out, (struct str){ escape, sizeof escape });
        from = i + 1;
    }
    buf_put(out, str_from(raw, from));
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err enc_percent_decode(struct buf *out, struct str text, bool plus_is_space)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
            int low = i + 2 < text.n ? hex_value(text.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_INVAL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        buf_putc(out, c);
    }
    return buf_failed(out) ? ERR_TOOBIG : ERR_OK;
}

size_t enc_utf8_len(struct str s)
{
    if (s.n == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                 : (p[0] & 0xf0) == 0xe0        ? 3
                 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                : 0;
    if (len == 0 || s.n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool past_end = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || past_end ? 0 : len;
}

void sha256(unsigned char out[SHA256_LEN], struct str data)
{
    if (EVP_Digest(data.n == 0 ? "" : data.p, data.n, out, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* only memory exhaustion gets here */
}

void sha256_hex(char out[SHA256_HEX_LEN + 1], struct str data)
{
    unsigned char raw[SHA256_LEN];
    sha256(raw, data);
    enc_hex(out, raw, sizeof raw);
    out[SHA256_HEX_LEN] = '\0';
}

void hmac_sha256(unsigned char out[SHA256_LEN], const void *key, size_t key_n, struct str data)
{
    if (HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)(data.n == 0 ? "" : data.p),
             data.n, out, NULL) == NULL)
        abort();
}

bool enc_equal_secret(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
