/* SPDX-License-Identifier: MIT */
#include "trace/store.h"

#include "base/check.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/environment.h"
#include "os/pages.h"
#include "os/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct vv_lock vv_store_lock = VV_LOCK(VV_RANK_STORE);
char *vv_store_base;

static struct vv_shared_file file; /* store lock */

/* Addresses for the store: as many pages as 25 million nodes and some million shards need. */
#define SPAN_MAX_BYTES ((size_t)64 << 30)
#define SPAN_MIN_BYTES ((size_t)64 << 20)

/* Images that one process may run one after the other by exec. */
#define IMAGE_LIMIT 10000

/* The file grows by an eighth, from 128 KiB to 16 MiB at a time. */
static size_t grown_bytes(size_t needed_bytes) {
    size_t step = vv_min(vv_max(file.usable_bytes / 8, (size_t)128 << 10), (size_t)16 << 20);
    size_t wanted = vv_max(needed_bytes, file.usable_bytes + step);
    return vv_min(vv_align_up(wanted, VV_STORE_PAGE_BYTES), file.span_bytes);
}

static bool reserve_locked(size_t needed_bytes) {
    return needed_bytes <= file.usable_bytes ||
           vv_shared_file_grow(&file, grown_bytes(needed_bytes)) ||
           vv_shared_file_grow(&file, needed_bytes);
}

vv_page_number vv_store_take_pages(uint32_t count) {
    struct vv_store_header *header = vv_store_header();
    vv_page_number first = 0;
    vv_lock(&vv_store_lock);
    uint32_t used = atomic_load_explicit(&header->page_count, memory_order_relaxed);
    if (reserve_locked(((size_t)used + count) * VV_STORE_PAGE_BYTES)) {
        first = used;
        atomic_store_explicit(&header->page_count, used + count, memory_order_release);
    }
    vv_unlock(&vv_store_lock);
    return first;
}

/* --- identity --- */

static size_t read_file(const char *path, char *buffer, size_t capacity_bytes) {
    int saved_errno = errno;
    size_t length = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        ssize_t got;
        while (length < capacity_bytes &&
               (got = read(descriptor, buffer + length, capacity_bytes - length)) > 0) {
            length += (size_t)got;
        }
        close(descriptor);
    }
    errno = saved_errno;
    return length;
}

/* The arguments, and the name of the file that runs (for a script, its interpreter's). */
static void describe_command(struct vv_store_header *header) {
    size_t length = read_file("/proc/self/cmdline", header->command, VV_STORE_COMMAND_BYTES);
    header->command_bytes = (uint32_t)length;
    if (length == VV_STORE_COMMAND_BYTES) {
        header->command_is_cut = 1;
        header->command[length - 1] = '\0';
    }
    char program[4096];
    int saved_errno = errno;
    ssize_t got = readlink("/proc/self/exe", program, sizeof program - 1);
    errno = saved_errno;
    if (got <= 0) return;
    program[got] = '\0';
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;
    memcpy(header->program, name, vv_min(strlen(name), sizeof header->program - 1));
}

static uint64_t run_id(void) {
    const char *text = vv_environment("VARVE_RUN_ID");
    uint64_t id = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++) {
        id = id * 10 + (uint64_t)(*text - '0');
    }
    return id;
}

static void describe(struct vv_store_header *header, uint32_t image) {
    memcpy(header->magic, VV_STORE_MAGIC, VV_STORE_MAGIC_BYTES);
    header->version = VV_STORE_VERSION;
    header->byte_order = VV_STORE_BYTE_ORDER;
    header->header_bytes = sizeof *header;
    header->process_id = (uint64_t)getpid();
    header->parent_id = (uint64_t)getppid();
    header->started_wall_ns = vv_clock_wall_ns();
    header->started_clock_ns = vv_clock_ns();
    header->run_id = run_id();
    header->image = image;
    describe_command(header);
    atomic_store_explicit(&header->page_count, VV_STORE_HEADER_PAGES, memory_order_relaxed);
    atomic_store_explicit(&header->state, VV_STORE_RUNNING, memory_order_release);
}

/* --- opening --- */

static int create_file(const char *directory, size_t span_bytes, uint32_t *out_image) {
    int result = -EEXIST;
    for (uint32_t image = 0; image < IMAGE_LIMIT && result == -EEXIST; image++) {
        char name[64];
        struct vv_text text = vv_text_in(name, sizeof name);
        vv_text_add_decimal(&text, (uint64_t)getpid());
        vv_text_add(&text, "-");
        vv_text_add_decimal(&text, image);
        vv_text_add(&text, ".store");
        result = vv_shared_file_create(&file, directory, vv_text_end(&text), span_bytes);
        *out_image = image;
    }
    return result;
}

static int create(const char *directory, uint32_t *out_image) {
    size_t span_bytes = vv_min(SPAN_MAX_BYTES, vv_pages_address_space_limit() / 8);
    span_bytes = vv_align_down(vv_max(span_bytes, SPAN_MIN_BYTES), VV_STORE_PAGE_BYTES);
    *out_image = 0;
    if (directory != NULL) return create_file(directory, span_bytes, out_image);
    return vv_shared_file_create_unnamed(&file, span_bytes);
}

int vv_store_open(const char *directory) {
    uint32_t image;
    int result = create(directory, &image);
    if (result < 0) return result;
    if (!reserve_locked(VV_STORE_HEADER_PAGES * VV_STORE_PAGE_BYTES)) {
        vv_shared_file_discard(&file);
        return -ENOSPC;
    }
    vv_store_base = file.base;
    describe(vv_store_header(), image);
    return 0;
}

/* A child may be forked in between by another thread, so the address goes first. */
void vv_store_close(void) {
    vv_store_base = NULL;
    vv_shared_file_close(&file);
}

void vv_store_leave(void) {
    file = (struct vv_shared_file){.descriptor = -1};
    vv_store_base = NULL;
}

void vv_store_discard(void) {
    vv_store_base = NULL;
    vv_shared_file_discard(&file);
}

static struct vv_shared_file parent_file; /* between detach and release */

const char *vv_store_detach(void) {
    const char *parent_store = vv_store_base;
    parent_file = file;
    file = (struct vv_shared_file){.descriptor = -1};
    vv_store_base = NULL;
    return parent_store;
}

void vv_store_release(const char *parent_store) {
    vv_assert(parent_store == parent_file.base);
    (void)parent_store;
    vv_shared_file_close(&parent_file);
}

const char *vv_store_path(void) {
    return file.path;
}

size_t vv_store_used_bytes(void) {
    if (vv_store_base == NULL) return 0;
    uint32_t pages = atomic_load_explicit(&vv_store_header()->page_count, memory_order_relaxed);
    return (size_t)pages * VV_STORE_PAGE_BYTES;
}
