#!/usr/bin/python3
"""Quipu and Debian's redis-server in turn, in one run: every row of the goals, medians of interleaved rounds.

Usage: bench/run.py [--rows NAME,... | --all] [--list] [--rounds 3] [--seconds 2] [--smoke] [--update FILE]
                    [--tokens 10000000] [--keys 1000000] [--many 100000000] [--sustained 600]
                    [--quipu PATH] [--load PATH]

Without --rows or --all: the quick rows. Each server is pinned to CPU 0, the load generator (bench/load.cc) to CPU 1;
with one CPU both share it. A server is filled once, and stopped while another is measured. After every run what the
server counted must equal what was sent, so a server that drops work cannot look fast (a Redis is asked on one counter
only). CPU us each is the server's own (from /proc) by all that was sent: the steadiest figure. Of Quipu it is the
shard's thread (its request path) plus all other threads' CPU since the start by the records settled since then.
build/bench/latest.json keeps the latest runs of each row, with time and commit; latest.md their tables (trial.* where a
size was given that is not the row's own). --update writes those (goals, rates, figures) between the lines
<!-- goals --> and <!-- /goals --> and so on of a Markdown file. A missed goal is marked, and is no failure.
Exit: 0 measured, 1 a row failed, 2 usage.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
import traceback

import peers
import report
import rows


class Peers(dict):
    """Servers by name, each made when it is first asked for."""

    def __init__(self, context):
        super().__init__()
        self.makers = peers.pool(context)

    def __missing__(self, name):
        self[name] = self.makers[name]()
        return self[name]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", help="names, separated by commas")
    parser.add_argument("--all", action="store_true", help="the long rows too")
    parser.add_argument("--list", action="store_true", help="print the rows and their goals, measure nothing")
    parser.add_argument("--smoke", action="store_true", help="tiny: proves that it runs, measures nothing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--tokens", type=int, default=10_000_000, help="in the window before anything is measured")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--many", type=int, default=100_000_000, help="counters or tokens of the rows called so")
    parser.add_argument("--sustained", type=float, default=600, help="seconds of the sustained run")
    parser.add_argument("--update", metavar="FILE", action="append", default=[])
    parser.add_argument("--quipu", default=os.path.join(peers.ROOT, "build/release/quipu"))
    parser.add_argument("--load", default=os.path.join(peers.ROOT, "build/release/quipu_load"))
    context = parser.parse_args()
    context.warmup = 0.4
    context.full_size = all(getattr(context, name) == parser.get_default(name)
                            for name in ("tokens", "keys", "many", "sustained"))
    if context.smoke:
        context.rounds, context.seconds, context.warmup = 1, 0.1, 0.02
        context.tokens, context.keys, context.many, context.sustained = 10_000, 1000, 20_000, 0.6
    named = context.rows.split(",") if context.rows else None
    unknown = set(named or ()) - {row.name for row in rows.ROWS}
    if unknown:
        parser.error(f"no row is called {', '.join(sorted(unknown))}; --list shows them")
    context.rows = [row for row in rows.ROWS
                    if (row.name in named if named else row.quick or context.all or context.smoke)]
    return context


def list_rows(named):
    for row in named:
        print(f"{row.name}: {row.what}")
        for goal in row.goals:
            sign = "≤" if goal.at_most else "≥"
            print(f"    {goal.what} {sign} {goal.reach}" + (f", {goal.stretch}" if goal.stretch else ""))


def mark():
    """When, and of which commit."""
    git = ["git", "-C", peers.ROOT, "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "commit": commit}


def measure(context, results):
    """Every row that was asked for, kept in `results` as soon as it is measured: those that were, those that failed."""
    started, measured, failed = Peers(context), [], []
    try:
        for row in context.rows:
            print(f"{row.name}: {row.what}", file=sys.stderr, flush=True)
            try:
                measured.append((row, row.measure(context, started)))
            except Exception:  # the other rows are worth having
                traceback.print_exc(limit=-2)
                failed.append(row.name)
                continue
            print(report.goals_table(measured[-1:]), file=sys.stderr, flush=True)
            report.keep(results, measured[-1:], mark())
    finally:
        for peer in started.values():
            peer.stop()
    return measured, failed


def main():
    context = parse()
    if context.list:
        list_rows(context.rows)
        return 0
    work = os.path.join(peers.ROOT, "build/bench")
    context.scratch = os.path.join(work, "scratch")
    kept = "smoke.json" if context.smoke else "latest.json" if context.full_size else "trial.json"
    results = os.path.join(work, kept)
    shutil.rmtree(context.scratch, ignore_errors=True)  # of a run that was killed
    os.makedirs(context.scratch)
    try:
        measured, failed = measure(context, results)
    finally:
        shutil.rmtree(context.scratch, ignore_errors=True)
    print("\n".join(report.tables(measured).values()))
    latest = report.keep(results, [], {})
    all_rows = report.tables([(row, latest[row.name]["runs"]) for row in rows.ROWS if row.name in latest])
    with open(os.path.splitext(results)[0] + ".md", "w", encoding="utf-8") as f:
        f.write("\n".join(all_rows.values()))
    for path in context.update:
        report.update(path, all_rows)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
