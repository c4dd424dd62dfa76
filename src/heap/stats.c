/* SPDX-License-Identifier: MIT */
#include "heap/stats.h"

#include "base/text.h"
#include "heap/arena.h"
#include "heap/medium.h"
#include "heap/meta.h"
#include "heap/process.h"
#include "heap/walk.h"
#include "os/resident.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

_Static_assert(VV_CLASS_COUNT <= VARVE_CLASS_MAX, "the public struct has room for all classes");

/* --- counting --- */

static void count_small(const struct vv_pool *pool, varve_class_stats *stats) {
    size_t block_bytes = vv_pool_block_bytes(pool);
    size_t carved = pool->carved_count;
    size_t free = vv_min(vv_walk_free_blocks(pool, NULL), carved);
    stats->pools++;
    stats->pool_bytes += pool->granule_count * VV_GRANULE_BYTES;
    stats->live_blocks += carved - free;
    stats->live_bytes += (carved - free) * block_bytes;
    stats->free_bytes += free * block_bytes;
}

static void count_medium(const struct vv_pool *pool, varve_class_stats *stats) {
    stats->pools++;
    stats->live_blocks++;
    stats->live_bytes += vv_medium_usable_bytes(pool);
    stats->pool_bytes += vv_medium_usable_bytes(pool);
}

static int count_pool(struct vv_pool *pool, void *argument) {
    varve_heap_stats_data *stats = argument;
    if (pool->kind == VV_POOL_SMALL) {
        count_small(pool, &stats->classes[pool->class_index]);
    } else {
        count_medium(pool, &stats->medium);
    }
    return 0;
}

static void count_thread(struct vv_thread *thread, void *argument) {
    (void)thread;
    ((varve_heap_stats_data *)argument)->thread_count++;
}

static void count_heap(struct vv_heap *heap, void *argument) {
    (void)heap;
    ((varve_heap_stats_data *)argument)->orphan_heap_count++;
}

static void count_threads(varve_heap_stats_data *stats) {
    vv_threads_visit(count_thread, stats);
    vv_orphans_visit(count_heap, stats);
}

static void add_usage(varve_heap_stats_data *stats) {
    struct rusage usage;
    stats->peak_resident_bytes = vv_peak_resident_bytes();
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    stats->minor_faults = (size_t)usage.ru_minflt;
    stats->major_faults = (size_t)usage.ru_majflt;
}

static void add_totals(varve_heap_stats_data *stats) {
    struct vv_arena_totals arenas;
    struct vv_huge_totals huge;
    vv_arena_get_totals(&arenas);
    vv_huge_get_totals(&huge);
    stats->huge.pools = stats->huge.live_blocks = huge.live_count;
    stats->huge.live_bytes = stats->huge.pool_bytes = huge.live_bytes;
    stats->resting_bytes = arenas.dirty_bytes + huge.cached_bytes;
    stats->returned_bytes = arenas.purged_bytes + huge.purged_bytes;
    stats->arena_count = arenas.arena_count;
    stats->arena_bytes = arenas.usable_bytes;
    stats->metadata_bytes = vv_meta_mapped_bytes();
    stats->live_blocks = stats->medium.live_blocks + stats->huge.live_blocks;
    stats->live_bytes = stats->medium.live_bytes + stats->huge.live_bytes;
    for (unsigned index = 0; index < VV_CLASS_COUNT; index++) {
        stats->live_blocks += stats->classes[index].live_blocks;
        stats->live_bytes += stats->classes[index].live_bytes;
        stats->pool_bytes += stats->classes[index].pool_bytes;
    }
}

void varve_heap_stats(varve_heap_stats_data *out_stats) {
    memset(out_stats, 0, sizeof *out_stats);
    if (!vv_process_init()) return;
    vv_process_look_for_bypass();
    out_stats->struct_bytes = sizeof *out_stats;
    out_stats->class_count = VV_CLASS_COUNT;
    out_stats->malloc_is_bypassed = vv_process_is_bypassed();
    for (unsigned index = 0; index < VV_CLASS_COUNT; index++) {
        out_stats->classes[index].block_bytes = vv_classes[index].block_bytes;
    }
    vv_walk_pools(count_pool, out_stats);
    count_threads(out_stats);
    add_totals(out_stats);
    add_usage(out_stats);
}

/* --- writing --- */

struct writer {
    void (*write)(const char *text, size_t length, void *argument);
    void *argument;
    char line[200];
    struct vv_text text;
};

static void begin_line(struct writer *writer) {
    writer->text = vv_text_in(writer->line, sizeof writer->line);
}

static void end_line(struct writer *writer) {
    vv_text_add(&writer->text, "\n");
    vv_text_end(&writer->text);
    writer->write(writer->line, (size_t)(writer->text.at - writer->line), writer->argument);
}

/* A size, right-aligned in its column. */
static void add_size_column(struct vv_text *text, size_t byte_count, size_t width) {
    char buffer[32];
    struct vv_text size = vv_text_in(buffer, sizeof buffer);
    vv_text_add_size(&size, byte_count);
    size_t length = strlen(vv_text_end(&size));
    for (; width > length; width--) vv_text_add(text, " ");
    vv_text_add(text, buffer);
}

static void add_share(struct vv_text *text, size_t part, size_t whole) {
    vv_text_add_column(text, whole == 0 ? 0 : (part * 100 + whole / 2) / whole, 7);
    vv_text_add(text, " %");
}

static void write_class(struct writer *writer, const char *name, const varve_class_stats *stats) {
    if (stats->pools == 0) return;
    begin_line(writer);
    struct vv_text *text = &writer->text;
    if (name != NULL) {
        vv_text_add(text, "  ");
        vv_text_add(text, name);
    } else {
        vv_text_add_column(text, stats->block_bytes, 8);
    }
    vv_text_add_column(text, stats->pools, 10);
    vv_text_add_column(text, stats->live_blocks, 13);
    add_size_column(text, stats->live_bytes, 12);
    add_size_column(text, stats->free_bytes, 12);
    add_share(text, stats->live_bytes, stats->pool_bytes);
    end_line(writer);
}

static void write_line(struct writer *writer, const char *string) {
    begin_line(writer);
    vv_text_add(&writer->text, string);
    end_line(writer);
}

static void write_size(struct writer *writer, const char *name, size_t byte_count,
                       const char *remark) {
    begin_line(writer);
    vv_text_add(&writer->text, "  ");
    vv_text_add(&writer->text, name);
    vv_text_pad(&writer->text, writer->line, 20);
    add_size_column(&writer->text, byte_count, 10);
    vv_text_add(&writer->text, "  ");
    vv_text_add(&writer->text, remark);
    end_line(writer);
}

static void write_summary(struct writer *writer, const varve_heap_stats_data *stats) {
    size_t small_live = stats->live_bytes - stats->medium.live_bytes - stats->huge.live_bytes;
    begin_line(writer);
    vv_text_add(&writer->text, "varve: ");
    vv_text_add_decimal(&writer->text, stats->live_blocks);
    vv_text_add(&writer->text, " blocks live, ");
    vv_text_add_size(&writer->text, stats->live_bytes);
    vv_text_add(&writer->text, "; peak resident ");
    vv_text_add_size(&writer->text, stats->peak_resident_bytes);
    vv_text_add(&writer->text, "; page faults ");
    vv_text_add_decimal(&writer->text, stats->minor_faults);
    vv_text_add(&writer->text, " minor, ");
    vv_text_add_decimal(&writer->text, stats->major_faults);
    vv_text_add(&writer->text, " major");
    end_line(writer);
    write_size(writer, "arenas", stats->arena_bytes, "address space made usable");
    write_size(writer, "pools", stats->pool_bytes, "in pools of small blocks");
    write_size(writer, "fragmentation", stats->pool_bytes - vv_min(small_live, stats->pool_bytes),
               "of the pools: free blocks, and room not carved yet");
    write_size(writer, "resting", stats->resting_bytes, "free and resident, for reuse");
    write_size(writer, "returned", stats->returned_bytes, "given back to the system so far");
    write_size(writer, "metadata", stats->metadata_bytes, "the allocator's own, mapped");
    begin_line(writer);
    vv_text_add(&writer->text, "  threads ");
    vv_text_add_decimal(&writer->text, stats->thread_count);
    vv_text_add(&writer->text, ", heaps of ended threads ");
    vv_text_add_decimal(&writer->text, stats->orphan_heap_count);
    end_line(writer);
}

void varve_heap_stats_write(const varve_heap_stats_data *stats,
                            void (*write)(const char *text, size_t length, void *argument),
                            void *argument) {
    struct writer writer = {.write = write, .argument = argument};
    write_summary(&writer, stats);
    if (stats->malloc_is_bypassed) {
        write_line(&writer,
                   "  the program has a malloc of its own: its blocks are not in this account");
    }
    write_line(&writer, "   block     pools  live blocks        live        free   in use");
    for (unsigned index = 0; index < stats->class_count; index++) {
        write_class(&writer, NULL, &stats->classes[index]);
    }
    write_class(&writer, "medium", &stats->medium);
    write_class(&writer, "huge  ", &stats->huge);
}

/* --- for programs --- */

static void add_field(struct vv_text *text, const char *name, uint64_t value) {
    if (text->at > text->begin && text->at[-1] != '{') vv_text_add(text, ",");
    vv_text_add(text, "\"");
    vv_text_add(text, name);
    vv_text_add(text, "\":");
    vv_text_add_decimal(text, value);
}

static void add_class(struct vv_text *text, const varve_class_stats *stats) {
    vv_text_add(text, "{");
    add_field(text, "block_bytes", stats->block_bytes);
    add_field(text, "pools", stats->pools);
    add_field(text, "live_blocks", stats->live_blocks);
    add_field(text, "live_bytes", stats->live_bytes);
    add_field(text, "free_bytes", stats->free_bytes);
    add_field(text, "pool_bytes", stats->pool_bytes);
    vv_text_add(text, "}");
}

static void add_fields(struct vv_text *text, const varve_heap_stats_data *stats) {
    add_field(text, "pid", (uint64_t)getpid());
    add_field(text, "live_blocks", stats->live_blocks);
    add_field(text, "live_bytes", stats->live_bytes);
    add_field(text, "pool_bytes", stats->pool_bytes);
    add_field(text, "resting_bytes", stats->resting_bytes);
    add_field(text, "returned_bytes", stats->returned_bytes);
    add_field(text, "metadata_bytes", stats->metadata_bytes);
    add_field(text, "arena_count", stats->arena_count);
    add_field(text, "arena_bytes", stats->arena_bytes);
    add_field(text, "thread_count", stats->thread_count);
    add_field(text, "orphan_heap_count", stats->orphan_heap_count);
    add_field(text, "peak_resident_bytes", stats->peak_resident_bytes);
    add_field(text, "minor_faults", stats->minor_faults);
    add_field(text, "major_faults", stats->major_faults);
    add_field(text, "malloc_is_bypassed", stats->malloc_is_bypassed);
}

void vv_heap_stats_write_json(const varve_heap_stats_data *stats,
                              void (*write)(const char *text, size_t length, void *argument),
                              void *argument) {
    static char buffer[VARVE_CLASS_MAX * 256];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "{\"schema\":\"varve.stat/1\"");
    add_fields(&text, stats);
    vv_text_add(&text, ",\"classes\":[");
    for (unsigned index = 0, shown = 0; index < stats->class_count; index++) {
        if (stats->classes[index].pools == 0) continue;
        if (shown++ > 0) vv_text_add(&text, ",");
        add_class(&text, &stats->classes[index]);
    }
    vv_text_add(&text, "],\"medium\":");
    add_class(&text, &stats->medium);
    vv_text_add(&text, ",\"huge\":");
    add_class(&text, &stats->huge);
    vv_text_add(&text, "}\n");
    vv_text_end(&text);
    write(text.begin, (size_t)(text.at - text.begin), argument);
}
