"""Rows of one server over minutes: a sustained load, and what settling does to the answers meanwhile."""
import bisect
import statistics
import threading
import time

from goals import Case, Figure
import peers

QUIPU = "Quipu"
TOKENS = Case(QUIPU, "", "token", 16)
GIB = 1 << 30


class Watch(threading.Thread):
    """Samples a server while it is loaded: the settler's CPU, the journal not yet settled, memory."""

    EVERY = 0.05
    INFO_EVERY = 20  # samples

    def __init__(self, peer):
        super().__init__(daemon=True)
        self.peer, self.over = peer, threading.Event()
        self.times, self.settler_s, self.unsettled, self.resident = [], [], [0], [0]

    def run(self):
        pid, connection, settler = self.peer.pid, self.peer.server.connect(), None
        while not self.over.wait(self.EVERY):
            settler = settler or peers.settler(pid)
            self.settler_s.append(peers.thread_cpu_seconds(pid, settler) if settler else 0)
            self.times.append(time.monotonic_ns())
            if len(self.times) % self.INFO_EVERY == 0:
                info = self.peer.info(connection)
                self.unsettled.append(int(info["quipu_unsettled_bytes"]))
                self.resident.append(peers.resident(pid))
        connection.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def settling(self, begin_ns, end_ns):
        """The settler's share of a core between two times; None where no sample was taken."""
        first, last = bisect.bisect_left(self.times, begin_ns), bisect.bisect_right(self.times, end_ns) - 1
        if last <= first:
            return None
        return (self.settler_s[last] - self.settler_s[first]) * 1e9 / (self.times[last] - self.times[first])


def loaded(context, name, seconds, *options):
    """One Quipu with its window full, loaded for a while: the run, and what was seen meanwhile."""
    peer, runs = peers.Quipu(context, name), []
    try:
        peer.use()
        with Watch(peer) as watch:
            peer.measure(TOKENS, runs, *options, seconds=seconds)
        runs[0]["us_per_op"] = runs[0]["path_us_per_op"] + peer.background_us_per_record()
        return runs, watch
    finally:
        peer.stop()


class Sustained:
    name, quick = "sustained", False
    what = "sustained load, pipeline 16, settling and retention running"
    goals = [Figure("slowest interval / first tenth of the run", 0.8, case=QUIPU, metric="slowest_share"),
             Figure("p99.9 ms", 20, at_most=True, case=QUIPU, metric="p999_ms"),
             Figure("largest unsettled journal, GiB", 1, at_most=True, case=QUIPU, metric="unsettled_gib"),
             Figure("peak memory / engine.memory", 1, at_most=True, case=QUIPU, metric="memory_share")]

    def measure(self, context, _):
        seconds = context.sustained
        runs, watch = loaded(context, self.name, seconds, "--interval", seconds / 60)
        run = runs[0]
        rates = [operations * 60 / seconds for _, operations, *_ in run["intervals"]]
        run["slowest_share"] = min(rates) / statistics.mean(rates[:6])
        run["p999_ms"] = run["p999_us"] / 1000
        run["unsettled_gib"] = max(watch.unsettled) / GIB
        run["memory_share"] = max(watch.resident) / peers.engine_memory()
        run["figures"] = {"seconds": seconds, "slowest interval a second": min(rates),
                          "slowest interval's p99.9 ms": max(i[4] for i in run["intervals"]) / 1000,
                          "memory MiB at the end": watch.resident[-1] / (1 << 20),
                          "unsettled MiB at the end": watch.unsettled[-1] / (1 << 20)}
        return {QUIPU: runs}


class Checkpoint:
    """The load is paced: at full speed the p99 is that of a full core, settling or not."""

    name, quick = "checkpoint", False
    what = "adds with tokens at a steady 200k a second, pipeline 16"
    goals = [Figure("ms that the p99 is higher while settling", 1, at_most=True, case=QUIPU, metric="p99_moved_ms")]
    RATE = 200_000
    INTERVAL = 0.25
    SECONDS_MAX = 90

    def measure(self, context, _):
        seconds = min(context.sustained, self.SECONDS_MAX)
        runs, watch = loaded(context, self.name, seconds, "--interval", self.INTERVAL, "--rate", self.RATE)
        p99 = {True: [], False: []}
        for end_ns, _, _, p99_us, _ in runs[0]["intervals"]:
            share = watch.settling(end_ns - int(self.INTERVAL * 1e9), end_ns)
            if share is not None and not 0.01 < share < 0.1:
                p99[share >= 0.1].append(p99_us / 1000)
        seen = all(p99.values())
        runs[0]["p99_moved_ms"] = statistics.median(p99[True]) - statistics.median(p99[False]) if seen else None
        runs[0]["figures"] = {f"{what}, quarters of a second": len(p99[which]) for what, which in
                              (("settling", True), ("not settling", False))}
        for what, which in (("settling", True), ("not settling", False)):
            if p99[which]:
                runs[0]["figures"][f"p99 ms, {what}"] = statistics.median(p99[which])
        return {QUIPU: runs}


ROWS = [Sustained(), Checkpoint()]
