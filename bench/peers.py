"""The servers that are measured: each its own process, pinned to CPU 0, filled once, stopped while another is measured.

Stopped means SIGSTOP: what a server does in the background (Quipu's settling, Redis's expiry) then costs no other
server anything, and is still there to be paid for when its own turn comes.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "test/support"))
import resp  # noqa: E402
import server as servers  # noqa: E402
import tokens  # noqa: E402

SCRIPT = b"""if redis.call('SET', KEYS[2], 1, 'NX', 'EX', 10) then return redis.call('INCRBY', KEYS[1], ARGV[1]) end
return tonumber(redis.call('GET', KEYS[1]))"""
FIRST = "counter:" + "0" * 12
PLAIN = ["INCRBY", "counter:{key}", "1"]
TICKS = os.sysconf("SC_CLK_TCK")
QUIET_SECONDS_MAX = 180
SETTLED_SECONDS_MAX = 900
LOAD_SECONDS_MAX = 3600
SETTLER_NICE = 4  # src/rt/worker_thread.cc
SYNC_DELAY_US = 1000  # as built into the servers called slow, bench/CMakeLists.txt


def pinned(cpu):
    return ["taskset", "-c", str(cpu)] if (os.cpu_count() or 1) > 1 else []


def cpu_seconds(pid):
    """User and system time of a process, its ended threads too, in steps of a tick (10 ms)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def thread_cpu_seconds(pid, thread):
    """The same of one thread, in nanoseconds."""
    with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="utf-8") as f:
        return int(f.read().split()[0]) / 1e9


def resident(pid, what="VmRSS:"):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(what))


def disk(folder):
    """Bytes that the files below a folder take."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # replaced by a merge meanwhile
    return total


def engine_memory():
    """The default of engine.memory: half of the machine's."""
    with open("/proc/meminfo", encoding="utf-8") as f:
        return int(f.readline().split()[1]) * 1024 // 2


def lines_of_reply(connection, words):
    """How many lines one reply has, by asking once with a token of its own."""
    fill = {"{key}": "0" * 12, "{uuid7}": tokens.uuid7(), "{uuid4}": tokens.uuid7()}
    for hole, text in fill.items():
        words = [word.replace(hole, text) for word in words]
    connection.send(resp.encode(*words) + resp.encode("PING"))
    lines = 0
    while True:
        line = connection.reader.readline()
        if line.startswith(b"-"):
            raise RuntimeError(f"{words}: {line!r}")
        if line == b"+PONG\r\n":
            return lines
        lines += 1


def load(context, port, words, *options):
    """Runs the load generator on CPU 1 until it ends; what it measured."""
    done = subprocess.run([*pinned(1), context.load, "--port", str(port), *map(str, options), "--", *words],
                          capture_output=True, text=True, timeout=LOAD_SECONDS_MAX)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout)


class Peer:
    """A server process and what it was filled with. Measure only between Use and Rest."""

    delay_us = 0  # that every sync of its log is given

    def __init__(self, context, name):
        self.context, self.name = context, name
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=context.scratch)
        self.server = servers.Server(name, lambda port: [*pinned(0), *self.command(port)], self.folder)
        self.connection = None
        self.owner = None  # the runs that made what is left to do

    @property
    def pid(self):
        return self.server.process.pid

    def use(self):
        if self.server.process is None:
            print(f"  starting and filling {self.name}", file=sys.stderr, flush=True)
            self.server.start()
            self.connection = self.server.connect()
            self.fill()
        self.server.process.send_signal(signal.SIGCONT)

    def rest(self):
        self.server.process.send_signal(signal.SIGSTOP)

    def stop(self):
        if self.server.process is not None:
            self.server.process.send_signal(signal.SIGCONT)
            self.server.stop()

    def fill(self):
        load(self.context, self.server.port, PLAIN, "--keys", self.context.keys, "--once", f"0-{self.context.keys}",
             "--pipeline", 128)

    def finish(self):
        """Lets the server do what its last runs left to do, so that it costs the next case nothing."""

    def background_us_per_record(self):
        """What an add costs behind the request path, which is what a run measures."""
        return 0

    def records(self):
        return 0

    def measure(self, case, runs, *options, seconds=None):
        """One run of a case, added to `runs`. A server that drops work must not look fast: what was sent is counted."""
        if self.owner is not runs:
            self.finish()
            self.owner = runs
        keys = 1 if case.hot else self.context.keys
        words, options = self.words(case.work), [*self.options(case.work), *options]
        lines = lines_of_reply(self.connection, words)
        before, records, cpu = self.counted(case), self.records(), self.path_cpu_seconds()
        got = load(self.context, self.server.port, words, "--keys", keys, "--pipeline", case.pipeline, "--lines", lines,
                   "--connections", case.connections, "--seconds", seconds or self.context.seconds,
                   "--warmup", self.context.warmup, *options)
        got["path_us_per_op"] = (self.path_cpu_seconds() - cpu) * 1e6 / got["sent"]
        got["records_per_op"] = (self.records() - records) / got["sent"]
        got["memory_share"] = resident(self.pid, "VmHWM:") / engine_memory()
        counted = self.counted(case) - before
        if before >= 0 and counted != got["sent"]:
            raise RuntimeError(f"{case.name}, pipeline {case.pipeline}: sent {got['sent']}, counted {counted}")
        if got["p50_us"] < self.delay_us:
            raise RuntimeError(f"{case.name}: p50 {got['p50_us']} us, below the {self.delay_us} us added to every sync")
        runs.append(got)

    def path_cpu_seconds(self):
        return cpu_seconds(self.pid)

    def options(self, _):
        return []


class Redis(Peer):
    """Debian's redis-server; its own retry-safe add is a script: SET token NX EX, and INCRBY if it was new."""

    def __init__(self, context, name, fsync, preload=None):
        self.fsync, self.before = fsync, ["env", f"LD_PRELOAD={preload}"] if preload else []
        self.delay_us = SYNC_DELAY_US if preload else 0
        super().__init__(context, name)

    def command(self, port):
        return [*self.before, *servers.redis_command(port, self.folder, durable=self.fsync is not None),
                "--auto-aof-rewrite-percentage", "0", *(["--appendfsync", self.fsync] if self.fsync else [])]

    def words(self, work):
        if work == "get":
            return ["GET", "counter:{key}"]
        if work == "plain":
            return PLAIN
        digest = self.connection.call("SCRIPT", "LOAD", SCRIPT).decode()
        return ["EVALSHA", digest, "2", "counter:{key}", "{uuid7}", "1"]

    def counted(self, case):
        """Adds on the first counter; -1 where the run goes over many."""
        return int(self.connection.call("GET", FIRST) or 0) if case.hot else -1


class Quipu(Peer):
    """The binary under test, one shard, durability sync, its token window full."""

    def __init__(self, context, name, token="uuid7", tokens=None, keys=None, slow=None, before=()):
        self.token, self.binary, self.before = token, slow or context.quipu, before
        self.tokens = context.tokens if tokens is None else tokens
        self.keys = context.keys if keys is None else keys
        self.delay_us = SYNC_DELAY_US if slow else 0
        self.since_ms = 0
        super().__init__(context, name)

    def command(self, port):
        flags = ["--engine.shards=1", "--log.level=warn"]
        return [*self.before, *servers.quipu_command(self.binary, port, self.folder, flags)]

    def words(self, work):
        return {"get": ["GET", "counter:{key}"], "plain": PLAIN}.get(
            work, ["QUIPU.ADD", "counter:{key}", "1", "TOKEN", "{%s}" % self.token])

    def options(self, work):
        return ["--since", self.since_ms, "--pick", f"0-{self.tokens}"] if work == "replay" else []

    def fill(self):
        if self.keys:
            self.add_counters(0, self.keys)
        if self.tokens:
            self.add_tokens(self.tokens)
        self.wait_until_quiet()

    def add_counters(self, first, end):
        load(self.context, self.server.port, PLAIN, "--keys", end, "--once", f"{first}-{end}", "--pipeline", 128)

    def add_tokens(self, count, pipeline=128):
        self.since_ms = time.time_ns() // 1_000_000 - count // 1000
        load(self.context, self.server.port, self.words("token"), "--keys", self.keys, "--pipeline", pipeline,
             "--once", f"0-{count}", "--since", self.since_ms,
             "--lines", lines_of_reply(self.connection, self.words("token")))

    def info(self, connection=None):
        text = (connection or self.connection).call("INFO").decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def counted(self, case):
        field = {"get": None, "replay": "quipu_replays"}.get(case.work, "quipu_adds")
        return int(self.info()[field]) if field else -1

    def wait_until_quiet(self):
        """Until less is unsettled than starts a settle twice, and a quarter of a second passes without work."""
        end, idle = time.monotonic() + QUIET_SECONDS_MAX, 0
        while idle < 2 and time.monotonic() < end:
            cpu = cpu_seconds(self.pid)
            time.sleep(0.25)
            settled = int(self.info()["quipu_unsettled_bytes"]) < 256 << 20
            idle = idle + 1 if settled and cpu_seconds(self.pid) - cpu <= 0.011 else 0
        if idle < 2:
            print(f"  {self.name} still works after {QUIET_SECONDS_MAX} s", file=sys.stderr, flush=True)

    def wait_until_settled(self):
        """Until nothing is left in the journal, and what follows from that is done."""
        end = time.monotonic() + SETTLED_SECONDS_MAX
        while int(self.info()["quipu_unsettled_bytes"]) > 0 and not self.context.smoke:
            if time.monotonic() > end:
                raise RuntimeError(f"not settled after {SETTLED_SECONDS_MAX} s")
            time.sleep(0.25)
        self.wait_until_quiet()

    def seconds_to_serve(self):
        """Starts the stopped or killed server again; from the start of its process to its first answer."""
        begin = time.monotonic()
        self.server.launch()
        while not self.server.answers():
            if self.server.process.poll() is not None:
                raise RuntimeError(self.server.log())
            time.sleep(0.002)
        seconds = time.monotonic() - begin
        self.connection = self.server.connect()
        return seconds

    def finish(self):
        self.wait_until_quiet()

    def path_cpu_seconds(self):
        """The shard's thread alone: what the others do is due whenever it is due, see background_us_per_record."""
        return thread_cpu_seconds(self.pid, self.pid)

    def records(self):
        return int(self.info()["quipu_durable_position"])

    def background_us_per_record(self):
        """All CPU of the other threads since the start, by the records settled since then."""
        settled = int(self.info()["quipu_settled_position"])
        return (cpu_seconds(self.pid) - thread_cpu_seconds(self.pid, self.pid)) * 1e6 / settled if settled else 0


class SlowSync:
    """No server: one write and fdatasync on the same disk, and the delay that the servers called slow are given."""

    SAMPLES = 200
    BLOCK = 4096

    def __init__(self, context):
        self.path = os.path.join(context.scratch, "sync")

    def measure(self, _, runs):
        file = os.open(self.path, os.O_RDWR | os.O_CREAT)
        try:
            os.pwrite(file, bytes(self.SAMPLES * self.BLOCK), 0)
            os.fsync(file)
            times = []
            for block in range(self.SAMPLES):
                begin = time.monotonic_ns()
                os.pwrite(file, b"x" * self.BLOCK, block * self.BLOCK)
                os.fdatasync(file)
                times.append((time.monotonic_ns() - begin) / 1000)
        finally:
            os.close(file)
        runs.append({"p50_us": SYNC_DELAY_US + statistics.median(times)})

    def background_us_per_record(self):
        return 0

    def use(self):
        pass

    rest = finish = stop = use


def settler(pid):
    """The thread that settles: the one that asked to be less important. None before its first work."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8") as f:
            if int(f.read().rsplit(")", 1)[1].split()[16]) == SETTLER_NICE:
                return int(thread)
    return None


def pool(context):
    """Every server that a row may ask for, by name; none runs before it is used."""
    built = os.path.dirname(context.load)
    preload, slow = os.path.join(built, "quipu_slow_sync_preload.so"), os.path.join(built, "quipu_slow_sync")
    return {
        "none": lambda: Redis(context, "none", None),
        "always": lambda: Redis(context, "always", "always"),
        "lua": lambda: Redis(context, "lua", "always"),
        "quipu": lambda: Quipu(context, "quipu"),
        "quipu-uuid4": lambda: Quipu(context, "quipu-uuid4", token="uuid4"),
        "quipu-uuid4-many": lambda: Quipu(context, "quipu-uuid4-many", token="uuid4", tokens=context.many),
        "always-slow": lambda: Redis(context, "always-slow", "always", preload),
        "lua-slow": lambda: Redis(context, "lua-slow", "always", preload),
        "quipu-slow": lambda: Quipu(context, "quipu-slow", slow=slow),
        "sync-slow": lambda: SlowSync(context),
    }
