/* SPDX-License-Identifier: MIT */
#include "report/load.h"

#include "capture/format.h"

#include <stdio.h>
#include <stdlib.h>

struct naming {
    struct vv_capture *capture;
    struct vv_symbols *symbols;
    int result;
};

static void *look_up_names(void *argument) {
    struct naming *naming = argument;
    uint32_t unknown_count = 0;
    naming->result =
        vv_capture_symbolise(naming->capture, vv_symbols_look_up, naming->symbols, &unknown_count);
    return NULL;
}

bool vv_name_locations(struct vv_capture *capture, struct vv_symbols *symbols) {
    struct naming naming = {.capture = capture, .symbols = symbols};
    pthread_t thread;
    if (vv_symbols_start_thread(&thread, look_up_names, &naming) == 0) {
        pthread_join(thread, NULL);
    } else {
        look_up_names(&naming);
    }
    if (naming.result < 0) {
        fprintf(stderr, "varve: there is not enough memory to look up names\n");
        return false;
    }
    return true;
}

static bool needs_names(const struct vv_capture *capture) {
    return !vv_capture_has_names(capture) && capture->location_count > 0;
}

struct vv_capture *vv_load(const char *path) {
    struct vv_capture *capture;
    char sentence[256];
    if (vv_capture_read_file(path, &capture, sentence, sizeof sentence) < 0) {
        fprintf(stderr, "varve: cannot read %s: %s\n", path, sentence);
        return NULL;
    }
    if (!needs_names(capture)) return capture;
    struct vv_symbols *symbols = vv_symbols_open();
    if (symbols != NULL) {
        vv_name_locations(capture, symbols);
        vv_symbols_close(symbols);
    }
    return capture;
}

bool vv_load_run(char *const *paths, unsigned count, struct vv_loaded *out) {
    *out = (struct vv_loaded){.captures = calloc(count + 1, sizeof *out->captures)};
    if (out->captures == NULL) return false;
    for (unsigned index = 0; index < count; index++) {
        struct vv_capture *capture = vv_load(paths[index]);
        if (capture == NULL) {
            vv_loaded_free(out);
            return false;
        }
        out->captures[out->count++] = capture;
        if (capture->run_id != out->captures[0]->run_id) {
            fprintf(stderr,
                    "varve: %s and %s are not of one run, so their sum means nothing; "
                    "compare them with varve diff\n",
                    paths[0], paths[index]);
            vv_loaded_free(out);
            return false;
        }
    }
    return true;
}

void vv_loaded_free(struct vv_loaded *loaded) {
    for (unsigned index = 0; index < loaded->count; index++) {
        vv_capture_free(loaded->captures[index]);
    }
    free(loaded->captures);
}
