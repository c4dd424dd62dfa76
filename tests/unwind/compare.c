/* SPDX-License-Identifier: MIT
 * tests/unwind/compare.c - a library to preload: unwinds the stacks of a real program by varve's
 * unwinder and by libunwind, and compares.
 *
 *   every malloc     the fast way, from malloc's caller
 *   every 1 ms       a timer's signal: the slow way, out of the handler, through the signal frame,
 *                    into whatever instruction was interrupted
 *
 * At the end it appends lines to the file $UNWIND_COMPARE: "stacks N", "frames N", "signals N", and
 * for each kind of difference "different COUNT: <where>". The address at which the two ways part is
 * the name of a difference: module, offset and symbol. */
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
#include <unistd.h>

#define FRAMES_MAX 2000
#define DIFFERENCES_MAX 200

extern void *__libc_malloc(size_t size);

struct difference {
    uintptr_t at; /* the last address on which both agree */
    uintptr_t ours;
    uintptr_t theirs;
    unsigned long count;
};

static _Atomic unsigned long stack_count, frame_count, signal_count;
static struct difference differences[DIFFERENCES_MAX];
static unsigned difference_count;
static _Atomic int difference_lock;
static bool ready;
static pid_t process;

static __thread struct vv_stack stack;
static __thread bool inside;
static __thread uintptr_t ours[FRAMES_MAX], theirs[FRAMES_MAX];

static void note_difference(uintptr_t at, uintptr_t our, uintptr_t their) {
    while (atomic_exchange(&difference_lock, 1) != 0) continue;
    unsigned index = 0;
    while (index < difference_count && differences[index].at != at) index++;
    if (index < DIFFERENCES_MAX) {
        if (index == difference_count) {
            differences[difference_count++] = (struct difference){at, our, their, 0};
        }
        differences[index].count++;
    }
    atomic_store(&difference_lock, 0);
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

/* The code that a signal handler returns to: mov $__NR_rt_sigreturn, %rax; syscall. */
static bool is_signal_trampoline(uintptr_t address) {
    static const unsigned char code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    return memcmp((const void *)address, code, sizeof code) == 0;
}

/* Ours is one more than the interrupted instruction, theirs is the instruction. */
static uintptr_t as_we_write(const uintptr_t *their, unsigned index) {
    bool interrupted = index > 0 && is_signal_trampoline(their[index - 1]);
    return their[index] + (interrupted ? 1 : 0);
}

/* Both lists from the first address that they have in common. */
static void compare(unsigned our_count, unsigned their_count) {
    unsigned skip = 0;
    while (skip < their_count && theirs[skip] != ours[0]) skip++;
    if (skip == their_count) {
        note_difference(ours[0], 0, 0);
        return;
    }
    const uintptr_t *their = theirs + skip;
    unsigned count = their_count - skip;
    for (unsigned index = 0; index < our_count || index < count; index++) {
        uintptr_t our_address = index < our_count ? ours[index] : 0;
        uintptr_t their_address = index < count ? as_we_write(their, index) : 0;
        if (our_address != their_address && index < FRAMES_MAX - 10) {
            note_difference(index > 0 ? ours[index - 1] : 0, our_address, their_address);
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

static void on_timer(int number) {
    (void)number;
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

__attribute__((visibility("default"), noinline)) void *malloc(size_t size) {
    if (enter()) {
        compare_fast(VV_FRAME());
        inside = false;
    }
    return __libc_malloc(size);
}

__attribute__((constructor)) static void begin(void) {
    if (getenv("UNWIND_COMPARE") == NULL || vv_rules_open() != 0) return;
    process = getpid();
    ready = true;
    if (getenv("UNWIND_COMPARE_SIGNALS") == NULL) return;
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    sigaction(SIGPROF, &action, NULL);
    struct itimerval interval = {{0, 1000}, {0, 1000}};
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
        /* Seen once in some million stacks: libunwind 1.6 went from __run_exit_handlers() to an
         * address outside of all code, varve to exit(). Why is not known. */
        bool is_lost = is_code(differences[index].ours) && !is_code(differences[index].theirs) &&
                       differences[index].theirs != 0;
        fprintf(out, "%s %lu", is_lost ? "astray" : "different", differences[index].count);
        write_address(out, "after", differences[index].at);
        write_address(out, "varve", differences[index].ours);
        write_address(out, "libunwind", differences[index].theirs);
        fputc('\n', out);
    }
    fclose(out);
}
