/*
 * tls: the TLS context of the listeners (RFC 8446, RFC 9113 9.2, RFC 7301).
 *
 * TLS 1.2 with forward-secret AEAD suites only, and TLS 1.3. ALPN picks h2 before http/1.1; a
 * client that offers only other protocols is refused. One context serves all threads.
 */
#ifndef GATEWAY_FRONT_TLS_H
#define GATEWAY_FRONT_TLS_H

#include "gateway/config/settings.h"

#include <openssl/ssl.h>

/* NULL and a sentence in *ret_error (to be freed) when the files cannot be used. */
SSL_CTX *cg_tls_create(const struct cg_tls_settings *settings, char **ret_error);
/* Takes NULL; returns NULL. */
SSL_CTX *cg_tls_destroy(SSL_CTX *context);

#endif
