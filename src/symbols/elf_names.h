/* SPDX-License-Identifier: MIT
 * symbols/elf_names.h - the functions of a module without debug information: its symbol tables, and
 * where those say nothing, the beginnings of functions from .eh_frame_hdr. */
#ifndef VV_SYMBOLS_ELF_NAMES_H
#define VV_SYMBOLS_ELF_NAMES_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

struct vv_elf_name {
    uint64_t address;
    uint64_t size;
    const char *name; /* in the ELF data */
};

struct vv_elf_names {
    struct vv_elf_name *names; /* sorted by address */
    size_t count;
    uint64_t *functions; /* beginnings from .eh_frame_hdr, sorted */
    size_t function_count;
};

/* Reads the tables of an ELF file, and of its separate debug file unless that is NULL. 0 or
 * -ENOMEM. */
int vv_elf_names_read(struct vv_elf_names *names, Elf *elf, Elf *debug);
void vv_elf_names_free(struct vv_elf_names *names);

/* The symbol that covers an address; NULL: none. */
const struct vv_elf_name *vv_elf_names_find(const struct vv_elf_names *names, uint64_t address);

/* The beginning of the function at an address; 0: not known. */
uint64_t vv_elf_names_function(const struct vv_elf_names *names, uint64_t address);

#endif
