/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Exit codes of a test's process. */
enum { EXIT_PASSED = 0, EXIT_TEST_FAILED = 101, EXIT_SKIPPED = 102 };

#define OUTPUT_MAX_BYTES 65536

static struct test *tests;
static _Atomic int failure_count;

void test_register(struct test *test) {
    struct test **link = &tests;
    while (*link != NULL) link = &(*link)->next;
    *link = test;
}

void test_fail(const char *file, int line, const char *format, ...) {
    char message[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "%s:%d: %s\n", file, line, message);
    failure_count++;
}

void test_stop(void) {
    _exit(EXIT_TEST_FAILED);
}

void test_skip(const char *reason) {
    dprintf(STDERR_FILENO, "%s\n", reason);
    _exit(EXIT_SKIPPED);
}

uint64_t test_seed(uint64_t fallback) {
    const char *text = getenv("VARVE_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : fallback;
    dprintf(STDERR_FILENO, "seed: VARVE_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint64_t test_random(uint64_t *state) {
    uint64_t value = *state != 0 ? *state : 88172645463325252u;
    value ^= value >> 12;
    value ^= value << 25;
    value ^= value >> 27;
    *state = value;
    return value * 2685821657736338717u;
}

/* --- running one test --- */

struct outcome {
    int status;
    bool timed_out;
    char output[OUTPUT_MAX_BYTES];
};

static _Noreturn void run_in_child(const struct test *test, int output) {
    dup2(output, STDERR_FILENO);
    test->run();
    fflush(NULL);
    exit(failure_count == 0 ? EXIT_PASSED : EXIT_TEST_FAILED);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Collects what the child writes until it closes its end or the time is over. */
static void collect_output(int input, double deadline_s, struct outcome *outcome) {
    size_t length = 0;
    for (;;) {
        double left_s = deadline_s - seconds_now();
        struct pollfd ready = {.fd = input, .events = POLLIN};
        int count = left_s <= 0 ? 0 : poll(&ready, 1, (int)(left_s * 1000) + 1);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            outcome->timed_out = true;
            break;
        }
        char spill[4096];
        bool full = length >= OUTPUT_MAX_BYTES - 1;
        char *at = full ? spill : outcome->output + length;
        size_t room = full ? sizeof spill : OUTPUT_MAX_BYTES - 1 - length;
        ssize_t got = read(input, at, room);
        if (got <= 0) break;
        if (!full) length += (size_t)got;
    }
    outcome->output[length] = '\0';
}

static void run_test(const struct test *test, struct outcome *outcome) {
    int channel[2];
    if (pipe(channel) != 0) abort();
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        setpgid(0, 0);
        close(channel[0]);
        run_in_child(test, channel[1]);
    }
    close(channel[1]);
    outcome->timed_out = false;
    collect_output(channel[0], seconds_now() + test->time_limit_s, outcome);
    close(channel[0]);
    if (outcome->timed_out) kill(-child, SIGKILL);
    waitpid(child, &outcome->status, 0);
}

/* --- judging --- */

enum verdict { PASSED, FAILED, SKIPPED };

static enum verdict judge(const struct test *test, const struct outcome *outcome,
                          const char **out_why) {
    int status = outcome->status;
    *out_why = "";
    if (outcome->timed_out) {
        *out_why = "took too long";
        return FAILED;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED) return SKIPPED;
    if (test->aborts_with != NULL) {
        bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
        if (aborted && strstr(outcome->output, test->aborts_with) != NULL) return PASSED;
        *out_why = aborted ? "aborted with another sentence" : "did not abort";
        return FAILED;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_PASSED) return PASSED;
    if (WIFSIGNALED(status)) *out_why = strsignal(WTERMSIG(status));
    return FAILED;
}

static bool is_chosen(const struct test *test, int argc, char **argv) {
    for (int index = 1; index < argc; index++) {
        if (strstr(test->name, argv[index]) != NULL) return true;
    }
    return argc < 2 && strncmp(test->name, "inner_", 6) != 0;
}

static void report_counts(const unsigned *counts) {
    char line[100];
    int length = snprintf(line, sizeof line, "%u passed, %u failed, %u skipped\n", counts[PASSED],
                          counts[FAILED], counts[SKIPPED]);
    fputs(line, stdout);
    const char *path = getenv("VARVE_TEST_COUNTS");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL) return;
    fwrite(line, 1, (size_t)length, file);
    fclose(file);
}

int main(int argc, char **argv) {
    static struct outcome outcome;
    unsigned counts[3] = {0, 0, 0};
    for (const struct test *test = tests; test != NULL; test = test->next) {
        if (!is_chosen(test, argc, argv)) continue;
        run_test(test, &outcome);
        const char *why;
        enum verdict verdict = judge(test, &outcome, &why);
        counts[verdict]++;
        if (verdict == FAILED) printf("FAILED %s: %s\n%s", test->name, why, outcome.output);
        if (verdict == SKIPPED) printf("skipped %s: %s", test->name, outcome.output);
    }
    report_counts(counts);
    return counts[FAILED] == 0 && counts[PASSED] + counts[SKIPPED] > 0 ? 0 : 1;
}
