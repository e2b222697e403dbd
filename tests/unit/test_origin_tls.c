#include "origin_world.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* One authority, made for each test, and certificates it signs. */
struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

static struct world w;
static struct asker a;
static struct peer p;
static struct authority authority, stranger;
static char ca_path[80];
static SSL_CTX *server;

static X509 *issue(const struct authority *by, EVP_PKEY *key, const char *name, const char *names)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), names == NULL ? 1 : 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate,
                         by == NULL ? subject : X509_get_subject_name(by->certificate));
    X509_EXTENSION *extension =
        names == NULL ? X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE")
                      : X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    cr_assert_not_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    cr_assert_neq(X509_sign(certificate, by == NULL ? key : by->key, EVP_sha256()), 0);
    return certificate;
}

static struct authority found_authority(const char *name)
{
    struct authority made = {.key = EVP_EC_gen("P-256")};
    made.certificate = issue(NULL, made.key, name, NULL);
    return made;
}

static void save_authority(const char *directory)
{
    snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", directory);
    FILE *file = fopen(ca_path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(PEM_write_X509(file, authority.certificate), 1);
    fclose(file);
}

static SSL_CTX *make_server(const struct authority *by, const char *names, int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = issue(by, key, "upstream", names);
    cr_assert_eq(SSL_CTX_use_certificate(context, certificate), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey(context, key), 1);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

/* A UNIX socket's directory also holds the CA file; TCP upstreams listen beside it. */
static void begin_world(bool on_unix)
{
    world_init(&w, on_unix);
    authority = found_authority("authority");
    stranger = found_authority("stranger");
    if (!on_unix) {
        snprintf(w.directory, sizeof(w.directory), "/tmp/cachegate_origin_XXXXXX");
        cr_assert_not_null(mkdtemp(w.directory));
    }
    save_authority(w.directory);
    w.upstream.tls = true;
    w.upstream.tls_ca_file = ca_path;
    w.upstream.tls_server_name = "up.example";
}

static void begin(void)
{
    begin_world(false);
}

static void finish(void)
{
    SSL_CTX_free(server);
    server = NULL;
    unlink(ca_path);
    world_fini(&w);
    rmdir(w.directory);
    EVP_PKEY_free(authority.key);
    X509_free(authority.certificate);
    EVP_PKEY_free(stranger.key);
    X509_free(stranger.certificate);
    asker_fini(&a);
}

TestSuite(origin_tls, .init = begin, .fini = finish, .timeout = 60);

static bool shake(struct peer *peer)
{
    int result = SSL_accept(peer->tls);
    bool waits = result != 1 && SSL_get_error(peer->tls, result) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return !waits;
}

static void accept_tls(struct peer *peer)
{
    peer_accept(&w, peer);
    peer->tls = SSL_new(server);
    SSL_set_fd(peer->tls, peer->fd);
    SSL_set_accept_state(peer->tls);
}

static void serve(const struct authority *by, const char *names, int version)
{
    server = make_server(by, names, version);
    world_create(&w);
    asker_init(&a, &w, "GET", "/a");
    ask(&a);
    accept_tls(&p);
    WORLD_UNTIL(&w, shake(&p) || a.ends > 0);
}

static void expect_works(const struct authority *by, const char *names, int version)
{
    serve(by, names, version);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&a, "hello");
    cr_expect_eq(SSL_version(p.tls), version);
    peer_close(&p);
}

static void expect_refused(const struct authority *by, const char *names, int version)
{
    serve(by, names, version);
    EXPECT_END(&a, CG_ORIGIN_TLS_FAILED);
    cr_expect_not(a.sent, "no byte of the request for a stranger");
    cr_expect_neq(a.detail[0], '\0');
    peer_pump(&p);
    cr_expect_eq(p.got.length, 0);
    peer_close(&p);
}

Test(origin_tls, right_name_works_over_1_3_with_sni)
{
    expect_works(&authority, "DNS:other.example,DNS:up.example", TLS1_3_VERSION);
}

Test(origin_tls, right_name_works_over_1_2)
{
    expect_works(&authority, "DNS:up.example", TLS1_2_VERSION);
}

Test(origin_tls, wrong_name_is_refused_over_1_3)
{
    expect_refused(&authority, "DNS:other.example", TLS1_3_VERSION);
}

Test(origin_tls, wrong_name_is_refused_over_1_2)
{
    expect_refused(&authority, "DNS:other.example", TLS1_2_VERSION);
}

Test(origin_tls, unknown_authority_is_refused_over_1_3)
{
    expect_refused(&stranger, "DNS:up.example", TLS1_3_VERSION);
}

Test(origin_tls, unknown_authority_is_refused_over_1_2)
{
    expect_refused(&stranger, "DNS:up.example", TLS1_2_VERSION);
}

Test(origin_tls, address_in_the_certificate_works_over_1_3)
{
    w.upstream.tls_server_name = NULL; /* so the URL's host: 127.0.0.1 */
    expect_works(&authority, "IP:127.0.0.1", TLS1_3_VERSION);
}

Test(origin_tls, address_in_the_certificate_works_over_1_2)
{
    w.upstream.tls_server_name = NULL;
    expect_works(&authority, "IP:127.0.0.1", TLS1_2_VERSION);
}

Test(origin_tls, address_missing_in_the_certificate_is_refused)
{
    w.upstream.tls_server_name = NULL;
    expect_refused(&authority, "IP:127.0.0.2,DNS:127.0.0.1", TLS1_3_VERSION);
}

Test(origin_tls, anything_works_unverified_over_1_3)
{
    w.upstream.tls_verify = false;
    expect_works(&stranger, "DNS:other.example", TLS1_3_VERSION);
}

Test(origin_tls, anything_works_unverified_over_1_2)
{
    w.upstream.tls_verify = false;
    expect_works(&stranger, "DNS:other.example", TLS1_2_VERSION);
}

static int on_server_name(SSL *tls, int *alert, void *wanted)
{
    (void)alert;
    const char *name = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);
    const char *want = wanted;
    bool right = want == NULL ? name == NULL : name != NULL && strcmp(name, want) == 0;
    return right ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void expect_server_name(char *name)
{
    world_create(&w);
    server = make_server(&authority, "DNS:up.example,IP:127.0.0.1", TLS1_3_VERSION);
    SSL_CTX_set_tlsext_servername_callback(server, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(server, name);
    asker_init(&a, &w, "GET", "/a");
    ask(&a);
    accept_tls(&p);
    WORLD_UNTIL(&w, shake(&p) || a.ends > 0);
    PEER_EXPECT(&p, HEAD_END);
    cr_expect_eq(a.ends, 0, "%s", a.detail);
    w.origin->port->cancel(a.exchange);
    peer_close(&p);
}

Test(origin_tls, server_is_told_the_name)
{
    static char name[] = "up.example";
    expect_server_name(name);
}

Test(origin_tls, server_is_told_no_address)
{
    w.upstream.tls_server_name = NULL;
    expect_server_name(NULL);
}

Test(origin_tls, old_protocol_is_refused)
{
    w.upstream.tls_verify = false;
    expect_refused(&authority, "DNS:up.example", TLS1_1_VERSION);
}

Test(origin_tls, peer_that_speaks_no_tls_fails)
{
    world_create(&w);
    asker_init(&a, &w, "GET", "/a");
    ask(&a);
    peer_accept(&w, &p);
    PEER_SAYS(&p, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    EXPECT_END(&a, CG_ORIGIN_TLS_FAILED);
    peer_close(&p);
}

Test(origin_tls, handshake_that_hangs_is_a_connect_timeout)
{
    world_create(&w);
    asker_init(&a, &w, "GET", "/a");
    ask(&a);
    peer_accept(&w, &p);
    world_settle(&w);
    world_pass(&w, 1000);
    EXPECT_END(&a, CG_ORIGIN_CONNECT_TIMEOUT);
    cr_expect_not(a.sent);
    EXPECT_CLOSED(&p);
    peer_close(&p);
}

/* Its wait for an answer ended with the connection that died. */
Test(origin_tls, retry_has_a_time_of_its_own_to_connect)
{
    struct peer second;
    serve(&authority, "DNS:up.example", TLS1_3_VERSION);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    asker_fini(&a);
    asker_init(&a, &w, "GET", "/retried");
    p.got.length = 0;
    ask(&a);
    WORLD_UNTIL(&w, (peer_pump(&p), p.got.length > 0));
    world_pass(&w, 1900); /* of the 2000 until the first byte */
    peer_close(&p);
    peer_accept(&w, &second);
    world_settle(&w);
    world_pass(&w, 900);
    cr_expect_eq(a.ends, 0);
    world_pass(&w, 100);
    EXPECT_END(&a, CG_ORIGIN_CONNECT_TIMEOUT);
    peer_close(&second);
}

Test(origin_tls, large_bodies_pass_both_ways_and_the_connection_is_used_again)
{
    static char large[3 * 1024 * 1024];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 13 + i / 509);
    server = make_server(&authority, "DNS:up.example", TLS1_3_VERSION);
    world_create(&w);
    asker_init(&a, &w, "POST", "/a");
    asker_has_body(&a, cg_str_of(large, sizeof(large)));
    ask(&a);
    accept_tls(&p);
    for (unsigned round = 0; round < 2; round++) {
        WORLD_UNTIL(&w, shake(&p));
        WORLD_UNTIL(&w, (peer_pump(&p), p.got.length > sizeof(large)));
        struct cg_str tail = cg_str_skip(cg_buf_str(&p.got), p.got.length - sizeof(large));
        cr_expect_eq(memcmp(tail.bytes, large, sizeof(large)), 0);
        PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n");
        peer_send(&p, cg_str_of(large, sizeof(large)));
        EXPECT_END(&a, CG_ORIGIN_COMPLETE);
        cr_expect(a.body.length == sizeof(large) &&
                  memcmp(a.body.bytes, large, sizeof(large)) == 0);
        if (round == 0) {
            asker_fini(&a);
            asker_init(&a, &w, "POST", "/b");
            asker_has_body(&a, cg_str_of(large, sizeof(large)));
            cg_buf_clear(&p.got);
            ask(&a);
        }
    }
    peer_close(&p);
}

Test(origin_tls, paused_exchange_loses_nothing)
{
    static char large[3 * 1024 * 1024];
    serve(&authority, "DNS:up.example", TLS1_3_VERSION);
    PEER_EXPECT(&p, HEAD_END);
    a.pauses_in_head = a.pauses_in_body = true;
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n");
    WORLD_UNTIL(&w, a.heads == 1);
    for (struct cg_str rest = cg_str_of(large, sizeof(large)); rest.length > 0;) {
        int sent = SSL_write(p.tls, rest.bytes, (int)rest.length);
        rest = cg_str_skip(rest, sent > 0 ? (size_t)sent : 0);
        ERR_clear_error();
        world_turn(&w);
        w.origin->port->resume(a.exchange);
    }
    WORLD_UNTIL(&w, (a.ends == 0 ? w.origin->port->resume(a.exchange) : (void)0, a.ends > 0));
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect_eq(a.body.length, sizeof(large));
    peer_close(&p);
}

/* RFC 9112 9.8: without close_notify, anybody on the way could have ended the answer. */
Test(origin_tls, close_without_notice_cuts_an_answer_without_length)
{
    serve(&authority, "DNS:up.example", TLS1_3_VERSION);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\n\r\npart");
    WORLD_UNTIL(&w, a.body.length == 4);
    peer_close(&p);
    EXPECT_END(&a, CG_ORIGIN_CUT);
}

Test(origin_tls, close_with_notice_ends_an_answer_without_length)
{
    serve(&authority, "DNS:up.example", TLS1_3_VERSION);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\n\r\nwhole");
    SSL_shutdown(p.tls);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&a, "whole");
    peer_close(&p);
}

Test(origin_tls, idle_connection_closed_by_the_peer_is_dropped)
{
    serve(&authority, "DNS:up.example", TLS1_3_VERSION);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    world_settle(&w);
    SSL_shutdown(p.tls);
    WORLD_UNTIL(&w, w.clock.count == 0); /* its idle timer went with it */
    peer_close(&p);
}

Test(origin_tls, cancel_while_the_peer_reads_nothing_leaves_nothing)
{
    static char large[16 * 1024 * 1024];
    server = make_server(&authority, "DNS:up.example", TLS1_3_VERSION);
    world_create(&w);
    asker_init(&a, &w, "POST", "/a");
    asker_has_body(&a, cg_str_of(large, sizeof(large)));
    ask(&a);
    accept_tls(&p);
    WORLD_UNTIL(&w, shake(&p));
    world_settle(&w);
    w.origin->port->cancel(a.exchange);
    EXPECT_CLOSED(&p);
    peer_close(&p);
}

Test(origin_tls, missing_ca_file_is_told)
{
    char *error = NULL;
    w.upstream.tls_ca_file = "/nonexistent/ca.pem";
    w.settings.upstreams = &w.upstream;
    w.settings.upstream_count = 1;
    cr_expect_null(cg_upstreams_create(&w.settings, &error));
    cr_assert_not_null(error);
    cr_expect_not_null(strstr(error, "/nonexistent/ca.pem"), "%s", error);
    free(error);
}

TestSuite(origin_tls_unix, .fini = finish, .timeout = 60);

Test(origin_tls_unix, name_comes_from_the_authority_over_a_unix_socket)
{
    begin_world(true);
    w.upstream.tls_server_name = NULL;
    expect_works(&authority, "DNS:up.example", TLS1_3_VERSION);
}
