/* SPDX-License-Identifier: MIT */
#include "trace/stack.h"

#include "base/check.h"
#include "os/pages.h"
#include "trace/modules.h"
#include "trace/rule.h"
#include "trace/stepper.h"

#include <string.h>

#define FRAMES_BYTES                                                                               \
    vv_align_up((VV_STACK_FRAMES_MAX + 2) * sizeof(struct vv_stack_frame), VV_PAGE_BYTES)
#define FRESH_BYTES                                                                                \
    vv_align_up((VV_STACK_FRAMES_MAX + 1) * sizeof(struct vv_fresh_frame), VV_PAGE_BYTES)
#define CHECKS_PER_FRAME 3
#define CHECKS_BYTES                                                                               \
    vv_align_up((VV_STACK_FRAMES_MAX + 1) * CHECKS_PER_FRAME * sizeof(struct vv_check),            \
                VV_PAGE_BYTES)
#define WHOLE_BYTES (FRAMES_BYTES + FRESH_BYTES + CHECKS_BYTES)

#define WALK_LIMIT (VV_STACK_FRAMES_MAX / 2u)

bool vv_stack_open(struct vv_stack *stack) {
    *stack = (struct vv_stack){.count = 0};
    char *memory = vv_pages_map(WHOLE_BYTES, VV_PAGE_BYTES);
    if (memory == NULL) return false;
    struct vv_stack_frame *guard = (void *)memory;
    *guard = (struct vv_stack_frame){.sp = UINTPTR_MAX};
    stack->frames = guard + 1;
    stack->fresh = (void *)(memory + FRAMES_BYTES);
    stack->checks = (void *)(memory + FRAMES_BYTES + FRESH_BYTES);
    return true;
}

void vv_stack_close(struct vv_stack *stack) {
    if (stack->frames != NULL) vv_pages_unmap(stack->frames - 1, WHOLE_BYTES);
    stack->frames = NULL;
}

static void forget_frames(struct vv_stack *stack) {
    stack->count = 0;
    stack->leaf_site = 0;
}

void vv_stack_leave(struct vv_stack *stack) {
    forget_frames(stack);
    stack->bounds = (struct vv_bounds){.low = 0};
}

void vv_stack_forget(struct vv_stack *stack) {
    forget_frames(stack);
    memset(stack->memos, 0, sizeof stack->memos);
    memset(stack->rules, 0, sizeof stack->rules);
}

/* --- stepping --- */

static inline vv_rule rule_of(struct vv_stack *stack, uintptr_t pc) {
    struct vv_rule_memo *memo = &stack->rules[(pc ^ pc >> 8) % VV_RULE_MEMO_COUNT];
    if (vv_unlikely(memo->pc != pc)) {
        *memo = (struct vv_rule_memo){.pc = pc, .rule = vv_rule_of(pc)};
    }
    return memo->rule;
}

/* Where a walk is: what the code of a frame would find when it goes on. */
struct position {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t bp;
};

enum step { STEP_CALLER, STEP_OUTERMOST, STEP_LOST, STEP_ODD };

/* The canonical frame address by a rule that is not simply rsp's; 0: there is none. */
static VV_NOINLINE uintptr_t unusual_cfa(struct vv_bounds *bounds, vv_rule rule, uintptr_t bp) {
    uintptr_t offset_bytes = vv_rule_offset_bytes(rule);
    switch (vv_rule_kind(rule)) {
    case VV_RULE_RBP:
    case VV_RULE_FRAME: return bp + offset_bytes;
    case VV_RULE_RBP_DEREF:
        return vv_bounds_contain(bounds, bp - offset_bytes) && vv_bounds_contain(bounds, bp)
                   ? vv_word_at(bp - offset_bytes)
                   : 0;
    default: return 0;
    }
}

/* Why there is no step. Code that nobody describes and that has no frame is the beginning: the
 * ABI sets rbp to 0 for it. */
static VV_NOINLINE enum step no_step(vv_rule rule, uintptr_t bp) {
    switch (vv_rule_kind(rule)) {
    case VV_RULE_OUTERMOST: return STEP_OUTERMOST;
    case VV_RULE_ODD: return STEP_ODD;
    case VV_RULE_FRAME: return bp == 0 ? STEP_OUTERMOST : STEP_LOST;
    default: return STEP_LOST;
    }
}

/* From a frame to its caller's, by the frame's rule. */
static inline enum step step(struct vv_bounds *bounds, vv_rule rule, struct position *at) {
    uintptr_t cfa = vv_likely(vv_rule_kind(rule) == VV_RULE_RSP)
                        ? at->sp + vv_rule_offset_bytes(rule)
                        : unusual_cfa(bounds, rule, at->bp);
    if (vv_unlikely(cfa <= at->sp || !vv_bounds_contain(bounds, cfa - 8))) {
        return no_step(rule, at->bp);
    }
    uintptr_t slot_bytes = vv_rule_slot_bytes(rule);
    if (slot_bytes != 0) {
        if (vv_unlikely(cfa - slot_bytes < bounds->low)) return STEP_LOST;
        at->bp = vv_word_at(cfa - slot_bytes);
    } else if (vv_unlikely(vv_rule_kind(rule) == VV_RULE_RBP_DEREF)) {
        at->bp = vv_word_at(at->bp);
    }
    at->pc = vv_word_at(cfa - 8);
    at->sp = cfa;
    return vv_likely(at->pc != 0) ? STEP_CALLER : STEP_OUTERMOST;
}

/* --- the memory --- */

static inline uintptr_t difference_of(const struct vv_check *check) {
    return *check->address ^ check->value;
}

#define CHECKS_AT_ONCE 8

static inline uintptr_t difference_of_many(const struct vv_check *checks) {
    return (difference_of(&checks[0]) | difference_of(&checks[1]) | difference_of(&checks[2]) |
            difference_of(&checks[3])) |
           (difference_of(&checks[4]) | difference_of(&checks[5]) | difference_of(&checks[6]) |
            difference_of(&checks[7]));
}

/* Some words are compared twice, so that the end of the loop is easier to foresee. */
static inline bool hold(const struct vv_check *checks, uint32_t count) {
    uintptr_t difference = 0;
    if (vv_likely(count >= CHECKS_AT_ONCE)) {
        uint32_t last = count - CHECKS_AT_ONCE;
        for (uint32_t index = 0; index < last; index += CHECKS_AT_ONCE) {
            difference |= difference_of_many(&checks[index]);
        }
        difference |= difference_of_many(&checks[last]);
    } else {
        for (uint32_t index = 0; index < count; index++)
            difference |= difference_of(&checks[index]);
    }
    return vv_likely(difference == 0);
}

/* How many of the outermost remembered frames can still be met, when the way up from frame
 * `count` - 1 is not as it was. */
static VV_NOINLINE uint32_t count_before_change(const struct vv_stack *stack, uint32_t count) {
    uint32_t index = 0;
    while (*stack->checks[index].address == stack->checks[index].value) index++;
    while (count > 0 && stack->frames[count - 1].check_end > index) count--;
    return count;
}

/* Whether the way up is the same if the rule is. */
static inline bool is_same_place(const struct vv_stack_frame *remembered,
                                 const struct position *at) {
    return remembered->sp == at->sp && (!remembered->needs_bp || remembered->bp == at->bp);
}

/* --- nodes, by way of the thread's memo --- */

static inline struct vv_node_memo *memo_of(struct vv_stack *stack, vv_node_number parent,
                                           uint64_t frame) {
    uint32_t hash = (uint32_t)frame + parent * 0x9e3779b1u;
    return &stack->memos[(hash ^ hash >> 13) % VV_NODE_MEMO_COUNT];
}

static inline uint64_t frame_of(const struct vv_stack *stack, uintptr_t pc) {
    return (pc & VV_FRAME_VALUE_MASK) | stack->generation_bits;
}

static inline vv_node_number child(struct vv_stack *stack, vv_node_number parent, uint64_t frame) {
    struct vv_node_memo *memo = memo_of(stack, parent, frame);
    if (vv_unlikely(memo->frame != frame || memo->parent != parent)) {
        *memo = (struct vv_node_memo){frame, parent, vv_nodes_child(parent, frame)};
    }
    return memo->result;
}

/* The site of a leaf's frame, which has an allocation function and so is not any other frame's. */
static inline uint32_t leaf_site(struct vv_stack *stack, uintptr_t pc, enum vv_api api,
                                 vv_node_number parent) {
    uint64_t frame = vv_frame_with_api(frame_of(stack, pc), api);
    struct vv_node_memo *memo = memo_of(stack, parent, frame);
    if (vv_unlikely(memo->frame != frame || memo->parent != parent)) {
        uint32_t site = vv_nodes_site(vv_nodes_child(parent, frame));
        *memo = (struct vv_node_memo){frame, parent, site};
    }
    return memo->result;
}

/* --- meeting what is remembered --- */

/* Whether the way up from a frame would be the same if it stood at `pc`: its rule is. */
static inline bool is_same_way(struct vv_stack *stack, uintptr_t remembered_pc, uintptr_t pc) {
    return remembered_pc == pc || rule_of(stack, remembered_pc) == rule_of(stack, pc);
}

/* Cuts the memory back to what may still be met from a position outwards. True: the innermost frame
 * that is left is there, and the way up from it is as it was. If its function has come to another
 * call meanwhile, its place in the trie is a new one. */
static inline bool meets(struct vv_stack *stack, const struct position *at) {
    struct vv_stack_frame *end = stack->frames + stack->count;
    while (end[-1].sp < at->sp) end--;
    uint32_t count = (uint32_t)(end - stack->frames);
    stack->count = count;
    if (!is_same_place(&end[-1], at) || !is_same_way(stack, end[-1].pc, at->pc)) return false;
    if (vv_unlikely(!hold(stack->checks, end[-1].check_end))) {
        stack->count = count_before_change(stack, count);
        return false;
    }
    if (end[-1].pc != at->pc) {
        if (count < 2) return false; /* whose parent is not remembered */
        end[-1].pc = at->pc;
        end[-1].node = child(stack, end[-2].node, frame_of(stack, at->pc)) & VV_NODE_NUMBER_MASK;
    }
    return true;
}

/* --- the walk --- */

/* Notes the words that lead from a frame, which is not remembered yet, to the innermost one that
 * is. Returns where the next check goes. */
static inline struct vv_check *note_checks(struct vv_check *check,
                                           const struct vv_fresh_frame *inner,
                                           const struct vv_stack_frame *outer) {
    *check++ = (struct vv_check){(void *)(outer->sp - 8), outer->pc};
    uintptr_t slot_bytes = vv_rule_slot_bytes(inner->rule);
    if (outer->needs_bp && slot_bytes != 0) {
        *check++ = (struct vv_check){(void *)(outer->sp - slot_bytes), outer->bp};
    } else if (vv_unlikely(vv_rule_kind(inner->rule) == VV_RULE_RBP_DEREF)) {
        uintptr_t offset_bytes = vv_rule_offset_bytes(inner->rule);
        *check++ = (struct vv_check){(void *)(inner->bp - offset_bytes), outer->sp};
        *check++ = (struct vv_check){(void *)inner->bp, outer->bp};
    }
    return check;
}

static inline bool needs_bp(vv_rule rule, const struct vv_stack_frame *outer) {
    return vv_rule_uses_rbp(rule) || (vv_rule_slot_bytes(rule) == 0 && outer->needs_bp);
}

/* Remembers fresh frames inside of those that are, the leaf behind them; returns the node of the
 * leaf's caller, which is `outermost` when there is none. */
static inline vv_node_number remember(struct vv_stack *stack, uint32_t fresh_count,
                                      vv_node_number outermost) {
    struct vv_stack_frame *frame = stack->frames + stack->count;
    struct vv_check *check = stack->checks + frame[-1].check_end;
    vv_node_number node = stack->count > 0 ? frame[-1].node : outermost;
    for (const struct vv_fresh_frame *fresh = stack->fresh + fresh_count - 1;; fresh--, frame++) {
        if (vv_likely(frame != stack->frames)) check = note_checks(check, fresh, &frame[-1]);
        frame->pc = fresh->pc;
        frame->sp = fresh->sp;
        frame->bp = fresh->bp;
        frame->check_end = (uint32_t)(check - stack->checks);
        frame->needs_bp = needs_bp(fresh->rule, &frame[-1]);
        if (fresh == stack->fresh) break; /* the leaf is not counted */
        node = child(stack, node, frame_of(stack, fresh->pc));
        frame->node = node & VV_NODE_NUMBER_MASK;
    }
    stack->count = (uint32_t)(frame - stack->frames);
    return node;
}

enum walk_end { WALK_MET, WALK_OUTERMOST, WALK_LOST, WALK_CUT, WALK_ODD };

/* Goes up from a position. *out_count frames are in fresh; the rest, when one was met, is
 * remembered. */
static enum walk_end walk(struct vv_stack *stack, struct position at, uint32_t limit,
                          uint32_t *out_count) {
    for (uint32_t count = 1;; count++) {
        vv_rule rule = rule_of(stack, at.pc);
        stack->fresh[count - 1] = (struct vv_fresh_frame){at.pc, at.sp, at.bp, rule};
        *out_count = count;
        if (vv_unlikely(count == limit)) return WALK_CUT;
        enum step result = step(&stack->bounds, rule, &at);
        if (vv_unlikely(result != STEP_CALLER)) {
            return result == STEP_OUTERMOST ? WALK_OUTERMOST
                   : result == STEP_LOST    ? WALK_LOST
                                            : WALK_ODD;
        }
        if (meets(stack, &at)) return WALK_MET;
    }
}

static vv_node_number outermost_node(enum walk_end end) {
    switch (end) {
    case WALK_LOST:
        atomic_fetch_add_explicit(&vv_store_header()->incomplete_count, 1, memory_order_relaxed);
        return vv_nodes_child(VV_NODE_ROOT, vv_frame_special(VV_SPECIAL_INCOMPLETE));
    case WALK_CUT: return vv_nodes_child(VV_NODE_ROOT, vv_frame_special(VV_SPECIAL_CUT));
    default: return VV_NODE_ROOT;
    }
}

/* --- the slow way --- */

/* Walks with all registers into fresh, beginning with malloc's caller. Remembers nothing. */
static VV_NOINLINE enum walk_end walk_slowly(struct vv_stack *stack,
                                             const struct vv_request *request, uint32_t limit,
                                             uint32_t *out_count) {
    uintptr_t caller_sp = (uintptr_t)(request->frame + 2);
    struct vv_stepper stepper = {.bounds = &stack->bounds};
    VV_STEPPER_HERE(&stepper);
    vv_bounds_enter(&stack->bounds, vv_stepper_stack_pointer(&stepper)); /* perhaps a page below */
    uint32_t count = 0;
    enum vv_step result = VV_STEP_CALLER;
    /* Out of varve's own frames. */
    while (result == VV_STEP_CALLER && vv_stepper_stack_pointer(&stepper) < caller_sp) {
        result = vv_stepper_step(&stepper);
    }
    while (result == VV_STEP_CALLER && count < limit) {
        struct vv_fresh_frame *frame = &stack->fresh[count++];
        frame->pc = vv_stepper_address(&stepper) + (stepper.address_is_exact ? 1 : 0);
        frame->sp = vv_stepper_stack_pointer(&stepper);
        result = vv_stepper_step(&stepper);
    }
    *out_count = count;
    if (result == VV_STEP_CALLER) return WALK_CUT;
    return result == VV_STEP_OUTERMOST ? WALK_OUTERMOST : WALK_LOST;
}

static vv_node_number node_slowly(struct vv_stack *stack, const struct vv_request *request,
                                  uint32_t limit) {
    uint32_t count;
    enum walk_end end = walk_slowly(stack, request, limit, &count);
    vv_node_number node = outermost_node(end);
    for (uint32_t index = count; index-- > 1;) {
        node = child(stack, node, frame_of(stack, stack->fresh[index].pc));
    }
    forget_frames(stack);
    return node;
}

/* --- sites --- */

/* Where the walk of a request begins: in malloc's caller. */
static inline struct position begin_walk(struct vv_stack *stack, const struct vv_request *request) {
    unsigned generation = atomic_load_explicit(&vv_modules_generation, memory_order_acquire);
    if (vv_unlikely(stack->generation != generation)) {
        vv_stack_forget(stack);
        stack->generation = generation;
        stack->generation_bits = vv_frame_native(0, generation);
    }
    struct position leaf = {.pc = (uintptr_t)request->frame[1],
                            .sp = (uintptr_t)(request->frame + 2),
                            .bp = (uintptr_t)request->frame[0]};
    if (vv_bounds_enter(&stack->bounds, leaf.sp) && stack->count > 0 &&
        stack->frames[0].sp > stack->bounds.high) {
        forget_frames(stack); /* they are of another stack, which may be gone */
    }
    return leaf;
}

static inline uint32_t keep_leaf(struct vv_stack *stack, enum vv_api api, uint32_t site) {
    stack->leaf_api = api;
    stack->leaf_site = site;
    return site;
}

/* The site if the stack is that of the last allocation but for where its innermost function stands;
 * else 0. */
static inline uint32_t site_in_last_frame(struct vv_stack *stack, const struct position *leaf,
                                          enum vv_api api) {
    struct vv_stack_frame *last = &stack->frames[stack->count];
    if (stack->leaf_site == 0 || !is_same_place(last, leaf)) return 0;
    if (!is_same_way(stack, last->pc, leaf->pc)) return 0;
    if (!hold(stack->checks, last->check_end)) return 0;
    if (last->pc == leaf->pc && stack->leaf_api == api) return stack->leaf_site;
    last->pc = leaf->pc;
    return keep_leaf(stack, api, leaf_site(stack, leaf->pc, api, stack->leaf_parent));
}

/* Only the innermost frames: nothing is remembered, since every frame is another one's outermost.
 */
static VV_NOINLINE uint32_t cut_site(struct vv_stack *stack, const struct vv_request *request,
                                     const struct position *leaf, uint32_t limit) {
    uint32_t count;
    forget_frames(stack);
    enum walk_end end = walk(stack, *leaf, limit, &count);
    vv_node_number node;
    if (end == WALK_ODD) {
        node = node_slowly(stack, request, limit);
    } else {
        node = remember(stack, count, end == WALK_CUT ? VV_NODE_ROOT : outermost_node(end));
    }
    uint32_t site = leaf_site(stack, leaf->pc, request->api, node);
    forget_frames(stack);
    return site;
}

#if VARVE_AUDIT
/* Whether a walk that remembers nothing finds the same frames; NULL, or a sentence. */
static const char *check_memory(struct vv_stack *stack, const struct position *leaf) {
    static const char wrong[] = "the remembered stack is not the one that is there";
    uint32_t remembered_count = stack->count;
    uint32_t count;
    stack->count = 0;
    enum walk_end end = walk(stack, *leaf, WALK_LIMIT, &count);
    stack->count = remembered_count;
    if (end == WALK_CUT) return NULL;
    if (count != remembered_count + 1) return wrong;
    for (uint32_t index = 1; index < count; index++) {
        const struct vv_stack_frame *frame = &stack->frames[count - 1 - index];
        const struct vv_fresh_frame *fresh = &stack->fresh[index];
        if (frame->pc != fresh->pc || frame->sp != fresh->sp) return wrong;
    }
    return NULL;
}
#endif

__attribute__((flatten)) uint32_t
vv_stack_site(struct vv_stack *stack, const struct vv_request *request, uint32_t depth_limit) {
    struct position leaf = begin_walk(stack, request);
    if (vv_unlikely(depth_limit != 0)) {
        return cut_site(stack, request, &leaf, (uint32_t)vv_min(depth_limit, WALK_LIMIT));
    }
    uint32_t site = site_in_last_frame(stack, &leaf, request->api);
    if (vv_likely(site != 0)) {
        vv_audit(check_memory(stack, &leaf));
        return site;
    }
    stack->leaf_site = 0;
    uint32_t count;
    enum walk_end end = walk(stack, leaf, WALK_LIMIT, &count);
    if (vv_unlikely(end == WALK_ODD)) {
        vv_node_number node = node_slowly(stack, request, WALK_LIMIT);
        return leaf_site(stack, leaf.pc, request->api, node);
    }
    if (end != WALK_MET) stack->count = 0;
    vv_node_number outermost = end == WALK_MET ? VV_NODE_ROOT : outermost_node(end);
    vv_node_number node = VV_NODE_ROOT;
    if (vv_likely(stack->count + count <= VV_STACK_FRAMES_MAX)) {
        node = remember(stack, count, outermost);
    } else {
        forget_frames(stack); /* walk it all again, and cut it */
        walk(stack, leaf, WALK_LIMIT, &count);
        node = remember(stack, count, outermost_node(WALK_CUT));
    }
    vv_audit(end == WALK_CUT ? NULL : check_memory(stack, &leaf));
    site = leaf_site(stack, leaf.pc, request->api, node);
    stack->leaf_parent = node;
    keep_leaf(stack, request->api, end == WALK_CUT ? 0 : site);
    return site;
}

uint32_t vv_stack_addresses(struct vv_stack *stack, const struct vv_request *request,
                            uintptr_t *addresses, uint32_t capacity, bool *out_complete) {
    uint32_t count;
    forget_frames(stack);
    struct position leaf = begin_walk(stack, request);
    enum walk_end end = walk(stack, leaf, (uint32_t)vv_min(capacity, WALK_LIMIT), &count);
    if (end == WALK_ODD) end = walk_slowly(stack, request, capacity, &count);
    for (uint32_t index = 0; index < count; index++) addresses[index] = stack->fresh[index].pc;
    *out_complete = end == WALK_OUTERMOST;
    return count;
}
