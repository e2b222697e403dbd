#include "cachegate/assert.h"
#include "gateway/store/redis_parts.h"

/*
 * KEYS: the epoch, the list of bans, the members (scored by the end of their lease, named by
 * process and record), and what they told of their rules (redis_rules.c). ARGV: mode, a random
 * generation, the record, the lifetime of the keys, how many bans to keep; who asks, until when its
 * lease shall last, how long a lease is, after how long a lapsed member is gone, and within which
 * time another must have been heard to vouch; whether the process starts, whether leases bind; then
 * bans. Times are Redis's own.
 *
 * A new history begins when the record is another one (hello), when nobody vouches, and when
 * somebody is gone: a generation that never was, since a fetch from before may still be stored
 * under a counter that the old history would reach again. `append`, `join` and `beat` leave the
 * record alone. Only `join` makes a member: a late heartbeat does not bring back who has left.
 * Where Redis is full the epoch goes. An epoch that no gateway can read (redis_bans.c) counts as
 * none, or it would keep them all from the cache for good.
 *
 * A script that has written may go on to where Redis is full, so PEXPIRE, which is never refused,
 * stands before the renewal of a membership. Heartbeats leave the epoch's own expiry alone as long
 * as they can: whoever is pushed changes (redis_tracking.h) would take it for one.
 *
 * Answers the epoch or "", the time, how many others have lapsed, and flags: 1 a new history, 2
 * joined, 4 the asking member was not known, 8 the record is another one, 16 there are others, 32
 * what is told of rules lacks this member's, or has more than there are members.
 */
static const char text[] =
    "if redis.replicate_commands then redis.replicate_commands() end\n"
    "local mode, random, run, life, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])\n"
    "local me, mine, lease = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])\n"
    "local gone_after, within = tonumber(ARGV[9]), tonumber(ARGV[10])\n"
    "local starts, binds = ARGV[11] == '1', ARGV[12] == '1'\n"
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n"
    "local function text(number) return string.format('%.0f', number) end\n"
    "local value = redis.pcall('GET', KEYS[1])\n"
    "local generation, counter, made\n"
    "if type(value) == 'string' then\n"
    "  generation, counter, made = string.match(value, '^(%x+):(%d+):(.*)$')\n"
    "end\n"
    "if generation and (#generation ~= 16 or tonumber(counter) >= 2 ^ 52) then\n"
    "  generation, made = nil, nil\n"
    "end\n"
    "local others, lapsed, vouched, known, gone = 0, 0, false, false, {}\n"
    "if mode ~= 'append' then\n"
    "  local all = redis.pcall('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')\n"
    "  if all.err then redis.call('UNLINK', KEYS[3]) all = {} end\n"
    "  others = #all / 2\n"
    "  for i = 1, #all, 2 do\n"
    "    local id, record = string.match(all[i], '^(%x+):(.*)$')\n"
    "    local ends = tonumber(all[i + 1])\n"
    "    if id == me then\n"
    "      known = true\n"
    "      if mode == 'leave' or record ~= run then redis.call('ZREM', KEYS[3], all[i])\n"
    "      elseif mine > now and ends > mine then mine = ends end\n"
    "    elseif ends + gone_after <= now or (ends <= now and starts and not binds) then\n"
    "      gone[#gone + 1] = all[i]\n"
    "    elseif ends <= now then\n"
    "      lapsed = lapsed + 1\n"
    "    elseif record == run and ends - lease > now - within then\n"
    "      vouched = true\n"
    "    end\n"
    "  end\n"
    "end\n"
    "if mode == 'leave' then return {'', now, lapsed, 0} end\n"
    "local flags = 0\n"
    "local greets = mode == 'hello' or mode == 'renew'\n"
    "local beats = mode == 'join' or mode == 'beat'\n"
    "if generation and made ~= run and not greets then flags = flags + 8 end\n"
    "local new = not generation or mode == 'renew' or (greets and made ~= run)\n"
    "  or (greets and within > 0 and not vouched) or #gone > 0\n"
    "if new then\n"
    "  redis.call('UNLINK', KEYS[1], KEYS[2])\n"
    "  generation, counter = random, 0\n"
    "  flags = flags + 1\n"
    "end\n"
    "if greets or not made then made = run end\n"
    "counter = tonumber(counter)\n"
    "local function keep_alive(key)\n"
    "  if redis.call('PTTL', key) < tonumber(life) / 2 then redis.call('PEXPIRE', key, life) end\n"
    "end\n"
    "local function write()\n"
    "  for i = 13, #ARGV do\n"
    "    counter = counter + 1\n"
    "    redis.call('RPUSH', KEYS[2], generation .. ':' .. text(counter) .. ':' .. ARGV[i])\n"
    "  end\n"
    "  if #ARGV > 12 then redis.call('LTRIM', KEYS[2], -keep, -1) end\n"
    "  if beats then keep_alive(KEYS[2]) else redis.call('PEXPIRE', KEYS[2], life) end\n"
    "  local epoch = generation .. ':' .. text(counter) .. ':' .. made\n"
    "  if not beats or new then redis.call('SET', KEYS[1], epoch, 'PX', life)\n"
    "  else keep_alive(KEYS[1]) end\n"
    "  return epoch\n"
    "end\n"
    "local good, epoch = pcall(write)\n"
    "if not good then\n"
    "  redis.call('UNLINK', KEYS[1], KEYS[2])\n"
    "  epoch = ''\n"
    "end\n"
    "for _, name in ipairs(gone) do redis.call('ZREM', KEYS[3], name) end\n"
    "if mine > now and (known or mode == 'join') then\n"
    "  redis.call('PEXPIRE', KEYS[3], life)\n"
    "  local done = redis.pcall('ZADD', KEYS[3], text(mine), me .. ':' .. run)\n"
    "  if type(done) ~= 'table' then flags = flags + 2 end\n"
    "  redis.call('PEXPIRE', KEYS[3], life)\n"
    "end\n"
    "if beats then\n"
    "  keep_alive(KEYS[4])\n"
    "  local told, sets = redis.pcall('HGET', KEYS[4], me), redis.pcall('HLEN', KEYS[4])\n"
    "  local members = redis.pcall('ZCARD', KEYS[3])\n"
    "  told = type(told) == 'string' and told:find('^%d+%.')\n"
    "  if not told or sets > members + 2 then flags = flags + 32 end\n"
    "end\n"
    "if not known then flags = flags + 4 else others = others - 1 end\n"
    "if others > #gone then flags = flags + 16 end\n"
    "return {epoch, now, lapsed, flags}\n";

const struct cg_str cg_redis_epoch_text = {text, sizeof(text) - 1};

/* Lua counts in doubles; what is more is no time either. */
static const long long number_max = 1LL << 52;

enum {
    FLAG_NEW_HISTORY = 1,
    FLAG_JOINED = 2,
    FLAG_NOT_KNOWN = 4,
    FLAG_OTHER_RECORD = 8,
    FLAG_OTHERS = 16,
    FLAG_RULES_UNTOLD = 32,
};

bool cg_redis_epoch_reply_read(const redisReply *reply, struct cg_redis_epoch_reply *ret_reply)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 4)
        return false;
    for (size_t i = 1; i < 4; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER || reply->element[i]->integer < 0 ||
            reply->element[i]->integer > number_max)
            return false;
    long long flags = reply->element[3]->integer;
    *ret_reply = (struct cg_redis_epoch_reply){
        .server_ms = reply->element[1]->integer,
        .lapsed = (uint64_t)reply->element[2]->integer,
        .renewed_history = (flags & FLAG_NEW_HISTORY) != 0,
        .joined = (flags & FLAG_JOINED) != 0,
        .unknown = (flags & FLAG_NOT_KNOWN) != 0,
        .has_others = (flags & FLAG_OTHERS) != 0,
        .record_differs = (flags & FLAG_OTHER_RECORD) != 0,
        .rules_untold = (flags & FLAG_RULES_UNTOLD) != 0,
    };
    return true;
}

static void write_bans(const struct cg_redis_order *order, struct cg_buf *records,
                       size_t ends[CG_REDIS_BANS_PER_SCRIPT])
{
    for (size_t i = 0; i < order->count; i++) {
        cg_redis_ban_write(&order->bans[i], records);
        ends[i] = records->length;
    }
}

bool cg_redis_epoch_send(struct cg_redis_handle *handle, const struct cg_redis_order *order,
                         bool whole, cg_redis_reply_fn answer, void *owner, size_t index)
{
    struct cg_redis *redis = handle->redis;
    const struct cg_lease_terms *terms = &redis->trust.lease.terms;
    struct cg_redis_words words = {0};
    struct cg_token random = cg_redis_new_token(handle);
    char keys[4][CG_REDIS_KEY_MAX], epoch[CG_REDIS_KEY_MAX], process[2 * CG_DIGEST_BYTES];
    char numbers[5][24], life[24];
    struct cg_epoch fresh = {0};
    struct cg_buf records;
    size_t ends[CG_REDIS_BANS_PER_SCRIPT], from = 0;
    CG_ASSERT(order->count <= CG_REDIS_BANS_PER_SCRIPT);
    memcpy(&fresh.generation, random.bytes, sizeof(fresh.generation));
    cg_redis_script_begin(&words, &redis->epoch_script, whole);
    struct cg_str epoch_key = cg_redis_bans_key(redis, "epoch", keys[0]);
    const struct cg_str fixed[] = {
        CG_STR("4"),
        epoch_key,
        cg_redis_bans_key(redis, "list", keys[1]),
        cg_redis_bans_key(redis, "members", keys[2]),
        cg_redis_bans_key(redis, "rules", keys[3]),
        cg_str_from(order->mode),
        cg_str_sub(cg_redis_epoch_write(fresh, "", epoch), 0, 16),
        cg_str_from(handle->record),
        cg_redis_lifetime(redis, life),
        cg_redis_number(CG_BANS_MAX, numbers[0]),
        cg_redis_process_name(redis, process),
        cg_redis_number((uint64_t)order->lease_ends_ms, numbers[1]),
        cg_redis_number(terms->lease_ms, numbers[2]),
        cg_redis_number(terms->gone_after_ms, numbers[3]),
        cg_redis_number(order->vouched_within_ms, numbers[4]),
        order->starts ? CG_STR("1") : CG_STR("0"),
        terms->binding ? CG_STR("1") : CG_STR("0"),
    };
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        cg_redis_words_add(&words, fixed[i]);
    cg_buf_init(&records, (size_t)CG_REDIS_BANS_PER_SCRIPT * 4 * CG_BAN_TEXT_MAX);
    write_bans(order, &records, ends);
    for (size_t i = 0; i < order->count; i++) {
        cg_redis_words_add(&words, cg_str_sub(cg_buf_str(&records), from, ends[i] - from));
        from = ends[i];
    }
    bool sent = cg_redis_send(handle, CG_REDIS_WRITES, epoch_key, &words, answer, owner, index);
    cg_buf_fini(&records);
    return sent;
}
