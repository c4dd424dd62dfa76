/* SPDX-License-Identifier: MIT
 * trace/layout.h - the trace store: the tables of a traced process, as they lie in its memory and,
 * because that memory is a shared mapping of a file, in a file that outlives it.
 *
 *   | header | page | page | page | ...          pages of 4096 bytes, numbered from 0
 *
 * The header is page 0 .. VV_STORE_HEADER_PAGES - 1. All tables grow by pages; a directory in the
 * header, or a page of page numbers, says which. Nothing is ever moved, and a count is raised
 * after what it counts has been written, so a reader sees a consistent prefix at any moment: while
 * the process runs, and after it was killed.
 *
 *   nodes     a trie of stack frames; node 0 is the root; a parent has a smaller number
 *   sites     nodes at which something was allocated, in order of their first use
 *   threads   what each thread allocated and freed: a shard per site that it touched
 *   modules   programs and libraries, by the addresses at which they were loaded
 *   labels    names that stand in stacks
 *
 * Written by the trace layer, read by src/capture. All integers are in the byte order of the
 * machine; a reader refuses another. */
#ifndef VV_TRACE_LAYOUT_H
#define VV_TRACE_LAYOUT_H

#include "base/bits.h"
#include "heap/request.h"

#include <stdatomic.h>

#define VV_STORE_MAGIC "varve store\n\x1a\0\0"
#define VV_STORE_MAGIC_BYTES 16
#define VV_STORE_VERSION 3 /* 2: labels; 3: mappings */
#define VV_STORE_BYTE_ORDER 0x01020304u
#define VV_STORE_PAGE_BYTES 4096

typedef uint32_t vv_page_number; /* 0: none, since page 0 is the header's */

/* --- nodes --- */

/* A frame: | kind 4 | api 4 | generation 8 | value 48 |
 *
 * NATIVE     value is the return address in the caller, which is one more than the last byte of the
 *            call; where a signal interrupted, one more than the instruction. Hence value - 1 is
 *            always inside the instruction that was executing. `generation` tells apart modules
 *            that were loaded at the same addresses one after the other. `api` is the allocation
 *            function that was called (enum vv_api), in the innermost frame; 0 in others.
 * SPECIAL    value is an enum vv_special.
 * LABEL      value is the number of a label, from 1 on: the type of an object, innermost. */
enum vv_frame_kind { VV_FRAME_NATIVE, VV_FRAME_SPECIAL, VV_FRAME_LABEL };

enum vv_special {
    VV_SPECIAL_NONE,
    VV_SPECIAL_INCOMPLETE, /* the unwinder could not go on from here to the beginning */
    VV_SPECIAL_CUT,        /* the stack was deeper than the limit */
    VV_SPECIAL_HANDLER,    /* allocated by a signal handler that had interrupted the allocator */
    VV_SPECIAL_FULL,       /* the tables were full: allocated somewhere else */
    VV_SPECIAL_COUNT,
};

#define VV_FRAME_VALUE_BITS 48
#define VV_FRAME_VALUE_MASK (((uint64_t)1 << VV_FRAME_VALUE_BITS) - 1)

static inline uint64_t vv_frame_native(uint64_t return_address, unsigned generation) {
    return (return_address & VV_FRAME_VALUE_MASK) | (uint64_t)generation << 48;
}

static inline uint64_t vv_frame_with_api(uint64_t frame, unsigned api) {
    return frame | (uint64_t)api << 56;
}

static inline uint64_t vv_frame_special(enum vv_special special) {
    return (uint64_t)VV_FRAME_SPECIAL << 60 | (uint64_t)special;
}

static inline uint64_t vv_frame_label(uint32_t label) {
    return (uint64_t)VV_FRAME_LABEL << 60 | label;
}

static inline unsigned vv_frame_kind(uint64_t frame) {
    return (unsigned)(frame >> 60);
}

static inline unsigned vv_frame_api(uint64_t frame) {
    return (unsigned)(frame >> 56) & 15;
}

static inline unsigned vv_frame_generation(uint64_t frame) {
    return (unsigned)(frame >> 48) & 255;
}

static inline uint64_t vv_frame_value(uint64_t frame) {
    return frame & VV_FRAME_VALUE_MASK;
}

struct vv_node {
    uint64_t frame;        /* const after publication */
    uint32_t parent;       /* const after publication; below the node's own number */
    _Atomic uint32_t site; /* 0: nothing was allocated here; const once set. VV_NODE_IS_ALIAS +
                              number: stands for that node, see trace/nodes.h; of no interest to a
                              reader of the store */
};
#define VV_NODE_IS_ALIAS 0x80000000u

/* --- sites and shards --- */

/* Site numbers are those of heap/plane.h: 0 and 1 are reserved. */
#define VV_SITE_FIRST 2

/* What one thread did at one site. Written by that thread only; the sum over all threads is what
 * is true of the site, since a block may be freed by another thread than the one that allocated
 * it: one shard's live_bytes may be negative.
 *
 * Peak: `peak_bytes` is what live_bytes was at the process's peak, if the shard has been touched
 * after that peak (epoch == header.epoch); else live_bytes still is. See trace/peak.h. Sites whose
 * api is VV_API_MMAP follow the peak of mappings, header.mapped. */
struct vv_shard {
    _Atomic int64_t live_bytes;
    _Atomic int64_t peak_bytes;
    _Atomic uint64_t total_bytes;
    _Atomic uint64_t total_count;
    _Atomic uint64_t temporary_count; /* freed before the thread allocated anything else */
    _Atomic int32_t live_count;
    _Atomic int32_t peak_count;
    _Atomic uint32_t epoch;
    uint32_t spare;
    _Atomic uint64_t temporary_bytes;
};
_Static_assert(sizeof(struct vv_shard) == VV_CACHE_LINE_BYTES, "one shard, one cache line");

#define VV_SHARDS_PER_PAGE (VV_STORE_PAGE_BYTES / sizeof(struct vv_shard)) /* 64 */
#define VV_NUMBERS_PER_PAGE (VV_STORE_PAGE_BYTES / sizeof(vv_page_number)) /* 1024 */

/* Requests by size: bucket 0 for 0 bytes, bucket i for 2^(i-1) .. 2^i - 1. */
#define VV_HISTOGRAM_BUCKETS 64

enum vv_thread_state { VV_THREAD_LIVE = 1, VV_THREAD_ENDED = 2, VV_THREAD_MERGED = 3 };

/* A page. Shard of site s: page directories[s / 65536] has the number of the page with shards
 * s / 64 * 64 ... s / 64 * 64 + 63 at s / 64 % 1024. */
#define VV_THREAD_DIRECTORY_COUNT 512
#define VV_THREAD_NAME_WORDS 2
struct vv_store_thread {
    _Atomic uint64_t id;                         /* the kernel's thread number */
    _Atomic uint64_t name[VV_THREAD_NAME_WORDS]; /* text, ended by a 0 or by its room's end */
    _Atomic uint32_t state;                      /* enum vv_thread_state; 0: not begun yet */
    uint32_t spare;
    _Atomic uint64_t started_ns; /* since the start of the trace */
    _Atomic uint64_t ended_ns;   /* 0 while it lives */
    _Atomic uint64_t histogram[VV_HISTOGRAM_BUCKETS];
    _Atomic vv_page_number directories[VV_THREAD_DIRECTORY_COUNT];
};
_Static_assert(sizeof(struct vv_store_thread) <= VV_STORE_PAGE_BYTES, "a thread is a page");

/* --- modules --- */

#define VV_BUILD_ID_MAX_BYTES 32
#define VV_MODULE_PATH_BYTES 436
struct vv_store_module {
    uint64_t begin;           /* lowest address, inclusive */
    uint64_t end;             /* exclusive */
    uint64_t bias;            /* address minus the address in the file */
    uint8_t first_generation; /* of the frames that may lie in it */
    uint8_t last_generation;  /* 255 while it is loaded */
    uint8_t build_id_bytes;   /* 0: it has none */
    uint8_t is_cut;           /* the path did not fit */
    uint8_t build_id[VV_BUILD_ID_MAX_BYTES];
    char path[VV_MODULE_PATH_BYTES];
    uint32_t spare;
};
#define VV_MODULES_PER_PAGE (VV_STORE_PAGE_BYTES / sizeof(struct vv_store_module)) /* 8 */
_Static_assert(sizeof(struct vv_store_module) == 504, "eight modules fit in a page");

/* --- labels --- */

#define VV_LABEL_BYTES 64 /* with a zero byte; longer names are cut */
struct vv_store_label {
    char name[VV_LABEL_BYTES];
};
#define VV_LABELS_PER_PAGE (VV_STORE_PAGE_BYTES / sizeof(struct vv_store_label)) /* 64 */
#define VV_STORE_LABEL_PAGES 256
#define VV_LABEL_LIMIT (VV_STORE_LABEL_PAGES * VV_LABELS_PER_PAGE) /* 16 384 */

/* --- the header --- */

enum vv_store_state {
    VV_STORE_RUNNING = 1, /* or killed, or replaced by exec: the file cannot tell */
    VV_STORE_STOPPED = 2, /* tracing was stopped */
    VV_STORE_ENDED = 3,   /* the process ended in an orderly way */
};

#define VV_NODES_PER_PAGE (VV_STORE_PAGE_BYTES / sizeof(struct vv_node)) /* 256 */
#define VV_SITES_PER_PAGE VV_NUMBERS_PER_PAGE

#define VV_NODE_DIRECTORY_COUNT 96 /* pages of page numbers: 25 million nodes */
#define VV_SITE_DIRECTORY_COUNT 12 /* 12 million sites */
#define VV_STORE_NODE_LIMIT (VV_NODE_DIRECTORY_COUNT * VV_NUMBERS_PER_PAGE * VV_NODES_PER_PAGE)
#define VV_STORE_SITE_LIMIT (VV_SITE_DIRECTORY_COUNT * VV_NUMBERS_PER_PAGE * VV_SITES_PER_PAGE)
#define VV_STORE_MODULE_PAGES 256 /* 2048 modules */
#define VV_STORE_THREAD_DIRECTORY_COUNT 16
#define VV_STORE_THREAD_LIMIT (VV_STORE_THREAD_DIRECTORY_COUNT * VV_NUMBERS_PER_PAGE)
#define VV_STORE_COMMAND_BYTES 2048

/* The sum of all mappings that the program made itself, and its peak: as live_bytes, max_bytes and
 * so on of the header. */
struct vv_store_mapped {
    _Atomic int64_t live_bytes;
    _Atomic int64_t max_bytes;
    _Atomic uint64_t peak_ticks;
    _Atomic uint32_t epoch;
    _Atomic uint32_t rising;
};

struct vv_store_header {
    char magic[VV_STORE_MAGIC_BYTES];
    uint32_t version;
    uint32_t byte_order;
    uint32_t header_bytes;
    _Atomic uint32_t state; /* enum vv_store_state */

    /* the process */
    uint64_t process_id;
    uint64_t parent_id;
    uint64_t started_wall_ns;        /* since 1970 */
    uint64_t started_clock_ns;       /* of this machine's monotonic clock */
    _Atomic uint64_t last_seen_ns;   /* since the start of the trace: the last sign of life */
    _Atomic uint64_t resident_bytes; /* the most at a time, noted at the end; 0: not yet */
    uint64_t started_ticks;          /* of the processor's time stamp counter */
    _Atomic uint64_t last_seen_ticks;
    uint64_t run_id;        /* equal for all processes of one `varve run` */
    uint64_t sample_bytes;  /* mean bytes between samples; 0: every allocation */
    uint32_t depth_limit;   /* frames kept per stack; 0: all */
    uint32_t image;         /* how many programs this process ran before (exec) */
    char program[64];       /* its file name, without folders */
    uint32_t command_bytes; /* of `command` in use */
    uint32_t command_is_cut;
    char command[VV_STORE_COMMAND_BYTES]; /* arguments, each ended by a zero byte */

    /* sizes of the tables; raised (release) after the entries have been written */
    _Atomic uint32_t page_count; /* pages handed out, with the header's */
    _Atomic uint32_t node_count;
    _Atomic uint32_t site_count; /* with the two reserved numbers */
    _Atomic uint32_t module_count;
    _Atomic uint32_t thread_count;

    /* what could not be recorded */
    uint64_t spare_count;              /* until version 2 something else */
    _Atomic uint64_t lost_count;       /* events of signal handlers that did not fit */
    _Atomic uint64_t threadless_count; /* events of threads for which there was no room */
    _Atomic uint64_t incomplete_count; /* stacks that end too early */

    /* memory from before the trace, counted when it began */
    uint64_t before_bytes;
    uint64_t before_count;
    uint64_t inherited_bytes; /* live at the fork that began this process */
    uint64_t inherited_count;

    /* the process's sum, apart from the rest because all threads write it: see trace/peak.h */
    _Atomic int64_t live_bytes __attribute__((aligned(VV_CACHE_LINE_BYTES)));

    /* what every event reads and few change */
    _Atomic int64_t max_bytes __attribute__((aligned(VV_CACHE_LINE_BYTES)));
    _Atomic uint32_t epoch;
    _Atomic uint32_t rising;
    _Atomic uint64_t peak_ticks;     /* when the last peak ended; the present one while rising */
    _Atomic int64_t credit_bytes;    /* what one thread may hold back; 0 with one thread */
    _Atomic uint32_t credit_threads; /* the most threads that held back at a time */
    uint32_t spare;

    /* directories */
    _Atomic vv_page_number node_directories[VV_NODE_DIRECTORY_COUNT]
        __attribute__((aligned(VV_CACHE_LINE_BYTES)));
    _Atomic vv_page_number site_directories[VV_SITE_DIRECTORY_COUNT];
    _Atomic vv_page_number module_pages[VV_STORE_MODULE_PAGES];
    _Atomic vv_page_number thread_directories[VV_STORE_THREAD_DIRECTORY_COUNT];

    /* since version 2 */
    _Atomic uint32_t label_count; /* the first is label 1; raised like the counts above */
    _Atomic vv_page_number label_pages[VV_STORE_LABEL_PAGES];

    /* since version 3 */
    struct vv_store_mapped mapped;
    _Atomic uint64_t unrecorded_count; /* forked children that could not open stores of their own;
                                          raised by them */
    uint32_t is_bypassed; /* the program has a malloc of its own, whose blocks are not seen */
};

#define VV_STORE_HEADER_PAGES 2
_Static_assert(sizeof(struct vv_store_header) <= VV_STORE_HEADER_PAGES * VV_STORE_PAGE_BYTES,
               "the header's pages");

#endif
