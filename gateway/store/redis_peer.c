#include "gateway/store/redis_peer.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "cachegate/assert.h"

enum { ARENA_BYTES = 64 * 1024 };

static bool fail(char **ret_error, const char *what, const char *of)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    if (asprintf(ret_error, "%s%s%s%s", what, of, reason == NULL ? "" : ": ",
                 reason == NULL ? "" : reason) < 0)
        *ret_error = NULL;
    ERR_clear_error();
    return false;
}

static bool require_name(struct cg_redis_peer *peer)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(peer->tls);
    if (peer->tls_name_is_ip)
        return X509_VERIFY_PARAM_set1_ip_asc(param, peer->tls_name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* An empty name would mean: any. */
    return peer->tls_name[0] != '\0' && X509_VERIFY_PARAM_set1_host(param, peer->tls_name, 0) == 1;
}

static bool load_client_certificate(struct cg_redis_peer *peer, char **ret_error)
{
    const struct cg_redis_url *url = &peer->url;
    if (url->certificate_file[0] == '\0')
        return true;
    if (SSL_CTX_use_certificate_chain_file(peer->tls, url->certificate_file) != 1)
        return fail(ret_error, "cannot use the client certificate ", url->certificate_file);
    if (SSL_CTX_use_PrivateKey_file(peer->tls, url->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(peer->tls) != 1)
        return fail(ret_error, "cannot use the key of the client certificate ", url->key_file);
    return true;
}

static bool prepare_tls(struct cg_redis_peer *peer, char **ret_error)
{
    const struct cg_redis_url *url = &peer->url;
    peer->tls_name = url->server_name[0] == '\0' ? url->host : url->server_name;
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(peer->tls_name);
    peer->tls_name_is_ip = address != NULL;
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    peer->tls = SSL_CTX_new(TLS_client_method());
    CG_ASSERT(peer->tls != NULL);
    CG_ASSERT(SSL_CTX_set_min_proto_version(peer->tls, TLS1_2_VERSION) == 1);
    if (!load_client_certificate(peer, ret_error))
        return false;
    if (!url->verify) {
        SSL_CTX_set_verify(peer->tls, SSL_VERIFY_NONE, NULL);
        return true;
    }
    SSL_CTX_set_verify(peer->tls, SSL_VERIFY_PEER, NULL);
    if (url->ca_file[0] != '\0') {
        if (SSL_CTX_load_verify_locations(peer->tls, url->ca_file, NULL) != 1)
            return fail(ret_error, "cannot use the CA file ", url->ca_file);
    } else if (SSL_CTX_set_default_verify_paths(peer->tls) != 1) {
        return fail(ret_error, "cannot use the CA certificates of the system", "");
    }
    if (!require_name(peer))
        return fail(ret_error, "no certificate can name ", peer->tls_name);
    ERR_clear_error();
    return true;
}

bool cg_redis_peer_init(struct cg_redis_peer *peer, const char *url, char **ret_error)
{
    const char *why = NULL;
    *peer = (struct cg_redis_peer){0};
    cg_arena_init(&peer->arena, ARENA_BYTES);
    if (!cg_redis_url_parse(cg_str_from(url), &peer->arena, &peer->url, &why)) {
        ERR_clear_error();
        return fail(ret_error, why, "");
    }
    return !peer->url.tls || prepare_tls(peer, ret_error);
}

void cg_redis_peer_fini(struct cg_redis_peer *peer)
{
    SSL_CTX_free(peer->tls);
    cg_arena_fini(&peer->arena);
}
