#include "gateway/cli_explain.h"

#include "gateway/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { BODY_BYTES_MAX = 64 << 20, ARENA_BYTES = 512 << 20 };

/* What the command line says, before it is a question. */
struct words {
    const char *items[2];
    size_t count;
    const char *fields[256];
    size_t field_count;
    const char *status;
    const char *request_body;
    const char *response_body;
};

static bool complain(const char *sentence, const char *about)
{
    fprintf(stderr, "cachegate: %s: %s\n", about, sentence);
    return false;
}

static void read_arguments(struct cg_cli *cli, struct words *words)
{
    static const char *const flags[] = {"-H", "--header", "--status", "--request-body",
                                        "--response-body"};
    while (cg_cli_more(cli)) {
        const char *value;
        if (cg_cli_take_flag(cli, "-H", &value) || cg_cli_take_flag(cli, "--header", &value)) {
            if (words->field_count < sizeof words->fields / sizeof words->fields[0])
                words->fields[words->field_count++] = value;
        } else if (cg_cli_take_flag(cli, "--status", &value)) {
            words->status = value;
        } else if (cg_cli_take_flag(cli, "--request-body", &value)) {
            words->request_body = value;
        } else if (cg_cli_take_flag(cli, "--response-body", &value)) {
            words->response_body = value;
        } else if (!cg_cli_at_flag(cli) && words->count < 2) {
            words->items[words->count++] = cg_cli_take(cli);
        } else if (!cg_cli_take_option(cli)) {
            cg_cli_refuse(cli, flags, sizeof flags / sizeof flags[0]);
        }
    }
}

/* The text, or the file that @NAME names. */
static bool read_body(const char *argument, struct cg_arena *arena, struct cg_str *ret_body)
{
    if (argument[0] != '@') {
        *ret_body = cg_str_from(argument);
        return true;
    }
    struct cg_buf body;
    char piece[65536];
    cg_buf_init(&body, BODY_BYTES_MAX);
    int file = open(argument + 1, O_RDONLY | O_CLOEXEC);
    ssize_t length = -1;
    while (file >= 0 && (length = read(file, piece, sizeof piece)) > 0)
        cg_buf_add(&body, piece, (size_t)length);
    int error = errno;
    if (file >= 0)
        close(file);
    if (length == 0 && !body.overflowed)
        *ret_body = cg_arena_copy(arena, cg_buf_str(&body));
    bool overflowed = body.overflowed;
    cg_buf_fini(&body);
    if (length < 0)
        return complain(strerror(error), argument + 1);
    return !overflowed || complain("is too large", argument + 1);
}

/* `GET /path`, in one word or two; a path alone is a GET; a URL names the host too. */
static bool read_request(const struct words *words, struct cg_arena *arena,
                         struct cg_request_facts *facts)
{
    if (words->count == 0)
        return complain("which request? Give one as in 'GET /items?page=1'", "explain");
    struct cg_str text = cg_str_from(words->items[0]);
    if (words->count == 2)
        text = cg_arena_printf(arena, "%s %s", words->items[0], words->items[1]);
    text = cg_str_trim(text);
    size_t space = cg_str_find(text, ' ');
    facts->method = space < text.length ? cg_str_sub(text, 0, space) : CG_STR("GET");
    facts->target = space < text.length ? cg_str_trim(cg_str_skip(text, space)) : text;
    if (!cg_is_token(facts->method))
        return complain("is no method", cg_arena_copy(arena, facts->method).bytes);
    static const struct cg_str schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++)
        if (cg_str_starts_with(facts->target, schemes[i])) {
            struct cg_str rest = cg_str_skip(facts->target, schemes[i].length);
            size_t slash = cg_str_find(rest, '/');
            facts->authority = cg_str_sub(rest, 0, slash);
            facts->scheme = cg_str_sub(schemes[i], 0, schemes[i].length - 3);
            facts->target = slash < rest.length ? cg_str_skip(rest, slash) : CG_STR("/");
        }
    for (size_t i = 0; i < facts->target.length; i++)
        if (facts->target.bytes[i] <= ' ' || facts->target.bytes[i] == 0x7f)
            return complain("has a character that must be percent-encoded",
                            cg_arena_copy(arena, facts->target).bytes);
    if (!cg_str_starts_with(facts->target, CG_STR("/")) && !cg_str_eq(facts->target, CG_STR("*")))
        return complain("a path begins with `/`", cg_arena_copy(arena, facts->target).bytes);
    return true;
}

static bool read_field(const char *argument, struct cg_arena *arena,
                       struct cg_explain_question *question)
{
    struct cg_str text = cg_str_from(argument);
    size_t colon = cg_str_find(text, ':');
    struct cg_str value = cg_str_trim(cg_str_skip(text, colon + 1));
    char *name = cg_arena_alloc(arena, colon + 1);
    for (size_t i = 0; i < colon; i++)
        name[i] = cg_lower(text.bytes[i]);
    if (colon == text.length || !cg_is_token(cg_str_of(name, colon)))
        return complain("a header field is 'Name: value'", argument);
    if (cg_str_eq(cg_str_of(name, colon), CG_STR("host"))) {
        question->facts.authority = value;
        return true;
    }
    return cg_fields_add(&question->fields, arena, cg_str_of(name, colon), value) ||
           complain("too many header fields", argument);
}

static bool read_question(const struct words *words, struct cg_arena *arena,
                          struct cg_explain_question *question)
{
    struct cg_request_facts *facts = &question->facts;
    uint64_t status = 200;
    facts->scheme = CG_STR("http");
    facts->authority = CG_STR("localhost");
    facts->peer_address = CG_STR("127.0.0.1");
    facts->fields = &question->fields;
    if (!read_request(words, arena, facts))
        return false;
    for (size_t i = 0; i < words->field_count; i++)
        if (!read_field(words->fields[i], arena, question))
            return false;
    if (words->request_body != NULL) {
        facts->has_body = true;
        if (!read_body(words->request_body, arena, &facts->body))
            return false;
    }
    if (words->status != NULL &&
        (!cg_str_to_u64(cg_str_from(words->status), 599, &status) || status < 100))
        return complain("a status is a number from 100 to 599", words->status);
    question->answer =
        (struct cg_write_answer){.known = true, .status = (unsigned)status, .body_complete = true};
    question->answer_has_body = words->response_body != NULL;
    return words->response_body == NULL ||
           read_body(words->response_body, arena, &question->answer.body);
}

int cg_cli_explain(int argc, char **argv)
{
    struct cg_cli cli;
    struct words words = {0};
    struct cg_arena settings_arena, arena;
    struct cg_buf out;
    cg_cli_init(&cli, argc, argv);
    read_arguments(&cli, &words);
    if (cli.failed)
        return CG_CLI_USAGE;
    cg_arena_init(&arena, ARENA_BYTES);
    struct cg_explain_question question = {0};
    if (!read_question(&words, &arena, &question)) {
        cg_arena_fini(&arena);
        return CG_CLI_USAGE;
    }
    struct cg_settings *settings = cg_cli_settings(&cli, true, false, &settings_arena);
    int status = settings == NULL ? CG_CLI_FAILED : CG_CLI_OK;
    if (settings != NULL) {
        cg_buf_init(&out, 64 << 20);
        cg_explain_print(settings, &question, &arena, &out);
        cg_cli_print(&out, STDOUT_FILENO);
    }
    cg_settings_free(settings);
    cg_arena_fini(&arena);
    cg_arena_fini(&settings_arena);
    return status;
}
