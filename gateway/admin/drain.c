/*
 * POST /drain: not ready from now on. Clients are told to go elsewhere (Connection: close, GOAWAY),
 * idle connections end, and whoever still comes is served: the process ends at SIGTERM, not here.
 * So a hook that runs at the beginning of a pod's end may call it, and call it again to see how
 * many connections are left.
 */
#include "gateway/admin/parts.h"

#include "gateway/base/log.h"

void cg_admin_drain(const struct cg_admin_call *call)
{
    struct cg_admin *admin = call->admin;
    const struct cg_admin_world *world = &admin->world;
    if (atomic_exchange(&admin->ready, false))
        cg_log(CG_LOG_NOTICE, "leaving",
               "asked by POST /drain: not ready from now on, and ends at SIGTERM");
    world->leave(world->owner);
    json_t *object = json_object();
    json_object_set_new(object, "status", json_string("draining"));
    json_object_set_new(object, "connections",
                        json_integer((json_int_t)world->connections(world->owner)));
    cg_admin_answer(call->request, 200, object);
}
