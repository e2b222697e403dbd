#include "gateway/upstream/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"

/* Where the session of the handshake that starts right now is to be noted. */
static _Thread_local const SSL **session_slot;

/* libh2o keeps the session to itself; OpenSSL shows it on the handshake's first step. */
static void on_tls_info(const SSL *session, int where, int result)
{
    (void)result;
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && session_slot != NULL) {
        *session_slot = session;
        session_slot = NULL;
    }
}

static bool fail(const struct cg_upstream *upstream, char **ret_error, const char *what,
                 const char *of)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    if (asprintf(ret_error, "upstream %s: %s %s%s%s", upstream->settings->name, what, of,
                 reason == NULL ? "" : ": ", reason == NULL ? "" : reason) < 0)
        *ret_error = NULL;
    ERR_clear_error();
    return false;
}

/* The host of `host`, `host:port` or `[v6]:port`. To be freed. */
static char *copy_host(const char *authority)
{
    size_t from = authority[0] == '[' ? 1 : 0;
    char *host = strndup(authority + from, strcspn(authority + from, from == 1 ? "]" : ":"));
    CG_ASSERT(host != NULL);
    return host;
}

static char *choose_name(const struct cg_upstream_settings *settings)
{
    if (settings->tls_server_name != NULL)
        return copy_host(settings->tls_server_name);
    if (settings->address.kind == CG_ADDRESS_UNIX)
        return copy_host(settings->authority);
    char *name = strdup(settings->address.host);
    CG_ASSERT(name != NULL);
    return name;
}

static bool is_ip(const char *name)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    ASN1_OCTET_STRING_free(address);
    return address != NULL;
}

static bool require_name(const struct cg_upstream *upstream)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(upstream->tls);
    if (upstream->tls_name_is_ip)
        return X509_VERIFY_PARAM_set1_ip_asc(param, upstream->tls_name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* An empty name would mean: any. */
    return upstream->tls_name[0] != '\0' &&
           X509_VERIFY_PARAM_set1_host(param, upstream->tls_name, 0) == 1;
}

bool cg_tls_prepare(struct cg_upstream *upstream, char **ret_error)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    const struct cg_upstream_settings *settings = upstream->settings;
    upstream->tls_name = choose_name(settings);
    upstream->tls_name_is_ip = is_ip(upstream->tls_name);
    ERR_clear_error();
    upstream->tls = SSL_CTX_new(TLS_client_method());
    CG_ASSERT(upstream->tls != NULL);
    CG_ASSERT(SSL_CTX_set_min_proto_version(upstream->tls, TLS1_2_VERSION) == 1);
    CG_ASSERT(SSL_CTX_set_alpn_protos(upstream->tls, protocols, sizeof(protocols) - 1) == 0);
    SSL_CTX_set_info_callback(upstream->tls, on_tls_info);
    if (!settings->tls_verify) {
        SSL_CTX_set_verify(upstream->tls, SSL_VERIFY_NONE, NULL);
        return true;
    }
    SSL_CTX_set_verify(upstream->tls, SSL_VERIFY_PEER, NULL);
    if (settings->tls_ca_file != NULL) {
        if (SSL_CTX_load_verify_locations(upstream->tls, settings->tls_ca_file, NULL) != 1)
            return fail(upstream, ret_error, "cannot use the CA file", settings->tls_ca_file);
    } else if (SSL_CTX_set_default_verify_paths(upstream->tls) != 1) {
        return fail(upstream, ret_error, "cannot use the CA certificates of", "the system");
    }
    if (!require_name(upstream))
        return fail(upstream, ret_error, "no certificate can name", upstream->tls_name);
    ERR_clear_error();
    return true;
}

void cg_tls_start(const struct cg_upstream *upstream, h2o_socket_t *socket, h2o_socket_cb on_done,
                  const SSL **ret_session)
{
    session_slot = ret_session;
    /* SNI holds names only (RFC 6066 3). OpenSSL refuses the empty one, so that none is sent. */
    const char *name = upstream->tls_name_is_ip ? "" : upstream->tls_name;
    h2o_socket_ssl_handshake(socket, upstream->tls, name, on_done);
    session_slot = NULL;
    ERR_clear_error();
}

const char *cg_tls_error(const struct cg_upstream *upstream, const char *handshake_error)
{
    /* libh2o does not clear OpenSSL's queue before it asks SSL_get_error: what we leave there would
     * break the next connection of this thread. */
    ERR_clear_error();
    if (handshake_error == h2o_socket_error_ssl_cert_name_mismatch)
        return NULL;
    if (!upstream->settings->tls_verify && (handshake_error == h2o_socket_error_ssl_cert_invalid ||
                                            handshake_error == h2o_socket_error_ssl_no_cert))
        return NULL;
    return handshake_error;
}
