#include "tests/compile_rules.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

static struct compiled world;

static void setup(void)
{
    compiled_init(&world);
}

static void teardown(void)
{
    compiled_fini(&world);
}

TestSuite(tree, .init = setup, .fini = teardown);

static struct cg_node *parse(const char *text)
{
    return compiled_parse(&world, cg_str_from(text), "f.yaml");
}

static struct cg_node *scalar(const char *text, bool quoted)
{
    struct cg_node *node = CG_ARENA_NEW(&world.arena, struct cg_node);
    *node = (struct cg_node){.kind = CG_NODE_SCALAR,
                             .text = cg_str_from(text),
                             .quoted = quoted,
                             .file = "f.yaml",
                             .line = 3,
                             .path = CG_STR("a.b")};
    return node;
}

static bool is(struct cg_str s, const char *text)
{
    return cg_str_eq(s, cg_str_from(text));
}

/* ---- structure ---- */

Test(tree, every_node_knows_its_kind_line_and_path)
{
    struct cg_node *root = parse("# comment\n"
                                 "a: 1\n"
                                 "b:\n"
                                 "  - x: 'q'\n"
                                 "    y: {z: [1, 2]}\n"
                                 "  - ~\n");
    cr_assert_not_null(root, "%s", compiled_problems(&world));
    cr_expect_eq(root->kind, CG_NODE_MAP);
    cr_expect_eq(root->count, 2);
    const struct cg_node *list = cg_node_get(root, "b");
    cr_assert_not_null(list);
    cr_expect_eq(list->kind, CG_NODE_LIST);
    cr_expect(is(list->path, "b"));
    const struct cg_node *x = cg_node_get(list->items[0], "x");
    cr_expect(is(x->path, "b[0].x"));
    cr_expect_eq(x->line, 4);
    cr_expect(x->quoted);
    cr_expect_str_eq(x->file, "f.yaml");
    const struct cg_node *z = cg_node_get(cg_node_get(list->items[0], "y"), "z");
    cr_expect(is(z->items[1]->path, "b[0].y.z[1]"));
    cr_expect(is(z->items[1]->text, "2"));
    cr_expect_not(z->items[1]->quoted);
    cr_expect_eq(list->items[1]->kind, CG_NODE_NULL);
    cr_expect(is(list->items[0]->keys[1]->text, "y"));
    cr_expect_eq(list->items[0]->keys[1]->line, 5);
    cr_expect_null(cg_node_get(list, "x"));
    cr_expect_null(cg_node_get(root, "c"));
    cr_expect_null(cg_node_get(NULL, "c"));
}

Test(tree, json_is_read_with_lines_too)
{
    struct cg_node *root =
        parse("{\"a\":\"x\\/y\\u00e9\",\n\t\"b\": [true, null, 1.5],\n\"c\":{\"d\":\"off\"}}");
    cr_assert_not_null(root, "%s", compiled_problems(&world));
    cr_expect(is(cg_node_get(root, "a")->text, "x/y\xc3\xa9"));
    const struct cg_node *b = cg_node_get(root, "b");
    cr_expect_eq(b->line, 2);
    cr_expect(is(b->items[0]->text, "true"));
    cr_expect_eq(b->items[1]->kind, CG_NODE_NULL);
    cr_expect(cg_node_get(cg_node_get(root, "c"), "d")->quoted);
}

Test(tree, empty_document_is_a_null_node)
{
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "~"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cg_node *root = parse(texts[i]);
        cr_assert_not_null(root, "%s", texts[i]);
        cr_expect_eq(root->kind, CG_NODE_NULL);
    }
    cr_expect_not_null(cg_tree_parse((struct cg_str){NULL, 0}, "f", compile_env, NULL, &world.arena,
                                     &world.problems));
}

Test(tree, what_is_not_plain_is_refused_with_its_line)
{
    static const struct {
        const char *name, *text, *problem;
    } rows[] = {
        {"duplicate key", "a: 1\nb: 2\na: 3\n", "f.yaml:3: a: `a` is given twice; first in line 1"},
        {"anchor", "a: &x 1\n", "f.yaml:1: a: anchors"},
        {"anchor on a list", "a: &x [1]\n", "f.yaml:1: a: anchors"},
        {"anchor on a map", "\na: &x {b: 1}\n", "f.yaml:2: a: anchors"},
        {"anchor on a key", "&x a: 1\n", "anchors"},
        {"alias", "a: 1\nb: *a\n", "f.yaml:2: b: `*a` would be a YAML alias"},
        {"alias as a key", "*a : 1\n", "would be a YAML alias"},
        {"tag", "a: !!int 1\n", "f.yaml:1: a: anchors (&) and tags (!)"},
        {"own tag", "a: !x [1]\n", "tags (!)"},
        {"merge key", "a: 1\n<<: {b: 1}\n", "f.yaml:2: <<: merge keys"},
        {"two documents", "a: 1\n---\nb: 2\n", "f.yaml:2: : a second document"},
        {"list as a key", "[a]: 1\n", "a key is text"},
        {"map as a key", "{a: 1}: 1\n", "a key is text"},
        {"unclosed", "a: [1, 2\n", "f.yaml:"},
        {"wildcard unquoted", "a: * /x\n", "in quotes"},
        {"variable in flow style", "a: {b: ${TTL}}\n", "in quotes"},
        {"tab", "a:\n\tb: 1\n", "not with tabs"},
        {"no UTF-8", "a: \xff\n", "f.yaml:1"},
        {"NUL", "a: \"x\\0y\"\n", "NUL"},
        {"NUL in a key", "\"x\\0y\": 1\n", "NUL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        compiled_fini(&world);
        compiled_init(&world);
        cr_expect_null(parse(rows[i].text), "%s", rows[i].name);
        cr_expect_not_null(strstr(compiled_problems(&world), rows[i].problem), "%s: %s",
                           rows[i].name, compiled_problems(&world));
    }
}

Test(tree, quoted_merge_key_is_a_key)
{
    cr_expect_not_null(parse("\"<<\": 1\n"));
}

Test(tree, several_mistakes_are_found_in_one_run)
{
    cr_expect_null(parse("a: &x 1\na: 2\nb: ${NOPE}\n"));
    cr_expect_eq(world.problems.error_count, 3, "%s", compiled_problems(&world));
}

Test(tree, depth_size_and_number_are_bounded)
{
    enum { LARGE = CG_TREE_FILE_BYTES_MAX + 2 };
    char *text = malloc(LARGE);
    memset(text, '[', CG_TREE_DEPTH_MAX);
    memset(text + CG_TREE_DEPTH_MAX, ']', CG_TREE_DEPTH_MAX);
    cr_expect_not_null(
        compiled_parse(&world, cg_str_of(text, (size_t)2 * CG_TREE_DEPTH_MAX), "deep"));
    memset(text, '[', LARGE);
    cr_expect_null(compiled_parse(&world, cg_str_of(text, 1000), "deep"));
    cr_expect_not_null(strstr(compiled_problems(&world), "nested more than 32 deep"));

    memset(text, ' ', LARGE);
    cr_expect_not_null(compiled_parse(&world, cg_str_of(text, CG_TREE_FILE_BYTES_MAX), "large"));
    cr_expect_null(compiled_parse(&world, cg_str_of(text, CG_TREE_FILE_BYTES_MAX + 1), "large"));
    cr_expect_not_null(strstr(compiled_problems(&world), "larger than 1048576 bytes"));

    for (size_t i = 0; i < 2 * (size_t)CG_TREE_NODES_MAX + 4; i += 2)
        memcpy(text + i, "1,", 2);
    text[0] = '[';
    text[1] = ' ';
    text[2 * CG_TREE_NODES_MAX + 4] = ']';
    cr_expect_null(
        compiled_parse(&world, cg_str_of(text, 2 * (size_t)CG_TREE_NODES_MAX + 5), "many"));
    cr_expect_not_null(strstr(compiled_problems(&world), "more than 100000 values"));
    free(text);
}

Test(tree, very_long_keys_do_not_multiply)
{
    /* A long key above many values: their paths must not each hold it. */
    struct cg_buf buf;
    cg_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 900; i++)
        cg_buf_add_char(&buf, 'k');
    cg_buf_add_text(&buf, ":\n");
    for (int i = 0; i < 50000; i++)
        cg_buf_add_text(&buf, " - 1\n");
    cr_expect_not_null(compiled_parse(&world, cg_buf_str(&buf), "long"), "%s",
                       compiled_problems(&world));
    cr_expect_lt(world.arena.used, 20 << 20);
    cg_buf_fini(&buf);
}

/* ---- environment ---- */

Test(tree, variables_are_filled_in_after_parsing)
{
    static const struct {
        const char *written, *value;
    } rows[] = {
        {"${TTL}", "7m"},          {"a ${TTL} b ${TTL:-x}", "a 7m b 7m"},
        {"${NOPE:-5m}", "5m"},     {"${NOPE:-}", ""},
        {"${NOPE:-a:-b}", "a:-b"}, {"${EMPTY:-5m}", "5m"},
        {"x${EMPTY}y", "xy"},      {"$${TTL}", "${TTL}"},
        {"$$${TTL}", "$${TTL}"},   {"$TTL $ $$ 5$", "$TTL $ $$ 5$"},
        {"{TTL}", "{TTL}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cg_str text = cg_arena_printf(&world.arena, "a: '%s'\n", rows[i].written);
        struct cg_node *root = parse(text.bytes);
        cr_assert_not_null(root, "%s", compiled_problems(&world));
        cr_expect(is(cg_node_get(root, "a")->text, rows[i].value), "%s gives %.*s", rows[i].written,
                  CG_STR_ARG(cg_node_get(root, "a")->text));
    }
}

Test(tree, variable_changes_neither_structure_nor_keys)
{
    struct cg_node *root = parse("a: [\"${TRICKY}\"]\n\"${TTL}\": 1\n");
    cr_assert_not_null(root);
    cr_expect_eq(root->count, 2);
    cr_expect_eq(cg_node_get(root, "a")->count, 1);
    cr_expect(is(cg_node_get(root, "a")->items[0]->text, compile_env(NULL, "TRICKY")),
              "a value is not interpolated again");
    cr_expect_not_null(cg_node_get(root, "${TTL}"));
}

Test(tree, wrong_variables_are_named)
{
    static const struct {
        const char *written, *problem;
    } rows[] = {
        {"${NOPE}", "f.yaml:1: a: the environment variable NOPE is not set"},
        {"x${TTL", "is not closed"},
        {"${}", "expected ${NAME} or ${NAME:-default}"},
        {"${1A}", "expected ${NAME}"},
        {"${A B}", "expected ${NAME}"},
        {"${TTL-5}", "expected ${NAME}"},
        {"${TTL:5}", "expected ${NAME}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        compiled_fini(&world);
        compiled_init(&world);
        struct cg_str text = cg_arena_printf(&world.arena, "a: '%s'\n", rows[i].written);
        cr_expect_null(parse(text.bytes));
        cr_expect_not_null(strstr(compiled_problems(&world), rows[i].problem), "%s: %s",
                           rows[i].written, compiled_problems(&world));
    }
}

Test(tree, value_of_a_variable_is_not_quoted_even_in_json)
{
    bool on = true;
    struct cg_node *root = parse("{\"a\": \"${OFF}\", \"b\": \"off\"}");
    cr_assert_not_null(root);
    cr_expect(cg_node_bool(cg_node_get(root, "a"), NULL, &on));
    cr_expect_not(on);
    cr_expect_not(cg_node_bool(cg_node_get(root, "b"), &world.problems, &on));
    cr_expect_not_null(strstr(compiled_problems(&world), "without quotes"));
}

static const char *long_env(void *owner, const char *name)
{
    (void)name;
    return owner;
}

Test(tree, environment_cannot_blow_up_a_file)
{
    char *value = malloc(100001);
    memset(value, 'x', 100000);
    value[100000] = '\0';
    struct cg_buf buf;
    cg_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 1000; i++)
        cg_buf_add_text(&buf, "- ${A}\n");
    cr_expect_null(
        cg_tree_parse(cg_buf_str(&buf), "f", long_env, value, &world.arena, &world.problems));
    cr_expect_not_null(strstr(compiled_problems(&world), "the environment adds more"));
    cr_expect_lt(world.arena.used, 16 << 20);
    cg_buf_fini(&buf);
    free(value);
}

/* ---- files ---- */

Test(tree, file_is_read_and_a_missing_one_is_named)
{
    char path[] = "/tmp/cachegate-tree-XXXXXX";
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, "a: 5\n", 5), 5);
    close(descriptor);
    struct cg_node *root =
        cg_tree_read_file(path, compile_env, NULL, &world.arena, &world.problems);
    cr_assert_not_null(root);
    cr_expect(is(cg_node_get(root, "a")->text, "5"));
    cr_expect_str_eq(root->file, path);
    unlink(path);
    cr_expect_null(cg_tree_read_file(path, compile_env, NULL, &world.arena, &world.problems));
    cr_expect_null(cg_tree_read_file("/tmp", compile_env, NULL, &world.arena, &world.problems));
    cr_expect_not_null(strstr(compiled_problems(&world), "cannot be read: No such file"));
    cr_expect_not_null(strstr(compiled_problems(&world), "/tmp:0: : cannot be read"));
}

/* ---- readers ---- */

Test(tree, durations_have_units_and_bare_numbers_are_seconds)
{
    static const struct {
        const char *text;
        bool valid;
        uint64_t ms;
    } rows[] = {
        {"250ms", true, 250},
        {"30s", true, 30000},
        {"5m", true, 300000},
        {"1h", true, 3600000},
        {"1d", true, 86400000},
        {"42", true, 42000},
        {"0", true, 0},
        {"100h", true, 360000000},
        {"101h", false, 0},
        {"", false, 0},
        {"s", false, 0},
        {"5 m", false, 0},
        {"-5m", false, 0},
        {"1.5h", false, 0},
        {"5x", false, 0},
        {"1h30m", false, 0},
        {"99999999999999999999s", false, 0},
        {"18446744073709551615d", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ms = 77;
        struct cg_node *node = scalar(rows[i].text, false);
        size_t errors = world.problems.error_count;
        cr_expect_eq(cg_node_duration_ms(node, 360000000, &world.problems, &ms), rows[i].valid,
                     "%s", rows[i].text);
        cr_expect_eq(ms, rows[i].valid ? rows[i].ms : 77, "%s", rows[i].text);
        cr_expect_eq(world.problems.error_count - errors, rows[i].valid ? 0 : 1);
    }
    uint64_t ms;
    struct cg_node list = {.kind = CG_NODE_LIST, .file = "f"};
    cr_expect_not(cg_node_duration_ms(&list, 1000, &world.problems, &ms));
    cr_expect_not(cg_node_duration_ms(&list, 1000, NULL, &ms));
    cr_expect_not_null(
        strstr(compiled_problems(&world), "`101h` is more than the longest, 360000s"));
    cr_expect_not_null(strstr(compiled_problems(&world), "found a list"));
    cr_expect_not_null(strstr(compiled_problems(&world),
                              "error f.yaml:3: a.b: `5x` is no duration; expected 250ms"));
}

Test(tree, sizes_are_powers_of_1024)
{
    static const struct {
        const char *text;
        bool valid;
        uint64_t bytes;
    } rows[] = {
        {"64KB", true, 65536},  {"1MB", true, 1048576},   {"512", true, 512}, {"3b", true, 3},
        {"1gb", true, 1 << 30}, {"2GB", false, 0},        {"64K", false, 0},  {"KB", false, 0},
        {"1.5MB", false, 0},    {"16777216TB", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t bytes = 77;
        cr_expect_eq(cg_node_size(scalar(rows[i].text, true), 1 << 30, &world.problems, &bytes),
                     rows[i].valid, "%s", rows[i].text);
        cr_expect_eq(bytes, rows[i].valid ? rows[i].bytes : 77, "%s", rows[i].text);
    }
}

Test(tree, switches_are_words_without_quotes)
{
    static const char *const yes[] = {"on", "true", "yes", "1", "True", "ON"};
    static const char *const no[] = {"off", "false", "no", "0", "False"};
    bool value = false;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        cr_expect(cg_node_bool(scalar(yes[i], false), NULL, &value) && value, "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        cr_expect(cg_node_bool(scalar(no[i], false), NULL, &value) && !value, "%s", no[i]);
    cr_expect_not(cg_node_bool(scalar("off", true), NULL, &value));
    cr_expect_not(cg_node_bool(scalar("maybe", false), &world.problems, &value));
    cr_expect_not_null(strstr(compiled_problems(&world), "`maybe`: expected on or off"));
}

Test(tree, nearest_name_forgives_slips_but_not_other_words)
{
    static const char *const names[] = {"ttl", "scope", "stale_while_revalidate", "stale_if_error",
                                        "key"};
    static const struct {
        const char *name, *nearest;
    } rows[] = {
        {"tll", "ttl"},
        {"tlt", "ttl"},
        {"TTL", "ttl"},
        {"scop", "scope"},
        {"socpe", "scope"},
        {"stale_while_revaldiate", "stale_while_revalidate"},
        {"stale_on_error", "stale_if_error"},
        {"stalewhilerevalidate", "stale_while_revalidate"},
        {"keys", "key"},
        {"abc", NULL},
        {"cache", NULL},
        {"x", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *nearest =
            cg_nearest_name(cg_str_from(rows[i].name), names, sizeof names / sizeof *names);
        cr_expect(cg_str_eq(cg_str_from(nearest), cg_str_from(rows[i].nearest)), "%s: %s",
                  rows[i].name, nearest == NULL ? "none" : nearest);
    }
    char long_name[200];
    memset(long_name, 't', sizeof long_name);
    cr_expect_null(cg_nearest_name(cg_str_of(long_name, sizeof long_name), names, 5));
}

Test(tree, unknown_keys_and_choices_name_the_nearest_or_all)
{
    static const char *const names[] = {"all", "keyed"};
    size_t index = 7;
    struct cg_node *root = parse("al: 1\nxyzzy: 2\n");
    cr_expect_not(cg_node_known_keys(root, names, 2, &world.problems));
    cr_expect_not_null(strstr(compiled_problems(&world), "unknown key `al`; did you mean `all`?"));
    cr_expect_not_null(strstr(compiled_problems(&world),
                              "f.yaml:2: xyzzy: unknown key `xyzzy`; expected one of: all, keyed"));
    cr_expect_not(cg_node_choice(scalar("keyd", false), names, 2, &world.problems, &index));
    cr_expect_not(cg_node_choice(scalar("zzz", false), names, 2, &world.problems, &index));
    cr_expect_eq(index, 7);
    cr_expect(cg_node_choice(scalar("keyed", false), names, 2, NULL, &index));
    cr_expect_eq(index, 1);
    cr_expect_not_null(strstr(compiled_problems(&world), "`keyd`: did you mean `keyed`?"));
    cr_expect_not_null(strstr(compiled_problems(&world), "`zzz`: expected one of: all, keyed"));
}

/* ---- problems ---- */

Test(tree, problems_are_cut_cleaned_and_bounded)
{
    char text[5000];
    memset(text, 'x', sizeof text);
    text[0] = '\x1b';
    cg_problem_add(&world.problems, CG_PROBLEM_ERROR, NULL, "%.*s", (int)sizeof text, text);
    cr_expect_eq(world.problems.items[0].message.length, CG_PROBLEM_BYTES_MAX);
    cr_expect_eq(world.problems.items[0].message.bytes[0], '?');
    cr_expect_str_eq(world.problems.items[0].file, "");
    for (int i = 0; i < CG_PROBLEMS_MAX; i++)
        cg_problem_add(&world.problems, CG_PROBLEM_WARNING, NULL, "w");
    cr_expect_eq(world.problems.count, CG_PROBLEMS_MAX);
    cg_problem_add(&world.problems, CG_PROBLEM_ERROR, NULL, "late");
    cr_expect_eq(world.problems.count, CG_PROBLEMS_MAX);
    cr_expect_eq(world.problems.error_count, 2);
    cr_expect_not_null(strstr(compiled_problems(&world), "late"), "an error displaces a warning");
}
