/* SPDX-License-Identifier: MIT
 * start_up - a program that does nothing but print its line.
 *
 * Stands for the many short processes of scripts and builds. Measures what an allocator costs
 * before the first useful allocation: its constructor, first pages and exit handler. */
#include "bench.h"

int main(int argc, char **argv) {
    (void)bench_percent(argc, argv);
    return bench_finish("start_up", 0);
}
