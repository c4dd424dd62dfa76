# SPDX-License-Identifier: MIT
"""The redis row: a server under the allocator, redis-benchmark outside it.

Time is redis-benchmark's wall time, the rest is the server's: its peak, its CPU seconds and
faults from start to shutdown. The keys of redis-benchmark are random, so the check is not a
checksum: the server must have answered exactly the requests sent, none with an error.

Debian's redis-server is linked with libjemalloc, so without a preload it would run on that. For
the glibc column libc.so.6 itself is preloaded: its malloc then comes before jemalloc's.
"""
import pathlib
import re
import socket
import tempfile
import time

import measure
import peers
import workloads

REQUEST_COUNT = 40000
COMMANDS = ["set", "get", "incr", "lpush", "rpush", "lpop", "sadd", "hset", "zadd", "mset"]
START_TIMEOUT_S = 20


def ask(path, *words):
    """One request on the server's socket; returns the whole answer as text."""
    request = b"*%d\r\n" % len(words)
    request += b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(START_TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(request)
        answer = connection.recv(65536)
        if answer[:1] == b"$":
            length = int(answer[1:answer.index(b"\r\n")])
            while len(answer) < length:
                answer += connection.recv(65536)
        return answer.decode(errors="replace")


def wait_until_up(process, path):
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise measure.Failed("redis-server ended at once")
        try:
            if ask(path, "PING").startswith("+PONG"):
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise measure.Failed("redis-server did not answer PING")


def check_counts(path, request_count):
    calls = dict(re.findall(r"cmdstat_(\w+):calls=(\d+)", ask(path, "INFO", "commandstats")))
    wrong = [name for name in COMMANDS if int(calls.get(name, 0)) != request_count]
    if wrong:
        raise measure.Failed(f"redis answered a wrong number of requests: {', '.join(wrong)}")
    if "errorstat_" in ask(path, "INFO", "errorstats"):
        raise measure.Failed("redis answered requests with an error")


def shut_down(path):
    try:
        ask(path, "SHUTDOWN", "NOSAVE")
    except ConnectionError:
        pass  # that is its answer


class Redis:
    """Measures one run per call of measure()."""

    def __init__(self, context):
        self.launcher = context.launcher
        self.server = workloads.tool("redis-server")
        self.client = workloads.tool("redis-benchmark")
        self.request_count = max(100, REQUEST_COUNT * context.percent // 100)
        self.libc = peers.find_library("libc.so.6")

    def environment(self, allocator):
        if allocator.library is None and self.libc:
            return {"LD_PRELOAD": str(self.libc)}
        return allocator.environment()

    def server_command(self, allocator, path):
        return measure.Command(
            [self.server, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly",
             "no", "--daemonize", "no", "--loglevel", "warning"], self.environment(allocator))

    def client_command(self, path):
        return measure.Command(
            [self.client, "-s", path, "-q", "-n", self.request_count, "-r", "50000", "-c", "20",
             "-P", "16", "-d", "64", "-t", ",".join(COMMANDS)])

    def measure(self, allocator):
        with tempfile.TemporaryDirectory(prefix="varve-redis-") as folder:
            folder = pathlib.Path(folder)
            socket_path, result = folder / "socket", folder / "result"
            out, err = folder / "stdout", folder / "stderr"
            command = self.server_command(allocator, socket_path)
            with open(out, "wb") as stdout, open(err, "wb") as stderr:
                process = self.launcher.popen(command, result, stdout, stderr)
                client = self.load(process, socket_path, out)
            sample = measure.read_sample(command, process, result, out, err)
            sample.wall_s, sample.digest = client.wall_s, "counted"
            return sample

    def load(self, process, socket_path, out):
        """The work and the shutdown; the server is gone when this returns or raises."""
        try:
            wait_until_up(process, socket_path)
            client = self.launcher.run(self.client_command(socket_path))
            check_counts(socket_path, self.request_count)
            shut_down(socket_path)
            measure.wait(process, START_TIMEOUT_S)
            return client
        except OSError as error:
            raise measure.Failed(f"redis: {error}: {measure.tail(out)}") from None
        finally:
            if process.poll() is None:
                measure.end_group(process)
