# SPDX-License-Identifier: MIT
"""Real programs on varve's heap: their output must be that of a plain run. Each also runs traced,
where the record must be complete."""

import glob
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

PRELOAD = {"LD_PRELOAD": MALLOC}


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skipped(f"{program} is not installed")


def digest_of_files(*patterns):
    digest = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(glob.glob(pattern, recursive=True)):
            if os.path.isfile(path):
                digest.update(path.encode() + b"\0" + open(path, "rb").read())
    return digest.hexdigest()


def same_with_varve(*words, results=(), traced=True, check_err=True, incomplete=0, **options):
    """The program must print and write the same with varve preloaded, in debug mode, and traced.
    `incomplete`: the share of stacks whose end may not be found."""
    def once(environment, prefix=()):
        done = run(*prefix, *words, env=environment, **options)
        return done.code, done.out, done.err if check_err else "", digest_of_files(*results)
    plain = once({})
    equal(once(PRELOAD), plain, "what it does with varve")
    equal(once(dict(PRELOAD, VARVE_DEBUG="1")), plain, "what it does in debug mode")
    if traced:
        os.mkdir("captures")
        equal(once({}, (VARVE, "run", "-q", "-f", "-o", "captures/x.varve", "--")), plain,
              "what it does when traced")
        for path in glob.glob("captures/*.varve"):
            data = json.loads(varve("report", "--json", path).must().out)
            for loss in ("lost_events", "merged_stacks"):
                equal(data[loss], 0, f"{loss} of {path}")
            assert data["incomplete_stacks"] <= incomplete * data["total_blocks"], data
        shutil.rmtree("captures")
    return plain


C_SOURCES = [os.path.join(SOURCE, "src", name) for name in
             ("heap/heap.c", "trace/cfi.c", "snapshot/grouping.c")]
C_FLAGS = ["-O2", "-g", "-c", "-D_GNU_SOURCE", "-DVARVE_VERSION=\"\"", "-DVARVE_CLASSIC=0",
           "-DVARVE_AUDIT=0", "-DVARVE_WITH_TRACE=1", "-I" + os.path.join(SOURCE, "src"),
           "-I" + os.path.join(SOURCE, "include")]
CPP = """
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <vector>
int main() {
    std::map<std::string, std::vector<int>> table;
    for (int i = 0; i < 20000; i++) table["key" + std::to_string(i % 777)].push_back(i * 7 % 1000);
    long sum = 0;
    for (auto &[key, numbers] : table) { std::sort(numbers.begin(), numbers.end()); sum += numbers[numbers.size() / 2]; }
    std::vector<std::thread> threads;
    std::vector<long> sums(4);
    for (int t = 0; t < 4; t++) threads.emplace_back([t, &sums] {
        std::vector<std::unique_ptr<std::string>> strings;
        for (int i = 0; i < 5000; i++) strings.push_back(std::make_unique<std::string>(i % 100, 'x'));
        for (auto &string : strings) sums[t] += string->size();
    });
    for (auto &thread : threads) thread.join();
    std::regex word("(k[a-z]+)([0-9]+)");
    int matches = 0;
    for (auto &[key, numbers] : table) matches += std::regex_match(key, word);
    int caught = 0;
    for (int i = 0; i < 1000; i++) try { throw std::runtime_error("error " + std::to_string(i)); } catch (std::exception &e) { caught += e.what()[6] == '1'; }
    std::cout << sum << ' ' << sums[3] << ' ' << matches << ' ' << caught << std::endl;
}
"""


@claim
def gcc_writes_the_same_object_files():
    need("gcc")
    for source in C_SOURCES[:2]:
        same_with_varve("gcc", *C_FLAGS, source, "-o", "x.o", results=["x.o"])


@claim
def gplusplus_and_what_it_builds():
    need("g++")
    with open("x.cpp", "w") as file:
        file.write(CPP)
    same_with_varve("g++", "-O1", "-std=c++17", "x.cpp", "-o", "x", "-pthread", results=["x"])
    equal(same_with_varve("./x")[0], 0)


@claim
def clang_writes_the_same_object_files():
    need("clang")
    same_with_varve("clang", *C_FLAGS, C_SOURCES[0], "-o", "x.o", results=["x.o"])


@claim
def git_makes_the_same_history():
    need("git")
    script = """
        rm -rf repository && git init -q -b main repository && cd repository
        export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        for i in $(seq 1 12); do seq $i $((i * 300)) > file$((i % 4)); git add . && git commit -qm "change $i"; done
        git checkout -q -b other HEAD~5 && echo text > extra && git add . && git commit -qm extra
        git merge -q -m merge main && git gc -q 2>/dev/null
        git log --stat --graph -p | sha256sum; git blame file1 | sha256sum; git fsck; git rev-parse HEAD
    """
    code, out, _, _ = same_with_varve("sh", "-ec", script, check_err=False)
    equal(code, 0, out)


@claim
def sqlite_answers_the_same():
    need("sqlite3")
    sql = """
        create table item(id integer primary key, name text, price real);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)
          insert into item select i, 'name ' || (i * 7919 % 1000), i * 1.5 from n;
        create index by_name on item(name);
        select name, count(*), sum(price), group_concat(id) from item group by name order by 2, 1 limit 50;
        select a.id, b.id from item a join item b on a.name = b.name where a.id < b.id limit 1000;
        update item set price = price * 2 where name like '%7%'; delete from item where id % 3 = 0;
        vacuum; pragma integrity_check; select total(price) from item;
    """
    code, out, _, _ = same_with_varve("sqlite3", ":memory:", input=sql)
    contains(out, "ok")


@claim
def perl_prints_the_same():
    need("perl")
    script = """
        my %words; my @list;
        for my $i (1 .. 60000) { $words{"w" . ($i * 7919 % 5003)} .= chr(97 + $i % 26); push @list, [$i, "s" x ($i % 50)]; }
        for my $round (1 .. 20) { my $text = join(",", map { "$_=$words{$_}" } sort keys %words); $text =~ s/a+/b/g; print length($text), "\\n"; }
        @list = sort { $b->[1] cmp $a->[1] || $a->[0] <=> $b->[0] } @list; print $list[777][0], "\\n";
        my $pid = fork(); if ($pid == 0) { my @more = map { "x" x $_ } 1 .. 1000; exit(scalar(@more) % 256); } waitpid($pid, 0); print $? >> 8, "\\n";
    """
    equal(same_with_varve("perl", "-e", script)[0], 0)


@claim
def ruby_prints_the_same():
    need("ruby")
    script = """
        h = Hash.new { |hash, key| hash[key] = [] }
        60000.times { |i| h["k#{i % 997}"] << "v" * (i % 30) }
        threads = 4.times.map { |t| Thread.new { (1..3000).map { |i| (i * t).to_s * 3 }.join.hash & 0 } }
        puts h.map { |k, v| [k, v.map(&:length).sum] }.sort.first(20).inspect, threads.sum(&:value)
        GC.start; puts h.size; pid = fork { exit h.size % 256 }; Process.wait pid; puts $?.exitstatus
    """
    equal(same_with_varve("ruby", "-e", script)[0], 0)


@claim
def lua_prints_the_same():
    need("lua5.4")
    script = """
        local t = {} for i = 1, 100000 do t[i] = ("x"):rep(i % 40) .. i end
        table.sort(t) print(t[1], t[50000], #table.concat(t)) t = nil collectgarbage()
        local function tree(n) if n == 0 then return {} end return {tree(n - 1), tree(n - 1)} end
        local function count(n) return n[1] and 1 + count(n[1]) + count(n[2]) or 1 end print(count(tree(15)))
    """
    equal(same_with_varve("lua5.4", "-e", script)[0], 0)


@claim
def node_prints_the_same():
    need("node")
    script = """
        const map = new Map(); for (let i = 0; i < 100000; i++) map.set('k' + i % 5003, Buffer.alloc(i % 300, 1));
        let sum = 0; for (const b of map.values()) for (const x of b) sum += x; console.log(sum, map.size);
        const zlib = require('zlib'); const text = Buffer.from('varve '.repeat(50000));
        console.log(zlib.gunzipSync(zlib.gzipSync(text)).length, require('crypto').createHash('sha256').update(text).digest('hex'));
        const { Worker, isMainThread } = require('worker_threads');
        let left = 3; for (let i = 0; i < 3; i++) new Worker('let a = []; for (let i = 0; i < 1e5; i++) a.push({i});', {eval: true}).on('exit', () => { if (--left == 0) console.log('workers ended'); });
    """
    # A few of V8's own stubs have neither frame pointers nor tables for the unwinder.
    equal(same_with_varve("node", "-e", script, incomplete=0.001)[0], 0)


@claim
def python_runs_its_own_tests():
    modules = ["test_json", "test_dict", "test_list", "test_threading", "test_subprocess"]
    if run("/usr/bin/python3", "-c", "import test.test_json").code != 0:
        raise Skipped("Debian's libpython3.11-testsuite is not installed")
    def summary(environment):
        done = run("/usr/bin/python3", "-m", "test", "-q", *modules, env=environment, timeout=600)
        return done.code, done.out
    code, out = summary({"LD_PRELOAD": MALLOC, "PYTHONMALLOC": "malloc"})
    if code != 0:
        plain_code, plain_out = summary({})
        equal(code, plain_code, f"result with varve:\\n{out}\\nplain:\\n{plain_out}\\n")


@claim
def python_prints_the_same():
    script = """
import collections, json, re, subprocess, threading, zlib
words = collections.Counter(re.findall(r'[a-z]+', open(re.__file__).read()))
print(words.most_common(20), len(json.dumps([{'a': i, 'b': str(i)} for i in range(30000)])))
results = []
def work(n): results.append(sum(len(str(i)) for i in range(n)))
threads = [threading.Thread(target=work, args=(20000 + i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(results), zlib.crc32(bytes(range(256)) * 1000))
print(subprocess.run(['/bin/echo', 'child'], capture_output=True).stdout)
"""
    with open("script.py", "w") as file:
        file.write(script)
    equal(same_with_varve("/usr/bin/python3", "script.py")[0], 0)
    equal(same_with_varve("/usr/bin/python3", "-X", "dev", "script.py", traced=False)[0], 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def drive_redis(prefix, environment):
    port = free_port()
    server = subprocess.Popen([*prefix, "redis-server", "--port", str(port), "--save", "", "--bind",
                               "127.0.0.1"], env=dict(os.environ, **environment),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    client = ["redis-cli", "-p", str(port)]
    for _ in range(100):
        if run(*client, "ping").out == "PONG\n":
            break
        time.sleep(0.05)
    run("redis-benchmark", "-p", port, "-q", "-n", 20000, "-c", 20, "-d", 300, "-r", 5000, "-t",
        "set,get,lpush,hset,zadd,mset").must()
    run(*client, "eval", "for i = 1, 5000 do redis.call('hset', 'h' .. i % 50, i, ('v'):rep(i % 200)) end", 0).must()
    answers = run(*client, input="dbsize\nhlen h7\nhget h7 1357\nobject encoding h7\nping\n").must().out
    run(*client, "bgsave").must()
    time.sleep(0.3)
    run(*client, "flushall").must()
    run(*client, "shutdown", "nosave")
    output = server.communicate(timeout=60)[0]
    assert server.returncode == 0, (server.returncode, output[-2000:])
    return answers.split("\n")[1:]


@claim
def redis_serves_the_same():
    need("redis-server", "redis-benchmark", "redis-cli")
    plain = drive_redis([], {})
    equal(drive_redis([], PRELOAD), plain, "answers with varve")
    equal(drive_redis([], dict(PRELOAD, VARVE_DEBUG="1")), plain, "answers in debug mode")
    equal(drive_redis([VARVE, "run", "-q", "-f", "-o", "redis.varve", "--"], {}), plain,
          "answers when traced")
    data = json.loads(varve("report", "--json", "redis.varve").must().out)
    assert data["total_blocks"] > 10000 and data["lost_events"] == 0, data


main()
