/* SPDX-License-Identifier: MIT
 * launch - runs one program and writes down what it cost.
 *
 *   launch [-w NAME] RESULT PROGRAM ARGS...
 *
 * RESULT receives lines "key value": wall_s, user_s, system_s, peak_kib, faults, exit_code (128
 * plus the signal when killed). Times, faults and peak_kib come from wait4(): they cover the
 * program and the descendants that were waited for; peak_kib is that of the largest process.
 * PROGRAM is an absolute path. Exit code 0 when PROGRAM ran, whatever it returned.
 *
 * Why a launcher: a process inherits the peak of the one that forked it (vfork and posix_spawn
 * do not help, exec keeps it), and a Python runner is larger than many of the programs measured
 * here. This one is static and tiny, and LD_PRELOAD has no effect on it.
 *
 * With -w it also attaches to every process of the tree (stops at fork, exec and exit only, so
 * nothing is slowed in between) and adds, for the processes whose executable is called NAME:
 * watched_kib, the largest peak, read from the kernel as they exit, and watched_s, the time from
 * exec to exit of the last one. This tells the traced program from the tracer around it.
 * Processes started by threads other than the first one are not seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_TROUBLE 2
#define STATUS_BYTES_MAX 8192

extern char **environ;

struct outcome {
    double wall_s;
    struct rusage usage;
    int status;
    long watched_kib;
    double watched_s;
};

struct watch {
    const char *name;
    double started_s; /* exec of the last process of that name */
};

static _Noreturn void trouble(const char *what) {
    fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
    exit(EXIT_TROUBLE);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run_plain(char **command, struct outcome *outcome) {
    double started_s = now_s();
    pid_t child;
    int error = posix_spawn(&child, command[0], NULL, NULL, command, environ);
    if (error != 0) {
        errno = error;
        trouble(command[0]);
    }
    while (wait4(child, &outcome->status, 0, &outcome->usage) < 0) {
        if (errno != EINTR) trouble("wait4");
    }
    outcome->wall_s = now_s() - started_s;
}

/* Starts the program behind a gate, so that it can be attached to before its exec. */
static pid_t start_attached(char **command) {
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) != 0) trouble("pipe");
    pid_t child = fork();
    if (child < 0) trouble("fork");
    if (child == 0) {
        char byte;
        if (read(gate[0], &byte, 1) == 1) execv(command[0], command);
        _exit(127);
    }
    long options =
        PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;
    if (ptrace(PTRACE_SEIZE, child, NULL, options) != 0) trouble("ptrace");
    if (write(gate[1], "", 1) != 1) trouble("pipe");
    close(gate[0]);
    close(gate[1]);
    return child;
}

static bool is_watched(const struct watch *watch, pid_t pid) {
    char link[64];
    char target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length <= 0) return false;
    target[length] = '\0';
    const char *slash = strrchr(target, '/');
    return strcmp(slash != NULL ? slash + 1 : target, watch->name) == 0;
}

/* The peak resident set of a process that is about to exit, or 0. */
static long peak_kib_of(pid_t pid) {
    char path[64];
    char text[STATUS_BYTES_MAX];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = '\0';
    const char *line = strstr(text, "\nVmHWM:");
    return line != NULL ? strtol(line + sizeof "\nVmHWM:" - 1, NULL, 10) : 0;
}

static void note_event(struct watch *watch, pid_t pid, int event, struct outcome *outcome) {
    if (event != PTRACE_EVENT_EXEC && event != PTRACE_EVENT_EXIT) return;
    if (!is_watched(watch, pid)) return;
    if (event == PTRACE_EVENT_EXEC) {
        watch->started_s = now_s();
        return;
    }
    long peak_kib = peak_kib_of(pid);
    if (peak_kib > outcome->watched_kib) outcome->watched_kib = peak_kib;
    outcome->watched_s = now_s() - watch->started_s;
}

/* Lets a stopped process go on, with its signal if that is why it stopped. */
static void resume(pid_t pid, int status) {
    int event = status >> 16;
    int signal_number = WSTOPSIG(status);
    if (event == 0) {
        ptrace(PTRACE_CONT, pid, NULL, (long)signal_number);
    } else if (event == PTRACE_EVENT_STOP && signal_number != SIGTRAP) {
        ptrace(PTRACE_LISTEN, pid, NULL, NULL); /* really stopped, by SIGSTOP or the terminal */
    } else {
        ptrace(PTRACE_CONT, pid, NULL, 0L);
    }
}

static void run_watched(char **command, const char *name, struct outcome *outcome) {
    double started_s = now_s();
    struct watch watch = {name, started_s};
    pid_t child = start_attached(command);
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, __WALL, &usage);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) trouble("wait4");
        if (WIFSTOPPED(status)) {
            note_event(&watch, pid, status >> 16, outcome);
            resume(pid, status);
        } else if (pid == child) {
            outcome->status = status;
            outcome->usage = usage;
            break;
        }
    }
    outcome->wall_s = now_s() - started_s;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static void write_result(const char *path, const struct outcome *outcome) {
    FILE *file = fopen(path, "w");
    if (file == NULL) trouble(path);
    const struct rusage *usage = &outcome->usage;
    int status = outcome->status;
    fprintf(file, "wall_s %.6f\nuser_s %.6f\nsystem_s %.6f\npeak_kib %ld\nfaults %ld\n",
            outcome->wall_s, seconds(usage->ru_utime), seconds(usage->ru_stime), usage->ru_maxrss,
            usage->ru_minflt + usage->ru_majflt);
    fprintf(file, "exit_code %d\n",
            WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    fprintf(file, "watched_kib %ld\nwatched_s %.6f\n", outcome->watched_kib, outcome->watched_s);
    if (fclose(file) != 0) trouble(path);
}

int main(int argc, char **argv) {
    const char *watched = NULL;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "-w") == 0) {
        watched = argv[2];
        first = 3;
    }
    if (argc < first + 2) {
        fprintf(stderr, "usage: launch [-w NAME] RESULT PROGRAM ARGS...\n");
        return EXIT_TROUBLE;
    }
    struct outcome outcome = {0};
    if (watched != NULL) {
        run_watched(argv + first + 1, watched, &outcome);
    } else {
        run_plain(argv + first + 1, &outcome);
    }
    write_result(argv[first], &outcome);
    return 0;
}
