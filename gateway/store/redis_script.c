#include <openssl/evp.h>

#include "cachegate/assert.h"
#include "gateway/store/redis_parts.h"

/*
 * One script for all that happens to a version (version_value.h), by the clock of Redis.
 * KEYS: the version. ARGV: what to do, a fresh token, the lifetime of a version, the writer, how
 * long its mark lives. A writer whose mark ended may have changed anything: its end renews the
 * base. Where Redis is full the version goes: absent is as good as new, but no mark can be kept
 * then.
 */
static const char version_text[] =
    "if redis.replicate_commands then redis.replicate_commands() end\n"
    "local what, fresh, life, writer, lives = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], "
    "tonumber(ARGV[5])\n"
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n"
    "local value = redis.pcall('GET', KEYS[1])\n"
    "if type(value) ~= 'string' then\n"
    "  if value then redis.call('UNLINK', KEYS[1]) end\n"
    "  value = false\n"
    "elseif #value < 17 or (#value - 17) % 24 ~= 0 or value:byte(1) ~= 1\n"
    "  or #value > 17 + 24 * 1024 then\n"
    "  redis.call('UNLINK', KEYS[1])\n"
    "  value = false\n"
    "end\n"
    "if not value and what ~= 'm' then return false end\n"
    "local base, marks, count, latest, mine = fresh, {}, 0, now + life, now + lives\n"
    "if value then base = value:sub(2, 17) end\n"
    "if what == 'p' or what == 'r' then base = fresh end\n"
    "for at = 18, value and #value or 0, 24 do\n"
    "  local id = value:sub(at, at + 15)\n"
    "  local ends = struct.unpack('<I8', value, at + 16)\n"
    "  if ends <= now then\n"
    "    base = fresh\n"
    "  elseif id == writer and what == 'm' then\n"
    "    if ends > mine then mine = ends end\n"
    "  elseif id ~= writer or (what ~= 'r' and what ~= 'k') then\n"
    "    count = count + 1\n"
    "    marks[count] = value:sub(at, at + 23)\n"
    "    if ends > latest then latest = ends end\n"
    "  end\n"
    "end\n"
    "if what == 'm' then\n"
    "  if count >= 1024 then return redis.error_reply('BUSY too many writers') end\n"
    "  count = count + 1\n"
    "  marks[count] = writer .. struct.pack('<I8', mine)\n"
    "  if mine > latest then latest = mine end\n"
    "end\n"
    "local new = string.char(1) .. base .. table.concat(marks)\n"
    "local done = redis.pcall('SET', KEYS[1], new, 'PX', string.format('%.0f', latest - now))\n"
    "if type(done) == 'table' and done.err then\n"
    "  if what == 'm' then return done end\n"
    "  redis.call('UNLINK', KEYS[1])\n"
    "  return false\n"
    "end\n"
    "return new\n";

static void name_script(struct cg_redis_script *script, struct cg_str text)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[CG_REDIS_SHA_BYTES / 2];
    script->text = text;
    CG_ASSERT(EVP_Q_digest(NULL, "SHA1", NULL, text.bytes, text.length, digest, NULL) == 1);
    for (size_t i = 0; i < sizeof(digest); i++) {
        script->sha[2 * i] = digits[digest[i] >> 4];
        script->sha[2 * i + 1] = digits[digest[i] & 15];
    }
    script->sha[CG_REDIS_SHA_BYTES] = '\0';
}

void cg_redis_scripts_init(struct cg_redis *redis)
{
    name_script(&redis->version_script, cg_str_of(version_text, sizeof(version_text) - 1));
    name_script(&redis->epoch_script, cg_redis_epoch_text);
    name_script(&redis->claim_script, cg_redis_claim_text);
    name_script(&redis->rules_script, cg_redis_rules_text);
}

void cg_redis_script_begin(struct cg_redis_words *words, const struct cg_redis_script *script,
                           bool whole)
{
    cg_redis_words_add(words, whole ? CG_STR("EVAL") : CG_STR("EVALSHA"));
    cg_redis_words_add(words, whole ? script->text : cg_str_from(script->sha));
}

struct cg_str cg_redis_reply_str(const redisReply *reply)
{
    if (reply == NULL || reply->type != REDIS_REPLY_STRING)
        return CG_STR("");
    return cg_str_of(reply->str, (size_t)reply->len);
}

bool cg_redis_is_error(const redisReply *reply)
{
    return reply == NULL || reply->type == REDIS_REPLY_ERROR;
}

static bool is_error_with(const redisReply *reply, const char *word)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR && strstr(reply->str, word) != NULL;
}

bool cg_redis_is_noscript(const redisReply *reply)
{
    return is_error_with(reply, "NOSCRIPT");
}

bool cg_redis_is_wrong_type(const redisReply *reply)
{
    return is_error_with(reply, "WRONGTYPE ");
}

/* Redis 6.2 puts it in the middle when a script ran into it. */
bool cg_redis_is_full(const redisReply *reply)
{
    return is_error_with(reply, "OOM ");
}
