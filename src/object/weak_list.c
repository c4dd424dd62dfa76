/* SPDX-License-Identifier: MIT */
#include "object/weak_list.h"

#include "base/hash.h"

#include <errno.h>
#include <string.h>

#define SLOT_MIN_SHIFT 4u
#define SLOT_MAX_SHIFT 31u

static size_t home_of(const struct vv_weak *weak, const varve_object *object) {
    return vv_mix64_fast((uintptr_t)object) >> (64 - weak->slot_shift);
}

static size_t mask_of(const struct vv_weak *weak) {
    return ((size_t)1 << weak->slot_shift) - 1;
}

/* The slot of an object, or the empty one where it would be. There is an empty slot. */
static struct vv_weak_slot *find(const struct vv_weak *weak, const varve_object *object) {
    size_t mask = mask_of(weak);
    size_t index = home_of(weak, object);
    while (weak->slots[index].object != NULL && weak->slots[index].object != object) {
        index = (index + 1) & mask;
    }
    return &weak->slots[index];
}

/* Empties a slot and moves those behind it that would not be found any more. */
static void vacate(struct vv_weak *weak, struct vv_weak_slot *slot) {
    size_t mask = mask_of(weak);
    size_t hole = (size_t)(slot - weak->slots);
    for (size_t index = (hole + 1) & mask; weak->slots[index].object != NULL;
         index = (index + 1) & mask) {
        size_t home = home_of(weak, weak->slots[index].object);
        if (((index - home) & mask) < ((index - hole) & mask)) continue;
        weak->slots[hole] = weak->slots[index];
        hole = index;
    }
    weak->slots[hole].object = NULL;
    weak->used_count--;
}

static bool resize(varve_world *world, uint32_t slot_shift) {
    struct vv_weak *weak = world->weak;
    size_t byte_count = sizeof(struct vv_weak_slot) << slot_shift;
    struct vv_weak_slot *slots = vv_world_allocate(world, byte_count);
    if (slots == NULL) return false;
    memset(slots, 0, byte_count);
    struct vv_weak larger = {.slots = slots, .slot_shift = slot_shift};
    size_t slot_count = weak->slots != NULL ? mask_of(weak) + 1 : 0;
    for (size_t index = 0; index < slot_count; index++) {
        varve_object *object = weak->slots[index].object;
        if (object != NULL) *find(&larger, object) = weak->slots[index];
    }
    vv_world_release(world, weak->slots);
    weak->slots = slots;
    weak->slot_shift = slot_shift;
    return true;
}

/* Room for one more object, with a quarter of the slots empty. */
static bool reserve(varve_world *world) {
    struct vv_weak *weak = world->weak;
    size_t slot_count = weak->slots != NULL ? mask_of(weak) + 1 : 0;
    if (weak->used_count + 1 > slot_count - slot_count / 4) {
        if (weak->slot_shift >= SLOT_MAX_SHIFT) return false;
        return resize(world, weak->slots != NULL ? weak->slot_shift + 1 : SLOT_MIN_SHIFT);
    }
    if (weak->slot_shift > SLOT_MIN_SHIFT + 2 && weak->used_count < slot_count / 16) {
        (void)resize(world, weak->slot_shift - 2); /* without memory it stays as large as it is */
    }
    return true;
}

struct vv_weakref *vv_weak_list_first(const varve_object *object) {
    if ((*vv_object_state(object) & VV_STATE_WEAKREF) == 0) return NULL;
    return find(varve_world_of(object)->weak, object)->first;
}

/* Between two neighbours; `previous` NULL: first. */
static void insert(struct vv_weak_slot *slot, struct vv_weakref *ref, struct vv_weakref *previous) {
    struct vv_weakref *next = previous != NULL ? previous->next : slot->first;
    ref->previous = previous;
    ref->next = next;
    if (next != NULL) next->previous = ref;
    if (previous != NULL) {
        previous->next = ref;
    } else {
        slot->first = ref;
    }
}

int vv_weak_list_add(struct vv_weakref *ref, varve_object *object) {
    varve_world *world = varve_world_of(object);
    struct vv_weak *weak = world->weak;
    if (!reserve(world)) return -ENOMEM;
    struct vv_weak_slot *slot = find(weak, object);
    if (slot->object == NULL) {
        *slot = (struct vv_weak_slot){.object = object};
        weak->used_count++;
        *vv_object_state(object) |= VV_STATE_WEAKREF;
    }
    bool behind =
        slot->first != NULL && vv_weakref_is_shared(slot->first) && !vv_weakref_is_shared(ref);
    insert(slot, ref, behind ? slot->first : NULL);
    ref->object = object;
    vv_audit(vv_weak_list_check(object));
    return 0;
}

void vv_weak_list_remove(struct vv_weakref *ref) {
    varve_object *object = ref->object;
    if (object == NULL) return;
    struct vv_weak *weak = varve_world_of(object)->weak;
    if (ref->next != NULL) ref->next->previous = ref->previous;
    if (ref->previous != NULL) {
        ref->previous->next = ref->next;
    } else {
        struct vv_weak_slot *slot = find(weak, object);
        slot->first = ref->next;
        if (slot->first == NULL) {
            vacate(weak, slot);
            *vv_object_state(object) &= (uint8_t)~VV_STATE_WEAKREF;
        }
    }
    ref->object = NULL;
    ref->next = ref->previous = NULL;
    vv_audit(vv_weak_list_check(object));
}

struct vv_weakref *vv_weak_list_take(varve_object *object) {
    struct vv_weak *weak = varve_world_of(object)->weak;
    struct vv_weak_slot *slot = find(weak, object);
    struct vv_weakref *first = slot->first;
    vacate(weak, slot);
    *vv_object_state(object) &= (uint8_t)~VV_STATE_WEAKREF;
    return first;
}

const char *vv_weak_list_check(const varve_object *object) {
    const struct vv_weak *weak = varve_world_of(object)->weak;
    bool has_bit = (*vv_object_state(object) & VV_STATE_WEAKREF) != 0;
    const struct vv_weak_slot *slot = weak->slots != NULL ? find(weak, object) : NULL;
    bool has_slot = slot != NULL && slot->object == object;
    vv_expect(has_bit == has_slot, "an object's state and its weak references disagree");
    const struct vv_weakref *previous = NULL;
    for (const struct vv_weakref *ref = has_slot ? slot->first : NULL; ref != NULL;
         ref = ref->next) {
        vv_expect(ref->object == object, "a weak reference is in the list of another object");
        vv_expect(ref->previous == previous, "a list of weak references is not linked both ways");
        previous = ref;
    }
    vv_expect(!has_slot || previous != NULL, "a list of weak references is empty");
    return NULL;
}
