/* SPDX-License-Identifier: MIT
 * binary_trees - complete binary trees built and dropped by recursion, one malloc per node.
 *
 * Stands for compilers and interpreters that build a tree per unit of work, walk it and drop
 * it, beside one tree that lives to the end. Stresses one small size, bulk growth followed by
 * bulk release, and, for a tracer, call stacks of many different depths. */
#include "bench.h"

#define LONG_LIVED_DEPTH 17U
#define DEPTH_MIN 4U
#define DEPTH_MAX 16U
#define DEPTH_STEP 4U
#define NODES_PER_DEPTH ((size_t)9000000)

struct node {
    struct node *left;
    struct node *right;
    uint64_t value;
};

static struct node *build(unsigned depth, uint64_t value) {
    struct node *node = bench_malloc(sizeof *node);
    node->value = value;
    node->left = depth > 0 ? build(depth - 1, value * 2) : NULL;
    node->right = depth > 0 ? build(depth - 1, value * 2 + 1) : NULL;
    return node;
}

static uint64_t sum(const struct node *node) {
    if (node == NULL) return 0;
    return (node->value ^ node->value >> 3) + sum(node->left) + sum(node->right);
}

static void drop(struct node *node) {
    if (node == NULL) return;
    drop(node->left);
    drop(node->right);
    free(node);
}

/* As many trees of this depth as it takes to make the wanted number of nodes. */
static uint64_t trees_of_depth(unsigned depth, size_t node_count) {
    size_t tree_nodes = ((size_t)2 << depth) - 1;
    size_t tree_count = node_count / tree_nodes + 1;
    uint64_t checksum = 0;
    for (size_t index = 0; index < tree_count; index++) {
        struct node *tree = build(depth, index + 1);
        checksum += sum(tree);
        drop(tree);
    }
    return checksum;
}

int main(int argc, char **argv) {
    size_t node_count = bench_scaled(NODES_PER_DEPTH, bench_percent(argc, argv));
    struct node *long_lived = build(LONG_LIVED_DEPTH, 1);
    uint64_t checksum = 0;
    for (unsigned depth = DEPTH_MIN; depth <= DEPTH_MAX; depth += DEPTH_STEP) {
        checksum = bench_mix(checksum, trees_of_depth(depth, node_count));
    }
    checksum = bench_mix(checksum, sum(long_lived));
    drop(long_lived);
    return bench_finish("binary_trees", checksum);
}
