/* Rows name the section of RFC 8941. */
#include "cachegate/structured.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct cg_arena arena;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 20);
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(structured, .init = setup, .fini = teardown);

/* One letter for each type, then what it holds. */
static void show_value(char *text, size_t size, const struct cg_sf_value *value)
{
    static const char letters[] = {'b', 'i', 'd', 's', 't', ':', '('};
    size_t used = strlen(text);
    if (value->type == CG_SF_BOOLEAN)
        snprintf(text + used, size - used, "b%d|", value->boolean);
    else if (value->type == CG_SF_INTEGER)
        snprintf(text + used, size - used, "i%lld|", (long long)value->integer);
    else
        snprintf(text + used, size - used, "%c%.*s|", letters[value->type],
                 CG_STR_ARG(value->text));
}

static const char *show_list(const char *value)
{
    static char text[512];
    struct cg_sf_walk walk = {.rest = cg_str_from(value)};
    struct cg_sf_value item;
    enum cg_sf_step step;
    text[0] = '\0';
    while ((step = cg_sf_next_in_list(&walk, &item)) == CG_SF_MEMBER)
        show_value(text, sizeof text, &item);
    return step == CG_SF_MALFORMED ? "malformed" : text;
}

static const char *show_dictionary(const char *value)
{
    static char text[512];
    struct cg_sf_walk walk = {.rest = cg_str_from(value)};
    struct cg_str key;
    struct cg_sf_value item;
    enum cg_sf_step step;
    text[0] = '\0';
    while ((step = cg_sf_next_in_dictionary(&walk, &key, &item)) == CG_SF_MEMBER) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%.*s=", CG_STR_ARG(key));
        show_value(text, sizeof text, &item);
    }
    return step == CG_SF_MALFORMED ? "malformed" : text;
}

struct row {
    const char *clause;
    const char *value;
    const char *expected;
};

Test(structured, lists_are_read_item_by_item)
{
    static const struct row rows[] = {
        {"3.1 empty", "", ""},
        {"4.2 spaces around", "  a , b  ", "ta|tb|"},
        {"3.1 tabs between", "a\t,\tb", "ta|tb|"},
        {"4.2 no tab before", "\ta", "malformed"},
        {"4.2.1 comma at the end", "a, ", "malformed"},
        {"4.2.1 comma at the start", ", a", "malformed"},
        {"4.2.1 nothing between commas", "a,,b", "malformed"},
        {"4.2.1 no comma", "a b", "malformed"},
        {"3.3.1 integers", "0, -0, 42, -999999999999999", "i0|i0|i42|i-999999999999999|"},
        {"3.3.1 sixteen digits", "1000000000000000", "malformed"},
        {"3.3.1 no digits", "-", "malformed"},
        {"3.3.1 a plus", "+1", "malformed"},
        {"3.3.2 decimals", "1.5, -0.125", "d1.5|d-0.125|"},
        {"3.3.2 no fraction", "1.", "malformed"},
        {"3.3.2 long fraction", "1.1234", "malformed"},
        {"3.3.2 long whole", "1234567890123.1", "malformed"},
        {"3.3.3 strings", "\"a,b\", \"\", \"a\\\"b\\\\\"", "sa,b|s|sa\\\"b\\\\|"},
        {"3.3.3 other escapes", "\"a\\b\"", "malformed"},
        {"3.3.3 not closed", "\"a", "malformed"},
        {"3.3.3 not closed behind an escape", "\"a\\", "malformed"},
        {"3.3.3 beyond ASCII", "\"\xc3\xa4\"", "malformed"},
        {"3.3.3 control byte", "\"a\x7f\"", "malformed"},
        {"3.3.4 tokens", "*a, a:b/c, A'b", "t*a|ta:b/c|tA'b|"},
        {"3.3.4 other first letters", "_a", "malformed"},
        {"3.3.5 bytes", ":aGk=:, ::", ":aGk=|:|"},
        {"3.3.5 not closed", ":aGk=", "malformed"},
        {"3.3.5 other letters", ":a?k=:", "malformed"},
        {"3.3.6 booleans", "?1, ?0", "b1|b0|"},
        {"3.3.6 another digit", "?2", "malformed"},
        {"3.3.6 nothing", "?", "malformed"},
        {"3.1.1 inner lists", "(a \"b\" 1);x, ()", "((a \"b\" 1)|(()|"},
        {"3.1.1 spaces inside", "( a  b )", "(( a  b )|"},
        {"3.1.1 not closed", "(a", "malformed"},
        {"3.1.1 no space", "(a\"b\")", "malformed"},
        {"3.1.1 not nested", "((a))", "malformed"},
        {"3.1.2 parameters", "a;b;c=1; d=\"x\" , e", "ta|te|"},
        {"3.1.2 space before", "a ;b", "malformed"},
        {"3.1.2 no key", "a;", "malformed"},
        {"3.1.2 upper case", "a;B", "malformed"},
        {"3.1.2 no value", "a;b=", "malformed"},
        {"a date is of a later revision", "@1", "malformed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_str_eq(show_list(rows[i].value), rows[i].expected, "%s", rows[i].clause);
}

Test(structured, dictionaries_are_read_key_by_key)
{
    static const struct row rows[] = {
        {"3.2 empty", "", ""},
        {"3.2 no value is true", "a, b;x=1, c=?0", "a=b1|b=b1|c=b0|"},
        {"3.2 values", "a=1, b=\"x\", *c.d-e_f=g", "a=i1|b=sx|*c.d-e_f=tg|"},
        {"3.2 a key twice", "a=1, a=2", "a=i1|a=i2|"},
        {"3.2 upper case", "A=1", "malformed"},
        {"3.2 digit first", "1a", "malformed"},
        {"4.2.2 space before =", "a =1", "malformed"},
        {"4.2.2 space behind =", "a= 1", "malformed"},
        {"4.2.2 nothing behind =", "a=", "malformed"},
        {"4.2.2 comma at the end", "a=1,", "malformed"},
        {"4.2.2 comma at the start", ",a=1", "malformed"},
        {"3.2 inner list", "a=(1 2), b", "a=((1 2)|b=b1|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_str_eq(show_dictionary(rows[i].value), rows[i].expected, "%s", rows[i].clause);
}

Test(structured, lines_are_read_as_one_value)
{
    struct cg_fields fields = {0};
    cr_assert(cg_fields_add(&fields, &arena, CG_STR("x"), CG_STR("\"a\"")));
    struct cg_str one = cg_sf_join(&fields, CG_STR("x"), &arena);
    cr_expect_eq(one.bytes, fields.items[0].value.bytes);
    cr_assert(cg_fields_add(&fields, &arena, CG_STR("y"), CG_STR("z")));
    cr_assert(cg_fields_add(&fields, &arena, CG_STR("x"), CG_STR("b")));
    cr_expect(cg_str_eq(cg_sf_join(&fields, CG_STR("x"), &arena), CG_STR("\"a\", b")));
    cr_expect(cg_str_empty(cg_sf_join(&fields, CG_STR("absent"), &arena)));
}

Test(structured, escapes_are_taken_out)
{
    static const struct row rows[] = {
        {"none", "abc", "abc"}, {"quote", "a\\\"b", "a\"b"}, {"backslash", "\\\\", "\\"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect(cg_str_eq(cg_sf_unescape(cg_str_from(rows[i].value), &arena),
                            cg_str_from(rows[i].expected)),
                  "%s", rows[i].clause);
}
