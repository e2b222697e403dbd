/*
 * A thread's share of the access log: what the machine tells of a request becomes a line, and lines
 * leave at the end of the turn.
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"
#include "gateway/request/access_line.h"

#include <stdlib.h>

struct cg_access {
    struct cg_access_line line;
    struct cg_access_pen *pen; /* owned */
    struct cg_arena arena;     /* of what the line's style points to */
};

enum { ARENA_BYTES = 4 << 20 };

bool cg_access_is_wanted(const struct cg_settings *settings)
{
    return strcmp(settings->log_access, "off") != 0;
}

/* Copies, since settings may be exchanged while we run. */
static void take_style(struct cg_access *access, const struct cg_settings *settings,
                       struct cg_access_style *ret_style)
{
    struct cg_arena *arena = &access->arena;
    struct cg_str *secrets = CG_ARENA_ARRAY(arena, struct cg_str, settings->log_secret_count + 1);
    struct cg_str *upstreams = CG_ARENA_ARRAY(arena, struct cg_str, settings->upstream_count + 1);
    for (size_t i = 0; i < settings->log_secret_count; i++)
        secrets[i] = cg_arena_copy(arena, settings->log_secrets[i]);
    for (size_t i = 0; i < settings->upstream_count; i++)
        upstreams[i] = cg_arena_copy(arena, cg_str_from(settings->upstreams[i].name));
    *ret_style = (struct cg_access_style){
        .format = strcmp(settings->log_access_format, "combined") == 0 ? CG_ACCESS_COMBINED
                                                                       : CG_ACCESS_JSON,
        .upstreams = upstreams,
        .upstream_count = settings->upstream_count,
    };
    cg_mask_make(secrets, settings->log_secret_count, arena, &ret_style->mask);
}

struct cg_access *cg_access_create(const struct cg_settings *settings, struct cg_sheet *sheet)
{
    struct cg_access_style style;
    struct cg_access *access = calloc(1, sizeof(*access));
    CG_ASSERT(access != NULL);
    cg_arena_init(&access->arena, ARENA_BYTES);
    take_style(access, settings, &style);
    cg_access_line_init(&access->line, &style);
    access->pen = cg_access_pen_create(settings->log_access_buffer, sheet);
    return access;
}

void cg_access_adopt(struct cg_access *access, const struct cg_settings *settings)
{
    cg_arena_fini(&access->arena);
    cg_arena_init(&access->arena, ARENA_BYTES);
    take_style(access, settings, &access->line.style);
}

struct cg_access *cg_access_destroy(struct cg_access *access)
{
    if (access == NULL)
        return NULL;
    access->pen = cg_access_pen_destroy(access->pen);
    cg_access_line_fini(&access->line);
    cg_arena_fini(&access->arena);
    free(access);
    return NULL;
}

void cg_access_observe(void *observer, const struct cg_request_record *record)
{
    struct cg_access *access = observer;
    if (record->protocol == 0) /* the gateway's own, to warm the store */
        return;
    cg_access_pen_write(access->pen, cg_access_line_print(&access->line, record));
}

void cg_access_flush(struct cg_access *access)
{
    cg_access_pen_flush(access->pen);
}
