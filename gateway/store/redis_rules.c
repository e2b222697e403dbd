#include <openssl/rand.h>
#include <stdlib.h>

#include "cachegate/agreement.h"
#include "cachegate/assert.h"
#include "gateway/base/log.h"
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"

/*
 * Gateways with different rules on one Redis (CONSISTENCY row 14). Each tells its route set
 * (agreement.h) before it is believed, and before it takes up other rules; whoever looks something
 * up afterwards finds a new epoch, and reads the sets together with the list of bans. Routes that
 * are not in all sets pass, so a write that does not purge them makes nothing wrong that is served.
 *
 * KEYS: the sets (a hash: a process and `<time><stamp>:<set>`), the epoch, the list of bans, the
 * members. ARGV: who, its set, whether it leaves, the lifetime of the keys, how many bans to keep,
 * a ban that covers nothing and one that covers everything, after how long who never joined is
 * forgotten, the stamp of the set: `.<16 hex: one life of the process>.<number>`, whether the
 * process starts. What a slow connection tells late is of a lower number, and counts for nothing.
 *
 * What was stored before gateways differed may be wrong afterwards. `used` is what all agreed on
 * last, also when nobody is left; what was in it and is not any more is `past`, for as long as
 * answers live. When all agree on something past again, everything is flushed. Rules that nobody
 * had before have nothing stored, so an ordinary change of rules flushes nothing.
 *
 * Who comes or goes with the rules that all have moves no epoch. Who was forgotten and tells again
 * does: until then this process agrees with nobody. Whose time lies far ahead, as
 * after a clock was set back, is forgotten like who never joined: no heartbeat would ever outlast
 * it.
 *
 * A Redis that lost the sets has lost what is past: everything is flushed. Members that have not
 * told theirs again yet get an empty set without a stamp, which their next heartbeat hears of.
 *
 * PEXPIRE is never refused, and a script that has written may go on to where Redis is full.
 */
static const char text[] =
    "if redis.replicate_commands then redis.replicate_commands() end\n"
    "local me, mine, leaves, life = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]\n"
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n"
    "local function set(bytes)\n"
    "  local all = {}\n"
    "  for at = 1, #bytes - 7, 8 do all[bytes:sub(at, at + 7)] = true end\n"
    "  return all\n"
    "end\n"
    "local function bytes(all)\n"
    "  local list = {}\n"
    "  for digest in pairs(all) do list[#list + 1] = digest end\n"
    "  table.sort(list)\n"
    "  return table.concat(list)\n"
    "end\n"
    "local fields = redis.pcall('HGETALL', KEYS[1])\n"
    "if fields.err then redis.call('UNLINK', KEYS[1]) fields = {} end\n"
    "local members, listed = redis.pcall('ZRANGE', KEYS[4], 0, -1), {}\n"
    "for _, name in ipairs(members) do listed[name:match('^%x*')] = true end\n"
    "local sets, past, gone, used, stamp = {}, {}, {}, nil, ''\n"
    "for at = 1, #fields, 2 do\n"
    "  local name, value = fields[at], fields[at + 1]\n"
    "  local since, its_stamp, its = value:match('^(%d+)([%.%x]*):(.*)$')\n"
    "  if name == 'used' then used = set(value)\n"
    "  elseif name == 'past' then past = set(value)\n"
    "  elseif since and (name == me or listed[name]\n"
    "    or math.abs(now - tonumber(since)) < tonumber(ARGV[8]))\n"
    "    then sets[name] = its if name == me then stamp = its_stamp end\n"
    "  else gone[#gone + 1] = name end\n"
    "end\n"
    "local life_of, number = ARGV[9]:match('^%.(%x+)%.(%d+)$')\n"
    "local told_life, told = stamp:match('^%.(%x+)%.(%d+)$')\n"
    "if told_life == life_of and tonumber(told) > tonumber(number) then return 0 end\n"
    "if leaves then mine = nil end\n"
    "local before = sets[me]\n"
    "if #gone == 0 and before == mine and (leaves or stamp == ARGV[9]) then\n"
    "  redis.call('PEXPIRE', KEYS[1], life)\n"
    "  return 0\n"
    "end\n"
    "local value, lost = redis.pcall('GET', KEYS[2]), {}\n"
    "local flood, count = not used and type(value) == 'string', 0\n"
    "for name in pairs(used and {} or listed) do\n"
    "  if name ~= me and name ~= '' and not sets[name] then sets[name], lost[#lost + 1] = '', name "
    "end\n"
    "end\n"
    "used = used or {}\n"
    "sets[me] = mine\n"
    "local common, news = nil, not before and not leaves and ARGV[10] ~= '1'\n"
    "for _, its in pairs(sets) do\n"
    "  if its ~= (mine or before) or its ~= (before or mine) or #gone > 0 then news = true end\n"
    "  local one = set(its)\n"
    "  if not common then common = one end\n"
    "  for digest in pairs(common) do if not one[digest] then common[digest] = nil end end\n"
    "end\n"
    "if common then\n"
    "  for digest in pairs(used) do if not common[digest] then past[digest] = true end end\n"
    "  for digest in pairs(common) do\n"
    "    if past[digest] then flood = true past[digest] = nil end\n"
    "  end\n"
    "  used = common\n"
    "end\n"
    "for _ in pairs(past) do count = count + 1 end\n"
    "if count > 65536 then flood, past = true, {} end\n"
    "redis.call('PEXPIRE', KEYS[2], life)\n"
    "local at = string.format('%.0f', now)\n"
    "for _, name in ipairs(gone) do redis.call('HDEL', KEYS[1], name) end\n"
    "for _, name in ipairs(lost) do redis.call('HSET', KEYS[1], name, at .. ':') end\n"
    "if leaves then redis.call('HDEL', KEYS[1], me)\n"
    "else redis.call('HSET', KEYS[1], me, at .. ARGV[9] .. ':' .. mine) end\n"
    "redis.call('HSET', KEYS[1], 'used', bytes(used), 'past', bytes(past))\n"
    "redis.call('PEXPIRE', KEYS[1], life)\n"
    "if not (news or flood) or type(value) ~= 'string' then return 1 end\n"
    "local generation, counter, made = value:match('^(%x+):(%d+):(.*)$')\n"
    "if not generation or #generation ~= 16 or tonumber(counter) >= 2 ^ 52 then return 1 end\n"
    "counter = string.format('%.0f', tonumber(counter) + 1)\n"
    "local line = generation .. ':' .. counter .. ':' .. ARGV[flood and 7 or 6]\n"
    "if type(redis.pcall('RPUSH', KEYS[3], line)) == 'table' then\n"
    "  redis.call('UNLINK', KEYS[3]) redis.call('RPUSH', KEYS[3], line)\n"
    "end\n"
    "redis.call('LTRIM', KEYS[3], -tonumber(ARGV[5]), -1)\n"
    "redis.call('PEXPIRE', KEYS[3], life)\n"
    "redis.call('SET', KEYS[2], generation .. ':' .. counter .. ':' .. made, 'PX', life)\n"
    "return 1\n";

const struct cg_str cg_redis_rules_text = {text, sizeof(text) - 1};

/* A path that no request has, so the ban covers nothing. */
static const struct cg_ban bell = {.pattern = {"/-/rules", 8}};
static const struct cg_ban flood = {0};

static void lock(struct cg_redis_rules *rules)
{
    CG_ASSERT(pthread_mutex_lock(&rules->lock) == 0);
}

static void unlock(struct cg_redis_rules *rules)
{
    CG_ASSERT(pthread_mutex_unlock(&rules->lock) == 0);
}

static void take(struct cg_redis_rules *rules, const struct cg_ruleset *ruleset)
{
    cg_buf_clear(&rules->set);
    if (ruleset != NULL)
        cg_route_set_write(ruleset, &rules->set);
    CG_ASSERT(!rules->set.overflowed);
    rules->number++;
}

void cg_redis_rules_init(struct cg_redis_rules *rules, const struct cg_ruleset *ruleset)
{
    CG_ASSERT(pthread_mutex_init(&rules->lock, NULL) == 0);
    CG_ASSERT(RAND_bytes((unsigned char *)&rules->life, sizeof(rules->life)) == 1);
    cg_buf_init(&rules->set, CG_REDIS_SET_BYTES_MAX);
    atomic_init(&rules->others_differ, false);
    take(rules, ruleset);
}

void cg_redis_rules_fini(struct cg_redis_rules *rules)
{
    cg_buf_fini(&rules->set);
    pthread_mutex_destroy(&rules->lock);
}

bool cg_redis_rules_told(struct cg_redis_handle *handle)
{
    struct cg_redis_rules *rules = &handle->redis->rules;
    lock(rules);
    bool told = handle->told_number == rules->number;
    unlock(rules);
    return told;
}

/* ---- telling ---- */

bool cg_redis_rules_tell(struct cg_redis_handle *handle, bool leaves, bool whole,
                         cg_redis_reply_fn answer, void *owner, size_t index)
{
    struct cg_redis *redis = handle->redis;
    struct cg_redis_words words = {0};
    char keys[4][CG_REDIS_KEY_MAX], process[2 * CG_DIGEST_BYTES], numbers[2][24], life[24];
    char stamp[48];
    struct cg_buf bans, set;
    cg_buf_init(&bans, 256);
    cg_redis_ban_write(&bell, &bans);
    size_t bell_length = bans.length;
    cg_redis_ban_write(&flood, &bans);
    cg_buf_init(&set, CG_REDIS_SET_BYTES_MAX);
    lock(&redis->rules);
    cg_buf_add_str(&set, cg_buf_str(&redis->rules.set));
    handle->told_number = redis->rules.number;
    unlock(&redis->rules);
    (void)snprintf(stamp, sizeof(stamp), ".%016llx.%llu", (unsigned long long)redis->rules.life,
                   (unsigned long long)handle->told_number);
    struct cg_str key = cg_redis_bans_key(redis, "rules", keys[0]);
    const struct cg_str fixed[] = {
        CG_STR("4"),
        key,
        cg_redis_bans_key(redis, "epoch", keys[1]),
        cg_redis_bans_key(redis, "list", keys[2]),
        cg_redis_bans_key(redis, "members", keys[3]),
        cg_redis_process_name(redis, process),
        cg_buf_str(&set),
        leaves ? CG_STR("1") : CG_STR("0"),
        cg_redis_lifetime(redis, life),
        cg_redis_number(CG_BANS_MAX, numbers[0]),
        cg_str_sub(cg_buf_str(&bans), 0, bell_length),
        cg_str_skip(cg_buf_str(&bans), bell_length),
        cg_redis_number(redis->trust.lease.terms.gone_after_ms, numbers[1]),
        cg_str_from(stamp),
        cg_redis_trust_starts(redis) ? CG_STR("1") : CG_STR("0"),
    };
    cg_redis_script_begin(&words, &redis->rules_script, whole);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        cg_redis_words_add(&words, fixed[i]);
    bool sent = cg_redis_send(handle, CG_REDIS_WRITES, key, &words, answer, owner, index);
    cg_buf_fini(&set);
    cg_buf_fini(&bans);
    return sent;
}

/* ---- other rules ---- */

struct announcement {
    struct cg_redis_handle *handle;
    cg_store_done_fn answer;
    void *owner;
};

static void finish(struct announcement *announcement, bool told)
{
    /* Nobody of this process believes anything until a greeting has told them. */
    if (!told)
        atomic_fetch_add(&announcement->handle->redis->trust.belief, 1);
    announcement->answer(announcement->owner, told ? CG_STORE_OK : CG_STORE_UNAVAILABLE);
    free(announcement);
}

static void on_replicated(void *owner, size_t index, const redisReply *reply)
{
    struct announcement *announcement = owner;
    (void)index;
    finish(announcement, cg_redis_is_replicated(announcement->handle, reply));
}

/* Where replicas count, what a failover would forget was not told. */
static void on_announced(void *owner, size_t index, const redisReply *reply)
{
    struct announcement *announcement = owner;
    struct cg_redis_handle *handle = announcement->handle;
    struct cg_redis_node *node = cg_redis_bans_owner(handle);
    if (cg_redis_is_noscript(reply) && index == 0 && !handle->closing &&
        cg_redis_rules_tell(handle, false, true, on_announced, announcement, 1))
        return;
    bool told = !cg_redis_is_error(reply);
    if (!told || handle->wait_replicas == 0)
        finish(announcement, told);
    else if (node == NULL || !cg_redis_send_wait(handle, node, on_replicated, announcement, 0))
        finish(announcement, false);
}

void cg_redis_rules_announce(struct cg_store *store, const struct cg_ruleset *ruleset,
                             cg_store_done_fn answer, void *owner)
{
    struct cg_redis_handle *handle = (struct cg_redis_handle *)store;
    struct announcement *announcement = calloc(1, sizeof(*announcement));
    CG_ASSERT(announcement != NULL);
    *announcement = (struct announcement){handle, answer, owner};
    lock(&handle->redis->rules);
    take(&handle->redis->rules, ruleset);
    unlock(&handle->redis->rules);
    if (!cg_redis_rules_tell(handle, false, false, on_announced, announcement, 0))
        on_announced(announcement, 1, NULL);
}

/* ---- reading ---- */

/* The set behind the time; one that cannot be read agrees on nothing. */
static struct cg_str set_of(struct cg_str value)
{
    size_t colon = cg_str_find(value, ':');
    struct cg_str set = cg_str_skip(value, colon + 1 < value.length ? colon + 1 : value.length);
    return cg_route_set_is_valid(set) ? set : CG_STR("");
}

/* How many of the own routes pass, when that has changed. */
static void say(const struct cg_redis_handle *handle)
{
    struct cg_redis_rules *rules = &handle->redis->rules;
    struct cg_buf both;
    cg_buf_init(&both, CG_REDIS_SET_BYTES_MAX);
    lock(rules);
    size_t own = rules->set.length / CG_ROUTE_SHORT_BYTES;
    cg_route_set_common(cg_buf_str(&rules->set), cg_buf_str(&handle->agreed), &both);
    unlock(rules);
    size_t passing = handle->has_sets ? own - both.length / CG_ROUTE_SHORT_BYTES : 0;
    cg_buf_fini(&both);
    if (atomic_exchange(&rules->others_differ, passing > 0) == (passing > 0))
        return;
    if (passing > 0)
        cg_log(CG_LOG_WARN, "rules",
               "another gateway on this Redis has other rules: %zu of %zu routes that are cached "
               "pass until all have the same",
               passing, own);
    else
        cg_log(CG_LOG_INFO, "rules", "all gateways on this Redis agree on the rules");
}

static void on_told_again(void *owner, size_t index, const redisReply *reply)
{
    (void)index;
    (void)reply;
    ((struct cg_redis_handle *)owner)->tells_again = false;
}

void cg_redis_rules_tell_again(struct cg_redis_handle *handle)
{
    if (!handle->tells_again && !handle->closing)
        handle->tells_again = cg_redis_rules_tell(handle, false, true, on_told_again, handle, 0);
}

void cg_redis_rules_read(struct cg_redis_handle *handle, const redisReply *sets)
{
    char process[2 * CG_DIGEST_BYTES];
    struct cg_str own = cg_redis_process_name(handle->redis, process);
    struct cg_buf both;
    cg_buf_init(&both, CG_REDIS_SET_BYTES_MAX);
    cg_buf_clear(&handle->agreed);
    handle->has_sets = false;
    bool knows_us = false;
    for (size_t i = 0; i + 1 < sets->elements; i += 2) {
        struct cg_str name = cg_redis_reply_str(sets->element[i]);
        struct cg_str set = set_of(cg_redis_reply_str(sets->element[i + 1]));
        knows_us = knows_us || cg_str_eq(name, own);
        if (cg_str_eq(name, own) || cg_str_eq(name, CG_STR("used")) ||
            cg_str_eq(name, CG_STR("past")))
            continue;
        cg_buf_clear(&both);
        if (handle->has_sets)
            cg_route_set_common(cg_buf_str(&handle->agreed), set, &both);
        else
            cg_buf_add_str(&both, set);
        cg_buf_clear(&handle->agreed);
        cg_buf_add_str(&handle->agreed, cg_buf_str(&both));
        handle->has_sets = true;
    }
    cg_buf_fini(&both);
    if (!knows_us) { /* it lost what others told, too */
        cg_buf_clear(&handle->agreed);
        handle->has_sets = true;
        /* Nothing is kept until it knows us again, and the next heartbeat may be far. */
        cg_redis_rules_tell_again(handle);
    }
    say(handle);
}
