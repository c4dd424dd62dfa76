/* SPDX-License-Identifier: MIT */
#include "report/processes.h"

/* Of equal ones the first. */
static bool exceeds(const struct vv_loaded *loaded, unsigned left, unsigned right,
                    enum vv_domain domain) {
    int64_t left_bytes = loaded->captures[left]->sums[domain].peak_bytes;
    int64_t right_bytes = loaded->captures[right]->sums[domain].peak_bytes;
    return left_bytes > right_bytes || (left_bytes == right_bytes && left < right);
}

bool vv_holds_peak(const struct vv_loaded *loaded, unsigned index, enum vv_domain domain) {
    for (unsigned other = 0; other < loaded->count; other++) {
        if (loaded->captures[other]->process_id == loaded->captures[index]->process_id &&
            exceeds(loaded, other, index, domain)) {
            return false;
        }
    }
    return true;
}

unsigned vv_process_count(const struct vv_loaded *loaded) {
    unsigned count = 0;
    for (unsigned index = 0; index < loaded->count; index++) {
        count += vv_holds_peak(loaded, index, VV_DOMAIN_MALLOC);
    }
    return count;
}

static bool is_child(const struct vv_loaded *loaded, const struct vv_capture *capture) {
    for (unsigned index = 0; index < loaded->count; index++) {
        if (loaded->captures[index]->process_id == capture->parent_id) return true;
    }
    return false;
}

const struct vv_capture *vv_root_of(const struct vv_loaded *loaded) {
    const struct vv_capture *root = NULL;
    for (unsigned index = 0; index < loaded->count; index++) {
        const struct vv_capture *capture = loaded->captures[index];
        if (is_child(loaded, capture)) continue;
        if (root == NULL || capture->started_wall_ns < root->started_wall_ns) root = capture;
    }
    return root != NULL ? root : loaded->captures[0];
}
