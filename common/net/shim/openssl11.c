/* openssl11.c - the one function of OpenSSL 1.1 that civetweb misses in OpenSSL 3.
 *
 * Debian 12 and 13 build civetweb for the interface of OpenSSL 1.1 and let it dlopen()
 * "libssl.so" and "libcrypto.so" when TLS is asked for.  That fails twice: these names belong
 * to the development package, and OpenSSL 3 renamed SSL_get_peer_certificate().  So we build
 * two small libraries with these names, this file and an empty one, which pull in the real
 * libssl.so.3 and libcrypto.so.3; the programs find them in ../lib through their run path.
 * The renamed function has the same contract (the caller frees the certificate).
 */
struct ssl_st;
struct x509_st;

struct x509_st *SSL_get1_peer_certificate(const struct ssl_st *ssl);
struct x509_st *SSL_get_peer_certificate(const struct ssl_st *ssl);

struct x509_st *SSL_get_peer_certificate(const struct ssl_st *ssl)
{
    return SSL_get1_peer_certificate(ssl);
}
