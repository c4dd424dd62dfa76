/* SPDX-License-Identifier: MIT
 * A type of a test's own: an object that refers to one other. */
#ifndef NODE_TYPE_H
#define NODE_TYPE_H

#include "varve/object.h"

struct node {
    varve_object head;
    varve_object *next;
};

static int node_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct node *node = (struct node *)self;
    return node->next != NULL ? visit(node->next, argument) : 0;
}

#endif
