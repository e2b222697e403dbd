/*
 * tree: bytes of YAML or JSON → struct cg_node, in which every node has file, line and path.
 *
 * JSON is read as the YAML flow style that it is. Only the plain part of YAML is taken: one
 * document; no anchors, aliases, merge keys or tags; keys are text and occur once in a map. So what
 * stands in the file is what is meant, and a small file cannot unfold into a large one.
 *
 * `${NAME}` and `${NAME:-default}` in values are replaced from the environment after parsing, so no
 * value can change the structure; keys are never touched. `$${` is a literal `${`. As with a shell,
 * the default also stands in for a variable that is set to nothing; a variable that is not set and
 * has no default is an error.
 *
 * All mistakes go to `problems`; NULL is returned when there was one. The nodes live in the arena,
 * which needs a ceiling of at least CG_TREE_ARENA_BYTES per file.
 */
#ifndef GATEWAY_CONFIG_TREE_H
#define GATEWAY_CONFIG_TREE_H

#include "cachegate/tree.h"

enum {
    CG_TREE_FILE_BYTES_MAX = 1 << 20,
    CG_TREE_DEPTH_MAX = 32,
    CG_TREE_NODES_MAX = 100000,
    CG_TREE_MAP_KEYS_MAX = 4096,
    CG_TREE_INSERTED_BYTES_MAX = 4 << 20, /* by variables, in one file */
    CG_TREE_ARENA_BYTES = 128 << 20,
};

/* The value of a variable, or NULL when it is not set. */
typedef const char *(*cg_env_fn)(void *owner, const char *name);
/* The process's own environment; `owner` is not used. */
const char *cg_env_of_process(void *owner, const char *name);

/* `file` names the source in problems; it is copied. An empty document is a CG_NODE_NULL. */
struct cg_node *cg_tree_parse(struct cg_str bytes, const char *file, cg_env_fn env, void *env_owner,
                              struct cg_arena *arena, struct cg_problems *problems);
struct cg_node *cg_tree_read_file(const char *path, cg_env_fn env, void *env_owner,
                                  struct cg_arena *arena, struct cg_problems *problems);
/* `${…}` replaced in one text, as in a file's values: for flags. False and a problem at `where`. */
bool cg_tree_interpolate(struct cg_str text, cg_env_fn env, void *env_owner,
                         const struct cg_node *where, struct cg_arena *arena,
                         struct cg_problems *problems, struct cg_str *ret_text);

#endif
