"""Rows about size: bytes in memory, on disk and in the journal; a hundred million counters; recovery; import."""
import ctypes
import os
import random
import subprocess
import time

from goals import Case, Figure
import peers

QUIPU = "Quipu"
MIB, GIB = 1 << 20, 1 << 30


class Sizes:
    """Differences between a million and eleven, so that what a server has anyway is not counted."""

    name, quick = "sizes", False
    what = "bytes of a counter, a token, an event"
    goals = [Figure("bytes of memory per hot counter", 120, at_most=True, case=QUIPU, metric="counter"),
             Figure("bytes of memory per token", 64, 32, at_most=True, case=QUIPU, metric="token"),
             Figure("bytes on disk per settled event with its token", 40, at_most=True, case=QUIPU, metric="disk"),
             Figure("bytes logged per add", 64, at_most=True, case=QUIPU, metric="logged")]

    def measure(self, context, _):
        peer = peers.Quipu(context, self.name, tokens=0)
        runs_dir = os.path.join(peer.folder, "data", "settled")
        try:
            peer.use()
            peer.wait_until_settled()
            few = peers.resident(peer.pid)
            peer.add_counters(context.keys, 11 * context.keys)
            peer.wait_until_settled()
            counter = (peers.resident(peer.pid) - few) / (10 * context.keys)
            first = context.tokens // 10
            before = peer.info()
            peer.add_tokens(first, pipeline=16)
            after = peer.info()
            if before["quipu_settled_position"] != after["quipu_settled_position"]:
                raise RuntimeError("a settle began while the bytes of the journal were counted")
            logged = (int(after["quipu_unsettled_bytes"]) - int(before["quipu_unsettled_bytes"])) / first
            peer.wait_until_settled()
            few, disk = peers.resident(peer.pid), peers.disk(runs_dir)
            peer.add_tokens(context.tokens)
            peer.wait_until_settled()
            run = {"counter": counter, "logged": logged, "token": (peers.resident(peer.pid) - few) / context.tokens,
                   "disk": (peers.disk(runs_dir) - disk) / context.tokens}
            run["figures"] = {"memory MiB at the end": peers.resident(peer.pid) / MIB,
                              "settled MiB on disk at the end": peers.disk(runs_dir) / MIB}
            return {QUIPU: [run]}
        finally:
            peer.stop()


class Frozen:
    """Stops one thread of a process, as a debugger does, until the process is killed."""

    SEIZE, INTERRUPT, ANY_THREAD = 0x4206, 0x4207, 0x40000000

    def __init__(self, thread):
        self.thread = thread
        libc = ctypes.CDLL(None, use_errno=True)
        for request in (self.SEIZE, self.INTERRUPT):
            if libc.ptrace(request, thread, None, None) != 0:
                raise OSError(ctypes.get_errno(), "ptrace of the settling thread")
        os.waitpid(thread, self.ANY_THREAD)

    def reap(self):
        os.waitpid(self.thread, self.ANY_THREAD)


class Recovery:
    """Settling keeps the tail short. Its thread is stopped, so that the tail is as long as the goal says."""

    name, quick = "recovery", False
    what = "start after kill -9 with an unsettled tail"
    goals = [Figure("million records a second", 4, 6, case=QUIPU, metric="rate")]

    def measure(self, context, _):
        peer, runs = peers.Quipu(context, self.name, tokens=0), []
        try:
            peer.use()
            if not context.smoke:
                # More than starts a settle, so that its thread is there.
                peer.add_counters(context.keys, 5 * context.keys)
                peer.wait_until_settled()
            settler = peers.settler(peer.pid)
            if settler is None and not context.smoke:
                raise RuntimeError("no thread settles")
            frozen = Frozen(settler) if settler else None
            peer.add_tokens(context.tokens)
            info = peer.info()
            peer.server.process.kill()
            if frozen:
                frozen.reap()
            peer.server.process.wait()
            seconds = peer.seconds_to_serve()
            durable, again = int(info["quipu_durable_position"]), int(peer.info()["quipu_durable_position"])
            records = durable - int(info["quipu_settled_position"])
            if again < durable:
                raise RuntimeError(f"position {again} after the start, {durable} before the kill")
            runs.append({"rate": records / seconds / 1e6,
                         "figures": {"records in the tail": records, "seconds to the first answer": seconds,
                                     "MiB of journal": int(info["quipu_unsettled_bytes"]) / MIB}})
            return {QUIPU: runs}
        finally:
            peer.stop()


class MemoryLimit:
    """A memory group of the process's own (cgroup v1), page cache included; where there is none, nothing limits."""

    ROOT = "/sys/fs/cgroup/memory"

    def __init__(self, limit):
        self.path, self.prefix = os.path.join(self.ROOT, f"quipu-bench-{os.getpid()}"), []
        try:
            os.mkdir(self.path)
            with open(os.path.join(self.path, "memory.limit_in_bytes"), "w", encoding="utf-8") as f:
                f.write(str(limit))
            self.prefix = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.path]
        except OSError:
            self.remove()

    def remove(self):
        if os.path.isdir(self.path):
            os.rmdir(self.path)


class ManyCounters:
    name, quick = "counters-many", False
    what = "100 million counters inside 16 GiB"
    LIMIT = 16 * GIB
    CASES = [Case("INCRBY", "", "plain", 16), Case("GET", "", "get", 16)]
    goals = [Figure("peak memory, GiB", 16, at_most=True, case="start", metric="peak_gib"),
             Figure("start of the idle store, s", 1, at_most=True, case="start", metric="seconds")]

    def measure(self, context, _):
        limit = MemoryLimit(self.LIMIT)
        peer = peers.Quipu(context, self.name, tokens=0, keys=context.many, before=limit.prefix)
        runs = {case.name: [] for case in self.CASES}
        try:
            begin = time.monotonic()
            peer.use()
            filled = time.monotonic() - begin
            for case in self.CASES:
                peer.measure(case, runs[case.name])
                run = runs[case.name][0]
                run["us_per_op"] = run["path_us_per_op"] + run["records_per_op"] * peer.background_us_per_record()
            peak = peers.resident(peer.pid, "VmHWM:") / GIB
            peer.wait_until_settled()
            peer.server.stop()
            seconds = peer.seconds_to_serve()
            last = f"counter:{context.many - 1:012d}"
            if int(peer.connection.call("GET", last) or 0) < 1:
                raise RuntimeError(f"{last} is gone after the start")
            runs["start"] = [{"peak_gib": peak, "seconds": seconds, "figures": {
                "counters": context.many, "seconds to fill and settle": filled,
                "limited by the system": bool(limit.prefix), "GiB on disk": peers.disk(peer.folder) / GIB}}]
            return runs
        finally:
            peer.stop()
            limit.remove()


class Import:
    name, quick = "import", False
    what = "quipu import of an access log, every line checked and counted"
    goals = [Figure("million lines a second", 1, case=QUIPU, metric="rate")]
    PATHS = 10_000

    def write_log(self, path, lines, seed):
        chance = random.Random(seed)
        paths = [f"/shop/item-{n}" for n in range(self.PATHS)]
        with open(path, "w", encoding="utf-8") as f:
            for n in range(lines):
                second = n * 3600 // lines
                f.write(f"192.0.2.{n % 250} - - [02/Mar/2026:08:{second // 60:02d}:{second % 60:02d} +0000] "
                        f'"GET {paths[chance.randrange(self.PATHS)]} HTTP/1.1" 200 {n % 40000} "-" "bench/{seed}"\n')

    def counted(self, peer):
        total = 0
        for first in range(0, self.PATHS, 1000):
            values = peer.connection.call("MGET", *(f"path:/shop/item-{n}" for n in range(first, first + 1000)))
            total += sum(int(value or 0) for value in values)
        return total

    def measure(self, context, _):
        peer, runs = peers.Quipu(context, self.name, tokens=0, keys=0), []
        log = os.path.join(context.scratch, "access.log")
        lines = context.tokens // 4
        try:
            peer.use()
            for turn in range(context.rounds):
                self.write_log(log, lines, turn)
                begin = time.monotonic()
                done = subprocess.run([*peers.pinned(1), context.quipu, "import", "--address",
                                       f"127.0.0.1:{peer.server.port}", "--format", "clf", "--key", "path:{path}",
                                       "--time", "time", log], capture_output=True, text=True, check=False,
                                      timeout=peers.LOAD_SECONDS_MAX)
                seconds = time.monotonic() - begin
                if done.returncode != 0:
                    raise RuntimeError(done.stderr)
                counted = self.counted(peer)
                if counted != lines * (turn + 1):
                    raise RuntimeError(f"{lines * (turn + 1)} lines imported, {counted} counted")
                runs.append({"rate": lines / seconds / 1e6, "figures": {"lines": lines, "seconds": seconds,
                                                                        "MiB of log": os.stat(log).st_size / MIB}})
            return {QUIPU: runs}
        finally:
            peer.stop()


ROWS = [Sizes(), Recovery(), Import(), ManyCounters()]
