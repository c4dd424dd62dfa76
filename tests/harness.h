/* SPDX-License-Identifier: MIT
 * tests/harness.h - the test harness for tests in C.
 *
 *   TEST(name_is_a_claim) { ... CHECK_EQ(a, b); ... }
 *   TEST_ABORTS(name, "varve: double free") { ... }      must die by abort() with that on stderr
 *   SKIP("why")                                          counted and printed, never silent
 *
 * Every test runs in a child process with a time limit, so a crash or a hang fails one test only.
 * The program takes names (or parts of names) as arguments and runs those tests; without any, all,
 * except those called inner_...: they are parts of others, which start them by name.
 * It prints a line for each test that did not pass and "N passed, N failed, N skipped" at the
 * end, and appends that line to the file $VARVE_TEST_COUNTS when it is set. The harness uses the C
 * library's malloc, never the heap that is tested. */
#ifndef VARVE_TESTS_HARNESS_H
#define VARVE_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct test {
    const char *name;
    void (*run)(void);
    const char *aborts_with; /* NULL: must end normally */
    unsigned time_limit_s;
    struct test *next;
};

void test_register(struct test *test);
void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void test_stop(void) __attribute__((noreturn));
void test_skip(const char *reason) __attribute__((noreturn));

/* The seed of this run's random tests: $VARVE_TEST_SEED, or `fallback`. Printed by failures. */
uint64_t test_seed(uint64_t fallback);

/* A small generator for random tests (xorshift64*). */
uint64_t test_random(uint64_t *state);
static inline uint64_t test_random_below(uint64_t *state, uint64_t limit) {
    return test_random(state) % limit;
}

#ifdef __cplusplus
}
#endif

#define TEST_WITH_(test_name, sentence, limit_s)                                                   \
    static void test_name(void);                                                                   \
    static struct test test_record_##test_name = {#test_name, test_name, sentence, limit_s, NULL}; \
    __attribute__((constructor)) static void test_register_##test_name(void) {                     \
        test_register(&test_record_##test_name);                                                   \
    }                                                                                              \
    static void test_name(void)

#define TEST_LIMIT_S 180 /* a hang, not slowness, even on a machine that does much else */
#define TEST(test_name) TEST_WITH_(test_name, NULL, TEST_LIMIT_S)
#define TEST_SLOW(test_name, limit_s) TEST_WITH_(test_name, NULL, limit_s)
#define TEST_ABORTS(test_name, sentence) TEST_WITH_(test_name, sentence, TEST_LIMIT_S)

#define SKIP(reason) test_skip(reason)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) test_fail(__FILE__, __LINE__, "%s does not hold", #condition);           \
    } while (0)

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            test_fail(__FILE__, __LINE__, "%s does not hold", #condition);                         \
            test_stop();                                                                           \
        }                                                                                          \
    } while (0)

#define CHECK_COMPARE_(left, operator, right)                                                      \
    do {                                                                                           \
        long long left_ = (long long)(left), right_ = (long long)(right);                          \
        if (!(left_ operator right_)) {                                                            \
            test_fail(__FILE__, __LINE__, "%s " #operator" %s does not hold: %lld, %lld", #left,   \
                      #right, left_, right_);                                                      \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(left, right) CHECK_COMPARE_(left, ==, right)
#define CHECK_NE(left, right) CHECK_COMPARE_(left, !=, right)
#define CHECK_LT(left, right) CHECK_COMPARE_(left, <, right)
#define CHECK_LE(left, right) CHECK_COMPARE_(left, <=, right)
#define CHECK_GT(left, right) CHECK_COMPARE_(left, >, right)
#define CHECK_GE(left, right) CHECK_COMPARE_(left, >=, right)

#define CHECK_EQ_PTR(left, right)                                                                  \
    do {                                                                                           \
        const void *left_ = (left), *right_ = (right);                                             \
        if (left_ != right_) {                                                                     \
            test_fail(__FILE__, __LINE__, "%s == %s does not hold: %p, %p", #left, #right, left_,  \
                      right_);                                                                     \
        }                                                                                          \
    } while (0)

#define CHECK_EQ_STR(left, right)                                                                  \
    do {                                                                                           \
        const char *left_ = (left), *right_ = (right);                                             \
        if (__builtin_strcmp(left_, right_) != 0) {                                                \
            test_fail(__FILE__, __LINE__, "%s == %s does not hold: \"%s\", \"%s\"", #left, #right, \
                      left_, right_);                                                              \
        }                                                                                          \
    } while (0)

#endif
