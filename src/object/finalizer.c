/* SPDX-License-Identifier: MIT
 * Finalizers from outside: weak references that the world keeps until they have run. */
#include "object/builtin.h"
#include "object/weak_list.h"

/* All that are alive form a list in order of creation; each is owned by it. */
struct vv_finalizer {
    struct vv_weakref ref;
    void (*function)(void *argument); /* const */
    struct vv_finalizer *older;
    struct vv_finalizer *newer;
    bool is_alive;
    bool at_exit;
};

static struct vv_finalizer *as_finalizer(varve_object *object) {
    VV_IS(object, VV_TYPE_FINALIZER, "finalizer");
    vv_world_assert_inside(varve_world_of(object));
    return (struct vv_finalizer *)object;
}

/* Takes it out of the list of those alive; the list's reference goes to the caller. */
static void retire(struct vv_finalizer *finalizer) {
    struct vv_weak *weak = varve_world_of(&finalizer->ref.head)->weak;
    if (finalizer->newer != NULL) {
        finalizer->newer->older = finalizer->older;
    } else {
        weak->newest = finalizer->older;
    }
    if (finalizer->older != NULL) finalizer->older->newer = finalizer->newer;
    finalizer->older = finalizer->newer = NULL;
    finalizer->is_alive = false;
    finalizer->ref.callback = NULL;
}

/* Runs one that is alive. What it held stays for the caller to end. */
static void run(struct vv_finalizer *finalizer) {
    varve_object *object = &finalizer->ref.head;
    varve_world *world = varve_world_of(object);
    bool is_over = world->weak->is_over;
    retire(finalizer);
    vv_weak_list_remove(&finalizer->ref);
    if (is_over) return;
    world->call_depth++;
    finalizer->function(finalizer->ref.argument);
    world->call_depth--;
}

/* Its object has gone. The caller has a reference and ends what was held. */
static void object_died(varve_object *self, void *argument) {
    (void)argument;
    run((struct vv_finalizer *)self);
    varve_decref(self); /* the list's */
}

/* The world ends: those that want to, run, newest first, also new ones; the others are let go. */
static void run_at_exit(void *argument) {
    varve_world *world = argument;
    struct vv_weak *weak = world->weak;
    bool was_enabled = varve_gc_disable(world);
    struct vv_finalizer *finalizer = weak->newest;
    while (finalizer != NULL) {
        if (finalizer->at_exit) {
            run(finalizer);
            varve_clear_reference(&finalizer->ref.held);
            varve_decref(&finalizer->ref.head);
            finalizer = weak->newest; /* anything may have happened */
        } else {
            finalizer = finalizer->older;
        }
    }
    weak->is_over = true;
    while (weak->newest != NULL) {
        finalizer = weak->newest;
        retire(finalizer);
        vv_weak_list_remove(&finalizer->ref);
        varve_decref(&finalizer->ref.head);
    }
    if (was_enabled) varve_gc_enable(world);
}

varve_object *varve_finalize_new(varve_object *object, void (*function)(void *argument),
                                 void *argument, varve_object *held) {
    varve_world *world = varve_world_of(object);
    struct vv_weak *weak = world->weak;
    vv_world_assert_inside(world);
    if (!weak->exit_is_registered && !weak->is_over) {
        if (varve_world_at_exit(world, run_at_exit, world) != 0) {
            errno = ENOMEM;
            return NULL;
        }
        weak->exit_is_registered = true;
    }
    struct vv_finalizer *finalizer = (struct vv_finalizer *)vv_weakref_make(
        VV_TYPE_FINALIZER, object, object_died, argument, held);
    if (finalizer == NULL) return NULL;
    finalizer->function = function;
    if (weak->is_over) { /* too late: it is dead from the beginning */
        vv_weak_list_remove(&finalizer->ref);
        finalizer->ref.callback = NULL;
        return &finalizer->ref.head;
    }
    finalizer->is_alive = true;
    finalizer->at_exit = true;
    finalizer->older = weak->newest;
    if (weak->newest != NULL) weak->newest->newer = finalizer;
    weak->newest = finalizer;
    return varve_incref(&finalizer->ref.head);
}

int varve_finalize_call(varve_object *object) {
    struct vv_finalizer *finalizer = as_finalizer(object);
    if (!finalizer->is_alive) return 0;
    run(finalizer);
    varve_clear_reference(&finalizer->ref.held);
    varve_decref(object); /* the list's */
    return 1;
}

int varve_finalize_peek(varve_object *object, varve_object **out_object, void **out_argument) {
    const struct vv_finalizer *finalizer = as_finalizer(object);
    if (!finalizer->is_alive || finalizer->ref.object == NULL) return 0;
    if (out_object != NULL) *out_object = varve_incref(finalizer->ref.object);
    if (out_argument != NULL) *out_argument = finalizer->ref.argument;
    return 1;
}

int varve_finalize_detach(varve_object *object, varve_object **out_object, void **out_argument) {
    struct vv_finalizer *finalizer = as_finalizer(object);
    if (varve_finalize_peek(object, out_object, out_argument) == 0) return 0;
    retire(finalizer);
    vv_weak_list_remove(&finalizer->ref);
    varve_decref(object); /* the list's */
    return 1;
}

bool varve_finalize_is_alive(const varve_object *object) {
    VV_IS(object, VV_TYPE_FINALIZER, "finalizer");
    return ((const struct vv_finalizer *)object)->is_alive;
}

bool varve_finalize_get_at_exit(const varve_object *object) {
    VV_IS(object, VV_TYPE_FINALIZER, "finalizer");
    const struct vv_finalizer *finalizer = (const struct vv_finalizer *)object;
    return finalizer->is_alive && finalizer->at_exit;
}

void varve_finalize_set_at_exit(varve_object *object, bool at_exit) {
    as_finalizer(object)->at_exit = at_exit;
}

/* --- the type --- */

const varve_type_spec vv_finalizer_spec = {
    .name = "finalizer",
    .basic_bytes = sizeof(struct vv_finalizer),
    .flags = VV_TYPE_IS_WEAKREF,
    .traverse = vv_weakref_traverse,
    .clear = vv_weakref_clear,
};
