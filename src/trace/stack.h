/* SPDX-License-Identifier: MIT
 * trace/stack.h - from an allocation to its site: the unwinder, with a memory of the last stack.
 *
 * Between two allocations of a thread most of the stack stays as it is. The memory keeps the frames
 * of the last stack, outermost first, with their nodes in the trie:
 *
 *   index        0        1               count - 1
 *              _start -> main -> ... ->  f              -> (leaf) the call of malloc in f or below
 *
 * A walk goes up from malloc's caller until it meets a remembered frame: the same address at the
 * same stack pointer. What is outside of it is as before if every word that the walk read on its
 * way out of there still has its value: these words are remembered, too, and comparing them is a
 * load and a comparison per frame, without rules or lookups. That is exact, not a guess: the way up
 * is a function of exactly these words.
 *
 *   checks[0 ... frames[i].check_end)   the words read on the way up from frame i
 *
 * A remembered frame whose function has come to another call meanwhile, with the same registers and
 * by the same rule, has the same way up, too: only its place in the trie is new.
 *
 * One thread uses its stack. */
#ifndef VV_TRACE_STACK_H
#define VV_TRACE_STACK_H

#include "heap/request.h"
#include "trace/bounds.h"
#include "trace/nodes.h"
#include "trace/rule.h"

/* Deeper stacks are cut at their outer end. */
#define VV_STACK_FRAMES_MAX 32768

/* A remembered frame. Half a cache line: they are compared one after the other. */
struct vv_stack_frame {
    uintptr_t pc; /* return address: where the frame goes on */
    uintptr_t sp; /* stack pointer there */
    uintptr_t bp; /* rbp there */
    uint32_t check_end;
    uint32_t node : 31;    /* vv_node_number */
    uint32_t needs_bp : 1; /* the way up from here depends on rbp */
};

/* A frame of the walk under way. */
struct vv_fresh_frame {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t bp;
    vv_rule rule; /* from this frame to the one outside of it */
};

/* A word of the stack and the value that it had. */
struct vv_check {
    const uintptr_t *address;
    uintptr_t value;
};

/* What vv_nodes_child() and vv_nodes_site() said last time. */
struct vv_node_memo {
    uint64_t frame; /* 0: empty */
    vv_node_number parent;
    uint32_t result; /* the node; for a leaf, the site */
};
#define VV_NODE_MEMO_COUNT 512

/* What vv_rule_of() said last time; the process's cache is slower to reach. */
struct vv_rule_memo {
    uintptr_t pc; /* 0: empty */
    vv_rule rule;
};
#define VV_RULE_MEMO_COUNT 256

struct vv_stack {
    struct vv_stack_frame *frames; /* remembered, outermost first; [count] is the leaf, [-1] a
                                      guard whose sp is above all others */
    struct vv_fresh_frame *fresh;  /* innermost first */
    struct vv_check *checks;
    uint32_t count;
    enum vv_api leaf_api;
    vv_node_number leaf_parent;
    uint32_t leaf_site;       /* 0: no leaf is remembered */
    unsigned generation;      /* of the modules */
    uint64_t generation_bits; /* the same, as it stands in a frame of the trie */
    struct vv_bounds bounds;
    struct vv_rule_memo rules[VV_RULE_MEMO_COUNT];
    struct vv_node_memo memos[VV_NODE_MEMO_COUNT];
};

/* Prepares a stack. False: no memory. */
bool vv_stack_open(struct vv_stack *stack);
void vv_stack_close(struct vv_stack *stack);

/* Forgets the frames, and what stack they were of: another thread will use it. */
void vv_stack_leave(struct vv_stack *stack);

/* Forgets rules and nodes, too: their store or their modules are gone. */
void vv_stack_forget(struct vv_stack *stack);

/* The site of an allocation. `depth_limit`: frames to keep, 0 for all. */
uint32_t vv_stack_site(struct vv_stack *stack, const struct vv_request *request,
                       uint32_t depth_limit);

/* The return addresses of the stack of a request, innermost first; for tests. Returns how many;
 * *out_complete tells whether the last is the outermost. */
uint32_t vv_stack_addresses(struct vv_stack *stack, const struct vv_request *request,
                            uintptr_t *addresses, uint32_t capacity, bool *out_complete);

#endif
