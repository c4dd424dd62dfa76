/* SPDX-License-Identifier: MIT */
#include "capture/format.h"
#include "capture/from_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- reading --- */

static int say(int result, char *sentence, size_t sentence_bytes, const char *text) {
    snprintf(sentence, sentence_bytes, "%s", text);
    return result;
}

static int read_bytes(const void *bytes, size_t byte_count, struct vv_capture **out, char *sentence,
                      size_t sentence_bytes) {
    const char *text = NULL;
    int result = vv_is_store(bytes, byte_count)
                     ? vv_capture_from_store(bytes, byte_count, out, &text)
                     : vv_capture_decode(bytes, byte_count, out, &text);
    if (text == NULL) text = "there is not enough memory to read it";
    return result < 0 ? say(result, sentence, sentence_bytes, text) : 0;
}

/* All that comes out of a pipe, as a file in memory in its place. A descriptor, or -errno. */
static int read_pipe(int pipe) {
    int file = memfd_create("varve", MFD_CLOEXEC);
    if (file < 0) return -errno;
    ssize_t count;
    fcntl(pipe, F_SETFL, 0); /* wait for its writer */
    do {
        count = splice(pipe, NULL, file, NULL, (size_t)1 << 20, 0);
    } while (count > 0 || (count < 0 && errno == EINTR));
    if (count == 0) return file;
    int error = errno;
    close(file);
    return -error;
}

/* A descriptor, or -errno. */
static int open_for_reading(const char *path) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return -errno;
    if (fstat(descriptor, &status) != 0 || !S_ISFIFO(status.st_mode)) return descriptor;
    int file = read_pipe(descriptor);
    close(descriptor);
    return file;
}

int vv_capture_read_file(const char *path, struct vv_capture **out, char *sentence,
                         size_t sentence_bytes) {
    struct stat status;
    int descriptor = open_for_reading(path);
    if (descriptor < 0) return say(descriptor, sentence, sentence_bytes, strerror(-descriptor));
    int result = 0;
    void *bytes = MAP_FAILED;
    if (fstat(descriptor, &status) != 0) {
        result = say(-errno, sentence, sentence_bytes, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        result = say(-EINVAL, sentence, sentence_bytes, "it is not a regular file");
    } else if (status.st_size == 0) {
        result = say(-EINVAL, sentence, sentence_bytes, "it is empty");
    } else {
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (bytes == MAP_FAILED) result = say(-errno, sentence, sentence_bytes, strerror(errno));
    }
    close(descriptor);
    if (result < 0) return result;
    result = read_bytes(bytes, (size_t)status.st_size, out, sentence, sentence_bytes);
    munmap(bytes, (size_t)status.st_size);
    return result;
}

/* --- writing --- */

static int write_whole(int descriptor, const char *bytes, size_t byte_count) {
    while (byte_count > 0) {
        ssize_t written = write(descriptor, bytes, byte_count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -errno;
        bytes += written;
        byte_count -= (size_t)written;
    }
    return 0;
}

#define TEMPORARY_BYTES 4096

/* link() fails where there is a file, rename() replaces it. */
static int give_name(const char *temporary, const char *path, bool overwrite) {
    if (overwrite) return rename(temporary, path) == 0 ? 0 : -errno;
    if (link(temporary, path) == 0) {
        unlink(temporary);
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP) return -errno;
    /* A file system without hard links. */
    if (access(path, F_OK) == 0) return -EEXIST;
    return rename(temporary, path) == 0 ? 0 : -errno;
}

/* A new file beside `path`, with a name of its own. A descriptor, or -errno. */
static int open_temporary(const char *path, char temporary[TEMPORARY_BYTES]) {
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return -EIO;
    int length =
        snprintf(temporary, TEMPORARY_BYTES, "%s.%016llx.part", path, (unsigned long long)random);
    if (length < 0 || length >= TEMPORARY_BYTES) return -ENAMETOOLONG;
    int descriptor =
        open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return descriptor < 0 ? -errno : descriptor;
}

int vv_capture_try_file(const char *path) {
    char temporary[TEMPORARY_BYTES];
    int descriptor = open_temporary(path, temporary);
    if (descriptor < 0) return descriptor;
    close(descriptor);
    unlink(temporary);
    return 0;
}

int vv_capture_write_file(const char *path, const void *bytes, size_t byte_count, bool overwrite) {
    char temporary[TEMPORARY_BYTES];
    int descriptor = open_temporary(path, temporary);
    if (descriptor < 0) return descriptor;
    int result = write_whole(descriptor, bytes, byte_count);
    if (close(descriptor) != 0 && result == 0) result = -errno;
    if (result == 0) result = give_name(temporary, path, overwrite);
    if (result < 0) unlink(temporary);
    return result;
}
