#include "gateway/config/settings_build.h"

#include <openssl/crypto.h>
#include <unistd.h>

/* What stands before the last slash; "" for none. */
static const char *folder_of(const char *file, struct cg_arena *arena)
{
    struct cg_str name = cg_str_from(file);
    while (name.length > 0 && name.bytes[name.length - 1] != '/')
        name.length--;
    if (name.length > 1)
        name.length--;
    return cg_option_text(name, arena);
}

struct cg_settings *cg_settings_load(const struct cg_settings_source *source,
                                     struct cg_arena *arena, struct cg_problems *problems)
{
    struct cg_settings_build build = {
        .source = source,
        .settings = CG_ARENA_NEW(arena, struct cg_settings),
        .arena = arena,
        .problems = problems,
        .folder = "",
    };
    if (source->file != NULL) {
        (void)cg_settings_note_file(&build, source->file);
        build.root = cg_tree_read_file(source->file, source->variable, source->variable_owner,
                                       arena, problems);
        build.folder = folder_of(source->file, arena);
        if (build.root == NULL)
            return NULL; /* what would follow from half a file only confuses */
        if (build.root->kind != CG_NODE_NULL && !cg_node_expect(build.root, CG_NODE_MAP, problems))
            return NULL;
    }
    cg_settings_check_names(&build);
    cg_settings_read_home(&build, CG_HOME_SETTINGS, "", build.root, build.settings);
    cg_settings_read_listeners(&build);
    cg_settings_read_admin(&build);
    cg_settings_read_upstreams(&build);
    cg_settings_read_secrets(&build);
    cg_settings_read_warm(&build);
    cg_settings_read_log(&build);
    cg_settings_check_whole(&build);
    cg_settings_keep_running(&build);
    if (!source->without_rules)
        cg_settings_read_rules(&build);
    return problems->error_count == 0 ? build.settings : cg_settings_free(build.settings);
}

struct cg_settings *cg_settings_free(struct cg_settings *settings)
{
    if (settings == NULL)
        return NULL;
    settings->ruleset = cg_ruleset_destroy(settings->ruleset);
    OPENSSL_cleanse(&settings->secret, sizeof settings->secret);
    OPENSSL_cleanse(&settings->secret_previous, sizeof settings->secret_previous);
    return NULL;
}

void cg_settings_print_problem(const struct cg_problem *problem, struct cg_buf *out)
{
    if (problem->file[0] != '\0')
        cg_buf_printf(out, "%s:", problem->file);
    if (problem->line > 0)
        cg_buf_printf(out, "%u:", problem->line);
    if (problem->file[0] != '\0')
        cg_buf_add_char(out, ' ');
    if (!cg_str_empty(problem->path)) {
        cg_buf_add_str(out, problem->path);
        cg_buf_add_text(out, ": ");
    }
    if (problem->severity == CG_PROBLEM_WARNING)
        cg_buf_add_text(out, "warning: ");
    cg_buf_add_str(out, problem->message);
    cg_buf_add_char(out, '\n');
}
