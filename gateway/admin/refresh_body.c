#include "gateway/admin/refresh.h"

#include "cachegate/url.h"

#include <stdlib.h>

/* As much as a client may say at once, more or less. They are read for each of the URLs. */
enum { FIELDS_BYTES_MAX = 16 << 10 };

struct reading {
    const struct cg_ruleset *ruleset;
    const struct cg_ruleset *other; /* during an exchange; else NULL */
    struct cg_arena *arena;         /* of the purge */
    struct cg_purge_set *set;
    struct cg_refresh *refresh;
    struct cg_fields fields; /* in the order's arena */
    const char *error;
    const char *remedy;
};

static const char example[] =
    "{\"urls\": [\"/items/1\"], \"headers\": {\"Authorization\": \"Bearer …\"}}, and what POST "
    "/cache/purge takes";

static bool fail(struct reading *reading, struct cg_str error, const char *remedy)
{
    reading->error = error.bytes;
    reading->remedy = remedy;
    return false;
}

static struct cg_str text_of(const json_t *json)
{
    return json_is_string(json) ? cg_str_of(json_string_value(json), json_string_length(json))
                                : (struct cg_str){NULL, 0};
}

static struct cg_str lower(struct cg_str text, struct cg_arena *arena)
{
    char *bytes = CG_ARENA_ARRAY(arena, char, text.length + 1);
    for (size_t i = 0; i < text.length; i++)
        bytes[i] = cg_lower(text.bytes[i]);
    return cg_str_of(bytes, text.length);
}

/* Values are credentials more often than not: they are in no message. */
static bool read_fields(struct reading *reading, json_t *map)
{
    struct cg_arena *arena = &reading->refresh->order->arena;
    const char *key;
    json_t *value;
    size_t total = 0;
    if (map != NULL && !json_is_object(map))
        return fail(reading, CG_STR("`headers` must be a map of names and texts"), example);
    json_object_foreach(map, key, value)
    {
        struct cg_str name = cg_str_from(key), text = text_of(value);
        if (!json_is_string(value) || !cg_url_is_field_name(name) || !cg_url_is_field_value(text) ||
            !cg_fields_add(&reading->fields, arena, lower(name, arena),
                           cg_arena_copy(arena, cg_str_trim(text))))
            return fail(reading,
                        cg_arena_printf(reading->arena, "the header `%.*s` cannot be sent",
                                        CG_STR_SHOWN(name)),
                        "a name is letters, digits and -, a value is one line of text");
        total += name.length + text.length;
    }
    if (total > FIELDS_BYTES_MAX)
        return fail(reading,
                    cg_arena_printf(reading->arena, "`headers` is over %d bytes", FIELDS_BYTES_MAX),
                    "credentials and what else the answers depend on is enough");
    return true;
}

static bool read_url(struct reading *reading, const json_t *json)
{
    struct cg_refresh *refresh = reading->refresh;
    struct cg_arena *arena = &refresh->order->arena;
    struct cg_str text = text_of(json);
    struct cg_url url;
    struct cg_plan plan;
    if (!cg_url_read(text, &url))
        return fail(reading,
                    cg_arena_printf(reading->arena, "`%.*s` is no URL", CG_STR_SHOWN(text)),
                    "a path (/items?page=1), or a URL with the host that clients name");
    struct cg_warm_wish wish = {url.scheme, cg_arena_copy(arena, url.authority),
                                cg_arena_copy(arena, url.target), reading->fields};
    struct cg_request_facts facts = {
        .method = CG_STR("GET"),
        .scheme = wish.scheme,
        .authority = wish.authority,
        .target = wish.target,
        .fields = &wish.fields,
        .body = CG_STR(""),
        .peer_address = CG_STR("127.0.0.1"),
    };
    cg_plan_make(reading->ruleset, &facts, false, reading->arena, &plan);
    if (plan.kind == CG_PLAN_REFUSE)
        return fail(reading,
                    cg_arena_printf(reading->arena, "`%.*s` would be refused: %s",
                                    CG_STR_SHOWN(text), cg_reason_word(plan.reason)),
                    "percent-encode what is not a letter or digit");
    cg_purge_of_path(reading->ruleset, &plan.path, reading->arena, reading->set);
    if (reading->other != NULL)
        cg_purge_of_path(reading->other, &plan.path, reading->arena, reading->set);
    bool is_a_users = plan.route != NULL && plan.route->scope_user;
    if (plan.kind == CG_PLAN_LOOKUP && (plan.identity.present || !is_a_users))
        refresh->order->wishes[refresh->order->count++] = wish;
    else
        refresh->left++;
    return true;
}

static bool read_urls(struct reading *reading, const json_t *list)
{
    if (list != NULL && (!json_is_array(list) || json_array_size(list) > CG_WARM_ORDER_MAX))
        return fail(reading,
                    cg_arena_printf(reading->arena, "`urls` must be a list of at most %d",
                                    CG_WARM_ORDER_MAX),
                    example);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_url(reading, json_array_get(list, i)))
            return false;
    return true;
}

/* Without `urls`, `headers` and empty lists it is a purge's. */
static bool read_purge(struct reading *reading, json_t *body)
{
    bool has_urls = json_array_size(json_object_get(body, "urls")) > 0;
    const char *key;
    json_t *value;
    void *next;
    json_object_del(body, "urls");
    json_object_del(body, "headers");
    json_object_foreach_safe(body, next, key, value)
    {
        if (json_is_array(value) && json_array_size(value) == 0)
            json_object_del(body, key);
    }
    if (has_urls && json_object_size(body) == 0)
        return true;
    char *rest = json_dumps(body, JSON_COMPACT);
    reading->error = cg_admin_purge_read(reading->ruleset, reading->other, cg_str_from(rest),
                                         reading->arena, reading->set, &reading->remedy);
    free(rest);
    return reading->error == NULL;
}

const char *cg_admin_refresh_read(const struct cg_ruleset *ruleset, const struct cg_ruleset *other,
                                  struct cg_str body, struct cg_arena *arena,
                                  struct cg_purge_set *set, struct cg_refresh *ret_refresh,
                                  const char **ret_remedy)
{
    struct reading reading = {.ruleset = ruleset,
                              .other = other,
                              .arena = arena,
                              .set = set,
                              .refresh = ret_refresh,
                              .remedy = ""};
    json_t *json =
        json_loadb(body.bytes == NULL ? "" : body.bytes, body.length, JSON_REJECT_DUPLICATES, NULL);
    *ret_refresh = (struct cg_refresh){.order = cg_warm_order_create(CG_WARM_ORDER_MAX)};
    if (!json_is_object(json))
        fail(&reading, CG_STR("the body must be a JSON map"), example);
    else if (read_fields(&reading, json_object_get(json, "headers")) &&
             read_urls(&reading, json_object_get(json, "urls")))
        read_purge(&reading, json);
    json_decref(json);
    ret_refresh->fetched = ret_refresh->order->count;
    if (reading.error != NULL || ret_refresh->fetched == 0)
        ret_refresh->order = cg_warm_order_destroy(ret_refresh->order);
    *ret_remedy = reading.remedy;
    return reading.error;
}
