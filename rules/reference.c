#include "rules/plan_build.h"
#include "rules/purge_build.h"

/* Index of the first byte that is one of `bytes`, or the length. */
static size_t find_any(struct cg_str s, struct cg_str bytes)
{
    for (size_t i = 0; i < s.length; i++)
        if (cg_str_find(bytes, s.bytes[i]) < bytes.length)
            return i;
    return s.length;
}

/* RFC 3986 3.1; empty when the reference has none. */
static struct cg_str scheme_of(struct cg_str reference)
{
    size_t end = find_any(reference, CG_STR(":/?#"));
    bool has_scheme = end > 0 && end < reference.length && reference.bytes[end] == ':';
    return has_scheme ? cg_str_sub(reference, 0, end) : (struct cg_str){NULL, 0};
}

/* Without port: an upstream behind us may not know which one its clients used. */
static struct cg_str host_without_port(struct cg_str authority)
{
    size_t at = cg_str_find(authority, '@');
    if (at < authority.length)
        authority = cg_str_skip(authority, at + 1);
    size_t end = authority.length;
    while (end > 0 && cg_is_digit(authority.bytes[end - 1]))
        end--;
    bool has_port = end > 0 && authority.bytes[end - 1] == ':';
    return has_port ? cg_str_sub(authority, 0, end - 1) : authority;
}

/* RFC 3986 5.2.3: all of the base but what stands behind its last slash. */
static struct cg_str merge(struct cg_str base, struct cg_str relative, struct cg_arena *arena)
{
    size_t slash = base.length;
    while (slash > 0 && base.bytes[slash - 1] != '/')
        slash--;
    return cg_arena_printf(arena, "%.*s%.*s", CG_STR_ARG(cg_str_sub(base, 0, slash)),
                           CG_STR_ARG(relative));
}

/* RFC 3986 5.2.4, for what cg_path_parse makes of it: a trailing slash does not matter. Spaces,
 * which some origins forget to encode, are encoded as clients do. */
static struct cg_str remove_dots(struct cg_str path, struct cg_arena *arena)
{
    char *text = cg_arena_alloc(arena, 3 * path.length + 1);
    size_t length = 0;
    struct cg_str rest = cg_str_skip(path, 1), segment;
    while (cg_str_split(&rest, '/', &segment)) {
        if (cg_str_eq(segment, CG_STR(".")))
            continue;
        if (cg_str_eq(segment, CG_STR(".."))) {
            while (length > 0 && text[--length] != '/')
                continue;
            continue;
        }
        text[length++] = '/';
        for (size_t i = 0; i < segment.length; i++) {
            bool is_space = segment.bytes[i] == ' ';
            memcpy(text + length, is_space ? "%20" : segment.bytes + i, is_space ? 3 : 1);
            length += is_space ? 3 : 1;
        }
    }
    return length == 0 ? CG_STR("/") : cg_str_of(text, length);
}

bool cg_reference_path(struct cg_str reference, const struct cg_request_facts *facts,
                       struct cg_arena *arena, struct cg_path *ret_path)
{
    struct cg_str base, query, path;
    bool has_query;
    struct cg_query none;
    cg_target_split(facts->target, &base, &query, &has_query);
    struct cg_str scheme = scheme_of(reference);
    bool absolute = !cg_str_empty(scheme);
    if (absolute && !cg_str_eq_ci(scheme, CG_STR("http")) && !cg_str_eq_ci(scheme, CG_STR("https")))
        return false;
    struct cg_str rest = absolute ? cg_str_skip(reference, scheme.length + 1) : reference;
    bool has_authority = cg_str_starts_with(rest, CG_STR("//"));
    if (absolute && !has_authority)
        return false;
    if (has_authority) {
        rest = cg_str_skip(rest, 2);
        size_t end = find_any(rest, CG_STR("/?#"));
        if (!cg_str_eq_ci(host_without_port(cg_str_sub(rest, 0, end)),
                          host_without_port(facts->authority)))
            return false;
        rest = cg_str_skip(rest, end);
    }
    path = cg_str_sub(rest, 0, find_any(rest, CG_STR("?#")));
    if (cg_str_empty(path))
        path = has_authority ? CG_STR("/") : base;
    else if (path.bytes[0] != '/')
        path = merge(base, path, arena);
    return cg_path_parse(remove_dots(path, arena), arena, ret_path, &none) == CG_PATH_OK;
}
