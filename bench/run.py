#!/usr/bin/python3
"""Quipu and Debian's redis-server in turn, in one run: one table, medians of interleaved rounds.

Usage: bench/run.py [--smoke] [--rounds 3] [--seconds 2] [--update README.md] [--quipu PATH] [--load PATH]

Each server runs alone, pinned to CPU 0, the load generator (bench/load.cc) to CPU 1; with one CPU both share it. A
round goes through all servers, each with fresh data on the same disk. After every row on one counter the counter is
read: it must equal the adds that were sent, so a server that drops work cannot look fast. us/add is the server's own
CPU (user and system, from /proc) by all adds sent: the steadiest figure. Results in full: build/bench/results.json.
--update writes the table between the lines <!-- bench --> and <!-- /bench --> of a Markdown file.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "test/support"))
import resp  # noqa: E402
import server as servers  # noqa: E402
import tokens  # noqa: E402

SCRIPT = b"""if redis.call('SET', KEYS[2], 1, 'NX', 'EX', 10) then return redis.call('INCRBY', KEYS[1], ARGV[1]) end
return tonumber(redis.call('GET', KEYS[1]))"""
CONNECTIONS = 50
TICKS = os.sysconf("SC_CLK_TCK")


class Redis:
    """Debian's redis-server; its own retry-safe add is a script: SET token NX EX, and INCRBY if it was new."""

    def __init__(self, name, fsync):
        self.name, self.fsync = name, fsync

    def command(self, port, folder):
        return [*servers.redis_command(port, folder, durable=self.fsync is not None),
                "--auto-aof-rewrite-percentage", "0", *(["--appendfsync", self.fsync] if self.fsync else [])]

    def words(self, work, connection):
        if work == "plain":
            return ["INCRBY", "counter:{key}", "1"]
        digest = connection.call("SCRIPT", "LOAD", SCRIPT).decode()
        return ["EVALSHA", digest, "2", "counter:{key}", "{uuid7}", "1"]


class Quipu:
    """The binary under test, one shard, durability sync."""

    name = "Quipu, sync"

    def __init__(self, binary):
        self.binary = binary

    def command(self, port, folder):
        return servers.quipu_command(self.binary, port, folder, ["--engine.shards=1", "--log.level=warn"])

    def words(self, work, _):
        if work == "plain":
            return ["INCRBY", "counter:{key}", "1"]
        return ["QUIPU.ADD", "counter:{key}", "1", "TOKEN", "{uuid7}"]


def pinned(cpu):
    return ["taskset", "-c", str(cpu)] if (os.cpu_count() or 1) > 1 else []


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def lines_of_reply(connection, words):
    """How many lines one reply has, by asking once with a key and a token of its own."""
    fill = {"{key}": "probe", "{uuid7}": tokens.uuid7()}
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


def load(args, port, words, *options):
    done = subprocess.run([*pinned(1), args.load, "--port", str(port), *map(str, options), "--", *words],
                          capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout)


def measure(args, kind, rows, results):
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        command = lambda port: [*pinned(0), *kind.command(port, folder)]
        server = servers.Server(kind.name.replace(" ", "_"), command, folder).start()
        try:
            connection = server.connect()
            filled = set()
            for work, keys, pipeline in rows:
                words = kind.words(work, connection)
                lines = lines_of_reply(connection, words)
                if keys > 1 and keys not in filled:
                    load(args, server.port, ["INCRBY", "counter:{key}", "1"], "--keys", keys, "--once", f"0-{keys}",
                         "--pipeline", 128)
                    filled.add(keys)
                before = int(connection.call("GET", "counter:" + "0" * 12) or 0)
                cpu = cpu_seconds(server.process.pid)
                got = load(args, server.port, words, "--keys", keys, "--pipeline", pipeline, "--lines", lines,
                           "--connections", CONNECTIONS, "--seconds", args.seconds, "--warmup", args.warmup)
                got["us_per_op"] = (cpu_seconds(server.process.pid) - cpu) * 1e6 / got["sent"]
                if keys == 1:
                    counted = int(connection.call("GET", "counter:" + "0" * 12)) - before
                    if counted != got["sent"]:
                        raise RuntimeError(f"{kind.name}, {work}, pipeline {pipeline}: sent {got['sent']} adds, "
                                           f"counted {counted}")
                results.setdefault((work, keys, pipeline, kind.name), []).append(got)
            connection.close()
        finally:
            server.stop()


def short(n):
    return f"{n / 1e6:.2f}M" if n >= 1e6 else f"{n / 1e3:.0f}k" if n >= 1e4 else f"{n / 1e3:.1f}k"


def middle(runs, what):
    return statistics.median(run[what] for run in runs)


def cell(runs):
    rates = [run["ops_per_s"] for run in runs]
    return (f"**{short(statistics.median(rates))}** [{short(min(rates))}-{short(max(rates))}] "
            f"{middle(runs, 'p50_us') / 1000:.2f}/{middle(runs, 'p99_us') / 1000:.2f} {middle(runs, 'us_per_op'):.2f}")


def table(rows, kinds, results):
    base = "redis, fsync always"
    ours = [kind.name for kind in kinds if isinstance(kind, Quipu)]
    names = [kind.name for kind in kinds]
    lines = ["Each cell: **adds/s** [lowest-highest] p50/p99 ms of a batch, server CPU us/add.", "",
             "| add | counters | pipeline | " + " | ".join(names + [f"Quipu / {base}"] * len(ours)) + " |",
             "|---|---:|---:|" + "---:|" * (len(names) + len(ours))]
    what = {"plain": "INCRBY", "token": "with a token, retry-safe"}
    for row in rows:
        cells = [cell(results[(*row, name)]) for name in names]
        rates = {name: middle(results[(*row, name)], "ops_per_s") for name in names}
        cells += [f"{rates[name] / rates[base]:.1f}x" for name in ours]
        lines.append(f"| {what[row[0]]} | {row[1]:,} | {row[2]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def update(path, text):
    with open(path, encoding="utf-8") as f:
        before, rest = f.read().split("<!-- bench -->\n", 1)
        after = rest.split("<!-- /bench -->", 1)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{before}<!-- bench -->\n{text}<!-- /bench -->{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny: proves that it runs, measures nothing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--update", metavar="FILE")
    parser.add_argument("--quipu", default=os.path.join(ROOT, "build/release/quipu"))
    parser.add_argument("--load", default=os.path.join(ROOT, "build/release/quipu_load"))
    args = parser.parse_args()
    args.warmup = 0.05 if args.smoke else 0.4
    args.work = os.path.join(ROOT, "build/bench")
    args.scratch = os.path.join(args.work, "scratch")
    shutil.rmtree(args.scratch, ignore_errors=True)  # of a run that was killed
    os.makedirs(args.scratch)
    rounds, many, pipelines = (1, 1000, (16,)) if args.smoke else (args.rounds, 1_000_000, (1, 16, 128))
    args.seconds = 0.2 if args.smoke else args.seconds
    rows = [(work, keys, pipeline) for work in ("plain", "token") for keys in (1, many) for pipeline in pipelines]
    kinds = [Redis("redis, no persistence", None), Redis("redis, fsync always", "always"), Quipu(args.quipu)]
    results = {}
    for turn in range(rounds):
        # The order turns with the round, so that no server always follows the same other.
        for kind in kinds[turn % len(kinds):] + kinds[:turn % len(kinds)]:
            print(f"round {turn + 1} of {rounds}: {kind.name}", file=sys.stderr)
            measure(args, kind, rows, results)
    text = table(rows, kinds, results)
    print(text)
    with open(os.path.join(args.work, "results.json"), "w", encoding="utf-8") as f:
        names = ("add", "counters", "pipeline", "server")
        json.dump([dict(zip(names, key), runs=runs) for key, runs in results.items()], f, indent=1)
    if args.update:
        update(args.update, text)


if __name__ == "__main__":
    main()
