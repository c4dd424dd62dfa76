/* SPDX-License-Identifier: MIT */
#include "heap/debug.h"

#include "heap/emergency.h"
#include "heap/misuse.h"

#include <string.h>

bool vv_debug_on;

enum { FRESH_BYTE = 0xCD, FREED_BYTE = 0xDD, GUARD_BYTE = 0xFD };

/* While the block is live, its mark is | 0 | alignment step: 3 bits | enum vv_api: 4 bits |. Before
 * its first use it is 0. */
enum { MARK_FREED = 0x80, MARK_API_BITS = 4, MARK_STEP_MAX = 7 };
_Static_assert(VV_API_COUNT <= 1 << MARK_API_BITS, "an api fits into a mark");

/* Each step doubles the alignment. The first stands for all smaller ones, too, which C++ does not
 * tell apart, and the last for all bigger ones. */
#define STEP_0_ALIGNMENT ((size_t)16)

/* In a big block this many of the bytes behind the requested ones are guarded. */
#define GUARD_MAX_BYTES 128

/* Freed blocks in the order in which they were freed; a full ring gives up its oldest. There is no
 * lock that a signal handler could keep by leaving a free through longjmp(). */
struct ring {
    _Atomic(void *) *blocks;
    unsigned capacity; /* a power of two */
    _Atomic unsigned turn;
};

/* Big blocks keep their addresses and no memory. */
#define BIG_BYTES ((size_t)64 * 1024)
#define SMALL_MAX_COUNT 1024
#define BIG_MAX_COUNT 64
static _Atomic(void *) small_blocks[SMALL_MAX_COUNT], big_blocks[BIG_MAX_COUNT];
static struct ring small_ring = {.blocks = small_blocks, .capacity = SMALL_MAX_COUNT};
static struct ring big_ring = {.blocks = big_blocks, .capacity = BIG_MAX_COUNT};
static _Atomic size_t waiting_blocks, waiting_bytes;

static unsigned step_of(size_t alignment) {
    unsigned step = 0;
    while (step < MARK_STEP_MAX && STEP_0_ALIGNMENT << step < alignment) step++;
    return step;
}

static enum vv_api api_of(const struct vv_place *place) {
    return (enum vv_api)(*vv_place_mark(place) & ((1u << MARK_API_BITS) - 1));
}

void vv_debug_enable(void) {
    vv_debug_on = true;
    vv_plane_with_marks = true;
    vv_lane_set(VV_LANE_FACTS);
}

static bool all_bytes_are(const unsigned char *bytes, size_t byte_count, unsigned char value) {
    for (size_t index = 0; index < byte_count; index++) {
        if (bytes[index] != value) return false;
    }
    return true;
}

/* `fact` is of the life that has ended. */
static void check_still_freed(const struct vv_place *place, size_t skipped_bytes,
                              struct vv_fact fact) {
    const unsigned char *bytes = place->block;
    size_t byte_count = vv_place_usable_bytes(place);
    if (all_bytes_are(bytes + skipped_bytes, byte_count - skipped_bytes, FREED_BYTE)) return;
    vv_misuse_block("write to ", place, fact, " after it was freed");
}

static size_t guard_bytes(const struct vv_place *place, size_t requested_bytes) {
    return vv_min(vv_place_usable_bytes(place) - requested_bytes, GUARD_MAX_BYTES);
}

void vv_debug_allocated(const struct vv_place *place, const struct vv_request *request) {
    uint8_t *mark = vv_place_mark(place);
    /* The first word of a block that has left the quarantine links it to others. */
    if (*mark == MARK_FREED) {
        check_still_freed(place, sizeof(void *), (struct vv_fact){VV_SITE_NONE, 0});
    }
    *mark = (uint8_t)((unsigned)request->api | step_of(request->alignment) << MARK_API_BITS);
    unsigned char *bytes = place->block;
    if (!request->zeroed) memset(bytes, FRESH_BYTE, request->byte_count);
    memset(bytes + request->byte_count, GUARD_BYTE, guard_bytes(place, request->byte_count));
}

bool vv_debug_is_freed(const struct vv_place *place) {
    return vv_debug_on && vv_place_get_fact(place).site != VV_SITE_NONE &&
           *vv_place_mark(place) == MARK_FREED;
}

/* --- checks at free --- */

/* Which functions may free what `api` allocated: those of the same family. */
static int family(enum vv_api api) {
    return api >= VV_API_NEW ? (int)api : 0;
}

static void check_family(const struct vv_place *place, enum vv_api api) {
    enum vv_api allocated_by = api_of(place);
    if (api == VV_API_NONE || family(allocated_by) == family(api)) return;
    vv_misuse_mismatch(place, allocated_by, api);
}

static void check_stated(const struct vv_place *place, size_t requested_bytes,
                         struct vv_stated stated) {
    if (stated.byte_count != 0 && stated.byte_count != requested_bytes) {
        vv_misuse_wrong_size(place, stated.byte_count);
    }
    unsigned step = *vv_place_mark(place) >> MARK_API_BITS;
    if (stated.alignment != 0 && step_of(stated.alignment) != step) {
        vv_misuse_wrong_alignment(place, STEP_0_ALIGNMENT << step, step == MARK_STEP_MAX,
                                  stated.alignment);
    }
}

static bool is_carved_block(const struct vv_place *place) {
    if (place->pool == NULL || place->pool->kind != VV_POOL_SMALL) return true;
    return vv_pool_has_block(place->pool, place->block);
}

/* A block that was deferred has had a link in its first word, see heap/deferred.h. */
static bool guard_holds(const struct vv_place *place, size_t requested_bytes, bool was_deferred) {
    const unsigned char *bytes = place->block;
    size_t end = requested_bytes + guard_bytes(place, requested_bytes);
    size_t begin = was_deferred ? vv_max(requested_bytes, sizeof(void *)) : requested_bytes;
    return all_bytes_are(bytes + begin, end - begin, GUARD_BYTE);
}

void vv_debug_check_free(const struct vv_place *place, enum vv_api api, struct vv_stated stated) {
    if (!is_carved_block(place)) vv_misuse_invalid_free(place->block);
    struct vv_fact fact = vv_place_get_fact(place);
    if (*vv_place_mark(place) == MARK_FREED) {
        vv_misuse_block("double free of ", place, fact, "");
    }
    if (fact.site == VV_SITE_NONE) vv_misuse_invalid_free(place->block);
    check_family(place, api);
    check_stated(place, fact.requested_bytes, stated);
    if (!guard_holds(place, fact.requested_bytes, api == VV_API_NONE)) {
        vv_misuse_block("write behind the end of ", place, fact, "");
    }
}

void vv_debug_check_usable(const struct vv_place *place) {
    if (!is_carved_block(place)) vv_misuse_foreign_pointer(place->block);
    struct vv_fact fact = vv_place_get_fact(place);
    if (fact.site == VV_SITE_NONE) vv_misuse_foreign_pointer(place->block);
    if (*vv_place_mark(place) != MARK_FREED) return;
    vv_misuse_block("usable size of ", place, fact, ", asked for after it was freed");
}

/* --- the quarantine --- */

static bool is_big(const struct vv_place *place) {
    return place->huge != NULL || vv_place_usable_bytes(place) > BIG_BYTES;
}

/* Makes late writes show. False: not possible, the block cannot wait. */
static bool close_block(const struct vv_place *place) {
    size_t byte_count = vv_place_usable_bytes(place);
    if (is_big(place)) return vv_pages_forbid(place->block, byte_count);
    memset(place->block, FREED_BYTE, byte_count);
    return true;
}

/* The reverse. False: not possible, the block is lost. */
static bool open_block(const struct vv_place *place) {
    if (is_big(place)) return vv_pages_commit(place->block, vv_place_usable_bytes(place));
    check_still_freed(place, 0, vv_place_get_fact(place));
    return true;
}

static void begin_waiting(const struct vv_place *place) {
    atomic_fetch_add_explicit(&waiting_blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&waiting_bytes, vv_place_usable_bytes(place), memory_order_relaxed);
}

static void end_waiting(const struct vv_place *place) {
    atomic_fetch_sub_explicit(&waiting_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&waiting_bytes, vv_place_usable_bytes(place), memory_order_relaxed);
}

/* The reserve is for rare moments and small: what it lends comes back at once. */
static bool is_of_reserve(const struct vv_place *place) {
    return place->pool != NULL && vv_emergency_owns(place->pool);
}

/* Puts `block` in the place of the one that has waited longest. */
static void *exchange_oldest(struct ring *ring, void *block) {
    unsigned turn = atomic_fetch_add_explicit(&ring->turn, 1, memory_order_relaxed);
    return atomic_exchange_explicit(&ring->blocks[turn % ring->capacity], block,
                                    memory_order_acq_rel); /* what was written to the blocks */
}

/* True: *out_place, that of a block from a ring, may be given back. */
static bool take_out(void *block, struct vv_place *out_place) {
    if (block == NULL) return false;
    bool found = vv_place_find(block, out_place);
    vv_assert(found);
    (void)found;
    end_waiting(out_place);
    return open_block(out_place);
}

bool vv_debug_quarantine(struct vv_place *place) {
    if (is_of_reserve(place)) return true;
    *vv_place_mark(place) = MARK_FREED;
    if (!close_block(place)) return true;
    begin_waiting(place);
    return take_out(exchange_oldest(is_big(place) ? &big_ring : &small_ring, place->block), place);
}

bool vv_debug_release_big(struct vv_thread *thread) {
    bool released = false;
    for (unsigned index = 0; index < BIG_MAX_COUNT; index++) {
        struct vv_place place;
        if (!take_out(exchange_oldest(&big_ring, NULL), &place)) continue;
        vv_place_clear_fact(&place);
        vv_place_give(thread, &place);
        released = true;
    }
    return released;
}

void vv_debug_count_quarantine(size_t *out_block_count, size_t *out_byte_count) {
    *out_block_count = atomic_load_explicit(&waiting_blocks, memory_order_relaxed);
    *out_byte_count = atomic_load_explicit(&waiting_bytes, memory_order_relaxed);
}
