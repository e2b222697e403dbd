#include "gateway/config/tree.h"

#include "gateway/base/file_read.h"

#include <errno.h>
#include <yaml.h>

enum { PATH_BYTES_MAX = 240 };

/* A list or map whose end has not been read yet. */
struct frame {
    struct cg_node *node;
    size_t capacity;
    struct cg_node *key; /* of a map: read, and its value is still to come */
};

struct builder {
    const char *file;
    cg_env_fn env;
    void *env_owner;
    struct cg_arena *arena;
    struct cg_problems *problems;
    struct frame frames[CG_TREE_DEPTH_MAX];
    size_t depth;
    size_t node_count;
    size_t inserted_bytes;
    size_t document_count;
    struct cg_node *root;
    bool stopped; /* nothing that follows could be understood */
};

#define FAIL(builder, where, ...)                                                                  \
    cg_problem_add((builder)->problems, CG_PROBLEM_ERROR, (where), __VA_ARGS__)

/* ---- places ---- */

/* "routes[2].ttl": where the next node of the innermost list or map will stand. Very long paths
 * stay at their beginning, or deep trees with long keys would take memory without measure. */
static struct cg_str next_path(struct builder *builder)
{
    if (builder->depth == 0)
        return (struct cg_str){"", 0};
    const struct frame *frame = &builder->frames[builder->depth - 1];
    struct cg_str parent = frame->node->path;
    if (frame->node->kind == CG_NODE_LIST)
        return parent.length > PATH_BYTES_MAX
                   ? parent
                   : cg_arena_printf(builder->arena, "%.*s[%zu]", CG_STR_ARG(parent),
                                     frame->node->count);
    if (frame->key == NULL || parent.length + frame->key->text.length > PATH_BYTES_MAX)
        return parent;
    return cg_arena_printf(builder->arena, "%.*s%s%.*s", CG_STR_ARG(parent),
                           parent.length == 0 ? "" : ".", CG_STR_ARG(frame->key->text));
}

static struct cg_node *new_node(struct builder *builder, enum cg_node_kind kind,
                                const yaml_event_t *event)
{
    struct cg_node *node = CG_ARENA_NEW(builder->arena, struct cg_node);
    node->kind = kind;
    node->file = builder->file;
    node->line = (unsigned)event->start_mark.line + 1;
    node->path = next_path(builder);
    if (++builder->node_count == CG_TREE_NODES_MAX + 1) {
        FAIL(builder, node, "more than %d values in one file", (int)CG_TREE_NODES_MAX);
        builder->stopped = true;
    }
    return node;
}

/* ---- scalars ---- */

static bool is_null(struct cg_str text, bool plain)
{
    return plain &&
           (text.length == 0 || cg_str_eq(text, CG_STR("~")) || cg_str_eq(text, CG_STR("null")) ||
            cg_str_eq(text, CG_STR("Null")) || cg_str_eq(text, CG_STR("NULL")));
}

static void read_text(struct builder *builder, struct cg_node *node, struct cg_str text)
{
    if (text.length > 0 && memchr(text.bytes, '\0', text.length) != NULL) {
        FAIL(builder, node, "a NUL character is not allowed");
        return;
    }
    if (cg_str_find(text, '$') == text.length) {
        node->text = cg_arena_copy(builder->arena, text);
        return;
    }
    if (!cg_tree_interpolate(text, builder->env, builder->env_owner, node, builder->arena,
                             builder->problems, &node->text))
        return;
    /* In JSON every value with a variable stands in quotes; the variable's text has none. */
    if (!cg_str_eq(node->text, text))
        node->quoted = false;
    builder->inserted_bytes += node->text.length;
    if (builder->inserted_bytes > CG_TREE_INSERTED_BYTES_MAX) {
        FAIL(builder, node, "the environment adds more than %d bytes to this file",
             (int)CG_TREE_INSERTED_BYTES_MAX);
        builder->stopped = true;
    }
}

static bool has_properties(const yaml_char_t *anchor, const yaml_char_t *tag)
{
    return anchor != NULL || tag != NULL;
}

/* ---- structure ---- */

/* Puts a finished or just opened node where it belongs. */
static void place(struct builder *builder, struct cg_node *node)
{
    if (builder->depth == 0) {
        builder->root = node;
        return;
    }
    struct frame *frame = &builder->frames[builder->depth - 1];
    struct cg_node *parent = frame->node;
    if (parent->count == frame->capacity) {
        size_t capacity = frame->capacity == 0 ? 4 : frame->capacity * 2;
        struct cg_node **items = CG_ARENA_ARRAY(builder->arena, struct cg_node *, capacity);
        struct cg_node **keys = CG_ARENA_ARRAY(builder->arena, struct cg_node *, capacity);
        if (parent->count > 0) {
            memcpy(items, parent->items, parent->count * sizeof(struct cg_node *));
            memcpy(keys, parent->keys, parent->count * sizeof(struct cg_node *));
        }
        parent->items = items;
        parent->keys = keys;
        frame->capacity = capacity;
    }
    parent->keys[parent->count] = frame->key;
    parent->items[parent->count++] = node;
    frame->key = NULL;
}

static bool expects_key(const struct builder *builder)
{
    if (builder->depth == 0)
        return false;
    const struct frame *frame = &builder->frames[builder->depth - 1];
    return frame->node->kind == CG_NODE_MAP && frame->key == NULL;
}

static void take_key(struct builder *builder, const yaml_event_t *event)
{
    struct frame *frame = &builder->frames[builder->depth - 1];
    struct cg_node *key = new_node(builder, CG_NODE_SCALAR, event);
    struct cg_str text =
        cg_str_of((const char *)event->data.scalar.value, event->data.scalar.length);
    key->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    key->text = cg_arena_copy(builder->arena, text);
    frame->key = key;
    key->path = next_path(builder);
    if (has_properties(event->data.scalar.anchor, event->data.scalar.tag))
        FAIL(builder, key, "anchors (&) and tags (!) are not supported; quote the text");
    if (cg_str_eq(text, CG_STR("<<")) && !key->quoted)
        FAIL(builder, key, "merge keys (<<) are not supported; write the keys out");
    if (memchr(key->text.bytes, '\0', key->text.length) != NULL)
        FAIL(builder, key, "a NUL character is not allowed");
    for (size_t i = 0; i < frame->node->count; i++)
        if (cg_str_eq(frame->node->keys[i]->text, text)) {
            FAIL(builder, key, "`%.*s` is given twice; first in line %u", CG_STR_SHOWN(text),
                 frame->node->keys[i]->line);
            break;
        }
    if (frame->node->count == CG_TREE_MAP_KEYS_MAX) {
        FAIL(builder, key, "more than %d keys in one map", (int)CG_TREE_MAP_KEYS_MAX);
        builder->stopped = true;
    }
}

static void take_scalar(struct builder *builder, const yaml_event_t *event)
{
    if (expects_key(builder)) {
        take_key(builder, event);
        return;
    }
    struct cg_str text =
        cg_str_of((const char *)event->data.scalar.value, event->data.scalar.length);
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct cg_node *node =
        new_node(builder, is_null(text, plain) ? CG_NODE_NULL : CG_NODE_SCALAR, event);
    node->quoted = !plain;
    if (has_properties(event->data.scalar.anchor, event->data.scalar.tag))
        FAIL(builder, node, "anchors (&) and tags (!) are not supported; quote the text");
    if (node->kind == CG_NODE_SCALAR)
        read_text(builder, node, text);
    place(builder, node);
}

static void take_alias(struct builder *builder, const yaml_event_t *event)
{
    struct cg_node *node = new_node(builder, CG_NODE_NULL, event);
    FAIL(builder, node,
         "`*%.*s` would be a YAML alias, which is not supported; put text that begins with `*` in "
         "quotes",
         CG_STR_SHOWN(cg_str_from((const char *)event->data.alias.anchor)));
    if (expects_key(builder))
        builder->frames[builder->depth - 1].key = node;
    else
        place(builder, node);
}

static void open_node(struct builder *builder, enum cg_node_kind kind, const yaml_event_t *event,
                      bool properties)
{
    struct cg_node *node = new_node(builder, kind, event);
    if (properties)
        FAIL(builder, node, "anchors (&) and tags (!) are not supported");
    if (expects_key(builder)) {
        FAIL(builder, node, "a key is text, not %s; put values with { } or [ ] in quotes",
             cg_node_kind_text(kind));
        builder->stopped = true;
        return;
    }
    if (builder->depth == CG_TREE_DEPTH_MAX) {
        FAIL(builder, node, "nested more than %d deep", (int)CG_TREE_DEPTH_MAX);
        builder->stopped = true;
        return;
    }
    place(builder, node);
    builder->frames[builder->depth++] = (struct frame){.node = node};
}

static void take_document(struct builder *builder, const yaml_event_t *event)
{
    if (++builder->document_count == 1)
        return;
    struct cg_node where = {
        .file = builder->file, .line = (unsigned)event->start_mark.line + 1, .path = {"", 0}};
    FAIL(builder, &where, "a second document; a file holds one");
    builder->stopped = true;
}

static void take_event(struct builder *builder, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    case YAML_DOCUMENT_START_EVENT:
        take_document(builder, event);
        break;
    case YAML_ALIAS_EVENT:
        take_alias(builder, event);
        break;
    case YAML_SCALAR_EVENT:
        take_scalar(builder, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_node(
            builder, CG_NODE_LIST, event,
            has_properties(event->data.sequence_start.anchor, event->data.sequence_start.tag));
        break;
    case YAML_MAPPING_START_EVENT:
        open_node(builder, CG_NODE_MAP, event,
                  has_properties(event->data.mapping_start.anchor, event->data.mapping_start.tag));
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        builder->depth--;
        break;
    }
}

/* ---- whole documents ---- */

/* A common cause of what the parser finds odd, from the line it stands in. */
static const char *syntax_hint(const char *problem, struct cg_str bytes, size_t line)
{
    struct cg_str text = {"", 0}, rest = bytes;
    for (size_t i = 0; i <= line; i++)
        if (!cg_str_split(&rest, '\n', &text))
            return "";
    if (cg_str_find(text, '\t') < text.length)
        return "; indent with spaces, not with tabs";
    bool odd = problem != NULL &&
               cg_str_starts_with(cg_str_from(problem), CG_STR("did not find expected"));
    if (odd && (cg_str_find(text, '{') < text.length || cg_str_find(text, '*') < text.length))
        return "; put text with { } [ ] * in quotes";
    return odd ? "; see whether the lines there are indented alike" : "";
}

static void report_syntax(struct builder *builder, const yaml_parser_t *parser, struct cg_str bytes)
{
    /* A reader error (of bytes) has no mark. */
    size_t line =
        parser->error == YAML_READER_ERROR ? parser->mark.line : parser->problem_mark.line;
    struct cg_node where = {
        .file = builder->file, .line = (unsigned)line + 1, .path = next_path(builder)};
    FAIL(builder, &where, "%s%s%s%s", parser->problem == NULL ? "unreadable" : parser->problem,
         parser->context == NULL ? "" : " ", parser->context == NULL ? "" : parser->context,
         syntax_hint(parser->problem, bytes, line));
}

static void parse_events(struct builder *builder, struct cg_str bytes)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        FAIL(builder, NULL, "out of memory");
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes.bytes, bytes.length);
    bool ended = false;
    while (!ended && !builder->stopped) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            report_syntax(builder, &parser, bytes);
            break;
        }
        take_event(builder, &event);
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

struct cg_node *cg_tree_parse(struct cg_str bytes, const char *file, cg_env_fn env, void *env_owner,
                              struct cg_arena *arena, struct cg_problems *problems)
{
    size_t errors_before = problems->error_count;
    struct cg_node whole = {.file = cg_arena_copy(arena, cg_str_from(file)).bytes, .path = {"", 0}};
    struct builder builder = {.file = whole.file,
                              .env = env,
                              .env_owner = env_owner,
                              .arena = arena,
                              .problems = problems};
    if (bytes.length > CG_TREE_FILE_BYTES_MAX)
        FAIL(&builder, &whole, "larger than %d bytes", (int)CG_TREE_FILE_BYTES_MAX);
    else
        parse_events(&builder, bytes.bytes == NULL ? CG_STR("") : bytes);
    if (problems->error_count > errors_before)
        return NULL;
    if (builder.root == NULL) {
        builder.root = CG_ARENA_NEW(arena, struct cg_node);
        *builder.root = whole;
        builder.root->line = 1;
    }
    return builder.root;
}

struct cg_node *cg_tree_read_file(const char *path, cg_env_fn env, void *env_owner,
                                  struct cg_arena *arena, struct cg_problems *problems)
{
    struct cg_node where = {.file = cg_arena_copy(arena, cg_str_from(path)).bytes, .path = {"", 0}};
    /* One byte more than allowed, to notice that there is more. */
    char *bytes = cg_arena_alloc(arena, CG_TREE_FILE_BYTES_MAX + 1);
    ssize_t length = cg_file_read(path, bytes, CG_TREE_FILE_BYTES_MAX + 1);
    if (length < 0) {
        cg_problem_add(problems, CG_PROBLEM_ERROR, &where, "cannot be read: %s", strerror(errno));
        return NULL;
    }
    return cg_tree_parse(cg_str_of(bytes, (size_t)length), path, env, env_owner, arena, problems);
}
