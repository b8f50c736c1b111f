/* enc.h - bytes to text and back (hex, base64, percent, UTF-8), and digests of bytes.
 *
 * Home of libcrypto.  All functions are pure and may run on any thread.
 * Source   RFC 4648 (base64), RFC 3986 section 2 (percent), RFC 3629 (UTF-8),
 *          FIPS 180-4 (SHA-256), RFC 2104 (HMAC).
 */
#ifndef BASE_ENC_H
#define BASE_ENC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

void enc_hex(char *dst, const void *src, size_t n); /* 2n lower-case digits, no NUL */

void enc_base64(struct buf *out, struct str raw); /* standard alphabet, padded */
/* Strict: padding required, no blanks, unused bits zero.  ERR_INVAL; ERR_TOOBIG: out is full. */
MUSTUSE enum err enc_base64_decode(struct buf *out, struct str text);

/* Percent-encodes every byte outside A-Z a-z 0-9 - . _ ~ with upper-case hex, as SigV4 wants
 * it; '/' stays when keep_slash. */
void enc_percent(struct buf *out, struct str raw, bool keep_slash);
/* ERR_INVAL for a bad escape.  plus_is_space: form encoding, "+" is " ". */
MUSTUSE enum err enc_percent_decode(struct buf *out, struct str text, bool plus_is_space);

/* Length in bytes of the UTF-8 character that s begins with, 1 to 4; 0 when it is not one
 * (overlong, surrogate, truncated, past U+10FFFF, or s is empty). */
size_t enc_utf8_len(struct str s);

#define SHA256_LEN     32
#define SHA256_HEX_LEN 64

void sha256(unsigned char out[SHA256_LEN], struct str data);
void sha256_hex(char out[SHA256_HEX_LEN + 1], struct str data);
void hmac_sha256(unsigned char out[SHA256_LEN], const void *key, size_t key_n, struct str data);

/* Equal length and bytes, in time that depends on the length only. */
bool enc_equal_secret(struct str a, struct str b);

#endif
