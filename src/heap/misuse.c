/* SPDX-License-Identifier: MIT */
#include "heap/misuse.h"

#include "base/text.h"
#include "heap/hooks.h"

#define REPORT_BYTES 4000

static void add_address(struct vv_text *text, const void *address) {
    vv_text_add_hex(text, (uintptr_t)address);
}

static void add_block(struct vv_text *text, const void *block, size_t byte_count) {
    vv_text_add(text, "block ");
    add_address(text, block);
    vv_text_add(text, " of ");
    vv_text_add_decimal(text, byte_count);
    vv_text_add(text, byte_count == 1 ? " byte" : " bytes");
}

static void add_site(struct vv_text *text, uint32_t site) {
    if (vv_hooks == NULL || site <= VV_SITE_UNKNOWN) return;
    vv_text_add(text, "\nvarve: it was allocated at");
    vv_hooks->describe_site(site, text);
}

static size_t bytes_of(const struct vv_place *place, struct vv_fact fact) {
    return fact.site != VV_SITE_NONE ? fact.requested_bytes : vv_place_usable_bytes(place);
}

/* Whether the address is that of a block of the pool, though not of a live one. */
static bool is_free_block(const struct vv_pool *pool, const void *address) {
    return pool->kind == VV_POOL_SMALL && vv_pool_has_block(pool, address);
}

static struct vv_place place_around(const void *address, struct vv_pool *pool) {
    struct vv_place place = {.block = vv_pool_base(pool), .pool = pool};
    if (pool->kind == VV_POOL_SMALL) {
        place.index = vv_pool_block_index(pool, address);
        place.block = vv_pool_block(pool, place.index);
    }
    return place;
}

static _Noreturn void interior_free(const void *address, struct vv_place place) {
    char buffer[REPORT_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    struct vv_fact fact = vv_place_get_fact(&place);
    vv_text_add(&text, "varve: free of ");
    add_address(&text, address);
    vv_text_add(&text, ", which is inside the ");
    add_block(&text, place.block, bytes_of(&place, fact));
    add_site(&text, fact.site);
    vv_fatal(vv_text_end(&text));
}

/* The pool that the address is in, or NULL. Of a medium block only the first granule is known, so
 * it is searched for downwards. */
static struct vv_pool *pool_around(const void *address) {
    struct vv_pool *record = vv_pool_record(address);
    if (record->kind == VV_POOL_OBJECTS) return NULL;
    if (record->kind != VV_POOL_NONE) return vv_pool_of_record(record);
    struct vv_pool *below = record;
    while (below > vv_region.pools && below->kind == VV_POOL_NONE) below--;
    bool covers = below->kind == VV_POOL_MEDIUM && record - below < below->granule_count;
    return covers ? below : NULL;
}

struct holder {
    const char *address;
    struct vv_huge *huge; /* that the address is in; or NULL */
};

static void look_in_huge(struct vv_huge *huge, void *argument) {
    struct holder *holder = argument;
    const char *begin = huge->address;
    if (holder->address > begin && holder->address < begin + huge->mapped_bytes) {
        holder->huge = huge;
    }
}

void vv_misuse_invalid_free(const void *address) {
    struct holder holder = {.address = address};
    vv_huge_visit(look_in_huge, &holder);
    if (holder.huge != NULL) {
        interior_free(address,
                      (struct vv_place){.block = holder.huge->address, .huge = holder.huge});
    }
    bool ours = vv_region_contains(address);
    struct vv_pool *pool = ours ? pool_around(address) : NULL;
    if (pool != NULL && !is_free_block(pool, address)) {
        interior_free(address, place_around(address, pool));
    }
    char buffer[REPORT_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: free of ");
    add_address(&text, address);
    vv_text_add(&text, ours ? ", whose memory has been freed before or was never allocated"
                            : ", which is not a block of varve");
    vv_fatal(vv_text_end(&text));
}

void vv_misuse_foreign_pointer(const void *address) {
    char buffer[REPORT_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: ");
    add_address(&text, address);
    vv_text_add(&text, " is not a block of varve");
    vv_fatal(vv_text_end(&text));
}

void vv_misuse_block(const char *sentence, const struct vv_place *place, struct vv_fact fact,
                     const char *tail) {
    char buffer[REPORT_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: ");
    vv_text_add(&text, sentence);
    add_block(&text, place->block, bytes_of(place, fact));
    vv_text_add(&text, tail);
    add_site(&text, fact.site);
    vv_fatal(vv_text_end(&text));
}

static const char *allocator_name(enum vv_api api) {
    static const char *const names[VV_API_COUNT] = {
        [VV_API_NONE] = "nobody",
        [VV_API_MALLOC] = "malloc",
        [VV_API_CALLOC] = "calloc",
        [VV_API_REALLOC] = "realloc",
        [VV_API_ALIGNED] = "aligned_alloc",
        [VV_API_FREE] = "free",
        [VV_API_NEW] = "operator new",
        [VV_API_NEW_ARRAY] = "operator new[]",
        [VV_API_NEW_ALIGNED] = "aligned operator new",
        [VV_API_NEW_ARRAY_ALIGNED] = "aligned operator new[]",
    };
    return names[api];
}

static const char *deallocator_name(enum vv_api api) {
    switch (api) {
    case VV_API_NEW: return "operator delete";
    case VV_API_NEW_ARRAY: return "operator delete[]";
    case VV_API_NEW_ALIGNED: return "aligned operator delete";
    case VV_API_NEW_ARRAY_ALIGNED: return "aligned operator delete[]";
    default: return allocator_name(api);
    }
}

void vv_misuse_mismatch(const struct vv_place *place, enum vv_api allocated_by,
                        enum vv_api freed_by) {
    char buffer[REPORT_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    struct vv_fact fact = vv_place_get_fact(place);
    vv_text_add(&text, "varve: ");
    add_block(&text, place->block, bytes_of(place, fact));
    vv_text_add(&text, ", allocated by ");
    vv_text_add(&text, allocator_name(allocated_by));
    vv_text_add(&text, ", was freed by ");
    vv_text_add(&text, deallocator_name(freed_by));
    add_site(&text, fact.site);
    vv_fatal(vv_text_end(&text));
}

/* As much as a tail says: two numbers and a few words. */
#define TAIL_BYTES 100

void vv_misuse_wrong_size(const struct vv_place *place, size_t stated_bytes) {
    char buffer[TAIL_BYTES];
    struct vv_text tail = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&tail, " says ");
    vv_text_add_decimal(&tail, stated_bytes);
    vv_text_add(&tail, " bytes");
    vv_misuse_block("sized operator delete of ", place, vv_place_get_fact(place),
                    vv_text_end(&tail));
}

void vv_misuse_wrong_alignment(const struct vv_place *place, size_t alignment, bool or_more,
                               size_t stated_alignment) {
    char buffer[TAIL_BYTES];
    struct vv_text tail = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&tail, " says an alignment of ");
    vv_text_add_decimal(&tail, stated_alignment);
    vv_text_add(&tail, ", not ");
    vv_text_add_decimal(&tail, alignment);
    if (or_more) vv_text_add(&tail, " or more");
    vv_misuse_block("aligned operator delete of ", place, vv_place_get_fact(place),
                    vv_text_end(&tail));
}
