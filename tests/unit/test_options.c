#include "gateway/config/options.h"
#include "gateway/config/settings.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct cg_arena arena;
static struct cg_problems problems;
static void begin(void)
{
    cg_arena_init(&arena, 16 << 20);
    problems = (struct cg_problems){.arena = &arena};
}
static void end(void)
{
    cg_arena_fini(&arena);
}
TestSuite(options, .init = begin, .fini = end);

union homes {
    struct cg_settings settings;
    struct cg_listener_settings listener;
    struct cg_upstream_settings upstream;
};

static bool read_text(const char *path, const char *text, union homes *homes)
{
    const struct cg_option *option = cg_option_find(CG_HOME_SETTINGS, cg_str_from(path));
    struct cg_node node = {.kind = CG_NODE_SCALAR, .text = cg_str_from(text), .file = "f"};
    cr_assert_not_null(option, "%s", path);
    problems.count = 0;
    return cg_option_read(option, &node, "/conf", homes, &arena, &problems);
}

Test(options, every_default_is_readable_and_in_range)
{
    union homes homes;
    memset(&homes, 0, sizeof homes);
    for (size_t i = 0; i < cg_option_count(); i++)
        if (!cg_option_at(i)->special)
            cr_expect(cg_option_read(cg_option_at(i), NULL, "", &homes, &arena, &problems), "%s",
                      cg_option_at(i)->path);
    cr_expect_eq(problems.count, 0u);
}

Test(options, every_row_is_documented_and_its_path_is_its_own)
{
    for (size_t i = 0; i < cg_option_count(); i++) {
        const struct cg_option *option = cg_option_at(i);
        size_t length = strlen(option->sentence);
        cr_expect_gt(length, 20u, "%s", option->path);
        cr_expect(length > 0 && option->sentence[length - 1] == '.', "%s", option->path);
        cr_expect_eq(cg_option_find(option->home, cg_str_from(option->path)), option, "%s",
                     option->path);
        cr_expect_gt(strlen(cg_option_type_name(option->type)), 2u);
        for (size_t j = 0; j < i && option->flag[0] != '\0'; j++)
            cr_expect_str_neq(option->flag, cg_option_at(j)->flag);
    }
    cr_expect_null(cg_option_find(CG_HOME_LISTENER, CG_STR("threads")), "homes are apart");
}

Test(options, values_are_stored_in_the_member_of_the_row)
{
    union homes homes;
    memset(&homes, 0, sizeof homes);
    cr_assert(read_text("threads", "3", &homes));
    cr_expect_eq(homes.settings.threads, 3u);
    cr_assert(read_text("threads", "auto", &homes));
    cr_expect_eq(homes.settings.threads, 0u);
    cr_assert(read_text("cache", "off", &homes));
    cr_expect_not(homes.settings.cache_enabled);
    cr_assert(read_text("cache", "on", &homes));
    cr_expect(homes.settings.cache_enabled);
    cr_assert(read_text("drain_timeout", "2m", &homes));
    cr_expect_eq(homes.settings.drain_timeout_ms, 120000u);
    cr_assert(read_text("limits.request_body", "64KB", &homes));
    cr_expect_eq(homes.settings.limits.request_body_max, 65536u);
    cr_assert(read_text("tls.certificate", "a.pem", &homes));
    cr_expect_str_eq(homes.settings.tls.certificate_file, "/conf/a.pem");
    cr_assert(read_text("tls.certificate", "/a.pem", &homes));
    cr_expect_str_eq(homes.settings.tls.certificate_file, "/a.pem");
    cr_assert(read_text("tls.certificate", "", &homes));
    cr_expect_null(homes.settings.tls.certificate_file);
    cr_assert(read_text("tls.minimum_version", "1.3", &homes));
    cr_expect_str_eq(homes.settings.tls.minimum_version, "1.3");
}

Test(options, wrong_values_are_refused_with_what_was_expected)
{
    static const struct {
        const char *path;
        const char *text;
        const char *says;
    } rows[] = {
        {"threads", "0", "out of range: from 1 to 256"},
        {"threads", "257", "out of range"},
        {"threads", "-1", "whole number"},
        {"threads", "many", "whole number"},
        {"threads", "99999999999999999999", "whole number"},
        {"drain_timeout", "auto", "duration"},
        {"drain_timeout", "2 weeks", "duration"},
        {"drain_timeout", "2h", "out of range: from 0s to 1h"},
        {"limits.request_body", "2GB", "out of range"},
        {"limits.request_body", "0", "out of range"},
        {"limits.request_body", "big", "size"},
        {"cache", "maybe", "on or off"},
        {"tls.minimum_version", "1.1", "one of 1.2|1.3"},
        {"via", "two words", "without spaces"},
        {"via", "", "without spaces"},
        {"tls.certificate", "a\nb", "control character"},
    };
    union homes homes;
    memset(&homes, 0, sizeof homes);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_not(read_text(rows[i].path, rows[i].text, &homes), "%s: %s", rows[i].path,
                      rows[i].text);
        cr_assert_eq(problems.count, 1u);
        struct cg_str message = problems.items[0].message;
        cr_expect_not_null(strstr(message.bytes, rows[i].says), "%s: %s: %s", rows[i].path,
                           rows[i].text, message.bytes);
    }
}

Test(options, lists_and_maps_are_no_values)
{
    union homes homes;
    memset(&homes, 0, sizeof homes);
    struct cg_node list = {.kind = CG_NODE_LIST};
    for (size_t i = 0; i < cg_option_count(); i++)
        if (!cg_option_at(i)->special)
            cr_expect_not(cg_option_read(cg_option_at(i), &list, "", &homes, &arena, &problems),
                          "%s", cg_option_at(i)->path);
}

Test(options, variables_are_named_after_paths)
{
    cr_expect_str_eq(cg_option_variable("admin.token", &arena).bytes, "CACHEGATE_ADMIN_TOKEN");
    cr_expect_str_eq(cg_option_variable("secret", &arena).bytes, "CACHEGATE_SECRET");
    cr_expect_str_eq(cg_option_variable("upstreams.my-api.url", &arena).bytes,
                     "CACHEGATE_UPSTREAMS_MY_API_URL");
}

Test(options, the_reference_names_every_option_and_help_every_flag)
{
    struct cg_buf page, flags;
    cg_buf_init(&page, 1 << 20);
    cg_buf_init(&flags, 1 << 20);
    cg_reference_print(&page);
    cg_reference_print_flags(&flags);
    cg_buf_add_char(&page, '\0');
    cg_buf_add_char(&flags, '\0');
    for (size_t i = 0; i < cg_option_count(); i++) {
        char cell[80];
        snprintf(cell, sizeof cell, "| `%s` |", cg_option_at(i)->path);
        cr_expect_not_null(strstr(page.bytes, cell), "%s", cell);
        cr_expect_not_null(strstr(flags.bytes, cg_option_at(i)->flag));
    }
    cg_buf_fini(&page);
    cg_buf_fini(&flags);
}
