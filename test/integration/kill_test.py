"""kill -9 under load, judged for exact equality.

Clients in processes of their own keep synced ledgers (support/ledger_client.py). The server is killed at random
moments, some of them during recovery, and restarted on the same data. In the end every counter equals the sum of the
adds that were applied, replays return the first result, values of +1 adds are 1..n in the order of real time, reads
stayed in their bounds, MULTI blocks survived whole or not at all, and `quipu check` finds nothing. The same run over
fake servers with one fault each (support/fake_server.py) must fail: that proves the judge.

QUIPU_KILLS sets the number of kills (20), QUIPU_KILL_SEED replays the moments; the printed line names both.
"""
import os
import random
import subprocess
import sys

import pytest

import judge
import judges
import resp
import server as servers

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support")
KILLS = int(os.environ.get("QUIPU_KILLS", "20"))
CLIENTS = 4
SHARE_IN_RECOVERY = 0.2
FINISH_SECONDS = 120
# A kill waits until the clients have written this much since the last one (some 100 adds), on a slow machine as well;
# but no longer than this: a server that stands still must be killed too.
LEDGER_BYTES_PER_KILL = 20_000
STALL_SECONDS = 5
REPLAYED = (b"REPLAYED", "REPLAYED")


class Ledgers:
    """What all clients wrote down, merged."""

    def __init__(self, paths):
        self.ops, self.reads, self.known, self.failed = [], [], {}, []
        self.replayed = 0
        for path in paths:
            numbered = {}
            with open(path, encoding="utf-8") as lines:
                for line in lines:
                    self.take(numbered, line.rstrip("\n").split(" "), path)
            self.ops += numbered.values()

    def take(self, numbered, words, path):
        kind = words[0]
        if kind == "S":
            counter, delta, token, block, sent = words[2:]
            numbered[words[1]] = judge.Op(counter, int(delta), token if token != "-" else "", float(sent),
                                          block=block if block != "-" else "")
        elif kind == "R":
            op = numbered[words[1]]
            op.outcome, op.value, op.ended = "applied", int(words[2]), float(words[4])
            self.replayed += words[3] == "REPLAYED"
        elif kind == "F":
            numbered[words[1]].outcome = "failed"
            self.failed.append(f"{path}: {' '.join(words)}")
        elif kind == "K":
            self.known.setdefault(words[1], words[2] == "1")
        elif kind == "G":
            self.reads.append((words[1], float(words[2]), float(words[3]), int(words[4])))


def start_clients(port, folder, seed):
    paths = [os.path.join(folder, f"ledger{n}") for n in range(CLIENTS)]
    clients = [subprocess.Popen([sys.executable, f"{SUPPORT}/ledger_client.py", str(port), path, str(seed + n)],
                                stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for n, path in enumerate(paths)]
    return clients, paths


def stop_clients(clients):
    for client in clients:
        if client.poll() is None:
            client.stdin.write("stop\n")
            client.stdin.flush()
    return [client.communicate(timeout=FINISH_SECONDS)[1] for client in clients if client.wait(FINISH_SECONDS) != 0]


def survive(server, seconds):
    """Lets the server run; that it ends by itself is a finding."""
    try:
        raise AssertionError(f"server ended by itself with {server.process.wait(timeout=seconds)}:\n{server.log()}")
    except subprocess.TimeoutExpired:
        pass


def written(paths):
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))


def work_until_kill(server, clients, paths, seconds):
    """Load for `seconds`, and then until the ledgers show that it was load."""
    enough = written(paths) + LEDGER_BYTES_PER_KILL
    survive(server, seconds)
    for _ in range(STALL_SECONDS * 50):
        if written(paths) >= enough or all(client.poll() is not None for client in clients):
            return
        survive(server, 0.02)


def finals(server, counters):
    connection = server.connect()
    counters = sorted(counters)
    values = [int(v or 0) for v in connection.pipeline([["GET", c] for c in counters])]
    connection.close()
    return dict(zip(counters, values))


def check_replays(server, sample):
    """A sample of all applied tokens, sent once more: the first result, marked as a replay."""
    connection = server.connect()
    replies = connection.pipeline([["QUIPU.ADD", op.counter, op.delta, "TOKEN", op.token] for op in sample])
    connection.close()
    wrong = lambda op, reply: isinstance(reply, resp.Error) or reply[0] != op.value or reply[1] not in REPLAYED
    return [f"{op.counter}: token {op.token} returned {op.value}, replayed {reply!r}"
            for op, reply in zip(sample, replies) if wrong(op, reply)]


def run(server, folder, kills, seed):
    """Returns (violations, figures)."""
    chance = random.Random(seed)
    server.start()
    clients, paths = start_clients(server.port, folder, seed)
    in_recovery = 0
    try:
        for _ in range(kills):
            work_until_kill(server, clients, paths, chance.uniform(0.05, 0.6))
            server.kill()
            if chance.random() < SHARE_IN_RECOVERY:
                in_recovery += 1
                server.launch()
                try:
                    server.process.wait(timeout=chance.uniform(0.0, 0.03))
                except subprocess.TimeoutExpired:
                    pass
                server.kill()
            server.start()
        survive(server, 0.2)
        violations = stop_clients(clients)
    finally:
        for client in clients:
            if client.poll() is None:
                client.kill()
                client.communicate()
    history = Ledgers(paths)
    violations += history.failed
    counters = {op.counter for op in history.ops} | {"never:touched"}
    sample = [op for op in history.ops if op.token and op.outcome == "applied"]
    sample = chance.sample(sample, min(2000, len(sample)))
    for _ in ("running on", "after a restart in order"):
        violations += judge.check_finals(history.ops, finals(server, counters))
        violations += check_replays(server, sample)
        server.stop()
        server.start()
    violations += judge.check_ones([op for op in history.ops if op.counter == "ones"])
    violations += judge.check_reads(history.ops, history.reads)
    violations += judge.check_blocks([op for op in history.ops if op.token in history.known],
                                     {token for token, known in history.known.items() if known})
    figures = {"kills": kills + in_recovery, "in recovery": in_recovery, "adds": len(history.ops),
               "asked again": len(history.known), "found applied": history.replayed, "reads": len(history.reads),
               "blocks": len({op.block for op in history.ops if op.block}), "counters": len(counters)}
    return violations, figures


def report(name, seed, violations, figures):
    print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in figures.items()) +
          f"; QUIPU_KILLS={KILLS} QUIPU_KILL_SEED={seed} replays the moments; {len(violations)} violations")


def seed_of_run():
    return int(os.environ.get("QUIPU_KILL_SEED", random.SystemRandom().randint(1, 10**6)))


def test_every_add_counts_once_through_kills(tmp_path):
    judges.need("quipu")
    seed = seed_of_run()
    server = servers.make("quipu", str(tmp_path))
    violations, figures = run(server, str(tmp_path), KILLS, seed)
    assert server.stop() == 0, server.log()
    report("kill test", seed, violations, figures)
    assert violations == [], violations[:20]
    # A run that did too little proves nothing.
    assert figures["adds"] > 100 * KILLS and figures["asked again"] > KILLS and figures["reads"] > KILLS, figures
    checked = subprocess.run([os.environ["QUIPU_BINARY"], "check", str(tmp_path / "data")], capture_output=True,
                             text=True, timeout=FINISH_SECONDS)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("fault", ["none", "late-log", "lost-tokens", "phantom", "half-block", "todays-value",
                                   "swallow-conflict"])
def test_the_judge_finds_each_fault_and_only_faults(fault, tmp_path):
    command = lambda port: [sys.executable, f"{SUPPORT}/fake_server.py", str(port), str(tmp_path), fault]
    server = servers.Server("fake", command, str(tmp_path))
    violations, figures = run(server, str(tmp_path), 4, 42)
    server.kill()
    report(f"fake {fault}", 42, violations, figures)
    assert (violations == []) == (fault == "none"), violations[:5]
    if fault == "half-block":
        assert any(v.startswith("block ") for v in violations), violations[:5]
