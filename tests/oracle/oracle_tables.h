/* SPDX-License-Identifier: MIT
 * oracle_tables.h - a program's weak tables and finalizers from outside.
 *
 * A table, or a finalizer, is what an instance holds at HELD_PLACE, and nothing else refers to it;
 * so it has a canary, and lives as long as the instance. */
#ifndef VARVE_TESTS_ORACLE_TABLES_H
#define VARVE_TESTS_ORACLE_TABLES_H

#include "oracle_run.h"

/* One of TABLE to OUTSIDE_PEEK. */
void run_table_operation(enum operation code, const int *words);

/* Adds a table's length and contents to the line. */
void show_table(const varve_object *holder);

/* As forget_dead() in tables.py: no table has entries whose object has died. */
void refresh_tables(void);

/* What is never called would hold its object for ever. */
void detach_all(void);

#endif
