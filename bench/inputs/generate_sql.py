#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes an SQL script for sqlite3 to stdout: generate_sql.py [PERCENT].

For an in-memory database: many single inserts (parsing and preparing), bulk inserts, indexes,
joins, aggregates, text functions, updates, deletes and a window query. Every query prints a few
rows in a fixed order, so the output serves as the checksum.
"""
import sys

CUSTOMER_COUNT = 2500
ORDER_COUNT = 20000
BULK_COUNT = 90000


class Numbers:
    """A linear congruential generator: the same numbers in every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) % 2**31
        return (self.state >> 8) % limit


SCHEMA = """\
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, credit REAL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, item TEXT,
    amount INTEGER, price REAL, note TEXT);
CREATE TABLE event (id INTEGER PRIMARY KEY, kind INTEGER, value INTEGER, payload TEXT);
"""

QUERIES = """\
CREATE INDEX orders_customer ON orders (customer);
CREATE INDEX orders_item ON orders (item, price);
CREATE INDEX event_kind ON event (kind, value);
SELECT city, count(*), round(sum(credit), 2) FROM customer GROUP BY city ORDER BY city;
SELECT c.name, count(*) AS n, round(sum(o.amount * o.price), 2) AS total
    FROM customer c JOIN orders o ON o.customer = c.id
    GROUP BY c.id ORDER BY total DESC, c.id LIMIT 20;
SELECT o.item, c.city, sum(o.amount) FROM orders o JOIN customer c ON c.id = o.customer
    WHERE o.price > 20 GROUP BY o.item, c.city ORDER BY 3 DESC, 1, 2 LIMIT 20;
SELECT kind, count(*), min(value), max(value), count(DISTINCT payload) FROM event
    GROUP BY kind ORDER BY kind;
SELECT length(group_concat(upper(substr(payload, 3, 8)) || '-' || value)) FROM event
    WHERE kind < 40;
SELECT sum(rank * id) FROM (SELECT id, rank() OVER (PARTITION BY customer ORDER BY price, id)
    AS rank FROM orders);
SELECT a.kind, count(*) FROM event a JOIN event b ON b.kind = a.kind AND b.value = a.value + 1
    GROUP BY a.kind ORDER BY 2 DESC, 1 LIMIT 10;
BEGIN;
UPDATE orders SET note = note || ' (seen)', amount = amount + 1 WHERE customer % 3 = 0;
DELETE FROM event WHERE value % 4 = 1;
COMMIT;
SELECT count(*), sum(amount), sum(length(note)) FROM orders;
SELECT count(*), sum(value) FROM event;
WITH words(word, rest) AS (
    SELECT '', group_concat(note, ' ') || ' ' FROM (SELECT note FROM orders LIMIT 60)
    UNION ALL
    SELECT substr(rest, 1, instr(rest, ' ') - 1), substr(rest, instr(rest, ' ') + 1)
        FROM words WHERE rest <> '')
SELECT word, count(*) FROM words GROUP BY word ORDER BY 2 DESC, 1 LIMIT 15;
PRAGMA integrity_check;
"""


def main():
    percent = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    numbers = Numbers(seed=3)
    customer_count = max(10, CUSTOMER_COUNT * percent // 100)
    order_count = max(10, ORDER_COUNT * percent // 100)
    cities = ["Oslo", "Lima", "Kyoto", "Accra", "Quito", "Perth", "Turin", "Dakar"]
    words = ["urgent", "gift", "fragile", "return", "repeat", "late", "checked", "paid"]
    print(SCHEMA + "BEGIN;")
    for index in range(customer_count):
        city = cities[numbers.below(len(cities))]
        print(f"INSERT INTO customer VALUES ({index}, 'Customer {numbers.below(90000)}', "
              f"'{city}', {numbers.below(100000) / 100});")
    for index in range(order_count):
        note = " ".join(words[numbers.below(len(words))] for _ in range(1 + numbers.below(6)))
        print(f"INSERT INTO orders (customer, item, amount, price, note) VALUES "
              f"({numbers.below(customer_count)}, 'item {numbers.below(700)}', "
              f"{1 + numbers.below(9)}, {numbers.below(9000) / 100}, '{note}');")
    print(f"INSERT INTO event (kind, value, payload)\n"
          f"    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n\n"
          f"        WHERE i < {max(100, BULK_COUNT * percent // 100)})\n"
          f"    SELECT i * 7919 % 101, i * 104729 % 5003, hex(i * 2654435761 % 1000003)\n"
          f"        || substr('abcdefghijklmnopqrstuvwxyz', 1, i % 26) FROM n;\nCOMMIT;")
    print(QUERIES, end="")


if __name__ == "__main__":
    main()
