/* The store, its servers, and the copies in front of it. */
#include "gateway/admin/exposition_parts.h"

static void add_up(struct cg_exposition *exposition)
{
    cg_exposition_add(exposition, NULL, exposition->health.available);
}

static void add_operations(struct cg_exposition *exposition)
{
    for (unsigned i = 0; i < CG_OPERATION_COUNT; i++)
        cg_exposition_add_histogram(
            exposition, cg_str_from(cg_operation_word((enum cg_operation)i)), CG_TIMING_STORE, i);
}

static void add_errors(struct cg_exposition *exposition)
{
    for (unsigned i = 0; i < CG_OPERATION_COUNT; i++) {
        struct cg_str word = cg_str_from(cg_operation_word((enum cg_operation)i));
        cg_exposition_add(
            exposition, &word,
            cg_book_sum_store_errors(exposition->admin->world.book, (enum cg_operation)i));
    }
}

static void add_latency(struct cg_exposition *exposition)
{
    cg_exposition_add_real(exposition, NULL, exposition->health.latency_ms / 1000);
}

static void add_servers_up(struct cg_exposition *exposition)
{
    for (size_t i = 0; i < exposition->health.server_count; i++) {
        const struct cg_store_server *server = &exposition->health.servers[i];
        struct cg_str address = cg_str_from(server->address);
        cg_exposition_add(exposition, &address,
                          server->connected && strcmp(server->breaker, "closed") == 0);
    }
}

static void add_breakers(struct cg_exposition *exposition)
{
    for (size_t i = 0; i < exposition->health.server_count; i++) {
        const struct cg_store_server *server = &exposition->health.servers[i];
        struct cg_str address = cg_str_from(server->address);
        bool closed = strcmp(server->breaker, "closed") == 0;
        bool open = strcmp(server->breaker, "open") == 0;
        cg_exposition_add(exposition, &address, closed ? 0 : open ? 2 : 1);
    }
}

static void add_journal(struct cg_exposition *exposition)
{
    cg_exposition_add(exposition, NULL, exposition->health.journal);
}

/* Only where it is asked for. */
static void add_tracking(struct cg_exposition *exposition)
{
    const char *tracking = exposition->health.tracking;
    if (tracking != NULL)
        cg_exposition_add(exposition, NULL, strcmp(tracking, "up") == 0);
}

/* Only where servers are behind it, and once they were asked. */
static void add_memory(struct cg_exposition *exposition)
{
    if (exposition->stats.fleet != NULL)
        cg_exposition_add(exposition, NULL, exposition->stats.fleet->memory_bytes);
}

static void add_memory_max(struct cg_exposition *exposition)
{
    if (exposition->stats.fleet != NULL)
        cg_exposition_add(exposition, NULL, exposition->stats.fleet->memory_max_bytes);
}

#define WRITER(name, member)                                                                       \
    static void name(struct cg_exposition *exposition)                                             \
    {                                                                                              \
        cg_exposition_add(exposition, NULL, exposition->stats.member);                             \
    }
WRITER(add_entries, entries)
WRITER(add_bytes, entry_bytes)
WRITER(add_versions, versions)
WRITER(add_evictions, evictions)
WRITER(add_bans, bans)
WRITER(add_near_entries, near_entries)
WRITER(add_near_bytes, near_bytes)
WRITER(add_lost_commands, lost_commands)
WRITER(add_openings, breaker_openings)
#undef WRITER

cg_exposition_fn cg_exposition_of_store(enum cg_family family)
{
    static const cg_exposition_fn writers[CG_FAMILY_COUNT] = {
        [CG_FAMILY_STORE_UP] = add_up,
        [CG_FAMILY_STORE] = add_operations,
        [CG_FAMILY_STORE_ERRORS] = add_errors,
        [CG_FAMILY_STORE_LATENCY] = add_latency,
        [CG_FAMILY_SERVER_UP] = add_servers_up,
        [CG_FAMILY_BREAKER] = add_breakers,
        [CG_FAMILY_BREAKER_OPENINGS] = add_openings,
        [CG_FAMILY_LOST_COMMANDS] = add_lost_commands,
        [CG_FAMILY_JOURNAL] = add_journal,
        [CG_FAMILY_ENTRIES] = add_entries,
        [CG_FAMILY_BYTES] = add_bytes,
        [CG_FAMILY_VERSIONS] = add_versions,
        [CG_FAMILY_EVICTIONS] = add_evictions,
        [CG_FAMILY_OPEN_BANS] = add_bans,
        [CG_FAMILY_STORE_MEMORY] = add_memory,
        [CG_FAMILY_STORE_MEMORY_MAX] = add_memory_max,
        [CG_FAMILY_NEAR_ENTRIES] = add_near_entries,
        [CG_FAMILY_NEAR_BYTES] = add_near_bytes,
        [CG_FAMILY_TRACKING_UP] = add_tracking,
    };
    return writers[family];
}
