"""kill -9 under load, judged for exact equality.

Clients in processes of their own keep synced ledgers (support/ledger_client.py); most of them speak to the server
through a proxy that delays, cuts and doubles their connections (support/fault_proxy.py). The server is killed at random
moments and at the n-th call of the system of a chosen kind, some of the times in the midst of recovery, and started
again on the same data. Every so many kills, and in the end, the clients resolve what is open, and every counter, those
of earlier rounds too, must equal the sum of the adds that were applied, in every way it can be read, before a restart
and after it; replays return the first result, values of +1 adds are 1..n in the order of real time, reads stayed in
their bounds, MULTI blocks survived whole or not at all, and `quipu check` finds nothing. The same run over fake servers
with one fault each (support/fake_server.py) must fail: that proves the judge.

QUIPU_KILLS sets the number of kills (20), QUIPU_KILL_SEED replays the draws; the printed line names both.
"""
import collections
import os
import random
import shutil
import signal
import sys

import pytest

import judges
import load
import resp
import server as servers
from judged import Judged, check_offline
from load import DIRECT, FAULTY, TWICE

KILLS = int(os.environ.get("QUIPU_KILLS", "20"))
KILLS_PER_ROUND = 50
WAYS = (DIRECT, FAULTY, FAULTY, TWICE)
SHARE_FAULTY = 0.6
SHARE_IN_RECOVERY = 0.15
SHARE_AT_CALL = 0.5
# A kill waits until the clients have written this much since the last one (some 100 adds), on a slow machine as well;
# but no longer than this: a server that stands still must be killed too.
LEDGER_BYTES_PER_KILL = 20_000
STALL_SECONDS = 5
# Calls of the system that move data to the disk or to a client, and the largest n: the server is killed as the n-th
# begins. What happens once at a start or now and then has a small one.
CALLS = {"io_uring_enter": 400, "pwrite64": 400, "fdatasync": 400, "sendto": 400, "recvfrom": 400, "fsync": 6,
         "openat": 60, "rename": 3, "unlink": 4, "pread64": 40, "epoll_pwait2": 600}
# What each process is started with is drawn too.
BACKENDS = ("auto", "thread")
SHARDS = (1, 1, 2, 3)
FAULTS = ("delay", "fragment", "reset", "half-close", "twice")


class Killer:
    """Starts the server for one kill after the other, and counts how each came."""

    def __init__(self, server, chance, traced):
        self.server, self.chance, self.traced = server, chance, traced
        self.plain_command = list(server.command)
        self.at_calls = collections.Counter()
        self.in_recovery = self.total = 0
        self.call = None

    def prepare(self, share_at_call):
        """Chooses how the next process will end. strace is a grandchild (-D): the process that we start is the server,
        and no signal but the injected one comes from it."""
        command = list(self.plain_command)
        self.call = None
        if self.traced:
            command += [f"--journal.backend={self.chance.choice(BACKENDS)}",
                        f"--engine.shards={self.chance.choice(SHARDS)}"]
            if self.chance.random() < share_at_call:
                self.call = self.chance.choice(sorted(CALLS))
                n = int(CALLS[self.call] ** self.chance.random() + 0.5)
                command = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={self.call}",
                           "-e", f"inject={self.call}:signal=KILL:when={n}", *command]
        self.server.command = command

    def start(self, share_at_call):
        """Until it answers; it may be killed by its own plan before that, or by us."""
        while True:
            self.prepare(share_at_call)
            self.server.launch()
            if self.call is None and self.chance.random() < SHARE_IN_RECOVERY * share_at_call:
                load.ends_within(self.server, self.chance.uniform(0.0, 0.08))
                self.ended(recovering=True)
            elif self.server.wait_until_answers():
                return
            else:
                self.ended(recovering=True)

    def ended(self, recovering=False):
        """The process is gone, or is killed now."""
        if self.server.process.poll() is None:
            self.server.kill()
        elif self.call is None or self.server.process.returncode != -signal.SIGKILL:
            raise AssertionError(f"server ended by itself with {self.server.process.returncode}:\n{self.server.log()}")
        else:
            self.at_calls[self.call] += 1
        self.in_recovery += recovering
        self.total += 1

    def wait_for_load(self, clients, seconds):
        """Load for `seconds`, and then until the ledgers show that it was load; or until the plan has killed it."""
        enough = clients.written() + LEDGER_BYTES_PER_KILL
        if load.ends_within(self.server, seconds):
            return
        for _ in range(STALL_SECONDS * 50):
            if clients.written() >= enough or clients.all_ended() or load.ends_within(self.server, 0.02):
                return


def run(server, folder, kills, seed, real):
    """Returns (violations, figures). `real`: the binary, which can be traced, checked, and read in every way."""
    chance = random.Random(seed)
    killer = Killer(server, chance, traced=real)
    judged = Judged(server, chance, all_paths=real)
    faults = collections.Counter()
    violations = []

    def again():
        server.stop()
        if real:
            violations.extend(check_offline(folder))
        killer.start(share_at_call=0)

    killer.start(SHARE_AT_CALL)
    for number, begin in enumerate(range(0, kills, KILLS_PER_ROUND)):
        until = min(kills, begin + KILLS_PER_ROUND)
        with load.Proxy(server.port, seed + number, SHARE_FAULTY) as proxy, \
             load.Clients(server.port, folder, seed + 100 * number, f"r{number}.", WAYS, proxy) as clients:
            while killer.total < until:
                killer.wait_for_load(clients, chance.uniform(0.05, 0.3))
                killer.ended()
                killer.start(SHARE_AT_CALL)
            killer.ended()  # that process may still have had a call to die at
            killer.start(share_at_call=0)
            proxy.share(0)
            load.survive(server, 0.2)
            violations += clients.stop()
            faults.update(proxy.end())
        try:
            violations += judged.round(load.Ledgers(clients.paths), again)
        except resp.Closed as closed:
            load.ends_within(server, 5)
            ended = f"seed {seed}: {closed}; the server: {server.process.returncode}"
            raise AssertionError(f"{ended}\n{server.log()}") from closed
        for path in clients.paths:
            os.remove(path)
    figures = {"kills": killer.total, "in recovery": killer.in_recovery, **judged.figures}
    return violations, figures, killer.at_calls, faults


def report(name, seed, violations, figures, at_calls, faults):
    said = [", ".join(f"{count} {what}" for what, count in figures.items()),
            "killed at calls: " + ", ".join(f"{count} {call}" for call, count in sorted(at_calls.items())),
            "network: " + ", ".join(f"{count} {fault}" for fault, count in sorted(faults.items()))]
    print(f"{name}: {'; '.join(said)}; QUIPU_KILLS={KILLS} QUIPU_KILL_SEED={seed} replays the draws; "
          f"{len(violations)} violations")


def test_every_add_counts_once_through_kills(tmp_path):
    judges.need("quipu")
    if not shutil.which("strace"):
        judges.missing("strace", "strace is not installed")
    seed = load.seed_of_run("QUIPU_KILL_SEED")
    server = servers.make("quipu", str(tmp_path))
    violations, figures, at_calls, faults = run(server, str(tmp_path), KILLS, seed, real=True)
    assert server.stop() == 0, server.log()
    report("kill test", seed, violations, figures, at_calls, faults)
    assert violations == [], violations[:20]
    # A run that did too little proves nothing.
    under_load = figures["kills"] - figures["in recovery"]  # the others do not wait for load
    assert figures["adds"] > 100 * under_load and figures["asked again"] > under_load > 0, figures
    assert figures["reads"] > under_load or KILLS < 20, figures  # every tenth batch has one
    if KILLS >= 200:
        assert sum(at_calls.values()) > KILLS // 10 and len(at_calls) >= len(CALLS) * 2 // 3, at_calls
        assert figures["in recovery"] >= KILLS // 20, figures
        assert all(faults[fault] > KILLS // 20 for fault in FAULTS), faults


@pytest.mark.parametrize("fault", ["none", "late-log", "lost-tokens", "phantom", "half-block", "todays-value",
                                   "swallow-conflict", "false-refusal"])
def test_the_judge_finds_each_fault_and_only_faults(fault, tmp_path):
    fake = os.path.join(load.SUPPORT, "fake_server.py")
    command = lambda port: [sys.executable, fake, str(port), str(tmp_path), fault]
    server = servers.Server("fake", command, str(tmp_path))
    violations, *figures = run(server, str(tmp_path), 4, 42, real=False)
    server.kill()
    report(f"fake {fault}", 42, violations, *figures)
    assert (violations == []) == (fault == "none"), violations[:5]
    if fault == "false-refusal":
        assert any("was refused" in v for v in violations), violations[:5]
    if fault == "half-block":
        assert any(v.startswith("block ") for v in violations), violations[:5]
