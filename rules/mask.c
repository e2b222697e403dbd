#include "cachegate/mask.h"

/*
 * Credentials and what stands for one: tokens, keys, passwords, sessions, signatures of URLs,
 * codes and assertions that are exchanged for a token. `session_id` is among them although some
 * APIs use the word for a thing of their own: nobody can tell from here.
 */
#define NAME(glob)                                                                                 \
    {                                                                                              \
        (glob), sizeof(glob) - 1                                                                   \
    }
const struct cg_str cg_mask_builtin[] = {
    NAME("*token*"),      NAME("*secret*"),     NAME("*passw*"),     NAME("pass"),
    NAME("*passphrase*"), NAME("pwd"),          NAME("*passcode*"),  NAME("*authkey"),
    NAME("*appkey"),      NAME("*_pin"),        NAME("otp_*"),       NAME("totp"),
    NAME("*_pwd"),        NAME("*credential*"), NAME("*session*"),   NAME("*sessid*"),
    NAME("sid"),          NAME("*_sid"),        NAME("auth"),        NAME("*_auth"),
    NAME("auth_*"),       NAME("authcode"),     NAME("*oauth*"),     NAME("authorization*"),
    NAME("key"),          NAME("*_key"),        NAME("*apikey*"),    NAME("*api_key*"),
    NAME("*accesskey*"),  NAME("*access_key*"), NAME("*privatekey"), NAME("sig"),
    NAME("*_sig"),        NAME("*signature*"),  NAME("hmac"),        NAME("*_hmac"),
    NAME("code"),         NAME("otp"),          NAME("*_otp"),       NAME("pin"),
    NAME("jwt"),          NAME("*_jwt"),        NAME("bearer"),      NAME("*assertion"),
    NAME("saml*"),        NAME("ticket"),       NAME("cookie"),
};
#undef NAME
const size_t cg_mask_builtin_count = sizeof(cg_mask_builtin) / sizeof(cg_mask_builtin[0]);

enum {
    DECODINGS_MAX = 8,
    TOKEN_BYTES_MIN = 17, /* of what looks like the beginning of a JSON Web Token */
};

static bool is_word(char c)
{
    return cg_is_digit(c) || cg_is_alpha(c) || c == '_';
}

/* ---- names ---- */

/* Lower case, one `_` for each run of other bytes, none at the ends. `to` has room for all of
 * `text`, and may be where it stands. */
static struct cg_str spell(struct cg_str text, bool keeps_stars, char *to)
{
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = cg_lower(text.bytes[i]);
        if (cg_is_digit(c) || cg_is_alpha(c) || (keeps_stars && c == '*'))
            to[length++] = c;
        else if (length > 0 && to[length - 1] != '_')
            to[length++] = '_';
    }
    while (length > 0 && to[length - 1] == '_')
        length--;
    return cg_str_of(to, length);
}

struct cg_str cg_mask_name(struct cg_str glob, struct cg_arena *arena)
{
    glob = cg_str_sub(glob, 0, CG_MASK_NAME_MAX);
    return spell(glob, true, cg_arena_alloc(arena, glob.length + 1));
}

/* A bit for each letter in it: most globs need one that a name has not. */
static uint32_t letters_of(struct cg_str text)
{
    uint32_t letters = 0;
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] >= 'a' && text.bytes[i] <= 'z')
            letters |= 1u << (text.bytes[i] - 'a');
    return letters;
}

void cg_mask_make(const struct cg_str *names, size_t count, struct cg_arena *arena,
                  struct cg_mask *ret_mask)
{
    size_t total = cg_mask_builtin_count + count;
    struct cg_str *all = CG_ARENA_ARRAY(arena, struct cg_str, total);
    uint32_t *letters = CG_ARENA_ARRAY(arena, uint32_t, total);
    for (size_t i = 0; i < total; i++) {
        all[i] = i < cg_mask_builtin_count ? cg_mask_builtin[i] : names[i - cg_mask_builtin_count];
        letters[i] = letters_of(all[i]);
    }
    *ret_mask = (struct cg_mask){.names = all, .letters = letters, .count = total};
}

static bool is_listed(const struct cg_mask *mask, struct cg_str name)
{
    uint32_t missing = ~letters_of(name);
    for (size_t i = 0; i < mask->count; i++)
        if ((mask->letters[i] & missing) == 0 && cg_str_glob(mask->names[i], name))
            return true;
    return false;
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* `consumerKey` as `consumer_Key`; empty when it has no such place. */
static struct cg_str split_humps(struct cg_str name, char to[2 * CG_MASK_PART_MAX])
{
    size_t length = 0;
    for (size_t i = 0; i < name.length; i++) {
        if (i > 0 && is_capital(name.bytes[i]) && !is_capital(name.bytes[i - 1]))
            to[length++] = '_';
        to[length++] = name.bytes[i];
    }
    return cg_str_of(to, length > name.length ? length : 0);
}

bool cg_mask_covers(const struct cg_mask *mask, struct cg_str name)
{
    char spelling[2 * CG_MASK_PART_MAX];
    if (name.length > CG_MASK_PART_MAX)
        return true;
    struct cg_str split = spell(split_humps(name, spelling), false, spelling);
    if (!cg_str_empty(split) && is_listed(mask, split))
        return true;
    struct cg_str whole = spell(name, false, spelling);
    if (cg_str_empty(whole))
        return false;
    if (is_listed(mask, whole))
        return true;
    /* `user[token][0]`, `x.token`, `token%00x`: each word of it. */
    for (size_t at = 0; at < name.length;) {
        size_t end = at;
        while (end < name.length && is_word(name.bytes[end]))
            end++;
        struct cg_str word = spell(cg_str_sub(name, at, end - at), false, spelling);
        if (!cg_str_empty(word) && word.length < whole.length && is_listed(mask, word))
            return true;
        at = end + 1;
    }
    return false;
}

/* ---- decoding ---- */

struct part {
    char bytes[CG_MASK_PART_MAX];
    size_t length;
};

/* The value of `count` digits, or -1. */
static int hex_at(const struct part *part, size_t at, size_t count)
{
    int value = 0;
    if (at + count > part->length)
        return -1;
    for (size_t i = 0; i < count; i++) {
        int digit = cg_hex_digit(part->bytes[at + i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* One level of %XX, and of the %uXXXX that some servers know. True when there was any. */
static bool decode_once(struct part *part)
{
    size_t to = 0;
    bool any = false;
    for (size_t at = 0; at < part->length; to++) {
        bool is_escape = part->bytes[at] == '%';
        bool wide = is_escape && at + 1 < part->length && cg_lower(part->bytes[at + 1]) == 'u';
        int value = !is_escape ? -1 : wide ? hex_at(part, at + 2, 4) : hex_at(part, at + 1, 2);
        if (value < 0) {
            part->bytes[to] = part->bytes[at++];
            continue;
        }
        part->bytes[to] = (char)(value > 0xff ? 0xff : value);
        at += wide ? 6 : 3;
        any = true;
    }
    part->length = to;
    return any;
}

/* False when it is too long, or encoded too often. */
static bool decode(struct cg_str text, struct part *ret_part)
{
    if (text.length > sizeof(ret_part->bytes))
        return false;
    for (size_t i = 0; i < text.length; i++)
        ret_part->bytes[i] = text.bytes[i] == '+' ? ' ' : text.bytes[i];
    ret_part->length = text.length;
    for (unsigned level = 0; level < DECODINGS_MAX; level++)
        if (!decode_once(ret_part))
            return true;
    return false;
}

/* ---- secrets inside of something else ---- */

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '\\' || c == ' ' || c == '\t';
}

/* What can stand in front of a name in a query, a path, a cookie, JSON. */
static bool ends_name(char c)
{
    static const char bytes[] = "&;?#/,(){}=:\"'\\";
    return memchr(bytes, c, sizeof(bytes) - 1) != NULL;
}

/* Whether a secret name stands before the `=` or `:` at that place. */
static bool is_secret_at(const struct cg_mask *mask, struct cg_str text, size_t at)
{
    size_t end = at, begin;
    while (end > 0 && is_quote(text.bytes[end - 1]))
        end--;
    for (begin = end; begin > 0 && !ends_name(text.bytes[begin - 1]); begin--)
        ;
    return cg_mask_covers(mask, cg_str_sub(text, begin, end - begin));
}

/* RFC 7519: three parts in base64url, of which the first is a JSON object: it begins with `{"`. */
static bool has_web_token(struct cg_str text)
{
    size_t run = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.bytes[i];
        bool continues = is_word(c) || c == '-' || c == '.';
        if (run > 0)
            run = continues ? run + 1 : 0;
        else if (c == 'e' && cg_str_starts_with(cg_str_skip(text, i), CG_STR("eyJ")))
            run = 1;
        if (run >= TOKEN_BYTES_MIN)
            return true;
    }
    return false;
}

/* A URL with user information in front of its host. */
static bool has_user_at(struct cg_str text, size_t colon)
{
    struct cg_str rest = cg_str_skip(text, colon);
    if (!cg_str_starts_with(rest, CG_STR("://")))
        return false;
    for (size_t i = 3; i < rest.length && !memchr("/?#", rest.bytes[i], 3); i++)
        if (rest.bytes[i] == '@')
            return true;
    return false;
}

static bool has_secret(const struct cg_mask *mask, struct cg_str text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((text.bytes[i] == '=' || text.bytes[i] == ':') &&
            (is_secret_at(mask, text, i) || has_user_at(text, i)))
            return true;
    return has_web_token(text);
}

static bool is_word_only(struct cg_str text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!is_word(text.bytes[i]) || text.bytes[i] == 'J')
            return false;
    return text.length <= CG_MASK_PART_MAX;
}

/* The same for text that is still encoded. Most is not, and holds nothing at all. */
static bool hides_secret(const struct cg_mask *mask, struct cg_str text)
{
    struct part part;
    if (is_word_only(text))
        return false;
    return !decode(text, &part) || has_secret(mask, cg_str_of(part.bytes, part.length));
}

/* ---- a URL ---- */

static bool is_among(struct cg_str bytes, char c)
{
    for (size_t i = 0; i < bytes.length; i++)
        if (bytes.bytes[i] == c)
            return true;
    return false;
}

static size_t find_any(struct cg_str text, struct cg_str bytes)
{
    size_t at = 0;
    while (at < text.length && !is_among(bytes, text.bytes[at]))
        at++;
    return at;
}

static struct cg_str cut(struct cg_str *rest, size_t length)
{
    struct cg_str front = cg_str_sub(*rest, 0, length);
    *rest = cg_str_skip(*rest, length);
    return front;
}

struct judgement {
    size_t shown; /* of the part's bytes, from its start */
    bool secret;  /* what follows them is */
};

static struct judgement judge(const struct cg_mask *mask, struct cg_str part)
{
    struct part name;
    size_t equals = cg_str_find(part, '=');
    if (equals == part.length && is_word_only(part))
        return (struct judgement){part.length, false};
    if (!decode(cg_str_sub(part, 0, equals), &name) ||
        has_secret(mask, cg_str_of(name.bytes, name.length)))
        return (struct judgement){0, true};
    if (equals == part.length)
        return (struct judgement){part.length, false};
    if (cg_mask_covers(mask, cg_str_of(name.bytes, name.length)) ||
        hides_secret(mask, cg_str_skip(part, equals + 1)))
        return (struct judgement){equals + 1, true};
    return (struct judgement){part.length, false};
}

/* Parts between `separators`; what is masked reaches to the next of `ends`: where the upstream sees
 * no separator, what is behind it belongs to the value. */
static void put_parts(const struct cg_mask *mask, struct cg_str rest, struct cg_str separators,
                      struct cg_str ends, struct cg_buf *out)
{
    while (rest.length > 0) {
        struct judgement part = judge(mask, cg_str_sub(rest, 0, find_any(rest, separators)));
        cg_buf_add_str(out, cut(&rest, part.shown));
        if (part.secret && cut(&rest, find_any(rest, ends)).length > 0)
            cg_buf_add_text(out, "***");
        cg_buf_add_str(out, cut(&rest, 1));
    }
}

/* `scheme://user:password@`. A target that begins with a slash has neither. */
static void put_authority(struct cg_str *rest, struct cg_buf *out)
{
    struct cg_str authority = cg_str_sub(*rest, 0, find_any(*rest, CG_STR("/?#")));
    bool has_scheme = false;
    if (authority.length > 0 && authority.bytes[authority.length - 1] == ':' &&
        cg_str_starts_with(cg_str_skip(*rest, authority.length), CG_STR("//"))) {
        cg_buf_add_str(out, cut(rest, authority.length + 2));
        authority = cg_str_sub(*rest, 0, find_any(*rest, CG_STR("/?#")));
        has_scheme = true;
    }
    size_t end = authority.length;
    while (end > 0 && authority.bytes[end - 1] != '@')
        end--;
    if (end > 0) {
        cg_buf_add_text(out, "***@");
        cut(rest, end);
    }
    /* `https://auth:8443/`: a colon is nothing special here. */
    if (has_scheme && cg_str_find(authority, '=') == authority.length)
        cg_buf_add_str(out, cut(rest, authority.length - end));
}

/* Whether there is anything to judge at all: most paths are plain. */
static bool is_plain(struct cg_str url)
{
    for (size_t i = 0; i < url.length; i++) {
        char c = url.bytes[i];
        if (!is_word(c) && c != '/' && c != '-' && c != '.' && c != '~')
            return false;
        if (c == 'J' && i >= 2 && url.bytes[i - 1] == 'y')
            return false;
    }
    return true;
}

void cg_mask_url(const struct cg_mask *mask, struct cg_str url, struct cg_buf *out)
{
    if (is_plain(url)) {
        cg_buf_add_str(out, url);
        return;
    }
    if (url.length > 0 && url.bytes[0] != '/')
        put_authority(&url, out);
    struct cg_str path = cut(&url, find_any(url, CG_STR("?#")));
    put_parts(mask, path, CG_STR("/;&"), CG_STR("/"), out);
    put_parts(mask, url, CG_STR("&;?#"), CG_STR("&"), out);
}
