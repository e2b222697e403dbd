#include <openssl/rand.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"

enum { NAMESPACE_MAX = 64, ROUTE_NAME_MAX = 96, KIND_MAX = 32 };
_Static_assert(NAMESPACE_MAX + 1 + KIND_MAX + ROUTE_NAME_MAX + 1 + 2 * CG_DIGEST_BYTES <
                   (int)CG_REDIS_KEY_MAX,
               "the longest key has room");

static size_t put_hex(char *text, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return 2 * length;
}

static char *put(char *to, struct cg_str s)
{
    if (s.length > 0)
        memcpy(to, s.bytes, s.length);
    return to + s.length;
}

static struct cg_str build(char room[CG_REDIS_KEY_MAX], struct cg_str namespace, struct cg_str kind,
                           struct cg_str name, const uint8_t *id)
{
    CG_ASSERT(namespace.length <= NAMESPACE_MAX && name.length <= ROUTE_NAME_MAX + 1 &&
              kind.length <= KIND_MAX);
    char *end = put(room, namespace);
    *end++ = ':';
    end = put(put(end, kind), name);
    if (id != NULL)
        end += put_hex(end, id, CG_DIGEST_BYTES);
    return cg_str_of(room, (size_t)(end - room));
}

struct cg_str cg_redis_entry_key(const struct cg_redis *redis, const struct cg_key *key,
                                 char room[CG_REDIS_KEY_MAX])
{
    struct cg_str name = {NULL, 0};
    if (key->route < redis->route_count)
        name = redis->route_names[key->route];
    if (cg_str_empty(name))
        name = CG_STR("-:");
    return build(room, redis->namespace, CG_STR("e:"), name, key->id);
}

struct cg_str cg_redis_version_key(const struct cg_redis *redis, const struct cg_instance *instance,
                                   char room[CG_REDIS_KEY_MAX])
{
    return build(room, redis->namespace, CG_STR("v:"), CG_STR(""), instance->id);
}

struct cg_str cg_redis_bans_key(const struct cg_redis *redis, const char *part,
                                char room[CG_REDIS_KEY_MAX])
{
    return build(room, redis->namespace, CG_STR("{bans}:"), cg_str_from(part), NULL);
}

struct cg_str cg_redis_claim_key(const struct cg_redis *redis, const uint8_t id[CG_DIGEST_BYTES],
                                 char room[CG_REDIS_KEY_MAX])
{
    return build(room, redis->namespace, CG_STR("c:"), CG_STR(""), id);
}

struct cg_str cg_redis_wake_channel(const struct cg_redis *redis, char room[CG_REDIS_KEY_MAX])
{
    return build(room, redis->namespace, CG_STR("wake"), CG_STR(""), NULL);
}

/* Braces are not: in a Cluster they would put all entries of a route into one slot. */
struct cg_str cg_redis_plain_key(const struct cg_redis *redis, const char *part,
                                 char room[CG_REDIS_KEY_MAX])
{
    return build(room, redis->namespace, cg_str_from(part), CG_STR(""), NULL);
}

static bool is_plain(char c)
{
    return cg_is_alpha(c) || cg_is_digit(c) || (c != '\0' && strchr("_./*-", c) != NULL);
}

/* The names of boot rules are in their order, whatever they are; later ones are added once. */
enum { ROUTES_LATER_MAX = 1024 };

static char *spell_route(struct cg_str name)
{
    name = cg_str_sub(name, 0, ROUTE_NAME_MAX);
    char *text = malloc(name.length + 2);
    CG_ASSERT(text != NULL);
    for (size_t i = 0; i < name.length; i++)
        text[i] = is_plain(name.bytes[i]) ? name.bytes[i] : '_';
    text[name.length] = ':';
    text[name.length + 1] = '\0';
    return text;
}

static void take_route(struct cg_redis *redis, size_t route, char *text)
{
    redis->route_texts[route] = text;
    redis->route_names[route] = cg_str_from(text);
}

void cg_redis_keys_init(struct cg_redis *redis)
{
    const struct cg_ruleset *ruleset = redis->settings->ruleset;
    size_t count = ruleset == NULL ? 0 : ruleset->route_count;
    redis->namespace = cg_str_sub(cg_str_from(redis->settings->store_namespace), 0, NAMESPACE_MAX);
    redis->route_count = count + ROUTES_LATER_MAX;
    redis->route_names = calloc(redis->route_count, sizeof(struct cg_str));
    redis->route_texts = calloc(redis->route_count, sizeof(char *));
    CG_ASSERT(redis->route_names != NULL && redis->route_texts != NULL);
    for (size_t i = 0; i < count; i++)
        take_route(redis, i, spell_route(ruleset->routes[i].name));
}

uint32_t cg_redis_route(struct cg_redis *redis, struct cg_str name)
{
    char *text = spell_route(name);
    size_t route = 0;
    while (route < redis->route_count && redis->route_texts[route] != NULL &&
           strcmp(redis->route_texts[route], text) != 0)
        route++;
    if (route == redis->route_count || redis->route_texts[route] != NULL) {
        free(text);
        return (uint32_t)route; /* route_count: keys bear no name */
    }
    take_route(redis, route, text);
    cg_redis_stats_named(redis->stats);
    return (uint32_t)route;
}

void cg_redis_keys_fini(struct cg_redis *redis)
{
    for (size_t i = 0; i < redis->route_count; i++)
        free(redis->route_texts[i]);
    free(redis->route_texts);
    free(redis->route_names);
}

struct cg_token cg_redis_new_token(struct cg_redis_handle *handle)
{
    struct cg_token token;
    if (handle->random_used + sizeof(token.bytes) > sizeof(handle->random)) {
        CG_ASSERT(RAND_bytes(handle->random, sizeof(handle->random)) == 1);
        handle->random_used = 0;
    }
    memcpy(token.bytes, handle->random + handle->random_used, sizeof(token.bytes));
    handle->random_used += sizeof(token.bytes);
    return token;
}

struct cg_str cg_redis_process_name(const struct cg_redis *redis, char room[2 * CG_DIGEST_BYTES])
{
    return cg_str_of(room,
                     put_hex(room, cg_redis_journal_process(redis->journal), CG_DIGEST_BYTES));
}

struct cg_str cg_redis_lifetime(const struct cg_redis *redis, char room[24])
{
    return cg_redis_number(atomic_load_explicit(&redis->lifetime_ms, memory_order_relaxed), room);
}

struct cg_str cg_redis_number(uint64_t number, char room[24])
{
    char digits[CG_DECIMAL_MAX];
    struct cg_str text = cg_str_from_u64(number, digits);
    *put(room, text) = '\0';
    return cg_str_of(room, text.length);
}
