/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "os/lock.h"

#include "base/check.h"

#include <pthread.h>

static struct vv_lock lock = VV_LOCK(VV_RANK_ARENA);
static long counter;

#define ROUNDS 200000

static void *count(void *argument) {
    (void)argument;
    for (int round = 0; round < ROUNDS; round++) {
        vv_lock(&lock);
        counter++;
        vv_unlock(&lock);
    }
    return NULL;
}

TEST(a_lock_excludes) {
    pthread_t threads[4];
    for (size_t index = 0; index < 4; index++) pthread_create(&threads[index], NULL, count, NULL);
    for (size_t index = 0; index < 4; index++) pthread_join(threads[index], NULL);
    CHECK_EQ(counter, 4L * ROUNDS);
}

TEST(a_held_lock_cannot_be_tried) {
    CHECK(vv_try_lock(&lock));
    CHECK(!vv_try_lock(&lock));
    vv_unlock(&lock);
    CHECK(vv_try_lock(&lock));
    vv_lock_reset(&lock);
    CHECK(vv_try_lock(&lock));
}

TEST(an_abandoned_lock_stays_taken_but_is_no_longer_the_threads) {
    static struct vv_lock outer = VV_LOCK(VV_RANK_REGISTRY);
    vv_lock(&lock);
    vv_lock_abandon(&lock);
    CHECK(!vv_try_lock(&lock));
    vv_lock(&outer); /* an audit build would say that this comes first */
    vv_unlock(&outer);
}

#if VARVE_AUDIT
TEST_ABORTS(locks_taken_out_of_order_are_named, "does not hold") {
    static struct vv_lock outer = VV_LOCK(VV_RANK_REGISTRY);
    vv_lock(&lock);
    vv_lock(&outer);
}
#endif
