#include "gateway/config/settings_build.h"

#include "cachegate/redis_url.h"

#include <errno.h>
#include <unistd.h>

/* Whether a file that will be needed later can be read now. */
static void check_readable(const struct cg_settings_build *build, const struct cg_node *where,
                           const char *name)
{
    if (name != NULL && access(name, R_OK) != 0)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "cannot read %s: %s", name,
                       strerror(errno));
}

/* The node that gave an option, or its place in the file. */
static struct cg_node place_of(const struct cg_settings_build *build, const char *path)
{
    const char *folder;
    const struct cg_node *node = cg_settings_find(build, "", build->root, path, &folder);
    return node != NULL ? *node : cg_settings_nowhere(build, path);
}

static void check_tls(const struct cg_settings_build *build)
{
    const struct cg_settings *settings = build->settings;
    struct cg_node certificate = place_of(build, "tls.certificate");
    struct cg_node key = place_of(build, "tls.key");
    bool wanted = false;
    for (size_t i = 0; i < settings->listener_count; i++)
        wanted = wanted || settings->listeners[i].tls;
    const char *const files[] = {settings->tls.certificate_file, settings->tls.key_file};
    for (size_t i = 0; i < 2; i++)
        if (files[i] != NULL)
            (void)cg_settings_note_file(build, files[i]);
    check_readable(build, &certificate, settings->tls.certificate_file);
    check_readable(build, &key, settings->tls.key_file);
    if (!wanted) {
        if (settings->tls.certificate_file != NULL || settings->tls.key_file != NULL)
            cg_problem_add(build->problems, CG_PROBLEM_WARNING, &certificate,
                           "has no effect: no listener has `tls: true`");
        return;
    }
    if (settings->tls.certificate_file == NULL)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &certificate,
                       "a listener speaks TLS, which needs a certificate; give "
                       "--tls-certificate FILE, or `tls.certificate`");
    if (settings->tls.key_file == NULL)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &key,
                       "a listener speaks TLS, which needs the certificate's key; give --tls-key "
                       "FILE, or `tls.key`");
}

static void check_upstreams(const struct cg_settings_build *build)
{
    for (size_t i = 0; i < build->settings->upstream_count; i++) {
        const struct cg_upstream_settings *upstream = &build->settings->upstreams[i];
        const char *path =
            cg_arena_printf(build->arena, "upstreams.%s.tls.ca", upstream->name).bytes;
        struct cg_node place = place_of(build, path);
        check_readable(build, &place, upstream->tls_ca_file);
    }
}

static void check_redis_files(const struct cg_settings_build *build)
{
    const char *url_text = build->settings->redis_url, *why;
    struct cg_node place = place_of(build, "store.redis");
    struct cg_redis_url url;
    if (url_text == NULL || !cg_redis_url_parse(cg_str_from(url_text), build->arena, &url, &why))
        return;
    const char *const files[] = {url.ca_file, url.certificate_file, url.key_file};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i][0] != '\0')
            check_readable(build, &place, files[i]);
}

/* A longer one would be cut, and two that differ behind the cut would share answers. */
static void check_namespace(const struct cg_settings_build *build)
{
    enum { NAMESPACE_BYTES_MAX = 64 }; /* NAMESPACE_MAX of redis_key.c */
    struct cg_node place = place_of(build, "store.namespace");
    const char *name = build->settings->store_namespace;
    if (name != NULL && strlen(name) > NAMESPACE_BYTES_MAX)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &place, "is longer than %d bytes",
                       NAMESPACE_BYTES_MAX);
}

/* The embedded store is never away. */
static void check_outage(const struct cg_settings_build *build)
{
    const struct cg_settings *settings = build->settings;
    const struct {
        const char *path, *word, *usual;
    } choices[] = {{"store.on_outage", settings->on_outage, "pass"},
                   {"store.on_unpurgeable", settings->on_unpurgeable, "journal"}};
    for (size_t i = 0; settings->redis_url == NULL && i < 2; i++) {
        struct cg_node place = place_of(build, choices[i].path);
        if (choices[i].word != NULL && strcmp(choices[i].word, choices[i].usual) != 0)
            cg_problem_add(build->problems, CG_PROBLEM_WARNING, &place,
                           "has no effect: there is no store.redis that could be away");
    }
}

/* Two embedded stores do not hear of each other's writes. */
static void check_handover(const struct cg_settings_build *build)
{
    const struct cg_settings *settings = build->settings;
    struct cg_node place = place_of(build, "handover");
    if (settings->handover && settings->redis_url == NULL && settings->cache_enabled)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &place,
                       "two processes on one address serve stale answers unless they share a "
                       "store; give store.redis, or leave this off");
}

void cg_settings_check_whole(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    check_tls(build);
    check_upstreams(build);
    check_redis_files(build);
    check_namespace(build);
    check_outage(build);
    check_handover(build);
    cg_settings_fit_machine(build);
    if (settings->entry_bytes_max > settings->memory_bytes / 8) {
        struct cg_node place = place_of(build, "store.entry_max");
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &place,
                       "is more than an eighth of store.memory; raise that or lower this");
    }
    if (settings->gone_after_ms != 0 && settings->gone_after_ms / 3 < settings->lease_ms) {
        struct cg_node place = place_of(build, "store.gone_after");
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &place,
                       "is less than three times store.lease; raise it or lower that");
    }
    if (settings->limits.http2_streams_max == 0 || settings->limits.connections_max == 0)
        return; /* an error was reported where it stands */
    if (settings->limits.connections_max < settings->threads) {
        struct cg_node place = place_of(build, "limits.connections");
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &place,
                       "is less than one connection for each of the %u threads", settings->threads);
    }
}
