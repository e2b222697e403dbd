#include "cachegate/assert.h"
#include "cachegate/redis_url.h"
#include "gateway/base/file_read.h"
#include "gateway/config/settings_build.h"

#include <errno.h>
#include <openssl/rand.h>

enum { SECRET_BYTES_ENOUGH = 16 };

/* The first line's worth of a small file. No message holds any of it. */
static bool read_secret_file(const struct cg_settings_build *build, const struct cg_node *where,
                             const char *name, struct cg_str *ret_secret)
{
    char *bytes = cg_arena_alloc(build->arena, CG_SECRET_FILE_BYTES_MAX + 1);
    (void)cg_settings_note_file(build, name);
    ssize_t length = cg_file_read(name, bytes, CG_SECRET_FILE_BYTES_MAX + 1);
    if (length < 0) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "cannot read %s: %s", name,
                       strerror(errno));
        return false;
    }
    if (length > CG_SECRET_FILE_BYTES_MAX) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "%s is larger than %d bytes", name,
                       CG_SECRET_FILE_BYTES_MAX);
        return false;
    }
    struct cg_str secret = cg_str_of(bytes, (size_t)length);
    while (cg_str_ends_with(secret, CG_STR("\n")) || cg_str_ends_with(secret, CG_STR("\r")))
        secret.length--;
    if (cg_str_empty(secret)) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "%s is empty", name);
        return false;
    }
    *ret_secret = secret;
    return true;
}

/* The text under `path`, or else in the file named under `file_path`. False: neither. */
static bool read_secret(const struct cg_settings_build *build, const char *path,
                        const char *file_path, const struct cg_node **ret_where,
                        struct cg_str *ret_secret)
{
    const char *folder, *file_folder;
    struct cg_str name;
    const struct cg_node *direct = cg_settings_find(build, "", build->root, path, &folder);
    const struct cg_node *file = cg_settings_find(build, "", build->root, file_path, &file_folder);
    if (direct != NULL && file != NULL && direct->line > 0 && file->line > 0)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, file,
                       "`%s` and `%s` exclude each other; leave one out", path, file_path);
    if (direct != NULL) {
        *ret_where = direct;
        return cg_settings_text(build, direct, "a secret text", ret_secret);
    }
    *ret_where = file;
    return file != NULL && cg_settings_text(build, file, "a file", &name) &&
           read_secret_file(build, file, cg_option_file(name, file_folder, build->arena),
                            ret_secret);
}

/* Hashes the text; says when it is too short to be hard to guess. */
static void take_secret(const struct cg_settings_build *build, const struct cg_node *where,
                        struct cg_str text, struct cg_secret *ret_secret)
{
    if (text.length < SECRET_BYTES_ENOUGH)
        cg_problem_add(build->problems, CG_PROBLEM_WARNING, where,
                       "the secret is short; `openssl rand -hex 32` makes a good one");
    cg_secret_from_text(text, ret_secret);
}

static void read_deployment_secret(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    const struct cg_node *where;
    struct cg_str text;
    if (!read_secret(build, "secret", "secret_file", &where, &text)) {
        /* Nobody else shares the embedded store, so nobody else needs to know it. */
        if (build->source->carried_secret != NULL) {
            settings->secret = *build->source->carried_secret;
            return;
        }
        CG_ASSERT(RAND_bytes(settings->secret.bytes, sizeof settings->secret.bytes) == 1);
        return;
    }
    take_secret(build, where, text, &settings->secret);
    settings->secret_given = true;
}

/* The other secret of a rotation. What the embedded store holds is no older than the process, so
 * there it would only cost lookups. */
static void read_previous_secret(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    const struct cg_node *where;
    struct cg_str text;
    if (!read_secret(build, "secret_previous", "secret_previous_file", &where, &text))
        return;
    take_secret(build, where, text, &settings->secret_previous);
    if (!settings->secret_given)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where,
                       "there is no `secret` beside it; give the one that is in use now");
    else if (memcmp(&settings->secret, &settings->secret_previous, sizeof settings->secret) == 0)
        cg_problem_add(build->problems, CG_PROBLEM_WARNING, where,
                       "has no effect: it is the same as `secret`");
    else if (settings->redis_url == NULL)
        cg_problem_add(build->problems, CG_PROBLEM_WARNING, where,
                       "has no effect: the embedded store holds nothing from before");
    else
        settings->secret_previous_given = true;
}

static void read_admin_token(const struct cg_settings_build *build)
{
    const struct cg_node *where;
    struct cg_str token;
    if (!read_secret(build, "admin.token", "admin.token_file", &where, &token))
        return;
    for (size_t i = 0; i < token.length; i++)
        if (token.bytes[i] <= ' ' || token.bytes[i] >= 0x7f) {
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, where,
                           "the admin token must be printable ASCII without spaces: it travels in "
                           "a header field");
            return;
        }
    build->settings->admin_token = cg_arena_copy(build->arena, token);
}

/* The driver parses it again; here it is refused while the operator can still be told where. */
static void read_redis(const struct cg_settings_build *build)
{
    const char *folder, *why;
    struct cg_redis_url url;
    struct cg_str text;
    const struct cg_node *redis = cg_settings_find(build, "", build->root, "store.redis", &folder);
    if (redis == NULL || !cg_settings_text(build, redis, "a URL", &text))
        return;
    if (!cg_redis_url_parse(text, build->arena, &url, &why)) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, redis, "%s", why);
        return;
    }
    build->settings->redis_url = cg_option_text(text, build->arena);
    if (!build->settings->secret_given)
        cg_problem_add(build->problems, CG_PROBLEM_WARNING, redis,
                       "without `secret` every start makes its own: no gateway finds what another "
                       "one, or an earlier start, has stored");
}

void cg_settings_read_secrets(const struct cg_settings_build *build)
{
    read_deployment_secret(build);
    read_admin_token(build);
    read_redis(build);
    read_previous_secret(build);
}
