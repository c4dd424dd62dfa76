/* SPDX-License-Identifier: MIT */
#include "object/world.h"

#include "base/text.h"
#include "heap/meta.h"
#include "heap/process.h"
#include "heap/size_class.h"
#include "heap/thread.h"
#include "object/weak.h"
#include "object/weak_table.h"
#include "os/environment.h"

#include <errno.h>
#include <string.h>

struct vv_exit_function {
    struct vv_exit_function *next;
    void (*function)(void *argument);
    void *argument;
};

/* --- memory --- */

void *vv_world_allocate(varve_world *world, size_t byte_count) {
    if (vv_unlikely(vv_world_should_fail(world))) {
        errno = ENOMEM;
        return NULL;
    }
    return varve_malloc(byte_count);
}

void *vv_world_reallocate(varve_world *world, void *memory, size_t byte_count) {
    if (vv_unlikely(vv_world_should_fail(world))) {
        errno = ENOMEM;
        return NULL;
    }
    return varve_realloc(memory, byte_count);
}

void vv_world_release(varve_world *world, void *memory) {
    (void)world;
    varve_free(memory);
}

void varve_world_fail_after(varve_world *world, uint64_t count) {
    world->fail_at = world->allocation_count + count + 1;
}

void varve_world_fail_never(varve_world *world) {
    world->fail_at = UINT64_MAX;
}

uint64_t varve_world_allocations(const varve_world *world) {
    return world->allocation_count;
}

bool vv_pool_list_reserve(varve_world *world, struct vv_pool_list *list, size_t count) {
    if (count <= list->capacity) return true;
    size_t capacity = vv_max(list->capacity * 2, vv_max(count, 16));
    void *items = vv_world_reallocate(world, list->items, capacity * sizeof list->items[0]);
    if (items == NULL) return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

void vv_world_list_young(struct vv_object_pool *pool, unsigned generation) {
    struct vv_pool_list *list = &pool->world->young[generation];
    if (pool->is_listed[generation]) return;
    vv_assert(list->count < list->capacity);
    pool->is_listed[generation] = true;
    list->items[list->count++] = pool;
}

/* --- who is inside --- */

/* The owner of a world that was freed, as long as its memory is not used again. */
#define OWNER_OF_FREED UINT64_MAX

/* The address of a thread-local variable is the cheapest name of a thread. */
static uint64_t this_thread(void) {
    return (uintptr_t)&vv_local;
}

/* Fatal: the world was freed, or else what the sentence says. */
static VV_COLD _Noreturn void misused(uint64_t owner, const char *sentence) {
    vv_check(owner != OWNER_OF_FREED, "varve: a world was used after it was freed");
    vv_fatal(sentence);
}

void vv_world_check_thread(const varve_world *world) {
    uint64_t owner = atomic_load_explicit(&world->owner, memory_order_relaxed);
    if (vv_likely(owner == this_thread())) return;
    misused(owner, "varve: a world is used by a thread that is not inside it");
}

void varve_world_enter(varve_world *world) {
    uint64_t me = this_thread(), owner = 0;
    if (atomic_load_explicit(&world->owner, memory_order_relaxed) != me) {
        /* partner: the release in varve_world_leave() */
        bool entered = atomic_compare_exchange_strong_explicit(
            &world->owner, &owner, me, memory_order_acquire, memory_order_relaxed);
        if (!entered) misused(owner, "varve: a world was entered by two threads at once");
    }
    world->enter_count++;
}

void varve_world_leave(varve_world *world) {
    vv_world_check_thread(world);
    if (--world->enter_count > 0) return;
    atomic_store_explicit(&world->owner, 0, memory_order_release);
}

varve_world *varve_world_of(const varve_object *object) {
    vv_object_assert_live(object);
    return vv_object_pool_of(object)->world;
}

/* --- beginning --- */

static uint32_t block_bytes_of(unsigned shelf_index) {
    if (shelf_index < VV_OBJECT_STEP_COUNT) return (shelf_index + 1) * VV_OBJECT_STEP_BYTES;
    size_t class_index = vv_min(shelf_index - VV_OBJECT_STEP_COUNT, VV_CLASS_COUNT - 1);
    return vv_classes[class_index].block_bytes;
}

static void init_shelves(varve_world *world) {
    for (unsigned kind = 0; kind < VV_SHELF_KIND_COUNT; kind++) {
        for (unsigned index = 0; index < VV_SHELF_COUNT; index++) {
            uint32_t block_bytes = block_bytes_of(index);
            world->shelves[kind][index] =
                (struct vv_shelf){.block_bytes = block_bytes,
                                  .reciprocal = vv_reciprocal(block_bytes),
                                  .kind = (uint8_t)kind};
        }
    }
}

static int init(varve_world *world) {
    world->fail_at = UINT64_MAX;
    init_shelves(world);
    world->no_refs = varve_calloc(VV_OBJECT_POOL_MAX_BYTES / 16, sizeof world->no_refs[0]);
    if (world->no_refs == NULL) return -ENOMEM;
    int error = vv_gc_init(world);
    if (error == 0) error = vv_builtin_types_init(world);
    if (error == 0) error = vv_builtin_constants_init(world);
    if (error == 0) error = vv_weak_init(world);
    if (error == 0) {
        world->gc.garbage = varve_list_new(world);
        if (world->gc.garbage == NULL) error = -ENOMEM;
    }
    if (error != 0) return error;
    varve_gc_untrack(world->gc.garbage);
    memset(world->gc.count, 0, sizeof world->gc.count);
    world->gc.enabled = true;
    return 0;
}

/* --- end --- */

static void free_tables(varve_world *world) {
    vv_object_pools_free_all(world);
    for (uint32_t index = 0; index < world->type_count; index++) varve_free(world->types[index]);
    varve_free(world->types);
    varve_free(world->pools.items);
    varve_free(world->young[0].items);
    varve_free(world->young[1].items);
    varve_free(world->work.items);
    varve_free(world->trash.items);
    varve_free(world->no_refs);
    atomic_store_explicit(&world->owner, OWNER_OF_FREED, memory_order_relaxed);
    varve_free(world);
}

varve_world *varve_world_new(void) {
    varve_world *world = vv_process_init() ? varve_calloc(1, sizeof *world) : NULL;
    if (world == NULL) goto failed;
    varve_world_enter(world);
    if (init(world) == 0) return world;
    world->ending = true;
    vv_weak_done(world);
    vv_gc_done(world);
    vv_interned_done(world);
    free_tables(world);
failed:
    errno = ENOMEM;
    return NULL;
}

int varve_world_at_exit(varve_world *world, void (*function)(void *argument), void *argument) {
    struct vv_exit_function *entry = vv_world_allocate(world, sizeof *entry);
    if (entry == NULL) return -ENOMEM;
    *entry = (struct vv_exit_function){world->exit_functions, function, argument};
    world->exit_functions = entry;
    return 0;
}

static void run_exit_functions(varve_world *world) {
    while (world->exit_functions != NULL) {
        struct vv_exit_function entry = *world->exit_functions;
        vv_world_release(world, world->exit_functions);
        world->exit_functions = entry.next;
        world->call_depth++;
        entry.function(entry.argument);
        world->call_depth--;
    }
}

static int count_leaked(varve_object *object, void *argument) {
    long *count = argument;
    varve_world *world = varve_world_of(object);
    if (object->refcount >= VARVE_IMMORTAL) return 0;
    ++*count;
    if (world->on_leak != NULL) {
        varve_leaked_object leaked = {object, vv_type_of(object)->spec.name, object->refcount};
        world->on_leak(&leaked, world->on_leak_argument);
    }
    return 0;
}

/* Frees the memory outside of the blocks of an object that was leaked; its references go nowhere,
 * and who still has one to it will find that it was freed. */
static int drop_leaked(varve_object *object, void *argument) {
    (void)argument;
    if (vv_is_weak_table(object)) {
        vv_weak_table_release((struct vv_weak_table *)object);
    } else {
        vv_builtin_release_outer(object);
    }
    object->type_index = 0;
    return 0;
}

long varve_world_free(varve_world *world) {
    if (world == NULL) return 0;
    vv_world_check_thread(world);
    bool is_within = world->gc.collecting || world->dealloc_depth > 0 || world->call_depth > 0;
    if (is_within || world->ending) return -EBUSY;
    run_exit_functions(world);
    varve_gc_unfreeze(world);
    varve_gc_set_debug(world, 0);
    varve_list_clear(world->gc.garbage);
    for (int round = 0; round < 8 && varve_gc_collect(world, 2) > 0; round++) continue;
    varve_clear_reference(&world->gc.garbage);
    vv_weak_done(world);
    world->ending = true;
    long leaked_count = 0;
    vv_world_visit_objects(world, count_leaked, &leaked_count);
    vv_world_visit_objects(world, drop_leaked, NULL);
    vv_weak_done(world);
    vv_gc_done(world);
    vv_interned_done(world);
    free_tables(world);
    return leaked_count;
}

void varve_world_on_leak(varve_world *world,
                         void (*report)(const varve_leaked_object *leaked, void *argument),
                         void *argument) {
    world->on_leak = report;
    world->on_leak_argument = argument;
}

/* --- errors that nobody can be told of --- */

void varve_world_on_unraisable(varve_world *world,
                               void (*report)(const char *where, varve_object *object, int error,
                                              void *argument),
                               void *argument) {
    world->on_unraisable = report;
    world->on_unraisable_argument = argument;
}

void varve_unraisable(varve_object *object, const char *where, int error) {
    varve_world *world = varve_world_of(object);
    if (world->on_unraisable != NULL) {
        world->on_unraisable(where, object, error, world->on_unraisable_argument);
        return;
    }
    char buffer[200];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: exception ignored in ");
    vv_text_add(&text, where);
    vv_text_add(&text, ": error ");
    vv_text_add_decimal(&text, (uint64_t)(error < 0 ? -(int64_t)error : error));
    vv_text_add(&text, "\n");
    vv_text_end(&text);
    vv_write_all(2, buffer, (size_t)(text.at - buffer));
}

/* --- looking at everything --- */

static int visit_pool(struct vv_object_pool *pool,
                      int (*visit)(varve_object *object, void *argument), void *argument) {
    for (uint32_t index = 0; index < pool->carved_count; index++) {
        if (!vv_object_is_visible(pool, index)) continue;
        int result = visit(vv_object_at(pool, index), argument);
        if (result != 0) return result;
    }
    return 0;
}

int vv_world_visit_objects(varve_world *world, int (*visit)(varve_object *object, void *argument),
                           void *argument) {
    int result = 0;
    world->walk_count++;
    for (size_t index = 0; index < world->pools.count && result == 0; index++) {
        result = visit_pool(world->pools.items[index], visit, argument);
    }
    world->walk_count--;
    vv_object_pools_trim(world);
    return result;
}

void varve_world_count(const varve_world *world, varve_world_counts *out_counts) {
    *out_counts = (varve_world_counts){.live_objects = 0};
    for (size_t index = 0; index < world->pools.count; index++) {
        const struct vv_object_pool *pool = world->pools.items[index];
        size_t state_bytes = pool->kind == VV_SHELF_LEAF ? 1 : 1 + sizeof pool->refs[0];
        out_counts->live_objects += pool->live_count;
        out_counts->object_bytes += pool->live_count * vv_object_block_bytes(pool);
        out_counts->pool_bytes += pool->granule_count * VV_GRANULE_BYTES;
        out_counts->plane_bytes += pool->capacity * state_bytes;
        for (uint32_t block = 0; block < pool->carved_count; block++) {
            out_counts->tracked_objects += pool->states[block] & VV_STATE_TRACKED;
        }
    }
}
