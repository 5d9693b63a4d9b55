"""The real server under load while the system around it fails for a while: a file system that turns read-only, syncs
that take seconds, no descriptor for the journal's next file, an end for want of memory. Then exact equality in every
way in which values can be read, before and after a restart, and `quipu check` (support/judged.py).

Each test prints how often its fault happened, and fails if it never did. QUIPU_FAULT_SEED replays the draws."""
import os
import random
import signal

import pytest

import judges
import load
import resp
import server as servers
from faults import LIMIT_SECONDS, SEED, Bulk, MemoryGroup, SmallDisk, judge, traced
from load import DIRECT, IMPATIENT

EXIT_IO = 74


@pytest.fixture(autouse=True)
def binary():
    judges.need("quipu")


def test_a_file_system_that_turns_read_only_takes_no_adds_and_nothing_is_lost_when_it_is_mended(tmp_path):
    with SmallDisk(str(tmp_path)) as disk:
        if not disk.real:
            judges.missing("mount", "only root has a file system that can be made to fail")
        server = servers.make("quipu", disk.folder)
        server.log_path = str(tmp_path / "log")
        server.start()
        failures = blocked = starts = 0
        with load.Clients(server.port, str(tmp_path), SEED) as clients:
            for _ in range(3):
                clients.wait_for_more(server)
                disk.fail()
                failures += 1
                blocked += end_or_refuse(server, blocked)
                assert server.process.returncode == EXIT_IO, server.log()
                server.launch()
                assert not server.wait_until_answers(), "it serves what it cannot write"
                assert "Read-only file system" in server.log(), server.log()
                starts += 1
                disk.repair()
                server.start()
            clients.wait_for_more(server)
            history = judge(server, disk.folder, clients, "read-only",
                            f"{failures} times, {blocked} of them without a write under way; {starts} starts refused")
        assert history.unknown + history.refused > 0


def end_or_refuse(server, blocked):
    """A write that fails ends the server. Where the journal's next file cannot be made first it goes on and refuses,
    until it is stopped: true. `blocked`: how often that was so before."""
    for _ in range(LIMIT_SECONDS * 20):
        if load.ends_within(server, 0.05):
            assert "store.fenced" in server.log(), server.log()
            return False
        if server.log().count('"store.blocked"') > blocked:
            break
    else:
        raise AssertionError("it goes on where nothing can be written")
    try:
        connection = server.connect()
        assert int(connection.call("GET", "ones")) > 0
        assert connection.call("INCR", "other").startswith("TRYAGAIN")
        connection.close()
    except (OSError, resp.Closed):  # a write under way has failed meanwhile
        assert load.ends_within(server, LIMIT_SECONDS) and "store.fenced" in server.log(), server.log()
    server.stop()
    return True


def test_syncs_that_take_seconds_delay_answers_and_lose_nothing(tmp_path):
    server = servers.make("quipu", str(tmp_path), flags=["--journal.backend=thread"])
    plain, trace = list(server.command), tmp_path / "trace"
    server.command = traced(plain, "fdatasync", "delay_exit=2000000:when=40+60", trace)
    server.start()
    process = server.process
    with load.Clients(server.port, str(tmp_path), SEED, ways=(DIRECT, DIRECT, DIRECT, IMPATIENT)) as clients:
        delayed = lambda: trace.read_text().count("(DELAYED)")
        clients.wait_until(server, lambda: delayed() >= 4)
        assert server.process is process
        count = delayed()
        assert server.stop() == 0, server.log()
        server.command = plain
        server.start()
        judge(server, str(tmp_path), clients, "slow syncs", f"{count} syncs of 2 s")


def test_without_a_descriptor_for_the_next_segment_adds_are_refused_until_there_is_one(tmp_path):
    server = servers.make("quipu", str(tmp_path)).start()
    assert server.stop() == 0
    plain, trace = list(server.command), tmp_path / "trace"
    journal = next((tmp_path / "data" / "journal").rglob("*.log")).parent
    # The start opens the segment that is there; from then on one is laid out, and opened, for each that is full.
    files = [journal / "prepare.tmp", *(journal / f"{n:016}.log" for n in range(4, 9))]
    server.command = traced(plain, "openat", "error=EMFILE:when=2..5", trace, files)
    server.start()
    process = server.process
    with load.Clients(server.port, str(tmp_path), SEED) as clients:
        clients.wait_for_more(server)
        other, bulk = server.connect(), Bulk(server, refusal="TRYAGAIN")
        failed = lambda file: sum("(INJECTED)" in line and file in line for line in trace.read_text().splitlines())
        clients.wait_until(server, lambda: not bulk.add())
        ones = int(other.call("GET", "ones"))
        clients.wait_until(server, lambda: bulk.add() and failed("prepare.tmp") > 0 and failed(".log") > 1)
        assert int(other.call("GET", "ones")) >= ones > 0
        clients.wait_for_more(server)
        assert server.process is process
        assert all(word in server.log() for word in ("store.blocked", "(errno 24)", "store.unblocked")), server.log()
        other.close()
        bulk.end()
        # Other threads that open these files have calls to come that fail.
        opens = f"{failed('prepare.tmp')} and {failed('.log')} opens failed"
        assert server.stop() == 0, server.log()
        server.command = plain
        server.start()
        judge(server, str(tmp_path), clients, "no descriptors for the journal", opens)


MEMORY_MIB = 160
BATCH = 1000
COUNTERS_MAX = 1_000_000


def test_an_end_for_want_of_memory_loses_and_doubles_nothing(tmp_path):
    with MemoryGroup(MEMORY_MIB) as group:
        if group.reason:
            judges.missing("memory-group", group.reason)
        run_out_of_memory(group, tmp_path)


def run_out_of_memory(group, tmp_path):
    # What it may use is more than there is: so it learns of it by being killed.
    server = servers.make("quipu", str(tmp_path), flags=["--engine.memory=4GiB"])
    server.before_exec = group.join
    server.start()
    chance = random.Random(SEED)
    adds = []  # name, delta, token
    with load.Clients(server.port, str(tmp_path), SEED) as clients:
        clients.wait_for_more(server)
        bulk = server.connect()
        send = lambda some: bulk.pipeline([["QUIPU.ADD", name, delta, "TOKEN", token] for name, delta, token in some])
        with pytest.raises((OSError, resp.Closed)):
            while len(adds) < COUNTERS_MAX:
                begin = len(adds)
                adds += [(f"new:{n}:" + "x" * 600, chance.randint(-2**32, 2**32), f"{SEED}-{n}")
                         for n in range(begin, begin + BATCH)]
                send(adds[begin:])
        assert load.ends_within(server, LIMIT_SECONDS), "the connection broke, but the server runs"
        assert server.process.returncode == -signal.SIGKILL, server.log()
        killed = group.killed()
        server.before_exec = servers.end_with_parent
        server.start()
        bulk = server.connect()
        for begin in range(0, len(adds), BATCH):
            replies = send(adds[begin:begin + BATCH])
            assert all(reply[1] in (b"APPLIED", b"REPLAYED") for reply in replies), replies[:3]
        known = sum(reply[1] == b"REPLAYED" for reply in send(adds))
        assert known == len(adds)
        for begin in range(0, len(adds), BATCH):
            some = adds[begin:begin + BATCH]
            names = [name for name, _, _ in some]
            assert [int(v) for v in bulk.call("MGET", *names)] == [delta for _, delta, _ in some]
            assert bulk.call("DEL", *names) == len(some)
        bulk.close()
        clients.wait_for_more(server)
        judge(server, str(tmp_path), clients, "out of memory",
              f"{killed} killed in {group.mib} MiB with {len(adds)} new counters")
    assert killed > 0
