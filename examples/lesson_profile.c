/* SPDX-License-Identifier: MIT
 * Step 8 of the lesson: what does this stretch of code do with memory? A scope around real work,
 * with another one inside, and a profiled call. The reports go to stderr. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <varve/varve.h>

enum { RECORD_COUNT = 1000 };

static char *records[RECORD_COUNT];

static void read_records(void) {
    for (int index = 0; index < RECORD_COUNT; index++) {
        records[index] = malloc(64);
        if (records[index] == NULL) exit(1);
        snprintf(records[index], 64, "record %d", index);
    }
}

/* Needs much for a short time. */
static size_t sort_records(void) {
    char **copies = malloc(RECORD_COUNT * sizeof *copies);
    size_t length = 0;
    if (copies == NULL) exit(1);
    for (int index = 0; index < RECORD_COUNT; index++) {
        copies[index] = malloc(256);
        if (copies[index] == NULL) exit(1);
        memcpy(copies[index], records[index], 64);
        length += strlen(copies[index]);
    }
    for (int index = 0; index < RECORD_COUNT; index++) free(copies[index]);
    free(copies);
    return length;
}

static int drop_records(void *argument) {
    (void)argument;
    for (int index = 0; index < RECORD_COUNT; index++) free(records[index]);
    return 0;
}

int main(void) {
    size_t length = 0;
    VARVE_PROFILE("data processing", 3) {
        read_records();
        VARVE_PROFILE("sorting", 3) {
            length = sort_records();
        }
    }
    int result = varve_profile_call("cleaning up", 3, drop_records, NULL);
    printf("%zu characters\n", length);
    return result;
}
