/* SPDX-License-Identifier: MIT */
#include "trace/stack.h"

#include "os/pages.h"
#include "trace/modules.h"
#include "trace/rule.h"
#include "trace/stepper.h"

#define FRAMES_BYTES                                                                               \
    vv_align_up(VV_STACK_FRAMES_MAX * sizeof(struct vv_stack_frame), VV_PAGE_BYTES)

#define WALK_LIMIT (VV_STACK_FRAMES_MAX / 2u)

bool vv_stack_open(struct vv_stack *stack) {
    *stack = (struct vv_stack){.count = 0};
    stack->frames = vv_pages_map(2 * FRAMES_BYTES, VV_PAGE_BYTES);
    if (stack->frames == NULL) return false;
    stack->fresh = (void *)((char *)stack->frames + FRAMES_BYTES);
    return true;
}

void vv_stack_close(struct vv_stack *stack) {
    if (stack->frames != NULL) vv_pages_unmap(stack->frames, 2 * FRAMES_BYTES);
    stack->frames = NULL;
}

void vv_stack_forget(struct vv_stack *stack) {
    stack->count = 0;
    stack->leaf_site = 0;
}

/* --- stepping --- */

enum step { STEP_CALLER, STEP_OUTERMOST, STEP_LOST, STEP_ODD };

/* From a frame to its caller's, by the frame's rule. */
static inline enum step step(struct vv_stack *stack, const struct vv_stack_frame *frame,
                             vv_rule rule, struct vv_stack_frame *out) {
    uintptr_t cfa;
    uintptr_t bp_address = 0;
    switch (vv_rule_kind(rule)) {
    case VV_RULE_RSP: cfa = frame->sp + vv_rule_offset_bytes(rule); break;
    case VV_RULE_RBP:
    case VV_RULE_FRAME: cfa = frame->bp + vv_rule_offset_bytes(rule); break;
    case VV_RULE_RBP_DEREF:
        bp_address = frame->bp;
        if (!vv_bounds_contain(&stack->bounds, bp_address - vv_rule_offset_bytes(rule)) ||
            !vv_bounds_contain(&stack->bounds, bp_address)) {
            return STEP_LOST;
        }
        cfa = vv_word_at(bp_address - vv_rule_offset_bytes(rule));
        break;
    case VV_RULE_OUTERMOST: return STEP_OUTERMOST;
    default: return STEP_ODD;
    }
    if (vv_unlikely(cfa <= frame->sp || !vv_bounds_contain(&stack->bounds, cfa - 8))) {
        return STEP_LOST;
    }
    uintptr_t slot_bytes = vv_rule_slot_bytes(rule);
    if (slot_bytes != 0) {
        bp_address = cfa - slot_bytes;
        if (vv_unlikely(bp_address < stack->bounds.low)) return STEP_LOST;
    }
    out->pc = vv_word_at(cfa - 8);
    out->sp = cfa;
    out->bp = bp_address != 0 ? vv_word_at(bp_address) : frame->bp;
    return out->pc != 0 ? STEP_CALLER : STEP_OUTERMOST;
}

/* --- the memory --- */

/* Whether a remembered frame would be reached again from the one inside of it. */
static inline bool is_reached_again(struct vv_stack *stack, uint32_t index) {
    const struct vv_stack_frame *frame = &stack->frames[index];
    const struct vv_stack_frame *inner = frame + 1;
    if (vv_unlikely(vv_word_at(frame->sp - 8) != frame->pc)) return false;
    if (!frame->needs_bp) return true;
    if (vv_unlikely(vv_rule_kind(inner->rule) == VV_RULE_RBP_DEREF)) {
        struct vv_stack_frame again;
        return step(stack, inner, inner->rule, &again) == STEP_CALLER && again.sp == frame->sp &&
               again.bp == frame->bp;
    }
    uintptr_t slot_bytes = vv_rule_slot_bytes(inner->rule);
    return slot_bytes == 0 || vv_word_at(frame->sp - slot_bytes) == frame->bp;
}

/* How many of the `count` outermost remembered frames are still there, up to the first that is
 * not. The innermost of them was met and needs no look. */
static inline uint32_t count_still_there(struct vv_stack *stack, uint32_t count) {
    for (uint32_t index = 0; index + 1 < count; index++) {
        if (vv_unlikely(!is_reached_again(stack, index))) return index;
    }
    return count;
}

static inline bool is_same(const struct vv_stack_frame *remembered,
                           const struct vv_stack_frame *frame) {
    return remembered->sp == frame->sp && remembered->pc == frame->pc &&
           (!remembered->needs_bp || remembered->bp == frame->bp);
}

/* Cuts the memory back to what may still be met from `frame` outwards. True: the frame itself is
 * the innermost that is left, and all is still there. */
static inline bool meets(struct vv_stack *stack, const struct vv_stack_frame *frame) {
    uint32_t count = stack->count;
    while (count > 0 && stack->frames[count - 1].sp < frame->sp) count--;
    bool met = false;
    if (count > 0 && is_same(&stack->frames[count - 1], frame)) {
        uint32_t still_there = count_still_there(stack, count);
        met = still_there == count;
        count = still_there;
    }
    stack->count = count;
    return met;
}

/* --- the walk --- */

static uint64_t frame_key(uintptr_t pc, unsigned generation) {
    return vv_frame_native(pc, generation);
}

/* Remembers fresh frames inside of those that are, the leaf behind them; returns the node of the
 * leaf's caller. */
static vv_node_number remember(struct vv_stack *stack, uint32_t fresh_count,
                               vv_node_number outermost) {
    bool needs_bp = stack->count > 0 && stack->frames[stack->count - 1].needs_bp;
    vv_node_number node = stack->count > 0 ? stack->frames[stack->count - 1].node : outermost;
    for (uint32_t index = fresh_count; index-- > 0;) {
        struct vv_stack_frame *frame = &stack->fresh[index];
        needs_bp = vv_rule_uses_rbp(frame->rule) ||
                   (vv_rule_slot_bytes(frame->rule) == 0 && needs_bp);
        frame->needs_bp = needs_bp;
        if (index == 0) break;
        node = vv_nodes_child(node, frame_key(frame->pc, stack->generation));
        frame->node = node;
        stack->frames[stack->count++] = *frame;
    }
    stack->frames[stack->count] = stack->fresh[0];
    return node;
}

enum walk_end { WALK_MET, WALK_OUTERMOST, WALK_LOST, WALK_CUT, WALK_ODD };

/* Goes up from fresh[0]. *out_count frames are in fresh; the rest, when one was met, is
 * remembered. */
static enum walk_end walk(struct vv_stack *stack, uint32_t limit, uint32_t *out_count) {
    uint32_t count = 1;
    enum walk_end end;
    for (;; count++) {
        struct vv_stack_frame *frame = &stack->fresh[count - 1];
        frame->rule = vv_rule_of(frame->pc) & VV_RULE_MASK;
        if (vv_unlikely(count == limit)) {
            end = WALK_CUT;
            break;
        }
        enum step result = step(stack, frame, frame->rule, &stack->fresh[count]);
        if (vv_unlikely(result != STEP_CALLER)) {
            end = result == STEP_OUTERMOST ? WALK_OUTERMOST
                  : result == STEP_LOST    ? WALK_LOST
                                           : WALK_ODD;
            break;
        }
        if (meets(stack, &stack->fresh[count])) {
            end = WALK_MET;
            break;
        }
    }
    *out_count = count;
    return end;
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
    uint32_t count = 0;
    enum vv_step result = VV_STEP_CALLER;
    /* Out of varve's own frames. */
    while (result == VV_STEP_CALLER && vv_stepper_stack_pointer(&stepper) < caller_sp) {
        result = vv_stepper_step(&stepper);
    }
    while (result == VV_STEP_CALLER && count < limit) {
        struct vv_stack_frame *frame = &stack->fresh[count++];
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
        node = vv_nodes_child(node, frame_key(stack->fresh[index].pc, stack->generation));
    }
    stack->count = 0;
    return node;
}

/* --- sites --- */

static void begin_walk(struct vv_stack *stack, const struct vv_request *request) {
    unsigned generation = atomic_load_explicit(&vv_modules_generation, memory_order_acquire);
    if (vv_unlikely(stack->generation != generation)) {
        vv_stack_forget(stack);
        stack->generation = generation;
    }
    struct vv_stack_frame *leaf = &stack->fresh[0];
    leaf->bp = (uintptr_t)request->frame[0];
    leaf->pc = (uintptr_t)request->frame[1];
    leaf->sp = (uintptr_t)(request->frame + 2);
    vv_bounds_enter(&stack->bounds, leaf->sp);
}

/* Whether this is the very stack of the last allocation. */
static inline bool is_last_stack(struct vv_stack *stack, const struct vv_request *request) {
    if (stack->leaf_site == 0 || stack->leaf_api != request->api ||
        !is_same(&stack->frames[stack->count], &stack->fresh[0])) {
        return false;
    }
    for (uint32_t index = stack->count; index-- > 0;) {
        if (vv_unlikely(!is_reached_again(stack, index))) return false;
    }
    return true;
}

static uint32_t leaf_site(struct vv_stack *stack, const struct vv_request *request,
                          vv_node_number caller) {
    uint64_t key = frame_key(stack->fresh[0].pc, stack->generation);
    vv_node_number node = vv_nodes_child(caller, vv_frame_with_api(key, request->api));
    return vv_nodes_site(node);
}

/* Only the innermost frames: nothing is remembered, since every frame is another one's outermost. */
static VV_NOINLINE uint32_t cut_site(struct vv_stack *stack, const struct vv_request *request,
                                     uint32_t limit) {
    uint32_t count;
    vv_stack_forget(stack);
    enum walk_end end = walk(stack, limit, &count);
    vv_node_number node;
    if (end == WALK_ODD) {
        node = node_slowly(stack, request, limit);
    } else {
        node = remember(stack, count, end == WALK_CUT ? VV_NODE_ROOT : outermost_node(end));
    }
    uint32_t site = leaf_site(stack, request, node);
    vv_stack_forget(stack);
    return site;
}

uint32_t vv_stack_site(struct vv_stack *stack, const struct vv_request *request,
                       uint32_t depth_limit) {
    begin_walk(stack, request);
    if (vv_unlikely(depth_limit != 0)) {
        return cut_site(stack, request, (uint32_t)vv_min(depth_limit, WALK_LIMIT));
    }
    if (vv_likely(is_last_stack(stack, request))) return stack->leaf_site;
    stack->leaf_site = 0;
    uint32_t count;
    enum walk_end end = walk(stack, WALK_LIMIT, &count);
    if (vv_unlikely(end == WALK_ODD)) {
        return leaf_site(stack, request,
                         node_slowly(stack, request, WALK_LIMIT));
    }
    if (end != WALK_MET) stack->count = 0;
    vv_node_number outermost = end == WALK_MET ? VV_NODE_ROOT : outermost_node(end);
    vv_node_number node = VV_NODE_ROOT;
    if (vv_likely(stack->count + count <= VV_STACK_FRAMES_MAX)) {
        node = remember(stack, count, outermost);
    } else {
        vv_stack_forget(stack); /* walk it all again, and cut it */
        walk(stack, WALK_LIMIT, &count);
        node = remember(stack, count, outermost_node(WALK_CUT));
    }
    uint32_t site = leaf_site(stack, request, node);
    stack->leaf_api = request->api;
    stack->leaf_site = end == WALK_CUT ? 0 : site;
    return site;
}

uint32_t vv_stack_addresses(struct vv_stack *stack, const struct vv_request *request,
                            uintptr_t *addresses, uint32_t capacity, bool *out_complete) {
    uint32_t count;
    vv_stack_forget(stack);
    begin_walk(stack, request);
    enum walk_end end = walk(stack, (uint32_t)vv_min(capacity, WALK_LIMIT), &count);
    if (end == WALK_ODD) end = walk_slowly(stack, request, capacity, &count);
    for (uint32_t index = 0; index < count; index++) addresses[index] = stack->fresh[index].pc;
    *out_complete = end == WALK_OUTERMOST;
    return count;
}
