/* Two processes on one address, played by two sets of sockets of this one. */
#include "gateway/net/handover.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OLD = 2, NEW = 3, CLIENTS = 200 };

/* ---- TCP ---- */

static int listen_on(uint16_t *port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t length = sizeof name;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0, "%s", strerror(errno));
    cr_assert_eq(listen(fd, CLIENTS), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    *port = ntohs(name.sin_port);
    return fd;
}

/* CLIENTS clients come; how many each socket got. */
static void count_arrivals(uint16_t port, const int *sockets, size_t count, int *ret_counts)
{
    int clients[CLIENTS];
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(clients[i], (struct sockaddr *)&name, sizeof name), 0);
    }
    for (size_t i = 0; i < count; i++) {
        ret_counts[i] = 0;
        for (int fd; (fd = accept(sockets[i], NULL, NULL)) >= 0; close(fd))
            ret_counts[i]++;
    }
    for (size_t i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

Test(handover, whoever_leaves_gets_no_connection_any_more)
{
    uint16_t port = 0;
    int sockets[OLD + NEW], counts[OLD + NEW];
    for (size_t i = 0; i < OLD + NEW; i++)
        sockets[i] = listen_on(&port);
    count_arrivals(port, sockets, OLD + NEW, counts);
    for (size_t i = 0; i < OLD + NEW; i++)
        cr_assert_gt(counts[i], 0, "the kernel deals out to all");
    cg_handover_steer(sockets[0], OLD);
    count_arrivals(port, sockets, OLD + NEW, counts);
    cr_assert_eq(counts[0] + counts[1], 0);
    cr_assert_eq(counts[OLD], CLIENTS);
    close(sockets[1]);
    count_arrivals(port, sockets, 1, counts);
    cr_assert_eq(counts[0], 0, "also while its sockets close one by one");
    for (size_t i = OLD; i < OLD + NEW; i++) /* what came meanwhile */
        for (int fd; (fd = accept(sockets[i], NULL, NULL)) >= 0; close(fd))
            ;
    cg_handover_release(sockets[0]);
    close(sockets[0]);
    count_arrivals(port, sockets + OLD, NEW, counts);
    for (size_t i = 0; i < NEW; i++)
        cr_assert_gt(counts[i], 0, "all sockets of the successor are used");
    for (size_t i = OLD; i < OLD + NEW; i++)
        close(sockets[i]);
}

Test(handover, without_a_successor_nothing_changes)
{
    uint16_t port = 0;
    int sockets[OLD], counts[OLD];
    for (size_t i = 0; i < OLD; i++)
        sockets[i] = listen_on(&port);
    cg_handover_steer(sockets[0], OLD);
    count_arrivals(port, sockets, OLD, counts);
    cr_assert_gt(counts[0], 0);
    cr_assert_gt(counts[1], 0);
    cr_assert_eq(counts[0] + counts[1], CLIENTS);
    for (size_t i = 0; i < OLD; i++)
        close(sockets[i]);
}

/* ---- UNIX sockets ---- */

struct place {
    char folder[64], path[96];
};

static struct place make_place(void)
{
    struct place place;
    snprintf(place.folder, sizeof place.folder, "/tmp/cachegate-handover-XXXXXX");
    cr_assert_not_null(mkdtemp(place.folder));
    snprintf(place.path, sizeof place.path, "%s/socket", place.folder);
    return place;
}

static int open_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    int fd = open_unix();
    cr_assert_eq(connect(fd, (struct sockaddr *)&name, sizeof name), 0, "%s", strerror(errno));
    return fd;
}

static struct stat stat_of(const char *path)
{
    struct stat status = {0};
    cr_assert_eq(stat(path, &status), 0);
    return status;
}

Test(handover, a_path_is_taken_over)
{
    struct place place = make_place();
    int old = open_unix(), new = open_unix();
    cr_assert(cg_handover_listen_unix(old, place.path, 8));
    struct stat before = stat_of(place.path);
    int early = connect_unix(place.path);
    cr_assert(cg_handover_listen_unix(new, place.path, 8));
    int late = connect_unix(place.path);
    int first = accept(old, NULL, NULL), second = accept(new, NULL, NULL);
    cr_assert_geq(first, 0, "who was connected before stays with the old one");
    cr_assert_lt(accept(old, NULL, NULL), 0);
    cr_assert_geq(second, 0);
    cg_handover_unlink(place.path, before.st_dev, before.st_ino);
    cr_assert_eq(access(place.path, F_OK), 0, "the successor's file stays");
    struct stat after = stat_of(place.path);
    cg_handover_unlink(place.path, after.st_dev, after.st_ino);
    cr_assert_neq(access(place.path, F_OK), 0);
    const int all[] = {old, new, early, late, first, second};
    for (size_t i = 0; i < 6; i++)
        close(all[i]);
    rmdir(place.folder);
}

Test(handover, what_is_no_socket_stays)
{
    struct place place = make_place();
    int fd = open_unix();
    close(open(place.path, O_CREAT | O_WRONLY, 0600));
    cr_assert_not(cg_handover_listen_unix(fd, place.path, 8));
    cr_assert_eq(errno, EADDRINUSE);
    cr_assert(S_ISREG(stat_of(place.path).st_mode));
    close(fd);
    unlink(place.path);
    cr_assert_eq(rmdir(place.folder), 0, "nothing else is left behind");
}

Test(handover, a_path_without_room_for_a_second_name_is_refused)
{
    char path[108];
    int fd = open_unix();
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    cr_assert_not(cg_handover_listen_unix(fd, path, 8));
    cr_assert_eq(errno, ENAMETOOLONG);
    close(fd);
}
