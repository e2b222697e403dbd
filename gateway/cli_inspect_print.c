#include "gateway/cli_inspect.h"

#include "cachegate/agreement.h"
#include "cachegate/assert.h"
#include "cachegate/seal.h"
#include "cachegate/version_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { HEX_BYTES = 2 * CG_DIGEST_BYTES + 1 };

/* ---- lines ---- */

void cg_inspect_line(const struct cg_inspection *inspection, const char *name, const char *format,
                     ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cg_buf_printf(inspection->out, "%-14s %s\n", name, text);
}

/* "3d 4h", "5m 6s", "789ms": the two units that matter. */
static void print_duration(uint64_t ms, char room[48])
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (i < 4 && ms < units[i].ms)
        i++;
    unsigned long long whole = ms / units[i].ms;
    uint64_t rest = i < 3 ? ms % units[i].ms / units[i + 1].ms : 0;
    if (rest > 0)
        snprintf(room, 48, "%llu%s %llu%s", whole, units[i].unit, (unsigned long long)rest,
                 units[i + 1].unit);
    else
        snprintf(room, 48, "%llu%s", whole, units[i].unit);
}

static void print_date(int64_t at_ms, char room[48])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm parts;
    size_t length = 0;
    if (at_ms >= 0 && gmtime_r(&seconds, &parts) != NULL)
        length = strftime(room, 40, "%Y-%m-%dT%H:%M:%S", &parts);
    if (length == 0)
        snprintf(room, 48, "%lld ms", (long long)at_ms);
    else
        snprintf(room + length, 48 - length, ".%03dZ", (int)(at_ms % 1000));
}

static void print_when(const struct cg_inspection *inspection, int64_t at_ms, char room[128])
{
    char date[48], distance[48];
    bool ahead = at_ms > inspection->now_ms;
    uint64_t at = (uint64_t)at_ms, now = (uint64_t)inspection->now_ms; /* no difference overflows */
    print_date(at_ms, date);
    print_duration(ahead ? at - now : now - at, distance);
    snprintf(room, 128, "%s (%s%s%s)", date, ahead ? "in " : "", distance, ahead ? "" : " ago");
}

void cg_inspect_when(const struct cg_inspection *inspection, const char *name, int64_t at_ms)
{
    char text[128];
    print_when(inspection, at_ms, text);
    cg_inspect_line(inspection, name, "%s", text);
}

static const char *hex(const void *bytes, size_t length, char room[HEX_BYTES])
{
    for (size_t i = 0; i < length && i < CG_DIGEST_BYTES; i++)
        snprintf(room + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    return room;
}

const char *cg_inspect_shown(struct cg_str text, char room[CG_INSPECT_SHOWN_MAX])
{
    const size_t longest = CG_INSPECT_SHOWN_MAX - 4;
    size_t length = text.length < longest ? text.length : longest;
    for (size_t i = 0; i < length; i++)
        room[i] = (char)(text.bytes[i] < ' ' || text.bytes[i] > '~' ? '?' : text.bytes[i]);
    snprintf(room + length, 4, "%s", length < text.length ? "..." : "");
    return room;
}

/* Sums that a forger may have written: they stop at the end of time instead of passing it. */
static int64_t later(int64_t at_ms, uint64_t by_ms)
{
    int64_t sum;
    if (by_ms > INT64_MAX || __builtin_add_overflow(at_ms, (int64_t)by_ms, &sum))
        return INT64_MAX;
    return sum;
}

/* ---- neighbours ---- */

static redisReply *ask_get(const struct cg_inspection *inspection, const char *kind, const char *id)
{
    char name[256];
    if (inspection->client == NULL)
        return NULL;
    snprintf(name, sizeof name, "%.*s:%s%s", CG_STR_ARG(inspection->namespace), kind, id);
    const struct cg_str words[] = {CG_STR("GET"), cg_str_from(name)};
    redisReply *reply = cg_redis_client_ask(inspection->client, words, 2);
    if (reply == NULL || reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_NIL)
        return reply;
    cg_redis_reply_free(reply);
    return NULL;
}

const char *cg_inspect_instance(const struct cg_inspection *inspection,
                                const struct cg_instance *instance, const struct cg_token *token,
                                bool *ret_alive)
{
    char id[HEX_BYTES];
    struct cg_version version;
    bool ended = false;
    *ret_alive = false;
    redisReply *reply = ask_get(inspection, "v:", hex(instance->id, sizeof instance->id, id));
    if (reply == NULL)
        return "not known";
    bool there = reply->type == REDIS_REPLY_STRING &&
                 cg_version_value_read(cg_str_of(reply->str, (size_t)reply->len),
                                       inspection->now_ms, &version, &ended);
    cg_redis_reply_free(reply);
    if (ended)
        return "absent: a writer's mark ended; the next reader renews it";
    if (!there || version.state == CG_VERSION_ABSENT)
        return "absent: it expired, was evicted or purged";
    if (version.state == CG_VERSION_BUSY)
        return "busy: a write is in flight";
    *ret_alive = cg_token_eq(&version.token, token);
    return *ret_alive ? "current" : "changed: purged since";
}

/* `<generation>:<counter>:<rest>`. */
static bool read_epoch(struct cg_str text, struct cg_epoch *ret_epoch, struct cg_str *ret_rest)
{
    struct cg_epoch epoch = {0};
    struct cg_str generation, counter;
    if (!cg_str_split(&text, ':', &generation) || !cg_str_split(&text, ':', &counter) ||
        generation.length != 16 || !cg_str_to_u64(counter, UINT64_C(1) << 52, &epoch.counter))
        return false;
    for (size_t i = 0; i < generation.length; i++) {
        int digit = cg_hex_digit(generation.bytes[i]);
        if (digit < 0)
            return false;
        epoch.generation = epoch.generation << 4 | (uint64_t)digit;
    }
    *ret_epoch = epoch;
    *ret_rest = text;
    return true;
}

/* Whether the entry's epoch is the one that is current; true when that is not known. */
static bool print_entry_epoch(const struct cg_inspection *inspection, struct cg_epoch epoch)
{
    struct cg_epoch now = {0};
    struct cg_str rest;
    redisReply *reply = ask_get(inspection, "{bans}:", "epoch");
    bool known = reply != NULL && reply->type == REDIS_REPLY_STRING &&
                 read_epoch(cg_str_of(reply->str, (size_t)reply->len), &now, &rest);
    bool asked = reply != NULL;
    if (asked)
        cg_redis_reply_free(reply);
    unsigned long long generation = epoch.generation, counter = epoch.counter;
    if (!known)
        cg_inspect_line(inspection, "epoch", "%016llx:%llu%s", generation, counter,
                        asked ? ", and there is none now: nothing is served" : "");
    else if (now.generation != epoch.generation || now.counter < epoch.counter)
        cg_inspect_line(inspection, "epoch", "%016llx:%llu, of a history that is over", generation,
                        counter);
    else if (now.counter == epoch.counter)
        cg_inspect_line(inspection, "epoch", "%016llx:%llu, current", generation, counter);
    else
        cg_inspect_line(inspection, "epoch", "%016llx:%llu, %llu open purges since: {bans}:list",
                        generation, counter, (unsigned long long)(now.counter - epoch.counter));
    return !asked || (known && now.generation == epoch.generation && now.counter >= epoch.counter);
}

/* ---- an entry ---- */

static const char *whose_secret(const struct cg_settings *settings, const uint8_t *id)
{
    uint8_t own[CG_SEAL_SECRET_ID_BYTES];
    if (!settings->secret_given)
        return "no secret was given to compare";
    cg_seal_secret_id(&settings->secret, own);
    if (memcmp(own, id, sizeof own) == 0)
        return "the one in `secret`";
    if (!settings->secret_previous_given)
        return "not the one in `secret`: no gateway with these settings opens it";
    cg_seal_secret_id(&settings->secret_previous, own);
    return memcmp(own, id, sizeof own) == 0 ? "the one in `secret_previous`"
                                            : "neither `secret` nor `secret_previous`";
}

static void print_head(const struct cg_inspection *inspection, const struct cg_seal_clear *clear,
                       size_t bytes)
{
    const struct cg_ruleset *ruleset = inspection->settings->ruleset;
    const struct cg_entry *entry = &clear->entry;
    char id[HEX_BYTES], name[CG_INSPECT_SHOWN_MAX];
    bool answer = entry->kind == CG_ENTRY_ANSWER;
    cg_inspect_line(inspection, "kind", "%s, sealed, format %d",
                    answer ? "a stored answer" : "a Vary marker: names what selects among variants",
                    (int)CG_SEAL_FORMAT);
    cg_inspect_line(inspection, "scope", "%s",
                    clear->user_scope ? "one user's, who is not told" : "shared");
    cg_inspect_line(inspection, "secret", "%s, %s",
                    hex(clear->secret_id, sizeof clear->secret_id, id),
                    whose_secret(inspection->settings, clear->secret_id));
    if (entry->route < ruleset->route_count)
        cg_inspect_line(inspection, "route", "%u, %s", entry->route,
                        cg_inspect_shown(ruleset->routes[entry->route].name, name));
    else
        cg_inspect_line(inspection, "route", "%u", entry->route);
    if (answer)
        cg_inspect_line(inspection, "status", "%u", entry->status);
    cg_inspect_line(inspection, "size", "%zu bytes, %zu of them encrypted", bytes,
                    clear->hidden_bytes);
    /* The name in the seal is that of the key it was made for. */
    hex(clear->key.id, sizeof clear->key.id, id);
    if (!cg_str_empty(inspection->key) && !cg_str_ends_with(inspection->key, cg_str_from(id)))
        cg_inspect_line(inspection, "name", "%s: it was made for another key, and opens under none",
                        id);
}

/* Whether it is fresh, or stale within a window. */
static bool print_times(const struct cg_inspection *inspection, const struct cg_entry *entry)
{
    int64_t stored_ms = entry->stored_at_ms < 0 ? 0 : entry->stored_at_ms;
    int64_t until_ms = later(stored_ms, entry->lifetime_ms);
    until_ms -=
        entry->initial_age_ms > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)entry->initial_age_ms;
    uint64_t windows_ms = entry->stale_while_revalidate_ms > entry->stale_if_error_ms
                              ? entry->stale_while_revalidate_ms
                              : entry->stale_if_error_ms;
    cg_inspect_when(inspection, "stored", entry->stored_at_ms);
    cg_inspect_when(inspection, "fresh until", until_ms);
    if (entry->stale_while_revalidate_ms > 0)
        cg_inspect_when(inspection, "while asking",
                        later(until_ms, entry->stale_while_revalidate_ms));
    if (entry->stale_if_error_ms > 0)
        cg_inspect_when(inspection, "on errors", later(until_ms, entry->stale_if_error_ms));
    if (entry->must_revalidate)
        cg_inspect_line(inspection, "stale", "never: must-revalidate");
    if (entry->must_revalidate)
        windows_ms = 0;
    return inspection->now_ms < later(until_ms, windows_ms);
}

static bool print_instances(const struct cg_inspection *inspection, const struct cg_entry *entry)
{
    bool alive = true;
    cg_inspect_line(inspection, "depends on", "%zu instance%s", entry->instance_count,
                    entry->instance_count == 1 ? "" : "s");
    for (size_t i = 0; i < entry->instance_count; i++) {
        char id[HEX_BYTES];
        bool current;
        const char *state =
            cg_inspect_instance(inspection, &entry->instances[i], &entry->tokens[i], &current);
        cg_buf_printf(inspection->out, "  %s  %s\n",
                      hex(entry->instances[i].id, sizeof entry->instances[i].id, id), state);
        alive = alive && current;
    }
    return alive;
}

static void print_entry(const struct cg_inspection *inspection, const struct cg_seal_clear *clear,
                        size_t bytes)
{
    print_head(inspection, clear, bytes);
    bool in_time = print_times(inspection, &clear->entry);
    bool same_history = print_entry_epoch(inspection, clear->entry.epoch);
    bool alive = print_instances(inspection, &clear->entry);
    if (inspection->client == NULL)
        cg_inspect_line(inspection, "so it is", "%s",
                        in_time ? "in time; whether it was purged only Redis knows" : "expired");
    else
        cg_inspect_line(inspection, "so it is", "%s",
                        !alive || !same_history ? "dead: a miss"
                        : in_time               ? "alive, as far as can be told without opening it"
                                                : "expired");
}

/* ---- the other kinds ---- */

static bool print_version(const struct cg_inspection *inspection, struct cg_str value)
{
    struct cg_reader reader = {.rest = value};
    struct cg_version version;
    bool ended;
    char text[HEX_BYTES], when[128];
    if (!cg_version_value_read(value, inspection->now_ms, &version, &ended) && !ended)
        return false;
    cg_inspect_line(inspection, "kind", "the version of an instance of a purge pattern");
    (void)cg_read_u8(&reader);
    struct cg_str base = cg_read_bytes(&reader, CG_DIGEST_BYTES);
    cg_inspect_line(inspection, "base", "%s", hex(base.bytes, base.length, text));
    cg_inspect_line(inspection, "marks", "%zu", reader.rest.length / CG_VERSION_VALUE_MARK_BYTES);
    while (reader.rest.length >= CG_VERSION_VALUE_MARK_BYTES) {
        struct cg_str writer = cg_read_bytes(&reader, CG_DIGEST_BYTES);
        uint64_t ends_ms = cg_read_u64(&reader);
        print_when(inspection, ends_ms > INT64_MAX ? INT64_MAX : (int64_t)ends_ms, when);
        cg_buf_printf(inspection->out, "  writer %s until %s\n",
                      hex(writer.bytes, writer.length, text), when);
    }
    cg_inspect_line(inspection, "so it is", "%s",
                    ended                                 ? "to be renewed: all its marks ended"
                    : version.state == CG_VERSION_CURRENT ? "current"
                                                          : "busy: a write is in flight");
    return true;
}

static bool print_epoch(const struct cg_inspection *inspection, struct cg_str value)
{
    struct cg_epoch epoch;
    struct cg_str record;
    char text[CG_INSPECT_SHOWN_MAX];
    if (!read_epoch(value, &epoch, &record))
        return false;
    cg_inspect_line(inspection, "kind", "the epoch: how far the history of open purges has come");
    cg_inspect_line(inspection, "generation", "%016llx", (unsigned long long)epoch.generation);
    cg_inspect_line(inspection, "open purges", "%llu", (unsigned long long)epoch.counter);
    cg_inspect_line(inspection, "made under", "%s", cg_inspect_shown(record, text));
    return true;
}

static bool is_called(const struct cg_inspection *inspection, const char *kind)
{
    size_t start = inspection->namespace.length;
    return inspection->key.length > start &&
           cg_str_starts_with(cg_str_skip(inspection->key, start), cg_str_from(kind));
}

/* claims.h: who fetches, and a digest of the versions that it fetches under. */
static bool print_claim(const struct cg_inspection *inspection, struct cg_str value)
{
    static const uint8_t none[CG_DIGEST_BYTES];
    char text[HEX_BYTES];
    if (value.length != 2 * CG_DIGEST_BYTES)
        return false;
    bool over = memcmp(value.bytes, none, sizeof none) == 0;
    bool known = memcmp(value.bytes + CG_DIGEST_BYTES, none, sizeof none) != 0;
    cg_inspect_line(inspection, "kind", "a claim: one gateway fetches, others wait for it");
    cg_inspect_line(inspection, "holder", "%s",
                    over ? "nobody any more: the answer was stored"
                         : hex(value.bytes, CG_DIGEST_BYTES, text));
    cg_inspect_line(inspection, "versions", "%s",
                    known ? hex(value.bytes + CG_DIGEST_BYTES, CG_DIGEST_BYTES, text)
                          : "not known yet");
    return true;
}

bool cg_inspect_string(const struct cg_inspection *inspection, struct cg_str value)
{
    if (is_called(inspection, ":c:"))
        return print_claim(inspection, value);
    /* Its value says nothing; that it was written does. */
    if (is_called(inspection, ":{bans}:beat:") || is_called(inspection, ":beat:")) {
        cg_inspect_line(inspection, "kind", "a heartbeat of a gateway, without content");
        return true;
    }
    struct cg_seal_clear *clear = calloc(1, sizeof *clear);
    CG_ASSERT(clear != NULL);
    bool sealed = cg_seal_inspect(value, clear);
    if (sealed)
        print_entry(inspection, clear, value.length);
    free(clear);
    if (sealed)
        return true;
    bool may_be_version = value.length > 0 && value.bytes[0] == CG_VERSION_VALUE_FORMAT;
    return may_be_version ? print_version(inspection, value) : print_epoch(inspection, value);
}

/* ---- lists and maps ---- */

static struct cg_str element_str(const redisReply *elements, size_t i)
{
    const redisReply *element = elements->element[i];
    return element->type == REDIS_REPLY_STRING ? cg_str_of(element->str, (size_t)element->len)
                                               : CG_STR("");
}

static void print_ban(const struct cg_inspection *inspection, struct cg_str text)
{
    char pattern[CG_INSPECT_SHOWN_MAX], user[CG_INSPECT_SHOWN_MAX];
    struct cg_epoch epoch;
    struct cg_str rest;
    if (!read_epoch(text, &epoch, &rest)) {
        cg_buf_printf(inspection->out, "  not a ban: it counts as everything\n");
        return;
    }
    struct cg_reader reader = {.rest = rest};
    struct cg_str what = cg_read_prefixed(&reader), who = cg_read_prefixed(&reader);
    if (reader.failed)
        what = who = CG_STR("");
    cg_buf_printf(inspection->out, "  %016llx %llu  %s%s%s\n", (unsigned long long)epoch.generation,
                  (unsigned long long)epoch.counter,
                  cg_str_empty(what) ? "everything" : cg_inspect_shown(what, pattern),
                  cg_str_empty(who) ? "" : " of user ",
                  cg_str_empty(who) ? "" : cg_inspect_shown(who, user));
}

/* Members and scores, or fields and values. */
static void print_pairs(const struct cg_inspection *inspection, const redisReply *elements,
                        bool dates)
{
    for (size_t i = 0; i + 1 < elements->elements; i += 2) {
        char name[CG_INSPECT_SHOWN_MAX], value[CG_INSPECT_SHOWN_MAX], when[128];
        struct cg_str text = element_str(elements, i + 1);
        uint64_t at_ms;
        if (dates && cg_str_to_u64(text, INT64_MAX, &at_ms)) {
            print_when(inspection, (int64_t)at_ms, when);
            cg_buf_printf(inspection->out, "  %s until %s\n",
                          cg_inspect_shown(element_str(elements, i), name), when);
        } else {
            cg_buf_printf(inspection->out, "  %s  %s\n",
                          cg_inspect_shown(element_str(elements, i), name),
                          cg_inspect_shown(text, value));
        }
    }
}

/* Digests of routes say nothing to a reader; how many there are does. */
static void print_route_sets(const struct cg_inspection *inspection, const redisReply *elements)
{
    for (size_t i = 0; i + 1 < elements->elements; i += 2) {
        char name[CG_INSPECT_SHOWN_MAX], when[128];
        struct cg_str field = element_str(elements, i), text = element_str(elements, i + 1);
        size_t colon = cg_str_find(text, ':');
        size_t end = cg_str_find(cg_str_sub(text, 0, colon), '.'); /* of the time */
        bool used = cg_str_eq(field, CG_STR("used")), past = cg_str_eq(field, CG_STR("past"));
        uint64_t at_ms;
        if (used || past) {
            cg_inspect_line(inspection, used ? "all agree on" : "flushed when back", "%zu routes",
                            text.length / CG_ROUTE_SHORT_BYTES);
        } else if (cg_str_to_u64(cg_str_sub(text, 0, end), INT64_MAX, &at_ms)) {
            print_when(inspection, (int64_t)at_ms, when);
            cg_buf_printf(inspection->out, "  %s  %zu routes, since %s\n",
                          cg_inspect_shown(field, name),
                          cg_str_skip(text, colon + 1).length / CG_ROUTE_SHORT_BYTES, when);
        }
    }
}

bool cg_inspect_elements(const struct cg_inspection *inspection, const redisReply *elements)
{
    if (cg_str_ends_with(inspection->key, CG_STR("{bans}:rules"))) {
        cg_inspect_line(inspection, "kind",
                        "the routes that gateways keep answers of, as they "
                        "define them");
        print_route_sets(inspection, elements);
        return true;
    }
    if (cg_str_ends_with(inspection->key, CG_STR("{bans}:list"))) {
        cg_inspect_line(inspection, "kind", "the list of open purges, oldest first");
        cg_inspect_line(inspection, "open purges", "%zu", elements->elements);
        for (size_t i = 0; i < elements->elements; i++)
            print_ban(inspection, element_str(elements, i));
        return true;
    }
    bool members = cg_str_ends_with(inspection->key, CG_STR("{bans}:members"));
    size_t at = cg_str_find(inspection->key, '{');
    if (!members && !cg_str_starts_with(cg_str_skip(inspection->key, at), CG_STR("{stats}:")))
        return false;
    cg_inspect_line(inspection, "kind", "%s",
                    members ? "the gateways that use this Redis, and their leases"
                            : "statistics that the gateways share");
    print_pairs(inspection, elements, members);
    return true;
}
