#!/usr/bin/python3
"""Many tokens inside the horizon: what they cost in memory and on disk, and how long the check of an old one takes.

Usage: bench/many_tokens.py [--tokens 100000000] [--memory 2GiB] [--counters 1000000] [--quipu PATH] [--load PATH]

Adds one event with a random (UUIDv4) token of its own per number, in ten parts, then asks again for tokens of the whole
range, picked at random: every one is old, most were dropped from memory. Of those asks it prints the median at one
connection and pipeline 1 beside the median of PING in the same way: the difference is what the check costs. The sum of
all counters must equal the adds that were sent, and stay the same through the asks: each is a replay.
"""
import argparse
import os
import shutil
import sys
import tempfile

import peers


def counted(connection, counters):
    total = 0
    for start in range(0, counters, 1000):
        keys = [f"counter:{key:012d}" for key in range(start, min(start + 1000, counters))]
        total += sum(int(value or 0) for value in connection.call("MGET", *keys))
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--counters", type=int, default=1_000_000)
    parser.add_argument("--quipu", default=os.path.join(peers.ROOT, "build/release/quipu"))
    parser.add_argument("--load", default=os.path.join(peers.ROOT, "build/release/quipu_load"))
    args = parser.parse_args()
    work = os.path.join(peers.ROOT, "build/bench")
    os.makedirs(work, exist_ok=True)
    folder = tempfile.mkdtemp(dir=work)
    flags = ["--engine.shards=1", "--log.level=warn", f"--engine.memory={args.memory}"]
    server = peers.servers.Server(
        "quipu_tokens", lambda port: [*peers.pinned(0), *peers.servers.quipu_command(args.quipu, port, folder, flags)],
        folder).start()
    try:
        pid = server.process.pid
        connection = server.connect()
        words = ["QUIPU.ADD", "counter:{key}", "1", "TOKEN", "{uuid4}"]
        base = ["--keys", args.counters]
        lines = peers.lines_of_reply(connection, [*words[:4], "{uuid7}"])
        connection.call("DEL", peers.FIRST)
        print("| tokens | adds/s | server us/add | memory | disk |\n|---:|---:|---:|---:|---:|")
        for part in range(10):
            first, end = args.tokens * part // 10, args.tokens * (part + 1) // 10
            cpu = peers.cpu_seconds(pid)
            got = peers.load(args, server.port, words, *base, "--once", f"{first}-{end}", "--lines", lines,
                           "--pipeline", 128)
            print(f"| {end:,} | {(end - first) / got['wall_s'] / 1e3:.0f}k | "
                  f"{(peers.cpu_seconds(pid) - cpu) * 1e6 / (end - first):.2f} | "
                  f"{peers.resident(pid) >> 20} MiB | {peers.disk(folder) >> 20} MiB |", flush=True)
        sent = counted(connection, args.counters)
        asked = ["--pick", f"0-{args.tokens}", "--lines", lines, "--seconds", 10]
        alone = peers.load(args, server.port, words, *base, *asked, "--connections", 1, "--pipeline", 1)
        ping = peers.load(args, server.port, ["PING"], "--connections", 1, "--pipeline", 1, "--seconds", 3)
        cpu = peers.cpu_seconds(pid)
        many = peers.load(args, server.port, words, *base, *asked, "--pipeline", 16)
        print(f"\nan old token, 1 connection: median {alone['p50_us']:.1f} us, p99 {alone['p99_us']:.1f} us; "
              f"PING {ping['p50_us']:.1f} us; the check {alone['p50_us'] - ping['p50_us']:.1f} us")
        print(f"old tokens, 50 connections, pipeline 16: {many['ops_per_s'] / 1e3:.0f}k/s, server "
              f"{(peers.cpu_seconds(pid) - cpu) * 1e6 / many['sent']:.2f} us each")
        print(f"peak memory {peers.resident(pid, 'VmHWM:') >> 20} MiB at engine.memory {args.memory}")
        after = counted(connection, args.counters)
        if sent != args.tokens or after != sent:
            sys.exit(f"counted {sent} of {args.tokens} adds, {after} after the asks")
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
