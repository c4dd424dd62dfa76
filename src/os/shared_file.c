/* SPDX-License-Identifier: MIT */
#include "os/shared_file.h"

#include "base/text.h"
#include "os/system_call.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors below are those that programs count on and close in loops. */
#define DESCRIPTOR_MIN 400

/* Moves a descriptor out of the way, if the limit allows. */
static int moved_up(int descriptor) {
    int higher = fcntl(descriptor, F_DUPFD_CLOEXEC, DESCRIPTOR_MIN);
    if (higher < 0) return descriptor;
    close(descriptor);
    return higher;
}

static bool identify(int descriptor, uint64_t *out_device, uint64_t *out_inode) {
    struct stat status;
    if (fstat(descriptor, &status) != 0) return false;
    *out_device = status.st_dev;
    *out_inode = status.st_ino;
    return true;
}

static bool is_ours(const struct vv_shared_file *file, int descriptor) {
    uint64_t device, inode;
    return descriptor >= 0 && identify(descriptor, &device, &inode) && device == file->device &&
           inode == file->inode;
}

static int map_and_keep(struct vv_shared_file *file, int descriptor, size_t span_bytes,
                        bool keep_descriptor) {
    long base = vv_system_call(SYS_mmap, 0, span_bytes, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_NORESERVE, (uintptr_t)descriptor, 0);
    if (vv_system_call_failed(base) || !identify(descriptor, &file->device, &file->inode)) {
        int error = vv_system_call_failed(base) ? (int)-base : errno;
        close(descriptor);
        return -error;
    }
    file->base = (void *)base;
    file->span_bytes = span_bytes;
    file->usable_bytes = 0;
    file->descriptor = keep_descriptor ? moved_up(descriptor) : -1;
    if (!keep_descriptor) close(descriptor);
    return 0;
}

int vv_shared_file_create(struct vv_shared_file *file, const char *directory, const char *name,
                          size_t span_bytes) {
    int saved_errno = errno;
    struct vv_text path = vv_text_in(file->path, sizeof file->path);
    vv_text_add(&path, directory);
    vv_text_add(&path, "/");
    vv_text_add(&path, name);
    int result = -ENAMETOOLONG;
    if (path.at < path.limit) {
        int descriptor =
            open(vv_text_end(&path), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 S_IRUSR | S_IWUSR);
        result = descriptor < 0 ? -errno : map_and_keep(file, descriptor, span_bytes, true);
        if (result < 0 && descriptor >= 0) unlink(file->path);
    }
    errno = saved_errno;
    return result;
}

int vv_shared_file_create_unnamed(struct vv_shared_file *file, size_t span_bytes) {
    int saved_errno = errno;
    file->path[0] = '\0';
    int descriptor = memfd_create("varve", MFD_CLOEXEC);
    int result = descriptor < 0 ? -errno : 0;
    if (result == 0 && ftruncate(descriptor, (off_t)span_bytes) != 0) {
        result = -errno;
        close(descriptor);
    }
    if (result == 0) result = map_and_keep(file, descriptor, span_bytes, false);
    if (result == 0) file->usable_bytes = span_bytes;
    errno = saved_errno;
    return result;
}

/* Growing beyond RLIMIT_FSIZE would raise a signal. */
static bool size_is_allowed(size_t byte_count) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           byte_count <= limit.rlim_cur;
}

static bool reopen(struct vv_shared_file *file) {
    if (is_ours(file, file->descriptor)) return true;
    file->descriptor = -1; /* whatever has that number now belongs to the program */
    int descriptor = open(file->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) return false;
    if (!is_ours(file, descriptor)) {
        close(descriptor);
        return false;
    }
    file->descriptor = moved_up(descriptor);
    return true;
}

static bool grow(struct vv_shared_file *file, size_t usable_bytes) {
    if (!size_is_allowed(usable_bytes) || !reopen(file)) return false;
    off_t begin = (off_t)file->usable_bytes;
    off_t length = (off_t)(usable_bytes - file->usable_bytes);
    int result;
    do {
        result = fallocate(file->descriptor, 0, begin, length);
    } while (result != 0 && errno == EINTR);
    if (result == 0) return true;
    /* A file system that cannot allocate ahead: a full disk will be a signal there. */
    return errno == EOPNOTSUPP && ftruncate(file->descriptor, begin + length) == 0;
}

bool vv_shared_file_grow(struct vv_shared_file *file, size_t usable_bytes) {
    if (usable_bytes <= file->usable_bytes) return true;
    if (usable_bytes > file->span_bytes || file->path[0] == '\0') return false;
    int saved_errno = errno;
    bool grown = grow(file, usable_bytes);
    if (grown) file->usable_bytes = usable_bytes;
    errno = saved_errno;
    return grown;
}

void vv_shared_file_close(struct vv_shared_file *file) {
    int saved_errno = errno;
    void *base = file->base;
    file->base = NULL; /* first: what is mapped there later is not ours, in a child neither */
    if (base != NULL) vv_system_call(SYS_munmap, (uintptr_t)base, file->span_bytes, 0, 0, 0, 0);
    if (is_ours(file, file->descriptor)) close(file->descriptor);
    file->descriptor = -1;
    errno = saved_errno;
}

void vv_shared_file_discard(struct vv_shared_file *file) {
    int saved_errno = errno;
    vv_shared_file_close(file);
    if (file->path[0] != '\0') unlink(file->path);
    errno = saved_errno;
}
