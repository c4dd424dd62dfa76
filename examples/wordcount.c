/* SPDX-License-Identifier: MIT
 * Counts the words of files: wordcount [-n TOP] FILE...
 *
 * A small program that does something real, for `varve run` to look at. Each file is read whole,
 * its words go to a hash table that doubles when it is full, and the most frequent ones are
 * printed. It has one flaw that a memory profiler should show: the text of a file is never freed,
 * although only copies of its words are used after it was read. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
    struct word *next; /* in its bucket */
    unsigned long hash;
    unsigned long count;
    char text[];
};

struct table {
    struct word **buckets;
    size_t bucket_count; /* a power of two */
    size_t word_count;
};

static void *checked(void *block) {
    if (block != NULL) return block;
    fprintf(stderr, "wordcount: %s\n", strerror(ENOMEM));
    exit(1);
}

/* --- the table --- */

static unsigned long hash_of(const char *text, size_t length) {
    unsigned long hash = 14695981039346656037UL; /* FNV-1a */
    for (size_t index = 0; index < length; index++) {
        hash = (hash ^ (unsigned char)text[index]) * 1099511628211UL;
    }
    return hash;
}

static void grow(struct table *table) {
    size_t bucket_count = table->bucket_count > 0 ? 2 * table->bucket_count : 64;
    struct word **buckets = checked(calloc(bucket_count, sizeof *buckets));
    for (size_t index = 0; index < table->bucket_count; index++) {
        struct word *next;
        for (struct word *word = table->buckets[index]; word != NULL; word = next) {
            next = word->next;
            word->next = buckets[word->hash & (bucket_count - 1)];
            buckets[word->hash & (bucket_count - 1)] = word;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
}

static struct word *new_word(const char *text, size_t length, unsigned long hash) {
    struct word *word = checked(malloc(sizeof *word + length + 1));
    *word = (struct word){.hash = hash};
    memcpy(word->text, text, length);
    word->text[length] = '\0';
    return word;
}

static void count_word(struct table *table, const char *text, size_t length) {
    if (table->word_count == table->bucket_count) grow(table);
    char lower[256];
    if (length >= sizeof lower) length = sizeof lower - 1;
    for (size_t index = 0; index < length; index++) {
        lower[index] = (char)tolower((unsigned char)text[index]);
    }
    unsigned long hash = hash_of(lower, length);
    struct word **bucket = &table->buckets[hash & (table->bucket_count - 1)];
    for (struct word *word = *bucket; word != NULL; word = word->next) {
        if (word->hash == hash && strncmp(word->text, lower, length) == 0 &&
            word->text[length] == '\0') {
            word->count++;
            return;
        }
    }
    struct word *word = new_word(lower, length, hash);
    word->count = 1;
    word->next = *bucket;
    *bucket = word;
    table->word_count++;
}

/* --- files --- */

struct text {
    char *bytes;
    size_t length;
};

static struct text read_file(const char *path) {
    struct text text = {NULL, 0};
    size_t capacity = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "wordcount: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    for (;;) {
        if (text.length == capacity) {
            capacity = capacity > 0 ? 2 * capacity : 4096;
            text.bytes = checked(realloc(text.bytes, capacity));
        }
        size_t got = fread(text.bytes + text.length, 1, capacity - text.length, file);
        if (got == 0) break;
        text.length += got;
    }
    if (ferror(file)) {
        fprintf(stderr, "wordcount: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    fclose(file);
    return text;
}

static void count_text(struct table *table, const struct text *text) {
    size_t at = 0;
    while (at < text->length) {
        while (at < text->length && !isalnum((unsigned char)text->bytes[at])) at++;
        size_t begin = at;
        while (at < text->length && isalnum((unsigned char)text->bytes[at])) at++;
        if (at > begin) count_word(table, text->bytes + begin, at - begin);
    }
}

/* --- the result --- */

static int by_count(const void *left_word, const void *right_word) {
    const struct word *left = *(struct word *const *)left_word;
    const struct word *right = *(struct word *const *)right_word;
    if (left->count != right->count) return left->count > right->count ? -1 : 1;
    return strcmp(left->text, right->text);
}

static void print_most_frequent(const struct table *table, size_t top) {
    struct word **sorted = checked(malloc((table->word_count + 1) * sizeof(struct word *)));
    size_t count = 0;
    for (size_t index = 0; index < table->bucket_count; index++) {
        for (struct word *word = table->buckets[index]; word != NULL; word = word->next) {
            sorted[count++] = word;
        }
    }
    qsort(sorted, count, sizeof *sorted, by_count);
    for (size_t index = 0; index < count && index < top; index++) {
        printf("%8lu %s\n", sorted[index]->count, sorted[index]->text);
    }
    free(sorted);
}

static void free_table(struct table *table) {
    for (size_t index = 0; index < table->bucket_count; index++) {
        struct word *next;
        for (struct word *word = table->buckets[index]; word != NULL; word = next) {
            next = word->next;
            free(word);
        }
    }
    free(table->buckets);
}

int main(int argc, char **argv) {
    struct table table = {NULL, 0, 0};
    size_t top = 10;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        top = strtoul(argv[2], NULL, 10);
        first = 3;
    }
    if (first >= argc) {
        fputs("usage: wordcount [-n TOP] FILE...\n", stderr);
        return 2;
    }
    for (int index = first; index < argc; index++) {
        struct text text = read_file(argv[index]);
        count_text(&table, &text);
    }
    print_most_frequent(&table, top);
    free_table(&table);
    return 0;
}
