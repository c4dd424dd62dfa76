/* SPDX-License-Identifier: MIT
 * capture/capture.h - what is known of one traced process, in memory: plain arrays, filled from a
 * trace store (capture/from_store.h) or from a .varve file (capture/format.h), and read by
 * src/snapshot and src/report.
 *
 *   counts     what a thread did at a site          (thread, site) -> bytes and blocks
 *   sites      where blocks were allocated          site -> innermost node, allocation function
 *   nodes      a trie of stack frames               node -> outer node, location
 *   locations  where a frame was executing          location -> module and address, symbols
 *   symbols    functions and lines, with inlining   several for each location, innermost first
 *   modules, threads, strings
 *
 * Each array refers to the next by index; index 0 of `strings` is "". A node's parent has a smaller
 * index than the node; node 0 is the root and is nobody's frame. Whoever fills a capture checks
 * this, so that whoever reads it need not.
 *
 * All memory of a capture is in its scratch memory and goes with it. */
#ifndef VV_CAPTURE_CAPTURE_H
#define VV_CAPTURE_CAPTURE_H

#include "base/bits.h"
#include "heap/request.h"
#include "os/scratch.h"

typedef uint32_t vv_string_index;

enum vv_location_kind {
    VV_LOCATION_NATIVE,     /* address in module, or module == VV_NO_MODULE */
    VV_LOCATION_INCOMPLETE, /* the stack could not be followed further */
    VV_LOCATION_CUT,        /* the stack was deeper than the limit */
    VV_LOCATION_HANDLER,    /* a signal handler that had interrupted the allocator */
    VV_LOCATION_FULL,       /* the tables were full */
    VV_LOCATION_LABEL,      /* no place in the code: its one symbol's function is a type's name */
    VV_LOCATION_KIND_COUNT,
};

#define VV_NO_MODULE UINT32_MAX

struct vv_capture_symbol {
    vv_string_index function; /* "": not known */
    vv_string_index file;     /* "": not known */
    uint32_t line;            /* 0: not known */
};

struct vv_capture_location {
    uint32_t kind;         /* enum vv_location_kind */
    uint32_t module;       /* or VV_NO_MODULE */
    uint64_t address;      /* in the module's file (virtual address), inside the instruction that
                              was executing; without a module, in the process */
    uint32_t first_symbol; /* symbols first_symbol ... + symbol_count - 1, innermost first */
    uint32_t symbol_count; /* 0: not symbolised */
};

struct vv_capture_node {
    uint32_t parent;
    uint32_t location;
};

struct vv_capture_site {
    uint32_t node; /* innermost frame; 0: none known */
    uint32_t api;  /* enum vv_api: the allocation function that was called */
};

struct vv_capture_count {
    uint32_t thread;
    uint32_t site;
    int64_t live_bytes; /* may be negative for one thread; the sum over threads is not */
    int64_t live_count;
    int64_t peak_bytes;
    int64_t peak_count;
    uint64_t total_bytes;
    uint64_t total_count;
    uint64_t temporary_bytes;
    uint64_t temporary_count;
};

#define VV_CAPTURE_HISTOGRAM_BUCKETS 64

struct vv_capture_thread {
    uint64_t id;
    vv_string_index name;
    uint64_t started_ns;                              /* since the start of the trace */
    uint64_t ended_ns;                                /* 0: lived to the end */
    uint64_t histogram[VV_CAPTURE_HISTOGRAM_BUCKETS]; /* see trace/layout.h */
};

#define VV_CAPTURE_BUILD_ID_MAX_BYTES 32

struct vv_capture_module {
    vv_string_index path;
    uint8_t build_id_bytes;
    uint8_t build_id[VV_CAPTURE_BUILD_ID_MAX_BYTES];
};

/* Equal to the sums over the counts whose site is of the domain. */
struct vv_capture_sums {
    int64_t live_bytes;
    int64_t live_count;
    int64_t peak_bytes;
    int64_t peak_count;
    uint64_t total_bytes;
    uint64_t total_count;
    uint64_t peak_ns; /* since the start of the trace */
};

enum vv_capture_end {
    VV_CAPTURE_UNKNOWN, /* the process was still running, was killed, or replaced itself (exec) */
    VV_CAPTURE_STOPPED, /* tracing was stopped */
    VV_CAPTURE_EXITED,  /* in an orderly way */
};

struct vv_capture {
    struct vv_scratch *scratch;

    /* the process */
    uint64_t process_id;
    uint64_t parent_id;
    uint64_t run_id;     /* equal for all processes of one `varve run`; 0: none */
    uint32_t image;      /* how many programs the process ran before this one */
    uint32_t end;        /* enum vv_capture_end */
    int32_t wait_status; /* as waitpid() gives it; -1: not known */
    uint64_t started_wall_ns;
    uint64_t duration_ns;
    uint64_t resident_bytes; /* the most that were resident at a time, as the kernel counts all of
                                the process; 0: not known */
    vv_string_index program;
    vv_string_index *arguments; /* the command line */
    uint32_t argument_count;
    bool command_is_cut;
    uint64_t sample_bytes; /* mean bytes between samples; 0: every allocation was recorded */
    uint32_t depth_limit;  /* 0: none */

    struct vv_capture_sums sums[VV_DOMAIN_COUNT];
    uint64_t peak_error_bytes; /* by how much the threads' moments of the peak of blocks may differ;
                                  0: exact */

    /* live when the trace began, in no sum; and live at the fork that began the process, at their
     * sites */
    uint64_t before_bytes;
    uint64_t before_count;
    uint64_t inherited_bytes;
    uint64_t inherited_count;

    /* what could not be recorded */
    uint64_t full_count;
    uint64_t lost_count;
    uint64_t threadless_count;
    uint64_t incomplete_count;
    uint64_t unrecorded_count; /* children */
    bool malloc_is_bypassed;   /* the program has one of its own, whose blocks are not seen */
    bool is_cut; /* the file ended too early or was damaged: what could be read is here */

    struct vv_capture_count *counts;
    struct vv_capture_site *sites;
    struct vv_capture_node *nodes;
    struct vv_capture_location *locations;
    struct vv_capture_symbol *symbols;
    struct vv_capture_module *modules;
    struct vv_capture_thread *threads;
    const char **strings;
    uint32_t count_count;
    uint32_t site_count;
    uint32_t node_count;
    uint32_t location_count;
    uint32_t symbol_count;
    uint32_t module_count;
    uint32_t thread_count;
    uint32_t string_count;
    uint32_t *string_table; /* hash table of string indexes; capture.c */
    uint32_t string_table_mask;
    uint32_t string_capacity;
};

/* The index of a string, added if it is new. `capture` must have been begun with
 * vv_capture_begin(). UINT32_MAX: no memory. */
vv_string_index vv_capture_string(struct vv_capture *capture, const char *text, size_t length);

/* What kind of memory a count is about. */
static inline enum vv_domain vv_capture_domain(const struct vv_capture *capture,
                                               const struct vv_capture_count *count) {
    return vv_domain_of(capture->sites[count->site].api);
}

/* An empty capture: node 0, string 0. NULL: no memory. Ended by vv_capture_free(). */
struct vv_capture *vv_capture_begin(void);
void vv_capture_free(struct vv_capture *capture);

/* Fills in the symbols of all locations that have none. `look_up` has the contract of
 * vv_symbols_look_up() in symbols/symbols.h. *out_unknown_modules counts modules whose file is gone
 * or is not the one that ran. Returns 0 or -ENOMEM. */
struct vv_symbols;
struct vv_symbols_module;
struct vv_symbols_frame;
typedef int vv_look_up(struct vv_symbols *symbols, const struct vv_symbols_module *module,
                       uint64_t address,
                       void (*found)(const struct vv_symbols_frame *frame, void *argument),
                       void *argument);
int vv_capture_symbolise(struct vv_capture *capture, vv_look_up *look_up,
                         struct vv_symbols *symbols, uint32_t *out_unknown_modules);

/* Whether names of functions have been looked up. */
bool vv_capture_has_names(const struct vv_capture *capture);

/* Checks every reference between the arrays. NULL when all is well, else a sentence. */
const char *vv_capture_check(const struct vv_capture *capture);

#endif
