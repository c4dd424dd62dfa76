/* SPDX-License-Identifier: MIT
 * string_table - a word counter: string_table [PERCENT [FILE]].
 *
 * Stands for indexers, log analysers, symbol tables and caches. Words of a text that follows
 * Zipf's law are copied, looked up in a chained hash table and counted; the first places of a
 * word are kept in a list of small nodes; the table doubles as it fills; now and then the rare
 * words are dropped. With FILE the words are those of the file. Stresses strings and nodes of
 * many lifetimes between each other, and the cache behaviour that follows from their places. */
#include "bench.h"

#define VOCABULARY_OCTAVES ((size_t)18) /* 2^18 words */
#define WORD_BYTES_MAX ((size_t)64)
#define PLACE_COUNT_MAX 4U
#define BUCKET_COUNT_FIRST ((size_t)64)
#define TOKEN_COUNT ((size_t)3800000)
#define TOKENS_BETWEEN_PURGES ((size_t)600000)
#define RARE_COUNT 2U

struct place {
    struct place *next;
    uint64_t token_index;
};

struct entry {
    struct entry *next;
    char *word; /* owned */
    struct place *places;
    uint32_t hash;
    uint32_t count;
};

/* Invariant: entry_count <= bucket_count after each insertion; bucket_count a power of two. */
struct table {
    struct entry **buckets;
    size_t bucket_count;
    size_t entry_count;
    uint64_t token_count;
};

static uint32_t hash_of(const char *word) {
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (; *word != '\0'; word++) hash = (hash ^ (unsigned char)*word) * 16777619U;
    return hash ^ hash >> 15;
}

static void entry_free(struct entry *entry) {
    while (entry->places != NULL) {
        struct place *place = entry->places;
        entry->places = place->next;
        free(place);
    }
    free(entry->word);
    free(entry);
}

static void table_grow(struct table *table) {
    size_t bucket_count = table->bucket_count * 2;
    struct entry **buckets = bench_calloc(bucket_count, sizeof(struct entry *));
    for (size_t index = 0; index < table->bucket_count; index++) {
        for (struct entry *entry = table->buckets[index], *next; entry != NULL; entry = next) {
            next = entry->next;
            entry->next = buckets[entry->hash & (bucket_count - 1)];
            buckets[entry->hash & (bucket_count - 1)] = entry;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
}

static struct entry *table_find(const struct table *table, const char *word, uint32_t hash) {
    struct entry *entry = table->buckets[hash & (table->bucket_count - 1)];
    while (entry != NULL && (entry->hash != hash || strcmp(entry->word, word) != 0)) {
        entry = entry->next;
    }
    return entry;
}

/* Takes ownership of the word. */
static struct entry *table_insert(struct table *table, char *word, uint32_t hash) {
    if (table->entry_count == table->bucket_count) table_grow(table);
    struct entry *entry = bench_calloc(1, sizeof *entry);
    entry->word = word;
    entry->hash = hash;
    struct entry **bucket = &table->buckets[hash & (table->bucket_count - 1)];
    entry->next = *bucket;
    *bucket = entry;
    table->entry_count++;
    return entry;
}

static void count_word(struct table *table, const char *text, size_t text_bytes) {
    char *word = bench_malloc(text_bytes + 1); /* as a tokenizer would hand it over */
    memcpy(word, text, text_bytes);
    word[text_bytes] = '\0';
    uint32_t hash = hash_of(word);
    struct entry *entry = table_find(table, word, hash);
    if (entry == NULL) {
        entry = table_insert(table, word, hash);
    } else {
        free(word);
    }
    if (entry->count++ < PLACE_COUNT_MAX) {
        struct place *place = bench_malloc(sizeof *place);
        *place = (struct place){entry->places, table->token_count};
        entry->places = place;
    }
    table->token_count++;
}

/* Drops the words that occurred at most max_count times; returns the sum over them. */
static uint64_t table_purge(struct table *table, uint32_t max_count) {
    uint64_t checksum = 0;
    for (size_t index = 0; index < table->bucket_count; index++) {
        for (struct entry **link = &table->buckets[index]; *link != NULL;) {
            struct entry *entry = *link;
            if (entry->count > max_count) {
                link = &entry->next;
                continue;
            }
            checksum += (uint64_t)entry->hash * entry->count + entry->places->token_index;
            *link = entry->next;
            entry_free(entry);
            table->entry_count--;
        }
    }
    return checksum;
}

/* Writes the word of a rank: frequent words are short, rare ones long. Returns its length. */
static size_t spell(size_t rank, char *out_word) {
    static const char consonants[] = "tnshrdlcmwfgypbvk";
    static const char vowels[] = "eaoiu";
    static const char *const endings[] = {"", "", "s", "ed", "ing", "er", "ation", "ness"};
    const char *ending = endings[rank * 2654435761U >> 7 & 7];
    size_t length = 0;
    for (size_t rest = rank + 1; rest > 0; rest /= 85) {
        out_word[length++] = consonants[rest % 17];
        out_word[length++] = vowels[rest / 17 % 5];
    }
    size_t ending_length = strlen(ending);
    memcpy(out_word + length, ending, ending_length);
    return length + ending_length;
}

static uint64_t count_generated(struct table *table, size_t token_count) {
    struct bench_random random = bench_random_new(13);
    uint64_t checksum = 0;
    char word[WORD_BYTES_MAX];
    for (size_t index = 1; index <= token_count; index++) {
        size_t rank = bench_random_inverse(&random, 1, VOCABULARY_OCTAVES);
        count_word(table, word, spell(rank, word));
        if (index % TOKENS_BETWEEN_PURGES == 0) checksum += table_purge(table, RARE_COUNT);
    }
    return checksum;
}

static bool is_word_byte(int byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte >= 128;
}

static void count_file(struct table *table, const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) bench_fail("cannot open the input file");
    char word[WORD_BYTES_MAX];
    size_t length = 0;
    for (int byte = getc(file);; byte = getc(file)) {
        if (byte != EOF && is_word_byte(byte) && length < WORD_BYTES_MAX) {
            word[length++] = (char)byte;
            continue;
        }
        if (length > 0) count_word(table, word, length);
        length = 0;
        if (byte == EOF) break;
    }
    fclose(file);
}

int main(int argc, char **argv) {
    unsigned long percent = bench_percent(argc, argv);
    struct table table = {.bucket_count = BUCKET_COUNT_FIRST};
    table.buckets = bench_calloc(BUCKET_COUNT_FIRST, sizeof(struct entry *));
    uint64_t checksum = 0;
    if (argc > 2) {
        count_file(&table, argv[2]);
    } else {
        checksum = count_generated(&table, bench_scaled(TOKEN_COUNT, percent));
    }
    checksum = bench_mix(checksum, table.token_count);
    checksum = bench_mix(checksum, table_purge(&table, UINT32_MAX));
    free(table.buckets);
    return bench_finish("string_table", checksum);
}
