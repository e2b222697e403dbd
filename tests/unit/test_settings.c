#include "gateway/config/settings_load.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder with files, a made-up environment and flags; gone with the test. */
static struct cg_arena arena;
static struct cg_problems problems;
static char folder[64];
static const char *variables[8][2];
static size_t variable_count;
static struct cg_settings_flag flags[16];
static size_t flag_count;

static void begin(void)
{
    cg_arena_init(&arena, CG_SETTINGS_ARENA_BYTES);
    problems = (struct cg_problems){.arena = &arena};
    snprintf(folder, sizeof folder, "/tmp/cachegate-settings-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static const char *path_of(const char *name)
{
    return cg_arena_printf(&arena, "%s/%s", folder, name).bytes;
}

static void end(void)
{
    static const char *const names[] = {"c.yaml", "rules.yaml", "more.yaml",   "secret",
                                        "a.pem",  "previous",   "pushed.yaml", "empty"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    rmdir(folder);
    cg_arena_fini(&arena);
}
TestSuite(settings, .init = begin, .fini = end);

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *variable_of(void *owner, const char *name)
{
    (void)owner;
    for (size_t i = 0; i < variable_count; i++)
        if (strcmp(variables[i][0], name) == 0)
            return variables[i][1];
    return NULL;
}

static void set_variable(const char *name, const char *value)
{
    variables[variable_count][0] = name;
    variables[variable_count++][1] = value;
}

static void set_flag(const char *flag, const char *path, const char *value)
{
    flags[flag_count++] = (struct cg_settings_flag){flag, cg_str_from(path), cg_str_from(value)};
}

static struct cg_settings *load(const char *config, bool rules_only)
{
    struct cg_settings_source source = {
        .file = config == NULL ? NULL : path_of("c.yaml"),
        .flags = flags,
        .flag_count = flag_count,
        .variable = variable_of,
        .rules_only = rules_only,
        .machine = folder, /* which has no limits */
    };
    problems.count = problems.error_count = 0;
    if (config != NULL)
        write_file("c.yaml", config);
    return cg_settings_load(&source, &arena, &problems);
}

static const char *all_problems(void)
{
    struct cg_buf out;
    cg_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < problems.count; i++)
        cg_settings_print_problem(&problems.items[i], &out);
    const char *text = cg_arena_copy(&arena, cg_buf_str(&out)).bytes;
    cg_buf_fini(&out);
    return text;
}

static struct cg_settings *loaded(const char *config)
{
    struct cg_settings *settings = load(config, false);
    cr_assert_not_null(settings, "%s", all_problems());
    return settings;
}

#define A16  "aaaaaaaaaaaaaaaa"
#define BASE "listen: ':80'\nupstream: http://api\n"

Test(settings, a_listener_and_an_upstream_are_enough)
{
    struct cg_settings *settings = loaded(BASE);
    cr_expect_eq(settings->listener_count, 1u);
    cr_expect_eq(settings->listeners[0].address.port, 80);
    cr_expect_eq(settings->upstream_count, 1u);
    cr_expect_str_eq(settings->upstreams[0].name, "default");
    cr_expect(settings->upstreams[0].preserve_host);
    cr_expect(settings->upstreams[0].tls_verify);
    cr_expect_eq(settings->upstreams[0].connect_timeout_ms, 2000u);
    cr_expect(settings->cache_enabled);
    cr_expect_geq(settings->threads, 1u);
    cr_expect_eq(settings->memory_bytes, (size_t)256 << 20);
    cr_expect_str_eq(settings->via, "cachegate");
    cr_expect_str_eq(settings->log_level, "info");
    cr_expect_not(settings->has_admin);
    cr_expect_not(settings->secret_given);
    cr_expect_not_null(settings->ruleset);
    cr_expect_eq(settings->limits.http2_streams_max, 100u);
    cg_settings_free(settings);
    cr_expect_null(cg_settings_free(NULL));
}

Test(settings, without_a_secret_each_start_has_its_own)
{
    struct cg_settings *one = loaded(BASE), *two = loaded(BASE);
    cr_expect(memcmp(&one->secret, &two->secret, sizeof one->secret) != 0);
    cg_settings_free(one);
    cg_settings_free(two);
}

Test(settings, json_is_read_as_yaml_is)
{
    struct cg_settings *settings =
        loaded("{\"listen\": [\"127.0.0.1:0\", {\"address\": \"unix:/tmp/x\", "
               "\"proxy_protocol\": true}],\n \"upstream\": \"http://api\", \"threads\": 3}");
    cr_expect_eq(settings->listener_count, 2u);
    cr_expect(settings->listeners[1].proxy_protocol);
    cr_expect_eq(settings->threads, 3u);
    cg_settings_free(settings);
}

Test(settings, a_flag_wins_over_a_variable_over_the_file_over_the_default)
{
    struct cg_settings *settings = loaded(BASE "drain_timeout: 7s\n");
    cr_expect_eq(settings->drain_timeout_ms, 7000u);
    cg_settings_free(settings);
    set_variable("CACHEGATE_DRAIN_TIMEOUT", "8s");
    settings = loaded(BASE "drain_timeout: 7s\n");
    cr_expect_eq(settings->drain_timeout_ms, 8000u);
    cg_settings_free(settings);
    set_flag("--set", "drain_timeout", "9s");
    settings = loaded(BASE "drain_timeout: 7s\n");
    cr_expect_eq(settings->drain_timeout_ms, 9000u);
    cg_settings_free(settings);
    set_flag("--set", "drain_timeout", "10s");
    settings = loaded(BASE);
    cr_expect_eq(settings->drain_timeout_ms, 10000u, "the last flag counts");
    cg_settings_free(settings);
}

Test(settings, the_cache_can_be_switched_off_by_a_variable)
{
    set_variable("CACHEGATE_CACHE", "off");
    struct cg_settings *settings = loaded(BASE);
    cr_expect_not(settings->cache_enabled);
    cr_expect_not(settings->ruleset->cache_enabled);
    cg_settings_free(settings);
}

Test(settings, an_empty_variable_counts_as_unset)
{
    set_variable("CACHEGATE_THREADS", "");
    struct cg_settings *settings = loaded(BASE "threads: 2\n");
    cr_expect_eq(settings->threads, 2u);
    cg_settings_free(settings);
}

Test(settings, flags_alone_suffice)
{
    write_file("rules.yaml", "routes: [{match: GET /a, ttl: 1m}]");
    set_flag("--listen", "listen", "127.0.0.1:0");
    set_flag("--listen", "listen", "[::1]:0");
    set_flag("--upstream", "upstream", "http://api:3000");
    set_flag("--rules", "rules", path_of("rules.yaml"));
    set_flag("--admin", "admin.listen", "127.0.0.1:9");
    set_flag("--threads", "threads", "2");
    struct cg_settings *settings = loaded(NULL);
    cr_expect_eq(settings->listener_count, 2u);
    cr_expect_eq(settings->upstreams[0].address.port, 3000);
    cr_expect_eq(settings->ruleset->route_count, 1u);
    cr_expect(settings->has_admin);
    cr_expect_eq(settings->admin.port, 9);
    cg_settings_free(settings);
}

Test(settings, given_listeners_replace_those_of_the_file)
{
    set_variable("CACHEGATE_LISTEN", "127.0.0.1:1, unix:/tmp/x");
    struct cg_settings *settings = loaded(BASE);
    cr_expect_eq(settings->listener_count, 2u);
    cr_expect_eq(settings->listeners[0].address.port, 1);
    cr_expect_str_eq(settings->listeners[1].address.path, "/tmp/x");
    cg_settings_free(settings);
    set_flag("--listen", "listen", "127.0.0.1:2");
    settings = loaded(BASE);
    cr_expect_eq(settings->listener_count, 1u);
    cr_expect_eq(settings->listeners[0].address.port, 2);
    cg_settings_free(settings);
}

static const char several[] =
    "listen: ':80'\nupstreams:\n"
    "  api: {url: 'http://api', host: upstream, timeouts: {total: 5s}, connections: 7}\n"
    "  feed: https://feed\n";

Test(settings, several_upstreams_have_their_own_options)
{
    struct cg_settings *settings = loaded(several);
    cr_expect_eq(settings->upstream_count, 2u);
    cr_expect_not(settings->upstreams[0].preserve_host);
    cr_expect_eq(settings->upstreams[0].total_timeout_ms, 5000u);
    cr_expect_eq(settings->upstreams[0].connections_max, 7u);
    cr_expect(settings->upstreams[1].tls);
    cr_expect_eq(settings->upstreams[1].total_timeout_ms, 0u);
    cg_settings_free(settings);
}

Test(settings, a_named_upstream_flag_replaces_one_and_a_plain_one_all)
{
    set_flag("--upstream", "upstream", "feed=http://other:81");
    set_flag("--set", "upstreams.api.timeouts.connect", "1s");
    struct cg_settings *settings = loaded(several);
    cr_expect_eq(settings->upstream_count, 2u);
    cr_expect_str_eq(settings->upstreams[0].authority, "api");
    cr_expect_eq(settings->upstreams[0].connect_timeout_ms, 1000u);
    cr_expect_str_eq(settings->upstreams[1].authority, "other:81");
    cg_settings_free(settings);
    set_flag("--upstream", "upstream", "http://only/?a=b");
    cr_expect_null(load(several, false));
    flag_count = 0;
    set_flag("--upstream", "upstream", "http://only");
    settings = loaded(several);
    cr_expect_eq(settings->upstream_count, 1u);
    cr_expect_str_eq(settings->upstreams[0].authority, "only");
    cg_settings_free(settings);
}

Test(settings, rule_files_are_relative_to_the_file_and_globs_are_sorted)
{
    write_file("rules.yaml", "routes: [{match: GET /second, ttl: 1m}]");
    write_file("more.yaml", "routes: [{match: GET /first, ttl: 1m}]");
    struct cg_settings *settings = loaded(BASE "rules: ['*or*.yaml', rules.yaml]\n");
    cr_expect_eq(settings->ruleset->route_count, 2u);
    cr_expect(cg_str_eq(settings->ruleset->routes[0].name, CG_STR("GET /first")));
    cg_settings_free(settings);
}

Test(settings, secrets_come_from_files_without_the_last_newline)
{
    write_file("secret", "0123456789abcdef\n");
    struct cg_settings *settings =
        loaded(BASE "secret_file: secret\nadmin: {listen: ':81', token_file: secret}\n");
    struct cg_secret expected;
    cg_secret_from_text(CG_STR("0123456789abcdef"), &expected);
    cr_expect(settings->secret_given);
    cr_expect(memcmp(&settings->secret, &expected, sizeof expected) == 0);
    cr_expect(cg_str_eq(settings->admin_token, CG_STR("0123456789abcdef")));
    cg_settings_free(settings);
    set_variable("CACHEGATE_ADMIN_TOKEN", "from-outside");
    settings = loaded(BASE "admin: {listen: ':81', token_file: nowhere}\n");
    cr_expect(cg_str_eq(settings->admin_token, CG_STR("from-outside")),
              "a variable wins over the file's file");
    cg_settings_free(settings);
}

Test(settings, rules_alone_need_neither_listener_nor_upstream)
{
    write_file("rules.yaml", "routes: [{match: GET /a, ttl: 1m}]");
    set_flag("--rules", "rules", path_of("rules.yaml"));
    struct cg_settings *settings = load(NULL, true);
    cr_assert_not_null(settings, "%s", all_problems());
    cr_expect_eq(settings->ruleset->route_count, 1u);
    cg_settings_free(settings);
}

Test(settings, the_access_log_goes_nowhere_to_stdout_or_to_a_file)
{
    struct cg_settings *settings = loaded(BASE);
    cr_expect_str_eq(settings->log_access, "off");
    cr_expect_str_eq(settings->log_access_format, "json");
    cr_expect_str_eq(settings->tracing, "sampled");
    cr_expect_eq(settings->log_secret_count, 0u);
    cg_settings_free(settings);
    settings = loaded(BASE "log: {access: stdout, access_format: combined}\ntraceparent: pass");
    cr_expect_str_eq(settings->log_access, "stdout");
    cr_expect_str_eq(settings->tracing, "pass");
    cg_settings_free(settings);
    settings = loaded(BASE "log: {access: logs/a.log, secret_query: [Customer-Id, 'x*']}");
    cr_expect_str_eq(settings->log_access, path_of("logs/a.log"), "as the file sees it");
    cr_assert_eq(settings->log_secret_count, 2u);
    cr_expect(cg_str_eq(settings->log_secrets[0], CG_STR("customer_id")));
    cg_settings_free(settings);
    set_variable("CACHEGATE_LOG_SECRET_QUERY", "a, b-c");
    set_flag("--access-log", "log.access", "a.log");
    settings = loaded(BASE "log: {access: stdout, secret_query: [d]}");
    cr_expect_str_eq(settings->log_access, "a.log", "as the shell sees it");
    cr_assert_eq(settings->log_secret_count, 2u);
    cr_expect(cg_str_eq(settings->log_secrets[1], CG_STR("b_c")));
    cg_settings_free(settings);
}

/* ---- mistakes ---- */

struct mistake {
    const char *config;
    const char *says; /* with place: "line: path: …" */
};

static const struct mistake mistakes[] = {
    {"upstream: http://api", "listen: nothing says where to listen; give --listen"},
    {"listen: ':80'", "upstream: nothing says what stands behind the gateway; give --upstream"},
    {"listen: ['80']\nupstream: http://api", ":1: listen[0]: `80`: a port alone"},
    {"listen: {tls: on}\nupstream: http://api", ":1: listen: a listener needs `address`"},
    {BASE "listen2: x", ":3: listen2: unknown key `listen2`; did you mean `listen`?"},
    {BASE "limits: {request_bodi: 1MB}", "did you mean `request_body`?"},
    {BASE "limits: 5", "limits: expected a map with `request_body`"},
    {BASE "admin: {listn: ':1'}", "did you mean `listen`?"},
    {BASE "admin: [a]", "admin: expected a map"},
    {"listen: [{address: ':1', tsl: on}]\nupstream: http://api", "did you mean `tls`?"},
    {"listen: ':1'\nupstreams: {a: {url: 'http://a', timeouts: {conect: 1s}}}",
     "did you mean `connect`?"},
    {"listen: ':1'\nupstreams: {a: {ulr: 'http://a'}}", "did you mean `url`?"},
    {"listen: ':1'\nupstreams: {a: {host: client}}", "needs `url`"},
    {"listen: ':1'\nupstreams: {a b: 'http://a'}", "the name of an upstream"},
    {"listen: ':1'\nupstreams: [http://a]", "upstreams: expected a map, found a list"},
    {"listen: ':1'\nupstreams: {a: {url: 'http://a', host: clinet}}", "did you mean `client`?"},
    {BASE "upstreams: {a: 'http://a'}", "exclude each other"},
    {BASE "threads: 0", ":3: threads: 0 is out of range: from 1 to 256"},
    {BASE "threads: 99999999999", "threads: 99999999999 is out of range: from 1 to 256"},
    {BASE "threads: many", "threads: expected a whole number, found 'many'"},
    {BASE "threads: [1]", "threads: expected a whole number, found a list"},
    {BASE "cache: perhaps", "cache: `perhaps`: expected on or off"},
    {BASE "log: {level: loud}", "expected one of error|warn|info|debug"},
    {BASE "store: {redis: 'http://:hunter2@h'}", "store.redis: the URL must begin with redis://"},
    {BASE "store: {redis: 'rediss://h?ca=/nowhere/ca.pem'}",
     "store.redis: cannot read /nowhere/ca.pem"},
    {BASE "store: {redis: 'redis+cluster://h/3'}", "store.redis: Redis Cluster has no database"},
    {BASE "store: {redis: 'redis+sentinel://h'}",
     "store.redis: the name of the primary is missing"},
    {BASE "store: {redis: 'redis://h', namespace: 'a b'}", "store.namespace"},
    {BASE "store: {namespace: " A16 A16 A16 A16 "b}", "store.namespace: is longer than 64 bytes"},
    {BASE "store: {entry_max: 200MB}", "more than an eighth of store.memory"},
    {BASE "store: {lease: 10s, gone_after: 29s}", "less than three times store.lease"},
    {BASE "rules: nowhere.yaml", "nowhere.yaml"},
    {BASE "rules: 'no*.yaml'", "rules: no file matches"},
    {BASE "rules: {a: b}", "rules: expected a rule file, found a map"},
    {BASE "routes: []\ngroups: {}", "routes: these are rules and no configuration"},
    {BASE "rules: [bad.yaml]", "bad.yaml"},
    {BASE "secret_file: nowhere", "secret_file: cannot read"},
    {BASE "secret_file: empty", "is empty"},
    {BASE "secret: a-secret-of-some-length\nsecret_file: empty", "exclude each other"},
    {BASE "secret_previous: the-hunter2-of-last-year", "secret_previous: there is no `secret`"},
    {BASE "secret: a-secret-of-some-length\nsecret_previous: hunter2\nsecret_previous_file: empty",
     "`secret_previous` and `secret_previous_file` exclude each other"},
    {BASE "admin: {listen: ':81', token: 'two words'}", "must be printable ASCII without spaces"},
    {BASE "admin: ':80'", "admin: traffic arrives at that address already"},
    {"listen: [':80', '127.0.0.1:80', ':80']\nupstream: http://api",
     "listen[2]: :80 is listened on twice"},
    {"listen: [{address: ':80', tls: on}]\nupstream: http://api",
     "tls.certificate: a listener speaks TLS, which needs a certificate; give --tls-certificate"},
    {"listen: [{address: ':80', tls: on}]\nupstream: http://api", "tls.key: a listener speaks TLS"},
    {BASE "tls: {certificate: nowhere.pem}", "tls.certificate: cannot read"},
    {"listen: ':80'\nupstreams: {a: {url: 'https://a', tls: {ca: nowhere.pem}}}",
     "upstreams.a.tls.ca: cannot read"},
    {"listen: ':80'\nupstream: http://user:hunter2@api", "`http://***@api`: a user and password"},
    {BASE "log: {access: on}",
     "log.access: expected off, stdout or the name of a file, found 'on'"},
    {BASE "log: {access: [stdout]}", "log.access: expected off, stdout or a file, found a list"},
    {BASE "log: {access_format: apache}", "log.access_format: expected one of json|combined"},
    {BASE "log: {secret_query: [a, '-']}", "expected the name of a query parameter"},
    {BASE "log: {secret_query: {a: b}}", "log.secret_query: expected a list"},
    {BASE "log: {requests: on}", "log.requests: unknown key"},
    {"just text", "expected a map, found text"},
    {BASE "threads: ${NOT_SET}", "NOT_SET is not set"},
};

Test(settings, every_mistake_is_reported_with_its_place_and_a_remedy)
{
    write_file("empty", "");
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        cr_expect_null(load(mistakes[i].config, false), "%s", mistakes[i].config);
        const char *text = all_problems();
        cr_expect_not_null(strstr(text, mistakes[i].says), "%s\n%s\n%s", mistakes[i].config,
                           mistakes[i].says, text);
        cr_expect_null(strstr(text, "hunter2"), "a secret is printed: %s", text);
    }
}

Test(settings, all_mistakes_of_configuration_and_rules_come_in_one_run)
{
    write_file("rules.yaml", "routes: [{match: GET /a, tll: 1m}]");
    cr_expect_null(load("listen: '80'\nupstream: ftp://a\nthreads: x\nrules: rules.yaml\n", false));
    const char *text = all_problems();
    static const char *const expected[] = {"c.yaml:1: listen:", "c.yaml:2: upstream:",
                                           "c.yaml:3: threads:", "rules.yaml:1: routes[0]"};
    for (size_t i = 0; i < 4; i++)
        cr_expect_not_null(strstr(text, expected[i]), "%s in %s", expected[i], text);
}

Test(settings, mistakes_from_outside_name_the_variable_or_flag)
{
    set_variable("CACHEGATE_THREADS", "many");
    set_flag("--listen", "listen", "nowhere");
    set_flag("--set", "log.levle", "info");
    set_flag("--set", "rules", "x.yaml");
    cr_expect_null(load(BASE, false));
    const char *text = all_problems();
    static const char *const expected[] = {
        "environment: CACHEGATE_THREADS: ", "--listen: listen: ",
        "--set: log.levle: there is no such option; did you mean `log.level`?",
        "--set takes single values only"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        cr_expect_not_null(strstr(text, expected[i]), "%s in %s", expected[i], text);
}

#define REDIS BASE "store: {redis: 'redis://h'}\nsecret: a-secret-of-some-length\n"

Test(settings, previous_secret_comes_from_text_file_or_variable)
{
    struct cg_secret expected;
    cg_secret_from_text(CG_STR("0123456789abcdef"), &expected);
    write_file("previous", "0123456789abcdef\n");
    struct cg_settings *settings = loaded(REDIS "secret_previous: 0123456789abcdef\n");
    cr_expect(settings->secret_previous_given);
    cr_expect(memcmp(&settings->secret_previous, &expected, sizeof expected) == 0);
    cr_expect_not_null(settings->ruleset->previous);
    cg_settings_free(settings);
    settings = loaded(REDIS "secret_previous_file: previous\n");
    cr_expect(memcmp(&settings->secret_previous, &expected, sizeof expected) == 0);
    cg_settings_free(settings);
    settings = loaded(REDIS);
    cr_expect_not(settings->secret_previous_given);
    cr_expect_null(settings->ruleset->previous);
    cg_settings_free(settings);
    set_variable("CACHEGATE_SECRET_PREVIOUS", "0123456789abcdef");
    settings = loaded(REDIS);
    cr_expect(memcmp(&settings->secret_previous, &expected, sizeof expected) == 0);
    cg_settings_free(settings);
}

Test(settings, doubtful_things_are_warnings_and_do_not_stop)
{
    static const struct mistake doubts[] = {
        {BASE, "rules: warning: there are no rules"},
        {BASE "secret: short", "secret: warning: the secret is short"},
        {REDIS "secret_previous: short", "secret_previous: warning: the secret is short"},
        {REDIS "secret_previous: a-secret-of-some-length",
         "secret_previous: warning: has no effect: it is the same as `secret`"},
        {BASE "secret: a-secret-of-some-length\nsecret_previous: one-of-some-other-length",
         "secret_previous: warning: has no effect: the embedded store"},
        {BASE "store: {on_outage: memory}", "store.on_outage: warning: has no effect"},
        {BASE "store: {on_unpurgeable: lease}", "store.on_unpurgeable: warning: has no effect"},
        {BASE "tls: {certificate: a.pem}", "tls.certificate: warning: has no effect"},
        {"listen: ':80'\nupstreams: {a: {url: 'http://a', tls: {verify: off}}}",
         "upstreams.a.tls: warning: has no effect"},
        {BASE "rules: pushed.yaml",
         "`consistency: pushed` is the same as strict: there is no store"},
        {REDIS "rules: pushed.yaml\nthreads: 1", NULL},
        {BASE "store: {redis: 'redis://h', near: 0}\nrules: pushed.yaml",
         "strict: store.near is 0"},
        {BASE "store: {redis: 'redis+cluster://h'}\nrules: pushed.yaml",
         "strict: the servers of a Cluster are not watched"},
    };
    write_file("a.pem", "");
    write_file("pushed.yaml", "routes: [{match: GET /a, ttl: 1m, consistency: pushed}]\n");
    for (size_t i = 0; i < sizeof doubts / sizeof doubts[0]; i++) {
        struct cg_settings *settings = loaded(doubts[i].config);
        const char *text = all_problems();
        if (doubts[i].says == NULL)
            cr_expect_null(strstr(text, "the same as strict"), "%s: %s", doubts[i].config, text);
        else
            cr_expect_not_null(strstr(text, doubts[i].says), "%s: %s", doubts[i].config, text);
        cg_settings_free(settings);
    }
}
