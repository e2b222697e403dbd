#include "gateway/admin/parts.h"

#include "cachegate/assert.h"
#include "gateway/admin/listen.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/net/handover.h"
#include "gateway/net/lookup.h"

#include <fcntl.h>
#include <h2o/http1.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Every open connection, so that the end of the thread can end them. */
struct cg_admin_connection {
    struct cg_admin *admin;
    h2o_socket_t *socket;
    bool ended; /* it was told to go */
    struct cg_admin_connection *next;
    struct cg_admin_connection **link; /* what points here */
};

/* Of those that were told to go, some may still be answered. */
enum { CONNECTIONS_HARD_MAX = 2 * CG_ADMIN_CONNECTIONS_MAX };
enum { END_WAIT_MS = 2000, LOOKUPS_MS_MAX = 3000 };

static void on_accept(h2o_socket_t *listener, const char *error);
static void *run(void *argument);

struct cg_admin *cg_admin_start(const struct cg_admin_world *world, char **ret_error)
{
    struct cg_admin *admin = calloc(1, sizeof *admin);
    CG_ASSERT(admin != NULL);
    admin->world = *world;
    CG_ASSERT(pthread_mutex_init(&admin->lock, NULL) == 0);
    admin->generation = cg_generation_ref(world->generation);
    admin->next_generation = cg_generation_ref(world->generation);
    admin->settings = world->generation->settings;
    admin->listener = cg_admin_listen(&world->settings->admin, world->settings->handover,
                                      &admin->address, ret_error);
    if (admin->listener < 0) {
        cg_admin_forget_generations(admin);
        free(admin);
        return NULL;
    }
    if (world->settings->admin.kind == CG_ADDRESS_UNIX)
        (void)stat(world->settings->admin.path, &admin->file);
    admin->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CG_ASSERT(admin->wake >= 0);
    admin->started_ms = cg_clock_monotonic_ms();
    admin->started_wall_ms = cg_clock_wall_ms();
    CG_ASSERT(pthread_create(&admin->thread, NULL, run, admin) == 0);
    return admin;
}

const char *cg_admin_address(const struct cg_admin *admin)
{
    return admin->address;
}

void cg_admin_set_ready(struct cg_admin *admin, bool ready)
{
    atomic_store(&admin->ready, ready);
    if (ready)
        atomic_store(&admin->was_ready, true);
}

struct cg_admin *cg_admin_stop(struct cg_admin *admin)
{
    if (admin == NULL)
        return NULL;
    uint64_t one = 1;
    atomic_store(&admin->stopping, true);
    CG_ASSERT(write(admin->wake, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_join(admin->thread, NULL);
    close(admin->wake);
    cg_admin_forget_generations(admin);
    pthread_mutex_destroy(&admin->lock);
    free(admin->address);
    free(admin);
    return NULL;
}

/* ---- the thread ---- */

static void on_wake(h2o_socket_t *socket, const char *error)
{
    (void)error;
    h2o_buffer_consume(&socket->input, socket->input->size);
    cg_admin_reloads_answer(socket->data);
}

static void on_sample_due(void *owner)
{
    struct cg_admin *admin = owner;
    uint32_t wait_ms = cg_history_sample(admin->history, cg_clock_monotonic_ms());
    cg_timer_arm(admin->clock, &admin->history_timer, wait_ms);
}

static void set_up(struct cg_admin *admin)
{
    h2o_config_init(&admin->config);
    admin->config.max_request_entity_size = CG_ADMIN_BODY_BYTES_MAX;
    admin->config.http1.upgrade_to_http2 = 0;
    admin->config.server_name = h2o_iovec_init(H2O_STRLIT("cachegate"));
    h2o_hostconf_t *host =
        h2o_config_register_host(&admin->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    struct cg_admin_handler *handler =
        (struct cg_admin_handler *)(void *)h2o_create_handler(path, sizeof *handler);
    handler->super.on_req = cg_admin_on_request;
    handler->admin = admin;

    h2o_context_init(&admin->context, h2o_evloop_create(), &admin->config);
    admin->accept = (h2o_accept_ctx_t){.ctx = &admin->context, .hosts = admin->config.hosts};
    admin->clock = cg_clock_create();
    admin->store = admin->world.store_open(admin->world.owner, &admin->context, admin->clock);
    admin->sheet = cg_book_sheet(admin->world.book);
    cg_page_make(&admin->page);
    admin->history = cg_history_create(admin->world.book, admin->started_ms);
    admin->history_timer = (struct cg_timer){.on_expiry = on_sample_due, .owner = admin};
    on_sample_due(admin);
}

static void turn(struct cg_admin *admin, uint32_t wait_ms)
{
    h2o_evloop_run(admin->context.loop, (int32_t)cg_clock_wait_ms(admin->clock, wait_ms));
    cg_clock_run(admin->clock);
}

/* Ends what clients still hold open, and lets the store finish. */
static void tear_down(struct cg_admin *admin, h2o_socket_t *listener, h2o_socket_t *wake)
{
    int64_t deadline_ms = cg_clock_monotonic_ms() + END_WAIT_MS;
    cg_timer_disarm(admin->clock, &admin->history_timer);
    h2o_socket_read_stop(listener);
    h2o_socket_close(listener);
    while (admin->operation_count > 0 && cg_clock_monotonic_ms() < deadline_ms)
        turn(admin, 50);
    for (struct cg_admin_connection *one = admin->connections; one != NULL; one = one->next)
        shutdown(h2o_socket_get_fd(one->socket), SHUT_RDWR); /* which libh2o reads as its end */
    while (admin->connection_count > 0 && cg_clock_monotonic_ms() < deadline_ms)
        turn(admin, 50);
    h2o_socket_read_stop(wake);
    h2o_socket_close(wake);
    admin->world.store_close(admin->world.owner, admin->store);
    if (admin->connection_count > 0) {
        cg_log(CG_LOG_WARN, "admin", "%zu connections would not end", admin->connection_count);
        return; /* the process is about to end; freeing under them would be worse */
    }
    if (!cg_lookups_drain(&admin->context, LOOKUPS_MS_MAX)) {
        cg_log(CG_LOG_WARN, "admin", "a lookup of a name is still under way");
        return;
    }
    h2o_evloop_t *loop = admin->context.loop;
    h2o_multithread_queue_t *queue = admin->context.queue;
    turn(admin, 0); /* closed sockets are freed by the loop's next turn */
    h2o_context_dispose(&admin->context);
    free(queue); /* libh2o 2.2.5 takes it apart, but does not free it */
    h2o_config_dispose(&admin->config);
    h2o_evloop_destroy(loop);
    cg_clock_destroy(admin->clock);
    cg_page_fini(&admin->page);
    cg_history_destroy(admin->history);
}

static void *run(void *argument)
{
    struct cg_admin *admin = argument;
    set_up(admin);
    h2o_socket_t *listener =
        h2o_evloop_socket_create(admin->context.loop, admin->listener, H2O_SOCKET_FLAG_DONT_READ);
    /* A descriptor of its own: the loop may close it while cg_admin_stop still writes. */
    int wake_copy = fcntl(admin->wake, F_DUPFD_CLOEXEC, 0);
    CG_ASSERT(wake_copy >= 0);
    h2o_socket_t *wake = h2o_evloop_socket_create(admin->context.loop, wake_copy, 0);
    listener->data = admin;
    h2o_socket_read_start(listener, on_accept);
    wake->data = admin;
    h2o_socket_read_start(wake, on_wake);
    while (!atomic_load(&admin->stopping))
        turn(admin, 1000);
    tear_down(admin, listener, wake);
    if (admin->world.settings->admin.kind == CG_ADDRESS_UNIX)
        cg_handover_unlink(admin->world.settings->admin.path, admin->file.st_dev,
                           admin->file.st_ino);
    return NULL;
}

/* ---- connections ---- */

static void on_close(void *data)
{
    struct cg_admin_connection *connection = data;
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    connection->admin->connection_count--;
    free(connection);
}

/* For newer ones: who asks, and be it a probe, is not kept out by who does not. */
static void end_oldest(struct cg_admin *admin)
{
    struct cg_admin_connection *oldest = NULL;
    for (struct cg_admin_connection *one = admin->connections; one != NULL; one = one->next)
        oldest = one->ended ? oldest : one;
    if (oldest == NULL)
        return;
    oldest->ended = true;
    shutdown(h2o_socket_get_fd(oldest->socket), SHUT_RDWR); /* which libh2o reads as its end */
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    struct cg_admin *admin = listener->data;
    if (error != NULL)
        return;
    h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
    if (socket == NULL)
        return;
    if (admin->connection_count >= CONNECTIONS_HARD_MAX) {
        h2o_socket_close(socket);
        return;
    }
    if (admin->connection_count >= CG_ADMIN_CONNECTIONS_MAX)
        end_oldest(admin);
    struct cg_admin_connection *connection = calloc(1, sizeof *connection);
    CG_ASSERT(connection != NULL);
    *connection = (struct cg_admin_connection){
        .admin = admin, .socket = socket, .next = admin->connections, .link = &admin->connections};
    if (connection->next != NULL)
        connection->next->link = &connection->next;
    admin->connections = connection;
    admin->connection_count++;
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    h2o_http1_accept(&admin->accept, socket, *h2o_get_timestamp(&admin->context, NULL, NULL));
}
