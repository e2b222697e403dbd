#include "gateway/store/redis_peer.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/store/redis_reader.h"

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

bool cg_redis_is_ip(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool require_name(SSL_CTX *context, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    if (cg_redis_is_ip(name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* An empty name would mean: any. */
    return name[0] != '\0' && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

static bool load_client_certificate(const struct cg_redis_peer *peer, SSL_CTX *context,
                                    char **ret_error)
{
    const struct cg_redis_url *url = &peer->url;
    if (url->certificate_file[0] == '\0')
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, url->certificate_file) != 1)
        return fail(ret_error, "cannot use the client certificate ", url->certificate_file);
    if (SSL_CTX_use_PrivateKey_file(context, url->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return fail(ret_error, "cannot use the key of the client certificate ", url->key_file);
    return true;
}

static bool load_authorities(struct cg_redis_peer *peer, char **ret_error)
{
    const struct cg_redis_url *url = &peer->url;
    if (!url->verify)
        return true;
    peer->authorities = X509_STORE_new();
    CG_ASSERT(peer->authorities != NULL);
    if (url->ca_file[0] != '\0') {
        if (X509_STORE_load_file(peer->authorities, url->ca_file) != 1)
            return fail(ret_error, "cannot use the CA file ", url->ca_file);
    } else if (X509_STORE_set_default_paths(peer->authorities) != 1) {
        return fail(ret_error, "cannot use the CA certificates of the system", "");
    }
    return true;
}

static SSL_CTX *create_context(const struct cg_redis_peer *peer, const char *name, char **ret_error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CG_ASSERT(context != NULL);
    CG_ASSERT(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    bool good = load_client_certificate(peer, context, ret_error);
    SSL_CTX_set_verify(context, peer->url.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (good && peer->url.verify) {
        SSL_CTX_set1_cert_store(context, peer->authorities);
        good = require_name(context, name) || fail(ret_error, "no certificate can name ", name);
    }
    ERR_clear_error();
    if (good)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

const char *cg_redis_peer_name(const struct cg_redis_peer *peer, const char *host)
{
    return peer->url.server_name[0] == '\0' ? host : peer->url.server_name;
}

const char *cg_redis_peer_shown(const struct cg_redis_peer *peer, const char *said)
{
    const char *const secrets[] = {peer->url.password, peer->url.sentinel_password};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        if (secrets[i][0] != '\0' && strstr(said, secrets[i]) != NULL)
            return "an error that repeats the password";
    return said;
}

const char *cg_redis_remedy(const char *said)
{
    static const struct {
        const char *word, *remedy;
    } remedies[] = {
        {"NOAUTH ", "; the URL in store.redis needs a password (for sentinels, sentinel_password)"},
        {"WRONGPASS ", "; correct user and password in the URL of store.redis"},
        {"NOPERM ", "; README.md, Users (ACL), lists the rights that are needed"},
        /* What a script is refused with does not say which command it was; ACL LOG does. */
        {"can't run this command", "; README.md, Users (ACL), lists the rights that are needed"},
        {"IP address mismatch", "; the certificate has no such address: server_name=NAME"},
        {"hostname mismatch", "; the certificate has no such name: server_name=NAME"},
        {"certificate in certificate chain", "; name its authority: ca=FILE"},
        {"unable to get local issuer certificate", "; name its authority: ca=FILE"},
    };
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
        if (strstr(said, remedies[i].word) != NULL)
            return remedies[i].remedy;
    return "";
}

/* Under the lock. */
static SSL_CTX *find_context(struct cg_redis_peer *peer, const char *name, char **ret_error)
{
    for (size_t i = 0; i < peer->host_count; i++)
        if (strcmp(peer->hosts[i].name, name) == 0)
            return peer->hosts[i].context;
    SSL_CTX *context = create_context(peer, name, ret_error);
    if (context == NULL)
        return NULL;
    struct cg_redis_tls_host *host = &peer->hosts[peer->host_next];
    peer->host_next = (peer->host_next + 1) % CG_REDIS_TLS_HOSTS_MAX;
    if (peer->host_count < CG_REDIS_TLS_HOSTS_MAX)
        peer->host_count++;
    SSL_CTX_free(host->context);
    host->context = context;
    (void)snprintf(host->name, sizeof(host->name), "%s", name);
    return context;
}

static SSL_CTX *get_context(struct cg_redis_peer *peer, const char *host, char **ret_error)
{
    CG_ASSERT(pthread_mutex_lock(&peer->lock) == 0);
    SSL_CTX *context = find_context(peer, cg_redis_peer_name(peer, host), ret_error);
    if (context != NULL)
        CG_ASSERT(SSL_CTX_up_ref(context) == 1);
    CG_ASSERT(pthread_mutex_unlock(&peer->lock) == 0);
    return context;
}

SSL_CTX *cg_redis_peer_tls(struct cg_redis_peer *peer, const char *host)
{
    char *error = NULL;
    SSL_CTX *context = get_context(peer, host, &error);
    free(error);
    return context;
}

/* What is wrong with the files is known before anything runs. */
static bool prepare_tls(struct cg_redis_peer *peer, char **ret_error)
{
    peer->hosts = calloc(CG_REDIS_TLS_HOSTS_MAX, sizeof(*peer->hosts));
    CG_ASSERT(peer->hosts != NULL);
    if (!load_authorities(peer, ret_error))
        return false;
    SSL_CTX *context = get_context(peer, peer->url.host, ret_error);
    SSL_CTX_free(context);
    return context != NULL;
}

bool cg_redis_peer_init(struct cg_redis_peer *peer, const char *url, char **ret_error)
{
    const char *why = NULL;
    *peer = (struct cg_redis_peer){.reply_bytes_max = CG_REDIS_REPLY_BYTES};
    CG_ASSERT(pthread_mutex_init(&peer->lock, NULL) == 0);
    cg_arena_init(&peer->arena, ARENA_BYTES);
    if (!cg_redis_url_parse(cg_str_from(url), &peer->arena, &peer->url, &why)) {
        ERR_clear_error();
        return fail(ret_error, why, "");
    }
    return !peer->url.tls || prepare_tls(peer, ret_error);
}

void cg_redis_peer_fini(struct cg_redis_peer *peer)
{
    for (size_t i = 0; i < peer->host_count; i++)
        SSL_CTX_free(peer->hosts[i].context);
    free(peer->hosts);
    X509_STORE_free(peer->authorities);
    cg_arena_fini(&peer->arena);
    CG_ASSERT(pthread_mutex_destroy(&peer->lock) == 0);
}
