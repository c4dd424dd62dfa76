/* SPDX-License-Identifier: MIT
 * trace/nodes.h - the trie of stack frames, and the sites in it.
 *
 * Recursion is folded, or a tree walk of depth n would make 2^n stacks: a path has no function more
 * than twice within VV_FOLD_WINDOW frames. A third frame of a function goes on behind its first
 * one:
 *
 *   main f g f h + f   ->   main f + f
 *
 * So the outermost frames, the first entry into the recursion and the innermost frames are kept.
 * Where a path folded is remembered as an alias: a node that stands for another one.
 *
 * Looking a known frame up takes no lock: a hash table of node numbers, linear probing, found by
 * (parent, frame). Adding one takes the sites lock. The table is the process's own; the nodes are
 * in the store.
 *
 * Synchronisation: a node is published by the store of its number into the table (release, paired
 * with the acquire of the probe). When the table grows, the new one is published likewise and the
 * old one's memory is given back: a probe that still looks there finds zeroes, hence nothing, and
 * comes by the lock. */
#ifndef VV_TRACE_NODES_H
#define VV_TRACE_NODES_H

#include "os/lock.h"
#include "trace/store.h"

typedef uint32_t vv_node_number;
#define VV_NODE_ROOT 0
#define VV_NODE_NUMBER_BITS 25 /* node numbers are below 2^25 */
#define VV_NODE_NUMBER_MASK ((1u << VV_NODE_NUMBER_BITS) - 1)

extern struct vv_lock vv_sites_lock;

/* Prepares the trie of a store that was just opened: node 0, no sites. Returns 0 or -ENOMEM. */
int vv_nodes_open(void);

/* Carries the trie of `old_store`, this process's store until now, into the store that was just
 * opened; node and site numbers stay. The caller is the only thread. Returns 0 or -ENOMEM. */
int vv_nodes_inherit(const char *old_store);

#define VV_FOLD_WINDOW 32

/* The node of a frame whose caller's is `parent`: its child, added if it is new, unless it folds.
 * When the store is full: a node for that. */
vv_node_number vv_nodes_child(vv_node_number parent, uint64_t frame);

/* The site at a node, added if it is new; never one of the reserved numbers. */
uint32_t vv_nodes_site(vv_node_number node);

/* The node of a site, or the root when there is no such site. */
vv_node_number vv_nodes_of_site(uint32_t site);

/* What kind of memory is counted at a site. */
enum vv_domain vv_nodes_domain(uint32_t site);

const struct vv_node *vv_nodes_get(vv_node_number node);

#endif
