#include "gateway/base/file_signature.h"
#include "gateway/config/settings_build.h"

/*
 * What a running process can change, and what not: the rest stays as it was at the start, and is
 * warned of by name. A row of the table of options that is not named here cannot.
 */
static bool can_change(const char *path)
{
    static const char *const paths[] = {
        "tls.certificate",
        "tls.key",
        "tls.minimum_version",
        "cache",
        "via",
        "cache_status_key",
        "drain_timeout",
        "drain_accept",
        "log.level",
        "log.access_format",
        "limits.response_capture",
        "limits.json_body",
        "limits.json_depth",
        "limits.purge_instances",
        "limits.flight_buffer",
        "limits.flight_waiters",
        "limits.flight_wait",
        "limits.flight_takeovers",
        "limits.flight_claim",
        "limits.outage_fetches",
        "limits.outage_queue",
        "limits.outage_wait",
        "limits.write_hold",
        "limits.write_mark",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(path, paths[i]) == 0)
            return true;
    return false;
}

static bool texts_eq(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Unlike cg_address_eq, to which port 0 is another one each time. */
static bool addresses_eq(const struct cg_address *a, const struct cg_address *b)
{
    return a->kind == b->kind && a->port == b->port && texts_eq(a->host, b->host) &&
           texts_eq(a->path, b->path);
}

static bool is_text(enum cg_option_type type)
{
    return type == CG_OPTION_TEXT || type == CG_OPTION_TOKEN || type == CG_OPTION_CHOICE ||
           type == CG_OPTION_FILE || type == CG_OPTION_SECRET || type == CG_OPTION_TARGET;
}

static bool members_eq(const struct cg_option *option, const char *a, const char *b)
{
    const char *one, *other;
    if (!is_text(option->type))
        return memcmp(a + option->offset, b + option->offset, option->width) == 0;
    memcpy(&one, a + option->offset, sizeof one);
    memcpy(&other, b + option->offset, sizeof other);
    return texts_eq(one, other);
}

static bool members_all_eq(enum cg_option_home home, const void *a, const void *b)
{
    for (size_t i = 0; i < cg_option_count(); i++) {
        const struct cg_option *option = cg_option_at(i);
        if (option->home == home && !option->special && !members_eq(option, a, b))
            return false;
    }
    return true;
}

static void warn(const struct cg_settings_build *build, const char *path)
{
    const char *folder;
    const struct cg_node *node = cg_settings_find(build, "", build->root, path, &folder);
    struct cg_node nowhere = cg_settings_nowhere(build, path);
    cg_problem_add(build->problems, CG_PROBLEM_WARNING, node != NULL ? node : &nowhere,
                   "`%s` cannot change while the gateway runs; it takes effect at the next start",
                   path);
}

static bool listeners_eq(const struct cg_settings *a, const struct cg_settings *b)
{
    bool same = a->listener_count == b->listener_count;
    for (size_t i = 0; same && i < a->listener_count; i++)
        same = addresses_eq(&a->listeners[i].address, &b->listeners[i].address) &&
               members_all_eq(CG_HOME_LISTENER, &a->listeners[i], &b->listeners[i]);
    return same;
}

static bool upstreams_eq(const struct cg_settings *a, const struct cg_settings *b)
{
    bool same = a->upstream_count == b->upstream_count;
    for (size_t i = 0; same && i < a->upstream_count; i++) {
        const struct cg_upstream_settings *one = &a->upstreams[i], *other = &b->upstreams[i];
        same = texts_eq(one->name, other->name) && addresses_eq(&one->address, &other->address) &&
               one->tls == other->tls && texts_eq(one->authority, other->authority) &&
               texts_eq(one->path_prefix, other->path_prefix) &&
               one->preserve_host == other->preserve_host &&
               members_all_eq(CG_HOME_UPSTREAM, one, other);
    }
    return same;
}

static bool fields_eq(const struct cg_fields *a, const struct cg_fields *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = cg_str_eq(a->items[i].name, b->items[i].name) &&
               cg_str_eq(a->items[i].value, b->items[i].value);
    return same;
}

static bool warm_eq(const struct cg_settings *a, const struct cg_settings *b)
{
    bool same = a->warm_count == b->warm_count;
    for (size_t i = 0; same && i < a->warm_count; i++)
        same = cg_str_eq(a->warm[i].scheme, b->warm[i].scheme) &&
               cg_str_eq(a->warm[i].authority, b->warm[i].authority) &&
               cg_str_eq(a->warm[i].target, b->warm[i].target) &&
               fields_eq(&a->warm[i].fields, &b->warm[i].fields);
    return same;
}

/* What code of its own reads. */
static void keep_special(const struct cg_settings_build *build, const struct cg_settings *running)
{
    struct cg_settings *settings = build->settings;
    if (!listeners_eq(settings, running))
        warn(build, "listen");
    settings->listeners = running->listeners;
    settings->listener_count = running->listener_count;
    if (settings->has_admin != running->has_admin ||
        (running->has_admin && !addresses_eq(&settings->admin, &running->admin)))
        warn(build, "admin.listen");
    settings->has_admin = running->has_admin;
    settings->admin = running->admin;
    if (!upstreams_eq(settings, running))
        warn(build, "upstreams");
    settings->upstreams = running->upstreams;
    settings->upstream_count = running->upstream_count;
    if (!texts_eq(settings->redis_url, running->redis_url))
        warn(build, "store.redis");
    settings->redis_url = running->redis_url;
    if (!warm_eq(settings, running))
        warn(build, "warm.requests");
    settings->warm = running->warm;
    settings->warm_count = running->warm_count;
}

void cg_settings_keep_running(const struct cg_settings_build *build)
{
    const struct cg_settings *running = build->source->running;
    if (running == NULL)
        return;
    for (size_t i = 0; i < cg_option_count(); i++) {
        const struct cg_option *option = cg_option_at(i);
        if (option->home != CG_HOME_SETTINGS || option->special || can_change(option->path))
            continue;
        char *own = (char *)build->settings;
        const char *kept = (const char *)running;
        if (!members_eq(option, own, kept))
            warn(build, option->path);
        memcpy(own + option->offset, kept + option->offset, option->width);
    }
    keep_special(build, running);
}

bool cg_settings_changed(const struct cg_settings *settings)
{
    for (size_t i = 0; i < settings->file_count; i++)
        if (cg_file_signature(settings->files[i]) != settings->file_signatures[i])
            return true;
    return false;
}

bool cg_settings_note_file(const struct cg_settings_build *build, const char *name)
{
    struct cg_settings *settings = build->settings;
    for (size_t i = 0; i < settings->file_count; i++)
        if (strcmp(settings->files[i], name) == 0)
            return true;
    if (settings->file_count == CG_SETTINGS_FILES_MAX)
        return false;
    if (settings->files == NULL) {
        settings->files = CG_ARENA_ARRAY(build->arena, const char *, CG_SETTINGS_FILES_MAX);
        settings->file_signatures = CG_ARENA_ARRAY(build->arena, uint64_t, CG_SETTINGS_FILES_MAX);
    }
    settings->file_signatures[settings->file_count] = cg_file_signature(name);
    settings->files[settings->file_count++] = cg_option_text(cg_str_from(name), build->arena);
    return true;
}
