/* SPDX-License-Identifier: MIT */
#include "cli/program.h"

#include "base/bits.h"
#include "cli/commands.h"
#include "os/signals.h"
#include "report/text.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* --- finding --- */

static bool is_executable_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool find_in_path(const char *name, char path[VV_PATH_BYTES]) {
    const char *folders = getenv("PATH");
    if (folders == NULL) folders = "/usr/local/bin:/usr/bin:/bin";
    while (*folders != '\0') {
        size_t length = strcspn(folders, ":");
        int written = snprintf(path, VV_PATH_BYTES, "%.*s/%s", length > 0 ? (int)length : 1,
                               length > 0 ? folders : ".", name);
        if (written < VV_PATH_BYTES && is_executable_file(path)) return true;
        folders += length;
        if (*folders == ':') folders++;
    }
    return false;
}

/* --- checking --- */

static int refuse(const char *path, const char *why) {
    fprintf(stderr, "varve: cannot trace %s: %s\n", path, why);
    return VV_EXIT_NO_EXEC;
}

static int check_privileges(const char *path, const struct stat *status) {
    /* Programs that get rights from their file ignore LD_PRELOAD, except when root has them
     * already. */
    bool changes_user = (status->st_mode & S_ISUID) != 0 && status->st_uid != geteuid();
    bool changes_group = (status->st_mode & S_ISGID) != 0 && status->st_gid != getegid();
    if (changes_user || changes_group) {
        return refuse(path, "it is setuid or setgid, so the system loads no library into it; "
                            "run it as the user whose rights it gets");
    }
    if (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0) {
        return refuse(path, "it has file capabilities, so the system loads no library into it; "
                            "run it as root");
    }
    return 0;
}

static bool has_interpreter(int descriptor, const Elf64_Ehdr *header) {
    for (unsigned index = 0; index < header->e_phnum; index++) {
        Elf64_Phdr segment;
        off_t at = (off_t)(header->e_phoff + index * sizeof segment);
        if (pread(descriptor, &segment, sizeof segment, at) != sizeof segment) return false;
        if (segment.p_type == PT_INTERP) return true;
    }
    return false;
}

/* The loader has no interpreter, but heeds LD_PRELOAD when it is run as a program. */
static bool is_loader(int descriptor) {
    struct stat status, loader;
    return fstat(descriptor, &status) == 0 && stat("/lib64/ld-linux-x86-64.so.2", &loader) == 0 &&
           status.st_dev == loader.st_dev && status.st_ino == loader.st_ino;
}

static bool is_sanitizer(const char *library) {
    static const char *const names[] = {"libasan.so", "libhwasan.so", "liblsan.so", "libtsan.so"};
    for (unsigned index = 0; index < VV_ARRAY_COUNT(names); index++) {
        if (strncmp(library, names[index], strlen(names[index])) == 0) return true;
    }
    return false;
}

static bool needs_sanitizer(Elf *elf, Elf_Scn *section) {
    GElf_Shdr header;
    GElf_Dyn entry;
    Elf_Data *data = elf_getdata(section, NULL);
    if (data == NULL || gelf_getshdr(section, &header) == NULL) return false;
    for (int index = 0; gelf_getdyn(data, index, &entry) != NULL; index++) {
        const char *library =
            entry.d_tag == DT_NEEDED ? elf_strptr(elf, header.sh_link, entry.d_un.d_val) : NULL;
        if (library != NULL && is_sanitizer(library)) return true;
    }
    return false;
}

/* Whether the program brings a malloc that must be the first to be loaded. */
static bool has_sanitizer(int descriptor) {
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    bool found = false;
    while (!found && (section = elf_nextscn(elf, section)) != NULL) {
        found = gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_DYNAMIC &&
                needs_sanitizer(elf, section);
    }
    elf_end(elf);
    return found;
}

static int check_elf(const char *path, int descriptor, const Elf64_Ehdr *header) {
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64) {
        return refuse(path, "it is not a 64-bit x86 program");
    }
    if (has_sanitizer(descriptor)) {
        return refuse(path, "it is built with a sanitizer, which has a malloc of its own; build it "
                            "without -fsanitize");
    }
    if (!has_interpreter(descriptor, header) && !is_loader(descriptor)) {
        return refuse(path, "it is statically linked, so no library can be loaded into it; link "
                            "it with -lvarve-malloc instead");
    }
    return 0;
}

static int check_file(const char *path, bool is_interpreter);

/* "#!interpreter argument": the interpreter is what runs. */
static int check_script(const char *path, char *line) {
    char *interpreter = line + 2 + strspn(line + 2, " \t");
    interpreter[strcspn(interpreter, " \t\n")] = '\0';
    if (!is_executable_file(interpreter)) {
        fprintf(stderr, "varve: cannot execute %s: its interpreter \"%s\" is not there\n", path,
                vv_plain_text(interpreter, interpreter, strlen(interpreter) + 1));
        return VV_EXIT_NO_EXEC;
    }
    return check_file(interpreter, true);
}

static int check_file(const char *path, bool is_interpreter) {
    struct stat status;
    union {
        Elf64_Ehdr elf;
        char line[256];
    } start = {.line = ""};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return 0; /* executable but not readable: it will show */
    int code = fstat(descriptor, &status) == 0 ? check_privileges(path, &status) : 0;
    ssize_t length = pread(descriptor, &start, sizeof start - 1, 0);
    if (code == 0 && length >= (ssize_t)sizeof start.elf &&
        memcmp(start.elf.e_ident, ELFMAG, SELFMAG) == 0) {
        code = check_elf(path, descriptor, &start.elf);
    } else if (code == 0 && length > 2 && start.line[0] == '#' && start.line[1] == '!' &&
               !is_interpreter) {
        code = check_script(path, start.line);
    } else if (code == 0 && length > 0 && memchr(start.line, '\0', (size_t)length) != NULL) {
        code = refuse(path, "it is neither a program nor a script");
    }
    close(descriptor);
    return code;
}

int vv_program_find(const char *name, char path[VV_PATH_BYTES]) {
    struct stat status;
    if (strchr(name, '/') == NULL) {
        if (find_in_path(name, path)) return check_file(path, false);
        fprintf(stderr, "varve: there is no program \"%s\" in PATH\n", name);
        return VV_EXIT_NOT_FOUND;
    }
    snprintf(path, VV_PATH_BYTES, "%s", name);
    if (stat(path, &status) != 0) {
        fprintf(stderr, "varve: cannot execute %s: %s\n", path, strerror(errno));
        return errno == ENOENT || errno == ENOTDIR ? VV_EXIT_NOT_FOUND : VV_EXIT_NO_EXEC;
    }
    if (S_ISDIR(status.st_mode)) {
        fprintf(stderr, "varve: cannot execute %s: it is a directory\n", path);
        return VV_EXIT_NO_EXEC;
    }
    if (access(path, X_OK) != 0 || !is_executable_file(path)) {
        fprintf(stderr, "varve: cannot execute %s: it is not executable (chmod +x?)\n", path);
        return VV_EXIT_NO_EXEC;
    }
    return check_file(path, false);
}

/* --- the library --- */

static bool take_library(char path[VV_PATH_BYTES], const char *folder) {
    int length = snprintf(path, VV_PATH_BYTES, "%s/libvarve-malloc.so", folder);
    return length < VV_PATH_BYTES && access(path, R_OK) == 0;
}

bool vv_library_find(char path[VV_PATH_BYTES]) {
    char own[VV_PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 32);
    if (length > 0) {
        own[length] = '\0';
        *strrchr(own, '/') = '\0'; /* bin */
        char *slash = strrchr(own, '/');
        if (slash != NULL) {
            strcpy(slash, "/lib");
            if (take_library(path, own)) return true;
        }
    }
    if (take_library(path, VARVE_LIBRARY_FOLDER)) return true;
    fprintf(stderr,
            "varve: libvarve-malloc.so is neither in ../lib beside this command nor in %s; "
            "is varve installed completely?\n",
            VARVE_LIBRARY_FOLDER);
    return false;
}

void vv_library_preload(const char *library) {
    const char *former = getenv("LD_PRELOAD");
    char *value;
    if (former == NULL || former[0] == '\0') {
        setenv("LD_PRELOAD", library, 1);
    } else if (asprintf(&value, "%s:%s", library, former) >= 0) {
        setenv("LD_PRELOAD", value, 1);
        free(value);
    }
}

/* --- running --- */

static volatile pid_t running;

/* What a terminal sends, it sends to the program, too. */
static bool comes_from_terminal(int number, const siginfo_t *information) {
    bool is_of_terminals = number == SIGINT || number == SIGQUIT || number == SIGWINCH;
    return is_of_terminals && information->si_code > 0;
}

static void pass_on(int number, siginfo_t *information, void *context) {
    (void)context;
    if (running > 0 && !comes_from_terminal(number, information)) kill(running, number);
}

/* Who no longer reads the summary shall not end varve: there are captures to write. */
static void mind_signals(void) {
    static const int passed[] = {SIGTERM, SIGHUP,  SIGINT,  SIGQUIT,
                                 SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};
    struct sigaction passing = {.sa_sigaction = pass_on, .sa_flags = SA_RESTART | SA_SIGINFO};
    struct sigaction ignoring = {.sa_handler = SIG_IGN};
    for (unsigned index = 0; index < VV_ARRAY_COUNT(passed); index++) {
        sigaction(passed[index], &passing, NULL);
    }
    sigaction(SIGPIPE, &ignoring, NULL);
}

/* A script without #! in its first line is the shell's, as execvp() has it. */
static void execute_by_shell(const char *path, char **argv) {
    size_t count = 0;
    while (argv[count] != NULL) count++;
    const char **words = calloc(count + 2, sizeof *words);
    if (words == NULL) return;
    words[0] = "sh";
    words[1] = path;
    for (size_t index = 1; index < count; index++) words[index + 1] = argv[index];
    execv("/bin/sh", (char **)(uintptr_t)words);
}

pid_t vv_program_start(const char *path, char **argv, void (*prepare)(void *argument),
                       void *argument) {
    int report[2]; /* closed by exec, or brings its errno */
    int error;
    sigset_t former;
    if (pipe2(report, O_CLOEXEC) != 0) {
        perror("varve: cannot make a pipe");
        return -1;
    }
    fflush(NULL);
    vv_signals_block(&former); /* until varve is ready to pass them on */
    pid_t process = fork();
    if (process == 0) {
        vv_signals_restore(&former);
        prepare(argument);
        execv(path, argv);
        error = errno;
        if (error == ENOEXEC) execute_by_shell(path, argv);
        ssize_t ignored = write(report[1], &error, sizeof error);
        (void)ignored;
        _exit(VV_EXIT_NO_EXEC);
    }
    running = process;
    mind_signals();
    vv_signals_restore(&former);
    close(report[1]);
    if (process < 0) {
        perror("varve: cannot start a process");
    } else if (read(report[0], &error, sizeof error) == sizeof error) {
        fprintf(stderr, "varve: cannot execute %s: %s\n", path, strerror(error));
        waitpid(process, NULL, 0);
        process = -1;
    }
    close(report[0]);
    return process;
}

int vv_program_wait(pid_t process) {
    int status;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
    running = 0;
    return status;
}

int vv_exit_code(int status) {
    return WIFSIGNALED(status) ? VV_EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
