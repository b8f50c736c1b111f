#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/enc.h"

static void base64_round_trip(void **state)
{
    static const struct {
        struct str raw, text;
    } rows[] = {
        /* RFC 4648 section 10 */
        { { "", 0 }, { "", 0 } },
        { { "f", 1 }, { "Zg==", 4 } },
        { { "fo", 2 }, { "Zm8=", 4 } },
        { { "foo", 3 }, { "Zm9v", 4 } },
        { { "foob", 4 }, { "Zm9vYg==", 8 } },
        { { "fooba", 5 }, { "Zm9vYmE=", 8 } },
        { { "foobar", 6 }, { "Zm9vYmFy", 8 } },
        { { "\0", 1 }, { "AA==", 4 } },
        { { "\xff\xfe\xfd", 3 }, { "//79", 4 } },
        { { "\xfb\xef\xbe", 3 }, { "++++", 4 } },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf text = BUF_INIT(rows[i].text.n), raw = BUF_INIT(rows[i].raw.n);
        enc_base64(&text, rows[i].raw);
        enum err e = enc_base64_decode(&raw, rows[i].text); /* room for exactly the result */
        if (buf_failed(&text) || !str_eq(buf_str(&text), rows[i].text))
            fail_msg("row %zu: encoded '%s'", i, text.p);
        if (e != ERR_OK || !str_eq(buf_str(&raw), rows[i].raw))
            fail_msg("row %zu: decoding says %s", i, err_name(e));
        buf_fini(&text);
        buf_fini(&raw);
    }
}

static void base64_refuses(void **state)
{
    static const struct str rows[] = {
        { "Z", 1 },       { "Zg", 2 },    { "Zg=", 3 },      { "Zg===", 5 },
        { "====", 4 },    { "Z===", 4 },  { "=Zg=", 4 },     { "Zg=v", 4 },
        { "Zh==", 4 },    { "Zm9=", 4 }, /* unused bits set */
        { "Zm9v\n", 5 },  { " Zm9", 4 },  { "Zm9v Zm8", 8 }, { "Zm-_", 4 },
        { "Zm9\xff", 4 }, { "Zm9\0", 4 }, { "Zg==Zg==", 8 },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf out = BUF_INIT(64);
        buf_puts(&out, "kept");
        enum err e = enc_base64_decode(&out, rows[i]);
        if (e != ERR_INVAL || strcmp(out.p, "kept") != 0)
            fail_msg("row %zu '" STR_FMT "': %s, '%s'", i, STR_ARG(rows[i]), err_name(e), out.p);
        buf_fini(&out);
    }
    struct buf small = BUF_INIT(5);
    assert_int_equal(enc_base64_decode(&small, S("Zm9vYmFy")), ERR_TOOBIG);
    buf_fini(&small);
}

static void percent_rows(void **state)
{
    static const struct {
        struct str raw;
        bool keep_slash;
        const char *want;
    } rows[] = {
        { { "", 0 }, false, "" },
        { { "AZaz09-._~", 10 }, false, "AZaz09-._~" },
        { { "a/b", 3 }, true, "a/b" },
        { { "a/b", 3 }, false, "a%2Fb" },
        { { "a b+c%d*'()!", 12 }, true, "a%20b%2Bc%25d%2A%27%28%29%21" },
        { { "\xc3\xa9\0\xff", 4 }, true, "%C3%A9%00%FF" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf text = BUF_INIT(strlen(rows[i].want)), back = BUF_INIT(64);
        enc_percent(&text, rows[i].raw, rows[i].keep_slash);
        if (buf_failed(&text) || !str_eq(buf_str(&text), str_of(rows[i].want)))
            fail_msg("row %zu: got '%s', want '%s'", i, text.p, rows[i].want);
        if (enc_percent_decode(&back, buf_str(&text), true) != ERR_OK ||
            !str_eq(buf_str(&back), rows[i].raw))
            fail_msg("row %zu: does not come back", i);
        buf_fini(&text);
        buf_fini(&back);
    }
    struct buf small = BUF_INIT(4);
    enc_percent(&small, S("a b"), true);
    assert_true(buf_failed(&small));
    buf_fini(&small);
}

static void percent_decode_rows(void **state)
{
    static const struct {
        struct str in;
        bool form;
        enum err want;
        struct str out;
    } rows[] = {
        { { "a+b", 3 }, true, ERR_OK, { "a b", 3 } },
        { { "a+b", 3 }, false, ERR_OK, { "a+b", 3 } },
        { { "%2B+%2b", 7 }, true, ERR_OK, { "+ +", 3 } },
        { { "%00", 3 }, false, ERR_OK, { "\0", 1 } },
        { { "%25%32%35", 9 }, false, ERR_OK, { "%25", 3 } }, /* once, not twice */
        { { "%", 1 }, false, ERR_INVAL, { NULL, 0 } },
        { { "%4", 2 }, false, ERR_INVAL, { NULL, 0 } },
        { { "%4g", 3 }, false, ERR_INVAL, { NULL, 0 } },
        { { "%g4", 3 }, false, ERR_INVAL, { NULL, 0 } },
        { { "a%%41", 5 }, false, ERR_INVAL, { NULL, 0 } },
        { { "% 4", 3 }, false, ERR_INVAL, { NULL, 0 } },
        { { "123456789", 9 }, false, ERR_TOOBIG, { NULL, 0 } },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf out = BUF_INIT(8);
        enum err e = enc_percent_decode(&out, rows[i].in, rows[i].form);
        if (e != rows[i].want || (e == ERR_OK && !str_eq(buf_str(&out), rows[i].out)))
            fail_msg("row %zu '" STR_FMT "': %s", i, STR_ARG(rows[i].in), err_name(e));
        buf_fini(&out);
    }
}

static void utf8_rows(void **state)
{
    static const struct {
        struct str in;
        size_t want;
    } rows[] = {
        { { "", 0 }, 0 },
        { { NULL, 0 }, 0 },
        { { "a", 1 }, 1 },
        { { "\0", 1 }, 1 },
        { { "\x7f", 1 }, 1 },
        { { "\x80", 1 }, 0 }, /* a continuation alone */
        { { "\xbf", 1 }, 0 },
        { { "\xc0\x80", 2 }, 0 }, /* overlong */
        { { "\xc1\xbf", 2 }, 0 },
        { { "\xc2\x80", 2 }, 2 },
        { { "\xdf\xbf", 2 }, 2 },
        { { "\xc2", 1 }, 0 }, /* truncated */
        { { "\xc2\x7f", 2 }, 0 },
        { { "\xc2\xc0", 2 }, 0 },
        { { "\xe0\x9f\xbf", 3 }, 0 }, /* overlong */
        { { "\xe0\xa0\x80", 3 }, 3 },
        { { "\xe2\x82", 2 }, 0 },
        { { "\xe2\x28\xa1", 3 }, 0 },
        { { "\xe2\x82\x28", 3 }, 0 },
        { { "\xed\x9f\xbf", 3 }, 3 },
        { { "\xed\xa0\x80", 3 }, 0 }, /* surrogates */
        { { "\xed\xbf\xbf", 3 }, 0 },
        { { "\xee\x80\x80", 3 }, 3 },
        { { "\xef\xbf\xbf", 3 }, 3 },
        { { "\xf0\x8f\xbf\xbf", 4 }, 0 }, /* overlong */
        { { "\xf0\x90\x80\x80", 4 }, 4 },
        { { "\xf0\x9f\x98", 3 }, 0 },
        { { "\xf4\x8f\xbf\xbf", 4 }, 4 },
        { { "\xf4\x90\x80\x80", 4 }, 0 }, /* past U+10FFFF */
        { { "\xf5\x80\x80\x80", 4 }, 0 },
        { { "\xf8\x88\x80\x80\x80", 5 }, 0 },
        { { "\xfe", 1 }, 0 },
        { { "\xff", 1 }, 0 },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++)
        if (enc_utf8_len(rows[i].in) != rows[i].want)
            fail_msg("row %zu: got %zu, want %zu", i, enc_utf8_len(rows[i].in), rows[i].want);
}

/* Every code point there is, encoded by hand, has its length; every surrogate has none. */
static void utf8_all(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x110fff; c++) {
        char s[4] = { (char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)),
                      (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f)) };
        size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (len < 4)
            s[4 - len] = (char)(len == 1 ? c : len == 2 ? 0xc0 | c >> 6 : 0xe0 | c >> 12);
        bool none = (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff;
        struct str in = { s + 4 - len, len };
        if (enc_utf8_len(in) != (none ? 0 : len))
            fail_msg("U+%04X: %zu", c, enc_utf8_len(in));
    }
}

static void digests(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *want;
    } rows[] = {
        /* FIPS 180-4 examples */
        { { NULL, 0 }, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { { "abc", 3 }, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56 },
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char hex[SHA256_HEX_LEN + 1];
        sha256_hex(hex, rows[i].in);
        if (strcmp(hex, rows[i].want) != 0)
            fail_msg("row %zu: %s", i, hex);
    }
}

static void hmacs(void **state)
{
    (void)state;
    static const char ones[131] = { [0 ... 130] = '\xaa' }, twenty[20] = { [0 ... 19] = '\x0b' };
    static const struct {
        struct str key, data;
        const char *want;
    } rows[] = {
        /* RFC 4231 test cases 1, 2, 6 and 7; then empty key and data */
        { { twenty, 20 },
          { "Hi There", 8 },
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { { "Jefe", 4 },
          { "what do ya want for nothing?", 28 },
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { { ones, 131 },
          { "Test Using Larger Than Block-Size Key - Hash Key First", 54 },
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
        { { ones, 131 },
          { "This is a test using a larger than block-size key and a larger than block-size "
            "data. The key needs to be hashed before being used by the HMAC algorithm.",
            152 },
          "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
        { { NULL, 0 },
          { NULL, 0 },
          "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        unsigned char raw[SHA256_LEN];
        char hex[2 * SHA256_LEN + 1] = "";
        hmac_sha256(raw, rows[i].key.p, rows[i].key.n, rows[i].data);
        enc_hex(hex, raw, sizeof raw);
        if (strcmp(hex, rows[i].want) != 0)
            fail_msg("row %zu: %s", i, hex);
    }
}

static void equal_secret(void **state)
{
    (void)state;
    assert_true(enc_equal_secret(S("abc"), S("abc")));
    assert_true(enc_equal_secret(STR_NONE, S("")));
    assert_false(enc_equal_secret(S("abc"), S("abd")));
    assert_false(enc_equal_secret(S("abc"), S("ab")));
    assert_false(enc_equal_secret(S("a\0b"), S("a\0c")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_round_trip), cmocka_unit_test(base64_refuses),
        cmocka_unit_test(percent_rows),      cmocka_unit_test(percent_decode_rows),
        cmocka_unit_test(utf8_rows),         cmocka_unit_test(utf8_all),
        cmocka_unit_test(digests),           cmocka_unit_test(hmacs),
        cmocka_unit_test(equal_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
