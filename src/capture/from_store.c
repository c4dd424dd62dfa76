/* SPDX-License-Identifier: MIT */
#include "capture/from_store.h"

#include "base/hash.h"
#include "trace/layout.h"

#include <errno.h>
#include <string.h>

struct store {
    const char *base;
    uint32_t page_count; /* whole pages that may be read */
    const struct vv_store_header *header;
    struct vv_capture *capture;
    uint32_t *location_table; /* hash table of location indexes + 1 */
    uint32_t location_mask;
    bool is_cut;
};

static uint32_t least(uint32_t left, uint64_t right) {
    return left < right ? left : (uint32_t)right;
}

#define READ(field) atomic_load_explicit(&(field), memory_order_acquire)

/* A page, or NULL when there is none with that number. */
static const void *page_at(struct store *store, vv_page_number number) {
    if (number == 0) return NULL;
    if (number < VV_STORE_HEADER_PAGES || number >= store->page_count) {
        store->is_cut = true;
        return NULL;
    }
    return store->base + (size_t)number * VV_STORE_PAGE_BYTES;
}

/* The page with entry `page` of a table whose directory pages are in `directories`. */
static const void *table_page(struct store *store, const _Atomic vv_page_number *directories,
                              uint32_t directory_count, uint32_t page) {
    uint32_t directory = page / VV_NUMBERS_PER_PAGE;
    if (directory >= directory_count) return NULL;
    const _Atomic vv_page_number *numbers = page_at(store, READ(directories[directory]));
    if (numbers == NULL) return NULL;
    return page_at(store, READ(numbers[page % VV_NUMBERS_PER_PAGE]));
}

static vv_string_index add_text(struct store *store, const char *text, size_t capacity) {
    vv_string_index index = vv_capture_string(store->capture, text, strnlen(text, capacity));
    return index == UINT32_MAX ? 0 : index;
}

/* --- the process --- */

static bool read_command(struct store *store) {
    const struct vv_store_header *header = store->header;
    struct vv_capture *capture = store->capture;
    size_t length = least(header->command_bytes, VV_STORE_COMMAND_BYTES);
    capture->arguments =
        vv_scratch_take_array(capture->scratch, length + 1, sizeof *capture->arguments);
    if (capture->arguments == NULL) return false;
    for (size_t at = 0; at < length;) {
        size_t argument_bytes = strnlen(header->command + at, length - at);
        capture->arguments[capture->argument_count++] =
            add_text(store, header->command + at, argument_bytes);
        at += argument_bytes + 1;
    }
    capture->command_is_cut = header->command_is_cut != 0;
    return true;
}

/* Ticks of the time stamp counter become nanoseconds by the two moments whose time is known both
 * ways, if they are far enough apart. */
static uint64_t ticks_to_ns(const struct vv_store_header *header, uint64_t ticks) {
    uint64_t known_ns = READ(header->last_seen_ns);
    uint64_t known_ticks = READ(header->last_seen_ticks);
    if (ticks <= header->started_ticks || known_ticks <= header->started_ticks) return 0;
    double rate = (double)known_ns / (double)(known_ticks - header->started_ticks);
    /* `last_seen_ticks` is also raised alone; then the usual rate is the better guess. */
    if (known_ns < 1000000) rate = 1.0 / 2.5;
    double ns = rate * (double)(ticks - header->started_ticks);
    return ns < 1e18 ? (uint64_t)ns : 0; /* a damaged header */
}

static enum vv_capture_end end_of(const struct vv_store_header *header) {
    switch (READ(header->state)) {
    case VV_STORE_STOPPED: return VV_CAPTURE_STOPPED;
    case VV_STORE_ENDED: return VV_CAPTURE_EXITED;
    default: return VV_CAPTURE_UNKNOWN;
    }
}

struct peak {
    bool is_rising; /* the present is the peak */
    uint32_t epoch;
    uint64_t ticks;
};

static struct peak peak_of(const struct vv_store_header *header, enum vv_domain domain) {
    if (domain == VV_DOMAIN_MMAP) {
        return (struct peak){READ(header->mapped.rising) != 0, READ(header->mapped.epoch),
                             READ(header->mapped.peak_ticks)};
    }
    return (struct peak){READ(header->rising) != 0, READ(header->epoch), READ(header->peak_ticks)};
}

static bool read_process(struct store *store) {
    const struct vv_store_header *header = store->header;
    struct vv_capture *capture = store->capture;
    capture->process_id = header->process_id;
    capture->parent_id = header->parent_id;
    capture->run_id = header->run_id;
    capture->image = header->image;
    capture->end = end_of(header);
    capture->started_wall_ns = header->started_wall_ns;
    capture->duration_ns =
        vv_max(READ(header->last_seen_ns), ticks_to_ns(header, READ(header->last_seen_ticks)));
    capture->resident_bytes = READ(header->resident_bytes);
    for (enum vv_domain domain = 0; domain < VV_DOMAIN_COUNT; domain++) {
        struct peak peak = peak_of(header, domain);
        uint64_t peak_ns = ticks_to_ns(header, peak.ticks);
        bool is_now = peak.is_rising || peak_ns > capture->duration_ns;
        capture->sums[domain].peak_ns = is_now ? capture->duration_ns : peak_ns;
    }
    capture->program = add_text(store, header->program, sizeof header->program);
    capture->sample_bytes = header->sample_bytes;
    capture->depth_limit = header->depth_limit;
    capture->peak_error_bytes = (uint64_t)READ(header->credit_bytes) * READ(header->credit_threads);
    capture->before_bytes = header->before_bytes;
    capture->before_count = header->before_count;
    capture->inherited_bytes = header->inherited_bytes;
    capture->inherited_count = header->inherited_count;
    capture->lost_count = READ(header->lost_count);
    capture->threadless_count = READ(header->threadless_count);
    capture->unrecorded_count = READ(header->unrecorded_count);
    capture->malloc_is_bypassed = header->is_bypassed != 0;
    capture->incomplete_count = READ(header->incomplete_count);
    return read_command(store);
}

/* --- modules --- */

static const struct vv_store_module *module_at(struct store *store, uint32_t index) {
    const struct vv_store_module *page =
        page_at(store, READ(store->header->module_pages[index / VV_MODULES_PER_PAGE]));
    return page != NULL ? page + index % VV_MODULES_PER_PAGE : NULL;
}

static uint32_t module_count(const struct store *store) {
    return least(READ(store->header->module_count),
                 (uint32_t)(VV_STORE_MODULE_PAGES * VV_MODULES_PER_PAGE));
}

static bool read_modules(struct store *store) {
    struct vv_capture *capture = store->capture;
    uint32_t count = module_count(store);
    capture->modules = vv_scratch_take_array(capture->scratch, count, sizeof *capture->modules);
    if (capture->modules == NULL) return false;
    for (uint32_t index = 0; index < count; index++) {
        const struct vv_store_module *module = module_at(store, index);
        struct vv_capture_module *out = &capture->modules[capture->module_count++];
        if (module == NULL) continue;
        out->path = add_text(store, module->path, VV_MODULE_PATH_BYTES);
        out->build_id_bytes = (uint8_t)least(module->build_id_bytes, VV_CAPTURE_BUILD_ID_MAX_BYTES);
        memcpy(out->build_id, module->build_id, out->build_id_bytes);
    }
    return true;
}

static uint32_t find_module(struct store *store, uint64_t address, unsigned generation) {
    for (uint32_t index = 0; index < store->capture->module_count; index++) {
        const struct vv_store_module *module = module_at(store, index);
        if (module != NULL && address >= module->begin && address < module->end &&
            generation >= module->first_generation && generation <= module->last_generation) {
            return index;
        }
    }
    return VV_NO_MODULE;
}

/* --- labels --- */

/* Symbols 0 ... label_count: what a label that is not there is called, then the labels. */
static bool read_labels(struct store *store) {
    static const char unknown[] = "(type not known)";
    struct vv_capture *capture = store->capture;
    uint32_t count = least(READ(store->header->label_count), (uint32_t)VV_LABEL_LIMIT);
    if (count == 0) return true;
    capture->symbols =
        vv_scratch_take_array(capture->scratch, (size_t)count + 1, sizeof *capture->symbols);
    if (capture->symbols == NULL) return false;
    capture->symbols[0].function = add_text(store, unknown, sizeof unknown);
    for (uint32_t index = 0; index < count; index++) {
        const struct vv_store_label *page =
            page_at(store, READ(store->header->label_pages[index / VV_LABELS_PER_PAGE]));
        capture->symbols[index + 1].function =
            page != NULL ? add_text(store, page[index % VV_LABELS_PER_PAGE].name, VV_LABEL_BYTES)
                         : capture->symbols[0].function;
    }
    capture->symbol_count = count + 1;
    return true;
}

/* A label in a store without labels is damage. */
static struct vv_capture_location location_of_label(const struct store *store, uint64_t label) {
    uint32_t symbol_count = store->capture->symbol_count;
    if (symbol_count == 0) {
        return (struct vv_capture_location){.kind = VV_LOCATION_INCOMPLETE, .module = VV_NO_MODULE};
    }
    uint32_t symbol = label < symbol_count ? (uint32_t)label : 0;
    return (struct vv_capture_location){.kind = VV_LOCATION_LABEL,
                                        .module = VV_NO_MODULE,
                                        .address = symbol,
                                        .first_symbol = symbol,
                                        .symbol_count = 1};
}

/* --- locations and nodes --- */

static struct vv_capture_location location_of(struct store *store, uint64_t frame) {
    static const uint8_t kinds[VV_SPECIAL_COUNT] = {
        [VV_SPECIAL_INCOMPLETE] = VV_LOCATION_INCOMPLETE,
        [VV_SPECIAL_CUT] = VV_LOCATION_CUT,
        [VV_SPECIAL_HANDLER] = VV_LOCATION_HANDLER,
        [VV_SPECIAL_FULL] = VV_LOCATION_FULL,
    };
    struct vv_capture_location location = {.module = VV_NO_MODULE};
    uint64_t value = vv_frame_value(frame);
    if (vv_frame_kind(frame) == VV_FRAME_LABEL) return location_of_label(store, value);
    if (vv_frame_kind(frame) != VV_FRAME_NATIVE) {
        location.kind =
            value > 0 && value < VV_SPECIAL_COUNT ? kinds[value] : (uint32_t)VV_LOCATION_INCOMPLETE;
        return location;
    }
    location.kind = VV_LOCATION_NATIVE;
    location.address = value - 1;
    location.module = find_module(store, location.address, vv_frame_generation(frame));
    if (location.module != VV_NO_MODULE) {
        location.address -= module_at(store, location.module)->bias;
    }
    return location;
}

static uint32_t add_location(struct store *store, uint64_t frame) {
    struct vv_capture *capture = store->capture;
    struct vv_capture_location wanted = location_of(store, frame);
    uint64_t hash = vv_mix64(wanted.address ^ (uint64_t)wanted.module << 40 ^ wanted.kind);
    uint32_t slot = (uint32_t)hash & store->location_mask;
    for (; store->location_table[slot] != 0; slot = (slot + 1) & store->location_mask) {
        const struct vv_capture_location *known =
            &capture->locations[store->location_table[slot] - 1];
        if (known->address == wanted.address && known->module == wanted.module &&
            known->kind == wanted.kind) {
            return store->location_table[slot] - 1;
        }
    }
    capture->locations[capture->location_count] = wanted;
    store->location_table[slot] = capture->location_count + 1;
    return capture->location_count++;
}

static uint32_t power_of_two_above(uint32_t count) {
    uint32_t power = 16;
    while (power < count) power *= 2;
    return power;
}

/* Nodes keep their numbers. One that cannot be read hangs below the root. */
static bool read_nodes(struct store *store, uint8_t **out_apis) {
    struct vv_capture *capture = store->capture;
    uint32_t count = least(READ(store->header->node_count), VV_STORE_NODE_LIMIT);
    /* No more nodes than the pages that are there can hold. */
    count = least(count, store->page_count * (uint32_t)VV_NODES_PER_PAGE);
    if (count == 0) count = 1;
    store->location_mask = power_of_two_above(count * 2 + 16) - 1;
    capture->nodes = vv_scratch_take_array(capture->scratch, count, sizeof *capture->nodes);
    capture->locations =
        vv_scratch_take_array(capture->scratch, count + 1, sizeof *capture->locations);
    store->location_table = vv_scratch_take_array(
        capture->scratch, (size_t)store->location_mask + 1, sizeof *store->location_table);
    uint8_t *apis = vv_scratch_take(capture->scratch, count);
    if (capture->nodes == NULL || capture->locations == NULL || store->location_table == NULL ||
        apis == NULL) {
        return false;
    }
    for (uint32_t index = 1; index < count; index++) {
        const struct vv_node *page = table_page(store, store->header->node_directories,
                                                VV_NODE_DIRECTORY_COUNT, index / VV_NODES_PER_PAGE);
        struct vv_node unknown = {.frame = vv_frame_special(VV_SPECIAL_INCOMPLETE)};
        const struct vv_node *node = page != NULL ? &page[index % VV_NODES_PER_PAGE] : &unknown;
        capture->nodes[index].parent = node->parent < index ? node->parent : 0;
        capture->nodes[index].location = add_location(store, node->frame);
        apis[index] = (uint8_t)vv_frame_api(node->frame);
    }
    capture->node_count = count;
    *out_apis = apis;
    return true;
}

/* Sites keep their numbers; 0 and 1 are nobody's. */
static bool read_sites(struct store *store, const uint8_t *apis) {
    struct vv_capture *capture = store->capture;
    uint32_t count = least(READ(store->header->site_count), (uint32_t)VV_STORE_SITE_LIMIT);
    count = least(count, store->page_count * (uint32_t)VV_SITES_PER_PAGE);
    capture->sites =
        vv_scratch_take_array(capture->scratch, (size_t)count + 1, sizeof *capture->sites);
    if (capture->sites == NULL) return false;
    for (uint32_t index = VV_SITE_FIRST; index < count; index++) {
        const _Atomic uint32_t *page =
            table_page(store, store->header->site_directories, VV_SITE_DIRECTORY_COUNT,
                       index / VV_SITES_PER_PAGE);
        uint32_t node = page != NULL ? READ(page[index % VV_SITES_PER_PAGE]) : 0;
        if (node >= capture->node_count) node = 0;
        capture->sites[index] = (struct vv_capture_site){.node = node, .api = apis[node]};
    }
    capture->site_count = count;
    return true;
}

/* --- threads and counts --- */

/* Damaged numbers wrap around here and are refused by vv_capture_check(). */
static void add(int64_t *sum, int64_t number) {
    *sum = (int64_t)((uint64_t)*sum + (uint64_t)number);
}

/* Where allocations are counted whose stack found no room. */
static bool is_full_site(const struct vv_capture *capture, uint32_t site) {
    uint32_t node = capture->sites[site].node;
    return node != 0 && capture->locations[capture->nodes[node].location].kind == VV_LOCATION_FULL;
}

static void add_sums(struct vv_capture *capture, const struct vv_capture_count *count) {
    struct vv_capture_sums *sums = &capture->sums[vv_capture_domain(capture, count)];
    add(&sums->live_bytes, count->live_bytes);
    add(&sums->live_count, count->live_count);
    add(&sums->peak_bytes, count->peak_bytes);
    add(&sums->peak_count, count->peak_count);
    sums->total_bytes += count->total_bytes;
    sums->total_count += count->total_count;
    if (is_full_site(capture, count->site)) capture->full_count += count->total_count;
}

/* False: nothing was ever counted there. */
static bool read_shard(const struct store *store, const struct vv_shard *shard,
                       struct vv_capture_count *out) {
    struct peak peak = peak_of(store->header, vv_capture_domain(store->capture, out));
    bool at_peak = peak.is_rising || READ(shard->epoch) != peak.epoch;
    out->live_bytes = READ(shard->live_bytes);
    out->live_count = READ(shard->live_count);
    out->peak_bytes = at_peak ? out->live_bytes : READ(shard->peak_bytes);
    out->peak_count = at_peak ? out->live_count : READ(shard->peak_count);
    out->total_bytes = READ(shard->total_bytes);
    out->total_count = READ(shard->total_count);
    out->temporary_bytes = READ(shard->temporary_bytes);
    out->temporary_count = READ(shard->temporary_count);
    return out->total_count != 0 || out->live_count != 0 || out->live_bytes != 0 ||
           out->peak_count != 0;
}

static bool add_count(struct store *store, const struct vv_capture_count *count,
                      uint32_t *capacity) {
    struct vv_capture *capture = store->capture;
    if (capture->count_count == *capacity) {
        uint32_t grown = *capacity == 0 ? 1024 : *capacity * 2;
        struct vv_capture_count *counts = vv_scratch_grow(
            capture->scratch, capture->counts, *capacity * sizeof *counts, grown * sizeof *counts);
        if (counts == NULL) return false;
        capture->counts = counts;
        *capacity = grown;
    }
    capture->counts[capture->count_count++] = *count;
    add_sums(capture, count);
    return true;
}

static bool read_counts(struct store *store, const struct vv_store_thread *record, uint32_t thread,
                        uint32_t *capacity) {
    uint32_t site_count = store->capture->site_count;
    for (uint32_t first = 0; first < site_count; first += VV_SHARDS_PER_PAGE) {
        const struct vv_shard *page =
            table_page(store, record->directories, VV_THREAD_DIRECTORY_COUNT,
                       first / (uint32_t)VV_SHARDS_PER_PAGE);
        if (page == NULL) continue;
        for (uint32_t slot = 0; slot < VV_SHARDS_PER_PAGE && first + slot < site_count; slot++) {
            struct vv_capture_count count = {.thread = thread, .site = first + slot};
            if (read_shard(store, &page[slot], &count) && !add_count(store, &count, capacity)) {
                return false;
            }
        }
    }
    return true;
}

static vv_string_index add_thread_name(struct store *store, const struct vv_store_thread *record) {
    uint64_t words[VV_THREAD_NAME_WORDS];
    for (unsigned index = 0; index < VV_THREAD_NAME_WORDS; index++) {
        words[index] = READ(record->name[index]);
    }
    return add_text(store, (const char *)words, sizeof words);
}

static bool read_threads(struct store *store) {
    struct vv_capture *capture = store->capture;
    uint32_t count = least(READ(store->header->thread_count), (uint32_t)VV_STORE_THREAD_LIMIT);
    uint32_t capacity = 0;
    count = least(count, store->page_count);
    capture->threads = vv_scratch_take_array(capture->scratch, count, sizeof *capture->threads);
    if (capture->threads == NULL) return false;
    for (uint32_t index = 0; index < count; index++) {
        const struct vv_store_thread *record = table_page(store, store->header->thread_directories,
                                                          VV_STORE_THREAD_DIRECTORY_COUNT, index);
        struct vv_capture_thread *out = &capture->threads[capture->thread_count++];
        uint32_t state = record != NULL ? READ(record->state) : 0;
        if (state == 0) continue;
        out->id = READ(record->id);
        out->name = add_thread_name(store, record);
        out->started_ns = READ(record->started_ns);
        out->ended_ns = READ(record->ended_ns);
        for (unsigned bucket = 0; bucket < VV_CAPTURE_HISTOGRAM_BUCKETS; bucket++) {
            out->histogram[bucket] = READ(record->histogram[bucket]);
        }
        if (state != VV_THREAD_MERGED && !read_counts(store, record, index, &capacity)) {
            return false;
        }
    }
    return true;
}

/* --- all --- */

bool vv_is_store(const void *bytes, size_t byte_count) {
    return byte_count >= VV_STORE_MAGIC_BYTES &&
           memcmp(bytes, VV_STORE_MAGIC, VV_STORE_MAGIC_BYTES) == 0;
}

static const char *check_header(const void *bytes, size_t byte_count) {
    if (!vv_is_store(bytes, byte_count)) return "it is not a trace store of varve";
    if (byte_count < VV_STORE_HEADER_PAGES * VV_STORE_PAGE_BYTES) {
        return "it is cut off in its header";
    }
    const struct vv_store_header *header = bytes;
    if (header->byte_order != VV_STORE_BYTE_ORDER) {
        return "it was written on a machine with another byte order";
    }
    if (header->version > VV_STORE_VERSION) return "it was written by a newer varve";
    return NULL;
}

static bool read_all(struct store *store) {
    uint8_t *apis = NULL;
    return read_process(store) && read_modules(store) && read_labels(store) &&
           read_nodes(store, &apis) && read_sites(store, apis) && read_threads(store);
}

int vv_capture_from_store(const void *bytes, size_t byte_count, struct vv_capture **out,
                          const char **out_sentence) {
    *out_sentence = check_header(bytes, byte_count);
    if (*out_sentence != NULL) return -EINVAL;
    struct store store = {
        .base = bytes,
        .page_count = (uint32_t)vv_min(byte_count / VV_STORE_PAGE_BYTES, (size_t)UINT32_MAX / 1024),
        .header = bytes,
        .capture = vv_capture_begin(),
    };
    if (store.capture == NULL) return -ENOMEM;
    if (!read_all(&store)) {
        vv_capture_free(store.capture);
        return -ENOMEM;
    }
    store.capture->is_cut = store.is_cut || READ(store.header->page_count) > store.page_count;
    *out_sentence = vv_capture_check(store.capture);
    if (*out_sentence != NULL) {
        vv_capture_free(store.capture);
        return -EINVAL;
    }
    *out = store.capture;
    return 0;
}
