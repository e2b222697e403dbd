#include "cachegate/assert.h"
#include "gateway/config/address.h"
#include "gateway/config/settings_build.h"

static const char an_address[] = "an address (host:port, [v6]:port, :port or unix:/path)";

static bool read_address(const struct cg_settings_build *build, const struct cg_node *node,
                         struct cg_address *ret_address)
{
    struct cg_str text;
    const char *error;
    if (!cg_settings_text(build, node, an_address, &text))
        return false;
    if (cg_address_parse(text, build->arena, ret_address, &error))
        return true;
    cg_problem_add(build->problems, CG_PROBLEM_ERROR, node, "`%.*s`: %s", CG_STR_SHOWN(text),
                   error);
    return false;
}

static void add_listener(const struct cg_settings_build *build, const struct cg_node *where,
                         const struct cg_listener_settings *listener)
{
    struct cg_settings *settings = build->settings;
    if (settings->listener_count == CG_LISTENERS_MAX) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "more than %d listeners",
                       CG_LISTENERS_MAX);
        return;
    }
    for (size_t i = 0; i < settings->listener_count; i++)
        if (cg_address_eq(&settings->listeners[i].address, &listener->address)) {
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, where,
                           "%s is listened on twice; leave one of them out",
                           cg_address_text(&listener->address, build->arena).bytes);
            return;
        }
    settings->listeners[settings->listener_count++] = *listener;
}

/* An address, or a map with an address and more. */
static void read_listener(const struct cg_settings_build *build, const struct cg_node *node)
{
    struct cg_listener_settings listener = {0};
    const struct cg_node *address = node;
    if (node->kind == CG_NODE_MAP) {
        address = cg_node_get(node, "address");
        if (address == NULL) {
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, node,
                           "a listener needs `address`: %s", an_address);
            return;
        }
        /* Elements of a list have no name, so neither a flag nor a variable can mean them. */
        for (size_t i = 0; i < cg_option_count(); i++) {
            const struct cg_option *option = cg_option_at(i);
            if (option->home == CG_HOME_LISTENER && !option->special)
                cg_option_read(option, cg_node_get(node, option->path), build->folder, &listener,
                               build->arena, build->problems);
        }
    }
    if (read_address(build, address, &listener.address))
        add_listener(build, node, &listener);
}

/* True when some flag gave a listener: then the file's are not used. */
static bool read_flags(const struct cg_settings_build *build)
{
    bool given = false;
    for (size_t i = 0; i < build->source->flag_count; i++) {
        const struct cg_settings_flag *flag = &build->source->flags[i];
        if (!cg_str_eq(flag->path, CG_STR("listen")))
            continue;
        const struct cg_node *node = cg_settings_flag_node(build, flag);
        struct cg_listener_settings listener = {.tls = strcmp(flag->flag, "--tls-listen") == 0};
        given = true;
        if (read_address(build, node, &listener.address))
            add_listener(build, node, &listener);
    }
    return given;
}

static bool read_variable(const struct cg_settings_build *build)
{
    const struct cg_node *node = cg_settings_find_variable(build, "listen");
    if (node == NULL)
        return false;
    struct cg_str rest = node->text, part;
    while (cg_str_split(&rest, ',', &part)) {
        struct cg_node *one = CG_ARENA_NEW(build->arena, struct cg_node);
        *one = *node;
        one->text = cg_str_trim(part);
        read_listener(build, one);
    }
    return true;
}

void cg_settings_read_listeners(const struct cg_settings_build *build)
{
    build->settings->listeners =
        CG_ARENA_ARRAY(build->arena, struct cg_listener_settings, CG_LISTENERS_MAX);
    const struct cg_node *listen = cg_node_get(build->root, "listen");
    size_t errors = build->problems->error_count;
    if (read_flags(build) || read_variable(build))
        listen = NULL;
    if (listen != NULL && listen->kind == CG_NODE_LIST)
        for (size_t i = 0; i < listen->count; i++)
            read_listener(build, listen->items[i]);
    else if (listen != NULL && listen->kind != CG_NODE_NULL)
        read_listener(build, listen);
    if (build->settings->listener_count == 0 && !build->source->rules_only &&
        errors == build->problems->error_count) {
        struct cg_node nowhere = cg_settings_nowhere(build, "listen");
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &nowhere,
                       "nothing says where to listen; give --listen :8080, or `listen` in the "
                       "configuration file");
    }
}

void cg_settings_read_admin(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    const char *folder;
    const struct cg_node *node = cg_settings_find(build, "", build->root, "admin.listen", &folder);
    if (node == NULL || !read_address(build, node, &settings->admin))
        return;
    settings->has_admin = true;
    for (size_t i = 0; i < settings->listener_count; i++)
        if (cg_address_eq(&settings->listeners[i].address, &settings->admin))
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, node,
                           "traffic arrives at that address already; the admin API needs its own");
}
