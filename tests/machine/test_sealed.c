/* A store that others can read: what the machines put there, and what they take from it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "help_world.h"

static const char *const rules = "defaults: { ttl: 60s }\n"
                                 "routes:\n"
                                 "  - match: GET /mine/**\n"
                                 "  - match: GET /shared/**\n"
                                 "    scope: shared\n";

static struct world *sealed_world(void)
{
    struct world *world = world_create(rules);
    world->port.seals = true;
    return world;
}

static struct world_client *ask(struct world *world, const char *target, const char *user)
{
    char field[64];
    snprintf(field, sizeof(field), "authorization: %s", user);
    return world_asks(world, "GET", target, user == NULL ? NULL : field, NULL);
}

static void stored(struct world *world, const char *target, const char *user, const char *body)
{
    struct world_client *client = ask(world, target, user);
    world_origin_answers(world_asked(world), 200, "x-note: in plain", body);
    cr_assert(world_got(client, 200, body, "stored"));
    world_reap(world);
}

static void ignore(void *owner, enum cg_store_result result)
{
    (void)owner;
    cr_assert_eq(result, CG_STORE_OK);
}

/* Puts bytes where an entry stands, as somebody with a connection to the store could. */
static void forge(struct world *world, const struct cg_key *key, struct cg_str bytes)
{
    struct cg_blob *blob = cg_blob_create(bytes);
    world->inner->port->fill(world->inner, key, blob, 60000, ignore, NULL);
    cg_blob_unref(blob);
}

Test(sealed, hit_is_served_and_the_store_holds_nothing_readable)
{
    static const char *const secrets[] = {"the body of alice", "in plain", "/mine/1", "alice"};
    struct world *world = sealed_world();
    stored(world, "/mine/1", "alice", "the body of alice");
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        cr_assert_null(memmem(world->last_filled->bytes, world->last_filled->length, secrets[i],
                              strlen(secrets[i])),
                       "%s", secrets[i]);
    struct world_client *again = ask(world, "/mine/1", "alice");
    cr_assert(world_got(again, 200, "the body of alice", "hit"));
    cr_assert_str_eq(world_field(again, "x-note"), "in plain");
    world_destroy(world);
}

Test(sealed, shared_and_varying_answers_are_served_too)
{
    struct world *world = sealed_world();
    struct world_client *de = world_asks(world, "GET", "/shared/1", "accept-language: de", NULL);
    world_origin_answers(world_asked(world), 200, "vary: accept-language", "hallo");
    cr_assert(world_got(de, 200, "hallo", "stored"));
    world_reap(world);
    de = world_asks(world, "GET", "/shared/1", "accept-language: de", NULL);
    cr_assert(world_got(de, 200, "hallo", "hit"));
    world_destroy(world);
}

Test(sealed, entry_of_another_user_under_my_key_is_a_miss)
{
    struct world *world = sealed_world();
    stored(world, "/mine/1", "alice", "of alice");
    struct cg_blob *of_alice = cg_blob_ref(world->last_filled);
    stored(world, "/mine/1", "bob", "of bob");
    forge(world, &world->last_key, cg_blob_str(of_alice));
    struct world_client *bob = ask(world, "/mine/1", "bob");
    cr_assert_not(bob->begun);
    world_origin_answers(world_asked(world), 200, NULL, "of bob again");
    cr_assert(world_got(bob, 200, "of bob again", NULL));
    cg_blob_unref(of_alice);
    world_destroy(world);
}

Test(sealed, any_changed_byte_is_a_miss)
{
    struct world *world = sealed_world();
    stored(world, "/mine/1", "alice", "of alice");
    struct cg_blob *sealed = cg_blob_ref(world->last_filled);
    struct cg_key key = world->last_key;
    char *bytes = malloc(sealed->length);
    for (size_t i = 0; i < sealed->length; i += 7) {
        memcpy(bytes, sealed->bytes, sealed->length);
        bytes[i] = (char)(bytes[i] ^ 4);
        forge(world, &key, cg_str_of(bytes, sealed->length));
        struct world_client *alice = ask(world, "/mine/1", "alice");
        cr_assert_not(alice->begun, "byte %zu", i);
        world_origin_answers(world_asked(world), 200, "cache-control: no-store", "fetched");
        cr_assert(world_got(alice, 200, "fetched", NULL));
        world_reap(world);
    }
    forge(world, &key, cg_blob_str(sealed));
    cr_assert(world_got(ask(world, "/mine/1", "alice"), 200, "of alice", "hit"));
    free(bytes);
    cg_blob_unref(sealed);
    world_destroy(world);
}

Test(sealed, plain_entry_in_a_sealing_store_is_a_miss)
{
    struct world *world = world_create(rules);
    stored(world, "/mine/1", "alice", "unsealed");
    world->port.seals = true;
    struct world_client *alice = ask(world, "/mine/1", "alice");
    cr_assert_not(alice->begun);
    world_origin_answers(world_asked(world), 200, NULL, "sealed");
    cr_assert(world_got(alice, 200, "sealed", "stored"));
    world_destroy(world);
}
