/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

#include "base/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- suggestions --- */

#define NAME_MAX_BYTES 32

/* Levenshtein's distance, for short names. */
static unsigned distance(const char *left, const char *right) {
    unsigned row[NAME_MAX_BYTES + 1];
    size_t length = strlen(right);
    if (length > NAME_MAX_BYTES) return NAME_MAX_BYTES;
    for (unsigned column = 0; column <= length; column++) row[column] = column;
    for (unsigned line = 1; left[line - 1] != '\0'; line++) {
        unsigned diagonal = row[0];
        row[0] = line;
        for (unsigned column = 1; column <= length; column++) {
            unsigned above = row[column];
            unsigned best = diagonal + (left[line - 1] != right[column - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[column - 1] + 1 < best) best = row[column - 1] + 1;
            row[column] = best;
            diagonal = above;
        }
    }
    return row[length];
}

const char *vv_nearest_name(const char *wrong, const char *const *names) {
    const char *nearest = NULL;
    unsigned least = 3;
    for (; *names != NULL; names++) {
        unsigned found = distance(wrong, *names);
        bool begins = strlen(wrong) >= 3 && strncmp(wrong, *names, strlen(wrong)) == 0;
        if (begins) found = 1;
        if (found < least) {
            least = found;
            nearest = *names;
        }
    }
    return nearest;
}

#define OPTIONS_MAX 32

static void complain_unknown(const struct vv_command *command, const char *name) {
    const char *names[OPTIONS_MAX + 2] = {"help"};
    unsigned count = 1;
    for (const struct vv_option *option = command->options; option->name != NULL; option++) {
        if (count <= OPTIONS_MAX) names[count++] = option->name;
    }
    const char *nearest = vv_nearest_name(name, names);
    fprintf(stderr, "varve %s: there is no option --%s", command->name, name);
    if (nearest != NULL) fprintf(stderr, "; did you mean --%s?", nearest);
    fprintf(stderr, "%s See varve %s --help.\n", nearest != NULL ? "" : ".", command->name);
}

/* --- values --- */

static bool read_choice(const struct vv_command *command, const struct vv_option *option,
                        const char *text) {
    for (int index = 0; option->choices[index] != NULL; index++) {
        if (strcmp(option->choices[index], text) == 0) {
            *(int *)option->value = index;
            return true;
        }
    }
    fprintf(stderr, "varve %s: --%s cannot be \"%s\"; it is one of", command->name, option->name,
            text);
    for (int index = 0; option->choices[index] != NULL; index++) {
        fprintf(stderr, "%s %s", index > 0 ? "," : "", option->choices[index]);
    }
    fprintf(stderr, ".\n");
    return false;
}

static bool take_value(const struct vv_command *command, const struct vv_option *option,
                       const char *text) {
    switch (option->kind) {
    case VV_OPTION_FLAG: *(bool *)option->value = true; return true;
    case VV_OPTION_TEXT: *(const char **)option->value = text; return true;
    case VV_OPTION_CHOICE: return read_choice(command, option, text);
    default: break;
    }
    int result = vv_option_number(text, INT64_MAX, option->value);
    if (option->kind == VV_OPTION_MAYBE_NUMBER && result == 0 && *(uint64_t *)option->value == 0) {
        fprintf(stderr, "varve %s: --%s cannot be 0.\n", command->name, option->name);
        return false;
    }
    if (result == 0) return true;
    fprintf(stderr, "varve %s: --%s %s \"%s\"%s.\n", command->name, option->name,
            result == -ERANGE ? "cannot be as large as" : "needs a number, not", text,
            result == -ERANGE ? "" : "; K, M and G may follow it");
    return false;
}

/* --- help --- */

static void print_help(const struct vv_command *command) {
    printf("usage: varve %s %s\n\n%s\n\n", command->name, command->usage, command->description);
    for (const struct vv_option *option = command->options; option->name != NULL; option++) {
        char left[64];
        const char *argument = option->argument != NULL ? option->argument : "";
        const char *join = option->kind == VV_OPTION_MAYBE_NUMBER ? "[=" : " ";
        snprintf(left, sizeof left, "%c%c%s--%s%s%s%s", option->letter != 0 ? '-' : ' ',
                 option->letter != 0 ? option->letter : ' ', option->letter != 0 ? ", " : "  ",
                 option->name, argument[0] != '\0' ? join : "", argument,
                 option->kind == VV_OPTION_MAYBE_NUMBER ? "]" : "");
        printf("  %-28s %s\n", left, option->help);
    }
    printf("      --help                   this text\n");
}

/* --- the arguments --- */

static const struct vv_option *find_long(const struct vv_command *command, const char *name,
                                         size_t length) {
    for (const struct vv_option *option = command->options; option->name != NULL; option++) {
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0) {
            return option;
        }
    }
    return NULL;
}

static const struct vv_option *find_short(const struct vv_command *command, char letter) {
    for (const struct vv_option *option = command->options; option->name != NULL; option++) {
        if (letter != 0 && option->letter == letter) return option;
    }
    return NULL;
}

static bool needs_value(const struct vv_option *option) {
    return option->kind != VV_OPTION_FLAG && option->kind != VV_OPTION_MAYBE_NUMBER;
}

/* The option without "=". A number behind it is meant for it, and would be run as a program. */
static bool take_otherwise(const struct vv_command *command, const struct vv_option *option,
                           const char *next) {
    uint64_t number;
    if (next == NULL || vv_option_number(next, INT64_MAX, &number) != 0) {
        *(uint64_t *)option->value = option->otherwise;
        return true;
    }
    fprintf(stderr, "varve %s: --%s takes its number after \"=\": --%s=%s\n", command->name,
            option->name, option->name, next);
    return false;
}

/* The option at argv[*at], which it moves on to its last word. */
static bool read_option(const struct vv_command *command, int argc, char **argv, int *at) {
    const char *word = argv[*at];
    const char *equals = NULL;
    const struct vv_option *option;
    if (word[1] == '-') {
        equals = strchr(word, '=');
        size_t length = equals != NULL ? (size_t)(equals - word - 2) : strlen(word + 2);
        option = find_long(command, word + 2, length);
        if (option == NULL) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)length, word + 2);
            complain_unknown(command, name);
            return false;
        }
    } else {
        option = find_short(command, word[1]);
        if (option == NULL) {
            fprintf(stderr, "varve %s: there is no option %s. See varve %s --help.\n",
                    command->name, word, command->name);
            return false;
        }
        if (word[2] != '\0') equals = word + 1;
    }
    if (option->kind == VV_OPTION_FLAG && equals != NULL) {
        fprintf(stderr, "varve %s: --%s takes no value.\n", command->name, option->name);
        return false;
    }
    if (option->kind == VV_OPTION_MAYBE_NUMBER && equals == NULL) {
        return take_otherwise(command, option, *at + 1 < argc ? argv[*at + 1] : NULL);
    }
    if (!needs_value(option) && option->kind == VV_OPTION_FLAG) {
        return take_value(command, option, NULL);
    }
    if (equals == NULL && *at + 1 == argc) {
        fprintf(stderr, "varve %s: %s needs a value.\n", command->name, word);
        return false;
    }
    return take_value(command, option, equals != NULL ? equals + 1 : argv[++*at]);
}

int vv_options_read(const struct vv_command *command, int argc, char **argv) {
    int kept = 0; /* arguments that are no options move to the front */
    int at = 0;
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(command);
            return -2;
        }
        if (strcmp(word, "--") == 0) {
            at++;
            break;
        }
        if (word[0] != '-' || word[1] == '\0') {
            if (command->runs_program) break;
            argv[kept++] = argv[at];
        } else if (!read_option(command, argc, argv, &at)) {
            return -1;
        }
    }
    if (command->runs_program) return at;
    for (; at < argc; at++) argv[kept++] = argv[at];
    argv[kept] = NULL;
    return kept;
}
