/* SPDX-License-Identifier: MIT
 * tests/unwind/compare.c - a library to preload: unwinds the stacks of a real program by varve's
 * unwinder and by libunwind, and compares.
 *
 *   every malloc     the fast way, from malloc's caller
 *   every 1 ms       a timer's signal, if $UNWIND_COMPARE_SIGNALS is set: the slow way, out of the
 *                    handler, through the signal frame, into whatever instruction was interrupted
 *   every instruction  after a SIGPROF, for as many as $UNWIND_COMPARE_STEPS says: the same with
 *                    the processor's trap flag, so that no place in a prologue, an epilogue or a
 *                    stub is left out
 *
 * At the end it appends lines to the file $UNWIND_COMPARE: "stacks N", "frames N", "signals N", and
 * for each kind of difference "different COUNT <where>", or "guessed COUNT <where>" when code
 * without unwind information is further in, so that there is nothing but guessing, and libunwind's
 * guess led out of all code, varve's did not. The address at which the two ways part is the name of
 * a difference: module, offset and symbol. Where both say that the caller is at an address outside
 * of all modules, the comparison ends, and "left COUNT <where>" tells of it: an exception that
 * libgcc is about to hand over has its stack written over by libgcc. */
#include "trace/cfi.h"
#include "trace/rule.h"
#include "trace/stack.h"
#include "trace/stepper.h"

#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define FRAMES_MAX 2000
#define DIFFERENCES_MAX 200
#define TRAP_FLAG 0x100 /* of x86's flags */

extern void *__libc_malloc(size_t size);

struct difference {
    uintptr_t at; /* the last address on which both agree */
    uintptr_t ours;
    uintptr_t theirs;
    uintptr_t guess; /* in code further in that has no unwind information; 0: there is none */
    bool has_left;   /* both say `ours`, which is in no module: no difference, but the end */
    unsigned long count;
};

static _Atomic unsigned long stack_count, frame_count, signal_count;
static struct difference differences[DIFFERENCES_MAX];
static unsigned difference_count;
static _Atomic int difference_lock;
static bool ready;
static unsigned long steps_at_once;
static pid_t process;

static __thread struct vv_stack stack;
static __thread volatile bool inside;
static __thread volatile unsigned long steps_left;
static __thread uintptr_t ours[FRAMES_MAX], theirs[FRAMES_MAX];

static bool is_same(const struct difference *one, const struct difference *other) {
    return one->at == other->at && one->guess == other->guess && one->has_left == other->has_left &&
           (one->theirs == 0) == (other->theirs == 0);
}

static void note(struct difference difference) {
    while (atomic_exchange(&difference_lock, 1) != 0) continue;
    unsigned index = 0;
    while (index < difference_count && !is_same(&differences[index], &difference)) index++;
    if (index < DIFFERENCES_MAX) {
        if (index == difference_count) differences[difference_count++] = difference;
        differences[index].count++;
    }
    atomic_store(&difference_lock, 0);
}

static bool is_described(uintptr_t return_address) {
    struct vv_cfi_module module;
    struct vv_cfi_row row;
    return vv_cfi_find_module(return_address - 1, &module) &&
           vv_cfi_find_row(&module, return_address - 1, &row);
}

/* Both agree on the addresses before `index`. */
static void note_difference(unsigned index, uintptr_t our, uintptr_t their) {
    struct difference difference = {
        .at = index > 0 ? ours[index - 1] : 0, .ours = our, .theirs = their};
    for (unsigned inner = index; inner-- > 0 && difference.guess == 0;) {
        if (!is_described(ours[inner])) difference.guess = ours[inner];
    }
    note(difference);
}

/* libunwind's addresses, innermost first, from this function's caller on. */
static __attribute__((noinline)) unsigned unwind_theirs(void) {
    unw_context_t context;
    unw_cursor_t cursor;
    unsigned count = 0;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    while (count < FRAMES_MAX && unw_step(&cursor) > 0) {
        unw_word_t address;
        unw_get_reg(&cursor, UNW_REG_IP, &address);
        if (address == 0) break;
        theirs[count++] = address;
    }
    return count;
}

/* The code that a signal handler returns to: mov $__NR_rt_sigreturn, %rax; syscall. A step may be
 * between the two. */
static bool is_signal_trampoline(uintptr_t address) {
    static const unsigned char code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    enum { SYSCALL_AT = 7 };
    return memcmp((const void *)address, code, sizeof code) == 0 ||
           (memcmp((const void *)address, code + SYSCALL_AT, sizeof code - SYSCALL_AT) == 0 &&
            memcmp((const void *)(address - SYSCALL_AT), code, sizeof code) == 0);
}

/* Ours is one more than the interrupted instruction, theirs is the instruction. */
static uintptr_t as_we_write(const uintptr_t *their, unsigned index) {
    bool interrupted = index > 0 && is_signal_trampoline(their[index - 1]);
    return their[index] + (interrupted ? 1 : 0);
}

static bool is_in_a_module(uintptr_t address) {
    struct vv_cfi_module module;
    return vv_cfi_find_module(address, &module);
}

/* Both lists from the first address that they have in common. */
static void compare(unsigned our_count, unsigned their_count) {
    unsigned skip = 0;
    while (skip < their_count && theirs[skip] != ours[0]) skip++;
    if (skip == their_count) {
        note_difference(0, ours[0], 0);
        return;
    }
    const uintptr_t *their = theirs + skip;
    unsigned count = their_count - skip;
    for (unsigned index = 0; index < our_count || index < count; index++) {
        uintptr_t our_address = index < our_count ? ours[index] : 0;
        uintptr_t their_address = index < count ? as_we_write(their, index) : 0;
        if (our_address != their_address && index < FRAMES_MAX - 10) {
            note_difference(index, our_address, their_address);
            break;
        }
        if (!is_in_a_module(our_address - 1)) {
            note((struct difference){
                .at = index > 0 ? ours[index - 1] : 0, .ours = our_address, .has_left = true});
            break;
        }
    }
    atomic_fetch_add(&stack_count, 1);
    atomic_fetch_add(&frame_count, our_count);
}

static void compare_fast(void *const *frame) {
    struct vv_request request = {.api = VV_API_MALLOC, .frame = frame};
    bool complete;
    unsigned our_count = vv_stack_addresses(&stack, &request, ours, FRAMES_MAX, &complete);
    compare(our_count, unwind_theirs());
}

static __attribute__((noinline)) unsigned unwind_slowly(void) {
    struct vv_stepper stepper = {.bounds = &stack.bounds};
    VV_STEPPER_HERE(&stepper);
    vv_bounds_enter(&stack.bounds, vv_stepper_stack_pointer(&stepper));
    unsigned count = 0;
    while (count < FRAMES_MAX && vv_stepper_step(&stepper) == VV_STEP_CALLER) {
        ours[count++] = vv_stepper_address(&stepper) + (stepper.address_is_exact ? 1 : 0);
    }
    return count;
}

static bool enter(void) {
    if (!ready || inside || getpid() != process) return false;
    inside = true;
    return stack.frames != NULL || vv_stack_open(&stack);
}

/* Both block signals, so they are never stepped through: a trap that is blocked kills. */
static void compare_interrupted(void) {
    if (!enter()) return;
    unsigned our_count = unwind_slowly();
    /* Both begin in this function, at different instructions: begin with its caller. */
    if (our_count > 1) {
        memmove(ours, ours + 1, (our_count - 1) * sizeof ours[0]);
        compare(our_count - 1, unwind_theirs());
    }
    atomic_fetch_add(&signal_count, 1);
    inside = false;
}

/* SIGPROF, and SIGTRAP after each instruction of a series of steps. */
static void on_signal(int number, siginfo_t *info, void *context) {
    (void)info;
    if (inside) return;
    compare_interrupted();
    if (number == SIGPROF) {
        steps_left = steps_at_once;
    } else if (steps_left > 0) {
        steps_left--;
    }
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    *flags = ready && steps_left > 0 ? *flags | TRAP_FLAG : *flags & ~(greg_t)TRAP_FLAG;
}

__attribute__((visibility("default"), noinline)) void *malloc(size_t size) {
    if (enter()) {
        if (steps_left == 0) compare_fast(VV_FRAME());
        inside = false;
    }
    return __libc_malloc(size);
}

__attribute__((constructor)) static void begin(void) {
    if (getenv("UNWIND_COMPARE") == NULL || vv_rules_open() != 0) return;
    process = getpid();
    ready = true;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGPROF);
    sigaction(SIGPROF, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    const char *steps = getenv("UNWIND_COMPARE_STEPS");
    if (steps != NULL) steps_at_once = strtoul(steps, NULL, 10);
    if (getenv("UNWIND_COMPARE_SIGNALS") == NULL) return;
    suseconds_t between_us = 1000 * (1 + (suseconds_t)steps_at_once); /* so that it gets on */
    struct itimerval interval = {{0, between_us}, {0, between_us}};
    setitimer(ITIMER_PROF, &interval, NULL);
}

static bool is_code(uintptr_t address) {
    Dl_info info;
    return address != 0 && dladdr((void *)(address - 1), &info) != 0;
}

static void write_address(FILE *out, const char *what, uintptr_t address) {
    Dl_info info;
    fprintf(out, " %s ", what);
    if (address == 0) {
        fputs("(end)", out);
    } else if (dladdr((void *)(address - 1), &info) == 0) {
        fprintf(out, "(no module)");
    } else {
        const char *slash = strrchr(info.dli_fname, '/');
        fprintf(out, "%s+%lx(%s)", slash != NULL ? slash + 1 : info.dli_fname,
                (unsigned long)(address - (uintptr_t)info.dli_fbase),
                info.dli_sname != NULL ? info.dli_sname : "?");
    }
}

__attribute__((destructor)) static void end(void) {
    if (!ready || getpid() != process) return;
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &never, NULL);
    ready = false;
    FILE *out = fopen(getenv("UNWIND_COMPARE"), "ae");
    if (out == NULL) return;
    fprintf(out, "stacks %lu\nframes %lu\nsignals %lu\n", stack_count, frame_count, signal_count);
    for (unsigned index = 0; index < difference_count; index++) {
        const struct difference *one = &differences[index];
        bool is_guessed = one->guess != 0 && is_code(one->ours) && !is_code(one->theirs);
        fprintf(out, "%s %lu",
                one->has_left ? "left"
                : is_guessed  ? "guessed"
                              : "different",
                one->count);
        if (one->guess != 0) write_address(out, "in", one->guess);
        write_address(out, "after", one->at);
        write_address(out, "varve", one->ours);
        write_address(out, "libunwind", one->theirs);
        fputc('\n', out);
    }
    fclose(out);
}
