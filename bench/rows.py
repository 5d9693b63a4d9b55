"""The rows of the table of goals that are one load against another: cases, goals, and how they are measured.

A row's cases stand beside each other: a round runs each once, the next begins with another. Cases and goals are data;
docs/internals/performance.md says what each row means.
"""
import dataclasses
import sys

import long_rows
import size_rows
from goals import Case, Figure, Ratio

NONE, ALWAYS, LUA, QUIPU = "redis, no persistence", "redis, always", "redis Lua, always", "Quipu"


@dataclasses.dataclass(frozen=True)
class Paired:
    """A row of interleaved loads. `quick` rows are in `make bench`."""
    name: str
    what: str
    cases: list
    goals: list
    quick: bool = True

    def measure(self, context, peers):
        runs = {case.name: [] for case in self.cases}
        for case in self.cases:
            peer = peers[case.server]
            peer.use()
            peer.finish()
            peer.rest()
        for turn in range(context.rounds):
            # The order turns with the round, so that no case always follows the same other.
            first = turn % len(self.cases)
            for case in self.cases[first:] + self.cases[:first]:
                print(f"  round {turn + 1} of {context.rounds}: {case.name}", file=sys.stderr, flush=True)
                peers[case.server].use()
                peers[case.server].measure(case, runs[case.name])
                peers[case.server].rest()
        for case in self.cases:
            peers[case.server].use()
            peers[case.server].finish()
            background = peers[case.server].background_us_per_record()
            for run in runs[case.name]:
                if "path_us_per_op" in run:
                    run["us_per_op"] = run["path_us_per_op"] + run["records_per_op"] * background
            peers[case.server].rest()
        return runs


def adds(pipeline, connections=50):
    """Each server's add among a million counters; Quipu's and the script's with a fresh token."""
    return [Case(NONE, "none", "plain", pipeline, connections), Case(ALWAYS, "always", "plain", pipeline, connections),
            Case(LUA, "lua", "token", pipeline, connections), Case(QUIPU, "quipu", "token", pipeline, connections)]


def ratio(against, reach, stretch=None, case=QUIPU, what=None, **more):
    return Ratio(what or f"{case} / {against}", reach, stretch, case=case, against=against, **more)


def cpu(reach):
    return Figure("CPU us per add, settling included", reach, at_most=True, case=QUIPU, metric="us_per_op")


TOKENS_HOT, PLAIN_HOT = "Quipu, tokens, one counter", "Quipu, no tokens, one counter"
REPLAYED, RANDOM = "Quipu, replays", "Quipu, UUIDv4"

SYNC = "one sync"


def slow(connections):
    """At pipeline 1, every server with a millisecond more in each sync of its log."""
    return [Case(ALWAYS, "always-slow", "plain", 1, connections), Case(LUA, "lua-slow", "token", 1, connections),
            Case(QUIPU, "quipu-slow", "token", 1, connections), Case(SYNC, "sync-slow", "", 1)]


ROWS = [
    Paired("tokens-p16", "adds with tokens, pipeline 16", adds(16),
           [ratio(NONE, 1.2, 1.45), ratio(ALWAYS, 2.7, 3.3), ratio(LUA, 7, 9), cpu(0.85)]),
    Paired("tokens-p128", "adds with tokens, pipeline 128", adds(128),
           [ratio(NONE, 1.7, 2.1), ratio(ALWAYS, 2.7, 3.3), ratio(LUA, 12, 15), cpu(0.5)]),
    Paired("tokens-p1", "adds with tokens, pipeline 1, 50 connections", adds(1),
           [ratio(ALWAYS, 1.5, 1.75), ratio(LUA, 3),
            ratio(ALWAYS, 0.7, at_most=True, metric="p50_us", what="p50 of Quipu / p50 of redis, always")]),
    Paired("tokens-p1-200", "adds with tokens, pipeline 1, 200 connections",
           [case for case in adds(1, 200) if case.server != "lua"],
           [ratio(ALWAYS, 1.6, 1.85), ratio(NONE, 1.0)]),
    Paired("hot", "one hot counter, pipeline 16",
           [Case(QUIPU, "quipu", "token", 16), Case(TOKENS_HOT, "quipu", "token", 16, hot=True),
            Case(PLAIN_HOT, "quipu", "plain", 16, hot=True), Case(NONE, "none", "plain", 16, hot=True)],
           [ratio(QUIPU, 0.95, case=TOKENS_HOT), ratio(NONE, 1.0, case=PLAIN_HOT)]),
    Paired("get-p16", "GET, pipeline 16", [Case(NONE, "none", "get", 16), Case(QUIPU, "quipu", "get", 16)],
           [ratio(NONE, 2.5, 3)]),
    Paired("get-p128", "GET, pipeline 128", [Case(NONE, "none", "get", 128), Case(QUIPU, "quipu", "get", 128)],
           [ratio(NONE, 3.5, 4.5)]),
    Paired("replay", "replays of tokens of the whole window, pipeline 16",
           [Case(QUIPU, "quipu", "token", 16), Case(REPLAYED, "quipu", "replay", 16)],
           [ratio(QUIPU, 1.0, case=REPLAYED)]),
    Paired("uuid4", "random tokens (UUIDv4) in a window of such tokens, pipeline 16",
           [Case(QUIPU, "quipu", "token", 16), Case(RANDOM, "quipu-uuid4", "token", 16)],
           [ratio(QUIPU, 0.7, case=RANDOM)]),
    Paired("uuid4-many", "random tokens (UUIDv4), 100 million inside the horizon, pipeline 16",
           [Case(QUIPU, "quipu", "token", 16), Case(RANDOM, "quipu-uuid4-many", "token", 16)],
           [ratio(QUIPU, 0.7, case=RANDOM),
            Figure("peak memory / engine.memory", 1, at_most=True, case=RANDOM, metric="memory_share")], quick=False),
    Paired("slow-sync", "every sync 1 ms slower, pipeline 1, 50 connections", slow(50),
           [ratio(ALWAYS, 1.0), ratio(LUA, 1.0),
            ratio(SYNC, 2.5, at_most=True, metric="p50_us", what="p50 in syncs")], quick=False),
    Paired("slow-sync-200", "every sync 1 ms slower, pipeline 1, 200 connections", slow(200),
           [ratio(ALWAYS, 1.0), ratio(LUA, 1.0),
            ratio(SYNC, 2.5, at_most=True, metric="p50_us", what="p50 in syncs")], quick=False),
    *long_rows.ROWS,
    *size_rows.ROWS,
]
