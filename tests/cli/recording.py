# SPDX-License-Identifier: MIT
"""Recording programs with varve run and reading its reports, for the tests of the command."""

import json

from claims import varve

EXACT = """
#include <stdlib.h>
#include <string.h>
void *kept[100];
void leak_two(void) {
    kept[0] = malloc(1001);
    kept[1] = calloc(7, 3);
}
void grow(void) {
    void *block = malloc(10);
    block = realloc(block, 5000);
    kept[2] = block;
}
void peak_and_free(void) {
    void *block = malloc(1000000);
    memset(block, 1, 1000000);
    free(block);
}
int main(void) {
    leak_two();
    grow();
    peak_and_free();
    for (int index = 0; index < 50; index++) free(malloc(100));
    return 0;
}
"""


def report(*words):
    return json.loads(varve("report", "--json", "--top", "1000", *words).must().out)


def record(program, *arguments, options=(), code=0, name="out.varve", **others):
    result = varve("run", "-q", "-f", "-o", name, *options, "--", program, *arguments, **others)
    return result.must(code)


def rows_by_function(data):
    return {row["function"]: row for row in data["rows"]}
