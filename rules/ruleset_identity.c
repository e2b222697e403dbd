#include "rules/ruleset_build.h"

enum { SOURCES_MAX = 8 };

/*
 * Request fields that look like identity or credential (CONSISTENCY row 19). Too many cost hits
 * until an operator declares the field; too few give one user's answer to another.
 */
static const char *const credential_globs[] = {
    "authorization",
    "proxy-authorization",
    "*auth*",
    "*token*",
    "*jwt*",
    "*bearer*",
    "*api-key*",
    "*api_key*",
    "*apikey*",
    "*access-key*",
    "*secret*",
    "*password*",
    "*passwd*",
    "*credential*",
    "*signature*",
    "*session*",
    "*csrf*",
    "*xsrf*",
    "*user*",
    "*login*",
    "x-forwarded-email*",
    "x-forwarded-groups*",
    "x-forwarded-preferred-username*",
    "x-amzn-oidc-*",
    "cf-access-*",
    "x-goog-iap-*",
    "*identity*",
    "*principal*",
    "*impersonate*",
    "*act-as*",
    "*tenant*",
    "*account*",
    "*organization*",
    "*organisation*",
    "x-org",
    "x-org-*",
    "*workspace*",
    "*customer*",
    "*client-id*",
    "*client_id*",
    "*client-cert*",
    "ssl-client-*",
    "x-ssl-*",
    "*role*",
    "*permission*",
    "*device-id*",
    "*email*",
    "*groups*",
    "*claim*",
    "*assertion*",
    "*ticket*",
    "*subject*",
    "*oidc*",
    "*saml*",
    "*shib*",
    "*company*",
    "*merchant*",
    "*member*",
    "x-consumer*",
    "x-team*",
    "x-hasura-*",
    "iv-*",
    "dpop",
    "uid",
    "x-uid*",
    "sid",
    "x-sid*",
};

/* Ordinary fields that a glob above would catch. */
static const struct exemption {
    const char *glob;
    const char *why;
} exemptions[] = {
    {"user-agent", "names the program, not the user; browsers send it everywhere"},
    {"*-user-agent", "copies of User-Agent, sent by API clients"},
    {"authority", "the name of the host, as HTTP/2 libraries may pass it on"},
    {"www-authenticate", "a field of answers"},
    {"proxy-authenticate", "a field of answers"},
    {"authentication-info", "a field of answers"},
    {"accept-signature", "asks for a signature; carries none"},
    {"access-control-*", "asks about another request's permissions; carries none"},
    {"sec-fetch-*", "set by browsers about the page, not about the user"},
    {"sec-ch-*", "client hints: about the program and the screen"},
};

uint32_t cg_name_letters(struct cg_str name)
{
    uint32_t letters = 0;
    for (size_t i = 0; i < name.length; i++)
        if (name.bytes[i] >= 'a' && name.bytes[i] <= 'z')
            letters |= 1u << (unsigned)(name.bytes[i] - 'a');
    return letters;
}

bool cg_identity_is_credential(const struct cg_identity_rules *identity, struct cg_str name)
{
    for (size_t i = 0; i < sizeof exemptions / sizeof *exemptions; i++)
        if (cg_str_glob(cg_str_from(exemptions[i].glob), name)) {
            /* What the operator names stands all the same. */
            for (size_t j = sizeof credential_globs / sizeof *credential_globs;
                 j < identity->credential_names.count; j++)
                if (cg_str_glob(identity->credential_names.items[j], name))
                    return true;
            return false;
        }
    for (size_t i = 0; i < identity->credential_names.count; i++)
        if (cg_str_glob(identity->credential_names.items[i], name))
            return true;
    return false;
}

static void take_credentials(struct cg_build *build, const struct cg_node *extra)
{
    const size_t built_in = sizeof credential_globs / sizeof *credential_globs;
    struct cg_names more = {0};
    struct cg_names *names = &build->ruleset->identity.credential_names;
    if (extra != NULL)
        cg_build_names(build, extra, CG_BUILD_HEADER_GLOB, &more);
    names->items = CG_ARENA_ARRAY(build->arena, struct cg_str, built_in + more.count);
    for (size_t i = 0; i < built_in; i++)
        names->items[names->count++] = cg_str_from(credential_globs[i]);
    for (size_t i = 0; i < more.count; i++)
        names->items[names->count++] = more.items[i];
    uint32_t *letters = CG_ARENA_ARRAY(build->arena, uint32_t, names->count);
    for (size_t i = 0; i < names->count; i++)
        letters[i] = cg_name_letters(names->items[i]);
    build->ruleset->identity.credential_letters = letters;
}

/* The field's name of `{header: NAME}` or `{cookie: NAME}`. */
static bool read_field(struct cg_build *build, const struct cg_node *node,
                       struct cg_identity_source *source)
{
    const struct cg_node *header = cg_node_get(node, "header");
    const struct cg_node *cookie = cg_node_get(node, "cookie");
    if ((header == NULL) == (cookie == NULL)) {
        CG_BUILD_ERROR(build, node, "an identity source has exactly one of `header` and `cookie`");
        return false;
    }
    const struct cg_node *field = header != NULL ? header : cookie;
    source->kind = header != NULL ? CG_IDENTITY_HEADER : CG_IDENTITY_COOKIE;
    return cg_node_expect(field, CG_NODE_SCALAR, build->problems) &&
           cg_build_name(build, field, field->text,
                         header != NULL ? CG_BUILD_IDENTITY_HEADER : CG_BUILD_COOKIE,
                         &source->field);
}

static bool read_source_name(struct cg_build *build, const struct cg_node *name,
                             struct cg_identity_source *source)
{
    if (!cg_node_expect(name, CG_NODE_SCALAR, build->problems))
        return false;
    if (!cg_str_eq(name->text, CG_STR("user"))) {
        CG_BUILD_ERROR(build, name,
                       "`%.*s`: the only name so far is `user`, for the source whose value is "
                       "{user} in rules",
                       CG_STR_SHOWN(name->text));
        return false;
    }
    if (build->ruleset->identity.has_user) {
        CG_BUILD_ERROR(build, name, "two sources are called `user`");
        return false;
    }
    source->is_user = build->ruleset->identity.has_user = true;
    return true;
}

static void read_source(struct cg_build *build, const struct cg_node *node)
{
    static const char *const keys[] = {"header", "cookie", "name"};
    struct cg_identity_rules *identity = &build->ruleset->identity;
    struct cg_identity_source source = {0};
    if (node->kind == CG_NODE_SCALAR) {
        CG_BUILD_ERROR(build, node, "expected {header: NAME} or {cookie: NAME}, found `%.*s`",
                       CG_STR_SHOWN(node->text));
        return;
    }
    if (!cg_node_expect(node, CG_NODE_MAP, build->problems) ||
        !cg_node_known_keys(node, keys, sizeof keys / sizeof *keys, build->problems))
        return;
    const struct cg_node *name = cg_node_get(node, "name");
    if (!read_field(build, node, &source) ||
        (name != NULL && !read_source_name(build, name, &source)))
        return;
    for (size_t i = 0; i < identity->source_count; i++)
        if (identity->sources[i].kind == source.kind &&
            cg_str_eq(identity->sources[i].field, source.field)) {
            CG_BUILD_ERROR(build, node, "`%.*s` is given twice", CG_STR_SHOWN(source.field));
            return;
        }
    identity->sources[identity->source_count++] = source;
}

static void read_sources(struct cg_build *build, const struct cg_node *list)
{
    if (!cg_node_expect(list, CG_NODE_LIST, build->problems))
        return;
    if (list->count == 0 || list->count > SOURCES_MAX) {
        CG_BUILD_ERROR(build, list, "identity has 1 to %d sources, such as {header: X-User-Id}",
                       (int)SOURCES_MAX);
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        read_source(build, list->items[i]);
}

void cg_build_identity(struct cg_build *build)
{
    static const char *const keys[] = {"sources", "credentials"};
    const struct cg_node *node = build->options->identity;
    struct cg_identity_rules *identity = &build->ruleset->identity;
    const struct cg_node *sources = node, *credentials = NULL;
    identity->sources = CG_ARENA_ARRAY(build->arena, struct cg_identity_source, SOURCES_MAX);
    if (node != NULL && node->kind == CG_NODE_MAP) {
        if (cg_node_get(node, "header") != NULL || cg_node_get(node, "cookie") != NULL)
            CG_BUILD_ERROR(build, node, "sources stand in a list, such as [{header: X-User-Id}]");
        else
            (void)cg_node_known_keys(node, keys, sizeof keys / sizeof *keys, build->problems);
        sources = cg_node_get(node, "sources");
        credentials = cg_node_get(node, "credentials");
    }
    if (sources != NULL && sources->kind != CG_NODE_NULL)
        read_sources(build, sources);
    if (identity->source_count == 0)
        identity->sources[identity->source_count++] = (struct cg_identity_source){
            .kind = CG_IDENTITY_HEADER, .field = CG_STR("authorization")};
    take_credentials(build, credentials);
}
