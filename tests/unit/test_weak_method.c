/* SPDX-License-Identifier: MIT
 * Weak methods. Names are those of CPython's WeakMethodTestCase. */
#include "weak_helper.h"

static int some_method(varve_object *self, varve_object *code, void *argument) {
    CHECK(self != NULL);
    CHECK(argument == NULL || code == argument);
    return 4;
}

static int other_method(varve_object *self, varve_object *code, void *argument) {
    return some_method(self, code, argument) + 1;
}

static varve_object *new_method(varve_object *object, varve_method function, varve_object *code,
                                varve_weak_callback callback) {
    varve_object *method = varve_weak_method_new(object, function, code, callback, NULL, NULL);
    REQUIRE(method != NULL);
    return method;
}

TEST(alive) {
    begin();
    varve_object *object = new_object(1), *code = new_plain(), *self, *got;
    varve_object *method = new_method(object, some_method, code, NULL);
    CHECK(varve_is_weakref(method));
    CHECK_EQ(varve_weak_method_get(method, &self, &got), 1);
    CHECK_EQ_PTR(self, object);
    CHECK_EQ_PTR(got, code);
    CHECK_EQ(varve_weak_method_call(method, code), 4);
    varve_decref(self);
    varve_decref(got);
    varve_decref(method);
    CHECK_EQ(varve_weakref_count(object) + varve_weakref_count(code), 0);
    varve_decref(object);
    varve_decref(code);
    end();
}

TEST(object_dead) {
    begin();
    varve_object *object = new_object(1);
    varve_object *method = new_method(object, some_method, NULL, NULL);
    CHECK_EQ(varve_weak_method_call(method, NULL), 4);
    varve_decref(object);
    CHECK_EQ(varve_weak_method_get(method, NULL, NULL), 0);
    CHECK_EQ(varve_weak_method_call(method, NULL), -ENOENT);
    varve_decref(method);
    end();
}

TEST(method_dead) {
    begin();
    varve_object *object = new_object(1), *code = new_plain();
    varve_object *method = new_method(object, some_method, code, NULL);
    varve_decref(code);
    CHECK_EQ(varve_weak_method_get(method, NULL, NULL), 0);
    CHECK_EQ_PTR(varve_weakref_get(method), NULL);
    CHECK_EQ(varve_weak_method_call(method, NULL), -ENOENT);
    varve_decref(method);
    varve_decref(object);
    end();
}

TEST(callback_when_object_dead) {
    begin();
    varve_object *object = new_object(1), *code = new_plain();
    varve_object *method = new_method(object, some_method, code, count_call);
    varve_decref(object);
    CHECK_EQ(called_count, 1);
    varve_decref(code);
    varve_gc_collect(world, 2);
    CHECK_EQ(called_count, 1);
    varve_decref(method);
    end();
}

TEST(callback_when_method_dead) {
    begin();
    varve_object *object = new_object(1), *code = new_plain(), *held = new_plain();
    varve_object *watch = varve_weakref_new(held, NULL, NULL, NULL);
    varve_object *method = varve_weak_method_new(object, some_method, code, count_call, NULL, held);
    varve_decref(held);
    CHECK(varve_weakref_is_alive(watch));
    varve_decref(code);
    CHECK_EQ(called_count, 1);
    CHECK(!varve_weakref_is_alive(watch)); /* held until the callback has run */
    varve_decref(object);
    CHECK_EQ(called_count, 1);
    varve_decref(method);
    varve_decref(watch);
    end();
}

TEST(callback_runs_once_when_object_and_code_go_together) {
    begin();
    varve_object *object = new_plain(), *code = new_plain();
    set_slot(object, 0, code);
    set_slot(code, 0, object);
    varve_object *method = new_method(object, some_method, code, count_call);
    varve_decref(object);
    varve_decref(code);
    varve_gc_collect(world, 2);
    CHECK_EQ(called_count, 1);
    varve_decref(method);
    end();
}

TEST(a_method_that_is_garbage_never_calls) {
    begin();
    varve_object *object = new_cycle(), *code = new_plain();
    varve_object *method = new_method(object, some_method, code, count_call);
    varve_object *refs = varve_weakref_list(code); /* keeps the inner reference to the code */
    set_slot(object, 1, method);
    set_slot(object, 2, code);
    varve_decref(method);
    varve_decref(code);
    varve_decref(object);
    varve_gc_collect(world, 2);
    CHECK_EQ(called_count, 0);
    CHECK(!varve_weakref_is_alive(varve_list_get(refs, 0)));
    varve_decref(refs);
    end();
}

TEST(no_cycles) {
    begin();
    varve_object *object = new_object(1), *code = new_plain();
    varve_object *method = new_method(object, some_method, code, count_call);
    varve_object *watch = varve_weakref_new(method, NULL, NULL, NULL);
    varve_decref(method);
    CHECK(!varve_weakref_is_alive(watch));
    varve_decref(watch);
    varve_decref(object);
    varve_decref(code);
    CHECK_EQ(called_count, 0);
    end();
}

TEST(equality) {
    begin();
    varve_object *x = new_object(1), *y = new_object(1), *z = new_object(2), *code = new_plain();
    enum { COUNT = 7 };
    varve_object *methods[COUNT] = {
        new_method(x, some_method, NULL, NULL),  new_method(y, some_method, NULL, NULL),
        new_method(x, other_method, NULL, NULL), new_method(y, other_method, NULL, NULL),
        new_method(z, some_method, NULL, NULL),  new_method(z, other_method, NULL, NULL),
        new_method(x, some_method, code, NULL),
    };
    for (int left = 0; left < COUNT; left++) {
        for (int right = 0; right < COUNT; right++) {
            bool equal = left == right || (left < 4 && right < 4 && left / 2 == right / 2);
            CHECK_EQ(varve_equal(methods[left], methods[right]), equal);
        }
        CHECK_EQ(varve_equal(methods[left], x), 0);
    }
    varve_decref(x);
    varve_decref(y);
    varve_decref(z);
    for (int left = 0; left < COUNT; left++) {
        for (int right = 0; right < COUNT; right++) {
            CHECK_EQ(varve_equal(methods[left], methods[right]), left == right);
        }
    }
    for (int index = 0; index < COUNT; index++) varve_decref(methods[index]);
    varve_decref(code);
    end();
}

TEST(hashing) {
    begin();
    varve_object *x = new_object(1), *y = new_object(1);
    varve_object *a = new_method(x, some_method, NULL, NULL);
    varve_object *b = new_method(y, some_method, NULL, NULL);
    varve_object *c = new_method(y, other_method, NULL, NULL);
    uint64_t hash_a = 0, hash_b = 1;
    CHECK_EQ(varve_hash(a, &hash_a), 0);
    CHECK_EQ(varve_hash(b, &hash_b), 0);
    CHECK_EQ(hash_a, hash_b);
    varve_decref(x);
    varve_decref(y);
    CHECK_EQ(varve_hash(a, &hash_b), 0);
    CHECK_EQ(hash_a, hash_b);
    CHECK_EQ(varve_hash(c, &hash_b), -EOPNOTSUPP);
    varve_decref(a);
    varve_decref(b);
    varve_decref(c);
    end();
}

static varve_object *subject, *subject_code, *result;

static int make(void) {
    result =
        varve_weak_method_new(subject, some_method, subject_code, count_call, NULL, subject_code);
    return result != NULL ? 0 : -errno;
}

static void check_lists(void) {
    CHECK(vv_weak_list_check(subject) == NULL && vv_weak_list_check(subject_code) == NULL);
    CHECK_EQ(varve_weakref_count(subject), result != NULL);
    CHECK_EQ(varve_weakref_count(subject_code), result != NULL);
}

static void unmake(void) {
    varve_clear_reference(&result);
}

TEST(every_failure_of_memory_leaves_no_half_method) {
    begin();
    subject = new_plain();
    subject_code = new_plain();
    fail_everywhere(make, check_lists, unmake);
    CHECK_EQ(varve_refcount(subject_code), 1);
    varve_decref(subject);
    varve_decref(subject_code);
    CHECK_EQ(called_count, 0);
    errno = 0;
    varve_object *strict = varve_object_new(strict_type);
    subject = new_plain();
    CHECK_EQ_PTR(varve_weak_method_new(subject, some_method, strict, NULL, NULL, NULL), NULL);
    CHECK_EQ(errno, EOPNOTSUPP);
    CHECK_EQ(varve_weakref_count(subject), 0);
    varve_decref(strict);
    varve_decref(subject);
    end();
}
