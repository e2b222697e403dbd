#include "gateway/config/tree.h"

#include "cachegate/buf.h"

#include <stdlib.h>

enum { VARIABLE_NAME_BYTES_MAX = 128 };

const char *cg_env_of_process(void *owner, const char *name)
{
    (void)owner;
    return getenv(name);
}

static bool is_variable_name(struct cg_str name)
{
    if (name.length == 0 || name.length > VARIABLE_NAME_BYTES_MAX || cg_is_digit(name.bytes[0]))
        return false;
    for (size_t i = 0; i < name.length; i++)
        if (!cg_is_alpha(name.bytes[i]) && !cg_is_digit(name.bytes[i]) && name.bytes[i] != '_')
            return false;
    return true;
}

/* `inside` is what stands between `${` and `}`. */
static bool add_variable(struct cg_str inside, cg_env_fn env, void *env_owner,
                         const struct cg_node *where, struct cg_problems *problems,
                         struct cg_buf *buf)
{
    size_t colon = cg_str_find(inside, ':');
    struct cg_str name = cg_str_sub(inside, 0, colon);
    struct cg_str behind = cg_str_skip(inside, colon);
    bool has_default = cg_str_starts_with(behind, CG_STR(":-"));
    if (!is_variable_name(name) || (behind.length > 0 && !has_default)) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, where,
                       "`${%.*s`: expected ${NAME} or ${NAME:-default}; write $${ for a literal "
                       "${",
                       CG_STR_SHOWN(name)); /* a default may be a secret */
        return false;
    }
    char name_text[VARIABLE_NAME_BYTES_MAX + 1];
    memcpy(name_text, name.bytes, name.length);
    name_text[name.length] = '\0';
    const char *value = env(env_owner, name_text);
    if (value == NULL && !has_default) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, where,
                       "the environment variable %s is not set; set it, or write ${%s:-default}",
                       name_text, name_text);
        return false;
    }
    if (has_default && (value == NULL || value[0] == '\0'))
        cg_buf_add_str(buf, cg_str_skip(behind, 2));
    else
        cg_buf_add_text(buf, value);
    return true;
}

static bool add_interpolated(struct cg_str text, cg_env_fn env, void *env_owner,
                             const struct cg_node *where, struct cg_problems *problems,
                             struct cg_buf *buf)
{
    while (text.length > 0) {
        size_t dollar = cg_str_find(text, '$');
        cg_buf_add_str(buf, cg_str_sub(text, 0, dollar));
        text = cg_str_skip(text, dollar);
        if (cg_str_starts_with(text, CG_STR("$${"))) {
            cg_buf_add_text(buf, "${");
            text = cg_str_skip(text, 3);
        } else if (cg_str_starts_with(text, CG_STR("${"))) {
            size_t end = cg_str_find(text, '}');
            if (end == text.length) {
                /* What follows may be half of a secret. */
                cg_problem_add(problems, CG_PROBLEM_ERROR, where,
                               "a `${` is not closed; write $${ for a literal ${");
                return false;
            }
            if (!add_variable(cg_str_sub(text, 2, end - 2), env, env_owner, where, problems, buf))
                return false;
            text = cg_str_skip(text, end + 1);
        } else if (text.length > 0) {
            cg_buf_add_char(buf, '$');
            text = cg_str_skip(text, 1);
        }
    }
    return true;
}

bool cg_tree_interpolate(struct cg_str text, cg_env_fn env, void *env_owner,
                         const struct cg_node *where, struct cg_arena *arena,
                         struct cg_problems *problems, struct cg_str *ret_text)
{
    struct cg_buf buf;
    cg_buf_init(&buf, CG_TREE_INSERTED_BYTES_MAX);
    bool done = add_interpolated(text, env, env_owner, where, problems, &buf);
    if (done && buf.overflowed) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, where, "the environment makes it over %d bytes",
                       (int)CG_TREE_INSERTED_BYTES_MAX);
        done = false;
    }
    if (done)
        *ret_text = cg_arena_copy(arena, cg_buf_str(&buf));
    cg_buf_fini(&buf);
    return done;
}
