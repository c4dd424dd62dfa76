/* SPDX-License-Identifier: MIT */
#include "symbols/elf_names.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* --- symbol tables --- */

static size_t symbol_count(const GElf_Shdr *header) {
    return header->sh_entsize != 0 ? header->sh_size / header->sh_entsize : 0;
}

static int add_table(struct vv_elf_names *names, Elf *elf, Elf_Scn *section,
                     const GElf_Shdr *header) {
    Elf_Data *data = elf_getdata(section, NULL);
    if (data == NULL) return 0;
    size_t count = symbol_count(header);
    struct vv_elf_name *grown =
        realloc(names->names, (names->count + count + 1) * sizeof *names->names);
    if (grown == NULL) return -ENOMEM;
    names->names = grown;
    for (size_t index = 0; index < count; index++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, (int)index, &symbol) == NULL) break;
        unsigned type = GELF_ST_TYPE(symbol.st_info);
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF) continue;
        const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
        if (name == NULL || name[0] == '\0') continue;
        names->names[names->count++] =
            (struct vv_elf_name){.address = symbol.st_value, .size = symbol.st_size, .name = name};
    }
    return 0;
}

static int add_tables(struct vv_elf_names *names, Elf *elf, GElf_Word type) {
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != type) continue;
        int result = add_table(names, elf, section, &header);
        if (result < 0) return result;
    }
    return 0;
}

/* By address; where several names have one, the shortest, without leading underscores if possible,
 * comes last and is found. */
static int by_address(const void *left_name, const void *right_name) {
    const struct vv_elf_name *left = left_name;
    const struct vv_elf_name *right = right_name;
    if (left->address != right->address) return left->address < right->address ? -1 : 1;
    int order = (right->name[0] == '_') - (left->name[0] == '_');
    if (order == 0) order = strlen(left->name) < strlen(right->name) ? 1 : -1;
    return order;
}

/* --- beginnings of functions --- */

static int by_value(const void *left, const void *right) {
    uint64_t left_value = *(const uint64_t *)left;
    uint64_t right_value = *(const uint64_t *)right;
    return (left_value > right_value) - (left_value < right_value);
}

/* The table behind .eh_frame_hdr as every linker writes it: see src/trace/cfi.c. */
static int read_functions(struct vv_elf_names *names, const Elf_Data *data, uint64_t address) {
    static const uint8_t usual[] = {1, 0x1b, 0x03, 0x3b};
    const uint8_t *bytes = data->d_buf;
    uint32_t count;
    if (bytes == NULL || data->d_size < 12 || memcmp(bytes, usual, sizeof usual) != 0) return 0;
    memcpy(&count, bytes + 8, sizeof count);
    if (count > (data->d_size - 12) / 8) return 0;
    names->functions = malloc(((size_t)count + 1) * sizeof *names->functions);
    if (names->functions == NULL) return -ENOMEM;
    for (uint32_t index = 0; index < count; index++) {
        int32_t distance;
        memcpy(&distance, bytes + 12 + (size_t)index * 8, sizeof distance);
        names->functions[index] = address + (uint64_t)(int64_t)distance;
    }
    names->function_count = count;
    return 0;
}

static int find_functions(struct vv_elf_names *names, Elf *elf) {
    size_t string_index;
    Elf_Scn *section = NULL;
    if (elf_getshdrstrndx(elf, &string_index) != 0) return 0;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) continue;
        const char *name = elf_strptr(elf, string_index, header.sh_name);
        if (name == NULL || strcmp(name, ".eh_frame_hdr") != 0) continue;
        const Elf_Data *data = elf_rawdata(section, NULL);
        return data != NULL ? read_functions(names, data, header.sh_addr) : 0;
    }
    return 0;
}

/* --- all --- */

int vv_elf_names_read(struct vv_elf_names *names, Elf *elf, Elf *debug) {
    *names = (struct vv_elf_names){.names = NULL};
    int result = add_tables(names, elf, SHT_SYMTAB);
    if (result == 0 && debug != NULL) result = add_tables(names, debug, SHT_SYMTAB);
    if (result == 0) result = add_tables(names, elf, SHT_DYNSYM);
    if (result == 0) result = find_functions(names, elf);
    if (result < 0) {
        vv_elf_names_free(names);
        return result;
    }
    if (names->count > 0) qsort(names->names, names->count, sizeof *names->names, by_address);
    if (names->function_count > 0) {
        qsort(names->functions, names->function_count, sizeof *names->functions, by_value);
    }
    return 0;
}

void vv_elf_names_free(struct vv_elf_names *names) {
    free(names->names);
    free(names->functions);
    *names = (struct vv_elf_names){.names = NULL};
}

const struct vv_elf_name *vv_elf_names_find(const struct vv_elf_names *names, uint64_t address) {
    size_t low = 0;
    size_t high = names->count; /* names before low begin at or before the address */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (names->names[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) return NULL;
    const struct vv_elf_name *name = &names->names[low - 1];
    /* Assembler functions have no size: theirs ends where .eh_frame knows another function. */
    uint64_t size = name->size;
    if (size == 0 && vv_elf_names_function(names, address) > name->address) return NULL;
    return size == 0 || address - name->address < size ? name : NULL;
}

uint64_t vv_elf_names_function(const struct vv_elf_names *names, uint64_t address) {
    size_t low = 0;
    size_t high = names->function_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (names->functions[middle] <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? names->functions[low - 1] : 0;
}
