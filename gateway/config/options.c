#include "gateway/config/options.h"

#include "cachegate/assert.h"
#include "gateway/config/settings.h"

#define HOME_SETTINGS struct cg_settings
#define HOME_LISTENER struct cg_listener_settings
#define HOME_UPSTREAM struct cg_upstream_settings

static const struct cg_option options[] = {
#define CG_OPTION(in, name, switch_name, kind, member, otherwise, least, most, text)               \
    {.home = CG_HOME_##in,                                                                         \
     .path = name,                                                                                 \
     .flag = switch_name,                                                                          \
     .type = CG_OPTION_##kind,                                                                     \
     .offset = offsetof(HOME_##in, member),                                                        \
     .width = sizeof(((HOME_##in *)NULL)->member),                                                 \
     .fallback = otherwise,                                                                        \
     .min = least,                                                                                 \
     .max = most,                                                                                  \
     .sentence = text},
#define CG_OPTION_SPECIAL(in, name, switch_name, kind, otherwise, text)                            \
    {.home = CG_HOME_##in,                                                                         \
     .path = name,                                                                                 \
     .flag = switch_name,                                                                          \
     .type = CG_OPTION_##kind,                                                                     \
     .special = true,                                                                              \
     .fallback = otherwise,                                                                        \
     .min = "",                                                                                    \
     .max = "",                                                                                    \
     .sentence = text},
#include "cachegate/tables/options.def"
#undef CG_OPTION
#undef CG_OPTION_SPECIAL
};

size_t cg_option_count(void)
{
    return sizeof options / sizeof options[0];
}

const struct cg_option *cg_option_at(size_t index)
{
    CG_ASSERT(index < cg_option_count());
    return &options[index];
}

const struct cg_option *cg_option_find(enum cg_option_home home, struct cg_str path)
{
    for (size_t i = 0; i < cg_option_count(); i++)
        if (options[i].home == home && cg_str_eq(path, cg_str_from(options[i].path)))
            return &options[i];
    return NULL;
}

bool cg_option_is_scalar(const struct cg_option *option)
{
    switch (option->type) {
    case CG_OPTION_LISTENERS:
    case CG_OPTION_UPSTREAMS:
    case CG_OPTION_RULES:
    case CG_OPTION_IDENTITY:
    case CG_OPTION_WARM:
    case CG_OPTION_NAMES:
        return false;
    case CG_OPTION_BOOL:
    case CG_OPTION_NUMBER:
    case CG_OPTION_DURATION:
    case CG_OPTION_SIZE:
    case CG_OPTION_TEXT:
    case CG_OPTION_TOKEN:
    case CG_OPTION_CHOICE:
    case CG_OPTION_FILE:
    case CG_OPTION_TARGET:
    case CG_OPTION_SECRET:
    case CG_OPTION_ADDRESS:
    case CG_OPTION_URL:
        return true;
    }
    CG_UNREACHABLE();
}

const char *cg_option_type_name(enum cg_option_type type)
{
    static const char *const names[] = {
        [CG_OPTION_BOOL] = "on or off",
        [CG_OPTION_NUMBER] = "number",
        [CG_OPTION_DURATION] = "duration",
        [CG_OPTION_SIZE] = "size",
        [CG_OPTION_TEXT] = "text",
        [CG_OPTION_TOKEN] = "token",
        [CG_OPTION_CHOICE] = "one of",
        [CG_OPTION_FILE] = "file",
        [CG_OPTION_TARGET] = "off, stdout or a file",
        [CG_OPTION_SECRET] = "secret text",
        [CG_OPTION_ADDRESS] = "address",
        [CG_OPTION_URL] = "URL",
        [CG_OPTION_LISTENERS] = "addresses or maps",
        [CG_OPTION_UPSTREAMS] = "map",
        [CG_OPTION_RULES] = "files or globs",
        [CG_OPTION_IDENTITY] = "list or map",
        [CG_OPTION_WARM] = "list of URLs or maps",
        [CG_OPTION_NAMES] = "list of names",
    };
    return names[type];
}

/* ---- texts ---- */

char *cg_option_text(struct cg_str text, struct cg_arena *arena)
{
    char *copy = cg_arena_alloc(arena, text.length + 1);
    if (text.length > 0)
        memcpy(copy, text.bytes, text.length);
    return copy; /* an arena's memory is zeroed */
}

char *cg_option_file(struct cg_str name, const char *folder, struct cg_arena *arena)
{
    if (folder[0] == '\0' || cg_str_starts_with(name, CG_STR("/")))
        return cg_option_text(name, arena);
    size_t folder_length = strlen(folder);
    char *whole = cg_arena_alloc(arena, folder_length + 1 + name.length + 1);
    memcpy(whole, folder, folder_length);
    whole[folder_length] = '/';
    if (name.length > 0)
        memcpy(whole + folder_length + 1, name.bytes, name.length);
    return whole;
}

bool cg_option_is_text(const struct cg_node *node, const char *expected,
                       struct cg_problems *problems)
{
    if (node->kind != CG_NODE_SCALAR) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "expected %s, found %s", expected,
                       cg_node_kind_text(node->kind));
        return false;
    }
    for (size_t i = 0; i < node->text.length; i++) {
        unsigned char c = (unsigned char)node->text.bytes[i];
        if (c < ' ' || c == 0x7f) {
            cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                           "expected %s, found a text with a control character in it", expected);
            return false;
        }
    }
    return true;
}

struct cg_str cg_option_variable(const char *path, struct cg_arena *arena)
{
    static const char prefix[] = "CACHEGATE_";
    char *name = cg_option_text(cg_arena_printf(arena, "%s%s", prefix, path), arena);
    for (char *c = name; *c != '\0'; c++) {
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
        else if (!cg_is_digit(*c) && !cg_is_alpha(*c))
            *c = '_';
    }
    return cg_str_from(name);
}

/* ---- reading one ---- */

/* The number in a text of that type; without problems, for bounds. */
static bool measure(enum cg_option_type type, const struct cg_node *node,
                    struct cg_problems *problems, uint64_t *ret_value)
{
    if (type == CG_OPTION_DURATION)
        return cg_node_duration_ms(node, UINT32_MAX, problems, ret_value);
    if (type == CG_OPTION_SIZE)
        return cg_node_size(node, (uint64_t)1 << 50, problems, ret_value);
    CG_ASSERT(type == CG_OPTION_NUMBER);
    /* More than fits is for the range to refuse: every number has one. */
    if (node->kind == CG_NODE_SCALAR && cg_str_to_u64(node->text, UINT64_MAX, ret_value))
        return true;
    if (problems == NULL)
        return false;
    if (node->kind == CG_NODE_SCALAR)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "expected a whole number, found '%.*s'",
                       CG_STR_SHOWN(node->text));
    else
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "expected a whole number, found %s",
                       cg_node_kind_text(node->kind));
    return false;
}

static uint64_t bound_of(const struct cg_option *option, const char *text, uint64_t otherwise)
{
    if (text[0] == '\0')
        return otherwise;
    struct cg_node node = {.kind = CG_NODE_SCALAR, .text = cg_str_from(text)};
    uint64_t value = 0;
    CG_ASSERT(measure(option->type, &node, NULL, &value));
    return value;
}

static bool read_quantity(const struct cg_option *option, const struct cg_node *node, void *member,
                          struct cg_problems *problems)
{
    uint64_t value = 0;
    bool automatic = strcmp(option->fallback, "auto") == 0 && node->kind == CG_NODE_SCALAR &&
                     cg_str_eq(node->text, CG_STR("auto"));
    if (!automatic) {
        if (!measure(option->type, node, problems, &value))
            return false;
        if (value < bound_of(option, option->min, 0) ||
            value > bound_of(option, option->max, UINT64_MAX)) {
            cg_problem_add(problems, CG_PROBLEM_ERROR, node, "%.*s is out of range: from %s to %s",
                           CG_STR_SHOWN(node->text), option->min, option->max);
            return false;
        }
    }
    if (option->width == sizeof(uint64_t)) {
        memcpy(member, &value, sizeof value);
        return true;
    }
    uint32_t small = (uint32_t)value;
    CG_ASSERT(option->width == sizeof small && small == value);
    memcpy(member, &small, sizeof small);
    return true;
}

static bool is_word_of(const char *words, struct cg_str text)
{
    struct cg_str rest = cg_str_from(words), word;
    while (cg_str_split(&rest, '|', &word))
        if (cg_str_eq(word, text))
            return true;
    return false;
}

/* What is meant as a switch would become a file of that name. */
static bool is_switch(struct cg_str text)
{
    return is_word_of("on|yes|true|no|false|none|stderr|-", text);
}

static bool read_text(const struct cg_option *option, const struct cg_node *node,
                      const char *folder, void *member, struct cg_arena *arena,
                      struct cg_problems *problems)
{
    char *text = NULL; /* an option without a default stays NULL */
    if (!cg_option_is_text(node, cg_option_type_name(option->type), problems))
        return false;
    if (option->type == CG_OPTION_CHOICE && !is_word_of(option->min, node->text)) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "expected one of %s, found '%.*s'",
                       option->min, CG_STR_SHOWN(node->text));
        return false;
    }
    if (option->type == CG_OPTION_TOKEN && !cg_is_token(node->text)) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "expected a name without spaces or separators, found '%.*s'",
                       CG_STR_SHOWN(node->text));
        return false;
    }
    if (option->type == CG_OPTION_TARGET && (cg_str_empty(node->text) || is_switch(node->text))) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "expected off, stdout or the name of a file, found '%.*s'",
                       CG_STR_SHOWN(node->text));
        return false;
    }
    bool is_file = option->type == CG_OPTION_FILE ||
                   (option->type == CG_OPTION_TARGET && !is_word_of("off|stdout", node->text));
    if (node->text.length > 0)
        text =
            is_file ? cg_option_file(node->text, folder, arena) : cg_option_text(node->text, arena);
    CG_ASSERT(option->width == sizeof text);
    memcpy(member, &text, sizeof text);
    return true;
}

bool cg_option_read(const struct cg_option *option, const struct cg_node *node, const char *folder,
                    void *home, struct cg_arena *arena, struct cg_problems *problems)
{
    CG_ASSERT(!option->special);
    struct cg_node fallback = {.kind = CG_NODE_SCALAR, .text = cg_str_from(option->fallback)};
    if (node == NULL || node->kind == CG_NODE_NULL)
        node = &fallback;
    void *member = (char *)home + option->offset;
    switch (option->type) {
    case CG_OPTION_BOOL:
        CG_ASSERT(option->width == sizeof(bool));
        return cg_node_bool(node, problems, member);
    case CG_OPTION_NUMBER:
    case CG_OPTION_DURATION:
    case CG_OPTION_SIZE:
        return read_quantity(option, node, member, problems);
    case CG_OPTION_TEXT:
    case CG_OPTION_TOKEN:
    case CG_OPTION_CHOICE:
    case CG_OPTION_FILE:
    case CG_OPTION_TARGET:
        return read_text(option, node, folder, member, arena, problems);
    case CG_OPTION_SECRET:
    case CG_OPTION_ADDRESS:
    case CG_OPTION_URL:
    case CG_OPTION_LISTENERS:
    case CG_OPTION_UPSTREAMS:
    case CG_OPTION_RULES:
    case CG_OPTION_IDENTITY:
    case CG_OPTION_WARM:
    case CG_OPTION_NAMES:
        break;
    }
    CG_UNREACHABLE();
}
