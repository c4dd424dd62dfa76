/* SPDX-License-Identifier: MIT
 * A plugin for test_life.c: allocates in its constructor and destructor and has thread-local data.
 */
#include <stdlib.h>
#include <string.h>

static char *own;
static __thread char scratch[64];

char *plugin_make(const char *text);
void plugin_drop(char *text);

__attribute__((constructor)) static void load(void) {
    own = malloc(1000);
    memset(own, 1, 1000);
}

__attribute__((destructor)) static void unload(void) {
    free(own);
}

char *plugin_make(const char *text) {
    strncpy(scratch, text, sizeof scratch - 1);
    return strdup(scratch);
}

void plugin_drop(char *text) {
    free(text);
}
