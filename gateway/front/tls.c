#include "gateway/front/tls.h"

#include "cachegate/str.h"
#include "gateway/base/file_read.h"
#include "gateway/front/sentence.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>

static const char tls12_suites[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* Our preference decides (RFC 7301 3.2). The lists are length-prefixed names. */
static int on_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_length,
                   const unsigned char *offered, unsigned offered_length, void *owner)
{
    static const unsigned char preferred[] = "\x02h2\x08http/1.1";
    unsigned char *name = NULL;
    (void)owner;
    if (SSL_select_next_proto(&name, ret_length, preferred, sizeof(preferred) - 1, offered,
                              offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    /*
     * HTTP/2 shows a cut by itself, so it needs no close_notify. Without one libh2o closes the
     * socket in the moment in which it frees its connection, and the guard never sees a socket
     * whose connection is gone.
     */
    if (*ret_length == 2)
        SSL_set_quiet_shutdown(ssl, 1);
    return SSL_TLSEXT_ERR_OK;
}

/* Nobody is there to be asked for a passphrase. */
static int on_passphrase(char *buffer, int size, int writing, void *owner)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)owner;
    return -1;
}

/* OpenSSL's word for it, or a better one where the cause is a common slip. */
static const char *reason_of(unsigned long error)
{
    const char *reason = ERR_reason_error_string(error);
    int library = ERR_GET_LIB(error), number = ERR_GET_REASON(error);
    if ((library == ERR_LIB_PEM && number == PEM_R_NO_START_LINE) ||
        (library == ERR_LIB_OSSL_DECODER && number == ERR_R_UNSUPPORTED))
        return "the file holds none in the form of PEM";
    if (number == ERR_R_INTERRUPTED_OR_CANCELLED) /* by on_passphrase */
        return "it is encrypted; give one without a passphrase";
    return reason == NULL ? "no reason is known" : reason;
}

static char *openssl_error(const char *what, const char *file)
{
    char *sentence = cg_sentence("%s %s: %s", what, file, reason_of(ERR_get_error()));
    ERR_clear_error();
    return sentence;
}

/* OpenSSL would wait for a pipe's writer, and look for PEM in a device without an end. */
static bool has_end(const char *file, char **ret_error)
{
    if (cg_file_is_regular(file))
        return true;
    *ret_error = cg_sentence("cannot read %s: %s", file, strerror(errno));
    return false;
}

SSL_CTX *cg_tls_create(const struct cg_tls_settings *settings, char **ret_error)
{
    ERR_clear_error();
    if (!has_end(settings->certificate_file, ret_error) || !has_end(settings->key_file, ret_error))
        return NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        *ret_error = openssl_error("cannot create a TLS context for", settings->certificate_file);
        return NULL;
    }
    bool only13 = settings->minimum_version != NULL &&
                  cg_str_eq(cg_str_from(settings->minimum_version), CG_STR("1.3"));
    SSL_CTX_set_min_proto_version(context, only13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_cipher_list(context, tls12_suites);
    /* Tickets resume sessions; a cache that threads share would be a lock. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"cachegate", 9);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    SSL_CTX_set_default_passwd_cb(context, on_passphrase);
    if (SSL_CTX_use_certificate_chain_file(context, settings->certificate_file) != 1)
        *ret_error = openssl_error("cannot use the certificate", settings->certificate_file);
    else if (SSL_CTX_use_PrivateKey_file(context, settings->key_file, SSL_FILETYPE_PEM) != 1)
        *ret_error = openssl_error("cannot use the key", settings->key_file);
    else if (SSL_CTX_check_private_key(context) != 1)
        *ret_error =
            openssl_error("the certificate does not belong to the key", settings->key_file);
    else
        return context;
    SSL_CTX_free(context);
    return NULL;
}

SSL_CTX *cg_tls_destroy(SSL_CTX *context)
{
    SSL_CTX_free(context);
    return NULL;
}
