"""The real server under load while its surroundings fail, one kind of fault a test: signals, syncs that fail, a full
disk, a memory limit, no free descriptors, a wall clock that leaps. Then exact equality in every way in which values can
be read, before and after a restart, and `quipu check` (support/judged.py).

Each test prints how often its fault happened, and fails if it never did. QUIPU_FAULT_SEED replays the draws."""
import collections
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import time

import pytest

import judges
import load
import resp
import server as servers
from faults import BULK, LIMIT_SECONDS, SEED, Bulk, MemoryGroup, SmallDisk, judge, traced
from judged import check_offline
from load import DIRECT, FAULTY, IMPATIENT

EXIT_IO = 74


@pytest.fixture(autouse=True)
def binary():
    judges.need("quipu")


@pytest.fixture
def shim(tmp_path):
    """The library of support/shim.c."""
    if not shutil.which("gcc"):
        judges.missing("gcc", "gcc is not installed: it makes the library that makes the faults")
    library = str(tmp_path / "shim.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, f"{load.SUPPORT}/shim.c", "-ldl"], check=True)
    return library


def state_of(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def test_sigterm_under_load_keeps_what_was_answered(tmp_path):
    server = servers.make("quipu", str(tmp_path)).start()
    with load.Proxy(server.port, SEED, 0.5) as proxy, \
         load.Clients(server.port, str(tmp_path), SEED, ways=(DIRECT, DIRECT, DIRECT, FAULTY), proxy=proxy) as clients:
        ends = 0
        for _ in range(10):
            clients.wait_for_more(server)
            assert server.stop() == 0, server.log()
            ends += 1
            server.start()
        proxy.share(0)
        judge(server, str(tmp_path), clients, "SIGTERM", f"{ends} drains under load")


def test_a_server_that_stands_still_for_a_while_loses_and_doubles_nothing(tmp_path):
    server = servers.make("quipu", str(tmp_path)).start()
    with load.Clients(server.port, str(tmp_path), SEED, ways=(DIRECT, DIRECT, IMPATIENT, IMPATIENT)) as clients:
        pauses = 0
        for seconds in (0.1, 0.3, 1, 2, 5):
            clients.wait_for_more(server)
            server.process.send_signal(signal.SIGSTOP)
            clients.wait_until(server, lambda: state_of(server.process) == "T")
            pauses += 1
            load.survive(server, seconds)
            server.process.send_signal(signal.SIGCONT)
        clients.wait_for_more(server)
        judge(server, str(tmp_path), clients, "SIGSTOP", f"{pauses} pauses of 0.1 to 5 s")


# The call that fails from its n-th time in a thread on, and what writes the journal: the journal's sync and its write.
# io_uring's writes are no calls of the system: the library makes them fail.
FAILING = [("fdatasync", 100, "thread"), ("pwrite64", 200, "thread"), ("io_uring", 200, "auto")]


@pytest.mark.parametrize("call,nth,backend", FAILING, ids=[f"{call}-{backend}" for call, _, backend in FAILING])
def test_a_failed_sync_or_write_fences_the_store_and_a_restart_recovers(call, nth, backend, tmp_path, shim):
    server = servers.make("quipu", str(tmp_path), flags=[f"--journal.backend={backend}"])
    plain, trace, count = list(server.command), tmp_path / "trace", tmp_path / "count"
    if call == "io_uring":
        server.environment = {"LD_PRELOAD": shim, "QUIPU_TEST_SUBMIT": str(nth), "QUIPU_TEST_COUNT": str(count)}
    else:
        server.command = failing(plain, call, nth, trace)
    server.start()
    with load.Clients(server.port, str(tmp_path), SEED) as clients:
        assert load.ends_within(server, LIMIT_SECONDS), "the failed call did not end the server"
        assert server.process.returncode == EXIT_IO, server.log()
        assert "store.fenced" in server.log()
        failed = count.stat().st_size if call == "io_uring" else trace.read_text().count("(INJECTED)")
        server.command, server.environment = plain, {}
        server.start()
        clients.wait_for_more(server)
        history = judge(server, str(tmp_path), clients, f"EIO {call}", f"{failed} calls failed")
    assert failed > 0
    # A write that failed under the add's own commit: nobody knows, and nobody was told otherwise.
    assert history.unknown > 0


def failing(command, call, nth, trace, files=()):
    """From the n-th time in a thread on the call fails, if on one of the files."""
    return traced(command, call, f"error=EIO:when={nth}+", trace, files)


def test_a_failed_sync_of_what_is_settled_ends_the_server_and_a_restart_recovers(tmp_path):
    server = servers.make("quipu", str(tmp_path)).start()
    assert server.stop() == 0  # what a new directory is made with is not meant
    plain, trace, settled = list(server.command), tmp_path / "trace", tmp_path / "data" / "settled"
    # Each settle writes a whole new MANIFEST; so does the start, with one of the next numbers.
    newest = max(int(name.rpartition("-")[2]) for name in os.listdir(settled) if name.startswith("MANIFEST-"))
    manifests = [settled / f"MANIFEST-{n:06}" for n in range(newest + 20, newest + 200)]
    server.command = failing(plain, "fdatasync", 1, trace, manifests)
    server.start()
    with load.Clients(server.port, str(tmp_path), SEED) as clients:
        clients.wait_for_more(server)
        bulk = server.connect()
        with pytest.raises((OSError, resp.Closed)):  # the settle, and with it the end
            for _ in range(1000):
                bulk.pipeline([["INCR", name] for name in BULK])
        assert load.ends_within(server, LIMIT_SECONDS), "the failed sync did not end the server"
        assert server.process.returncode == EXIT_IO and "store.fenced" in server.log(), server.log()
        failed = trace.read_text().count("(INJECTED)")
        server.command = plain
        server.start()
        clients.wait_for_more(server)
        server.connect().call("DEL", *BULK)
        judge(server, str(tmp_path), clients, "EIO on a MANIFEST", f"{failed} syncs failed")
    assert failed > 0


STARTS = [(call, n) for call, most in (("fdatasync", 12), ("fsync", 4), ("pwrite64", 10), ("rename", 3), ("openat", 60),
                                       ("unlink", 2), ("mkdir", 3)) for n in range(1, most + 1)]


def test_a_start_that_meets_a_failure_of_the_disk_says_so_and_the_next_one_loses_nothing(tmp_path):
    server = servers.make("quipu", str(tmp_path)).start()
    connection = server.connect()
    assert connection.call("QUIPU.ADD", "kept", 7, "TOKEN", "t") == [7, b"APPLIED"]
    server.kill()
    plain, ends = list(server.command), collections.Counter()
    for call, nth in STARTS:
        server.command = failing(plain, call, nth, tmp_path / "trace")
        server.launch()
        if server.wait_until_answers():
            server.kill()
        else:
            ends[server.process.returncode] += 1
            # Damage, the system, the disk: an error that is said. A library that cannot be loaded is 127.
            assert server.process.returncode in (65, 71, EXIT_IO, 127), f"{call} {nth}: {server.log()}"
    print(f"starts: {len(STARTS)} with a failing call, ended with {dict(ends)}")
    assert ends[EXIT_IO] > 5
    server.command = plain
    connection = server.start().connect()
    assert connection.call("QUIPU.ADD", "kept", 7, "TOKEN", "t") == [7, b"REPLAYED"]
    assert server.stop() == 0
    assert check_offline(str(tmp_path)) == []


@pytest.mark.parametrize("fill", [SmallDisk.fill_bytes, SmallDisk.fill_inodes], ids=["bytes", "inodes"])
def test_a_full_disk_refuses_adds_and_goes_on_without_a_restart_when_there_is_room(fill, tmp_path):
    with SmallDisk(str(tmp_path)) as disk:
        refuse_and_go_on(disk, fill, tmp_path)


def refuse_and_go_on(disk, fill, tmp_path):
    server = servers.make("quipu", disk.folder)
    server.log_path = str(tmp_path / "log")
    server.start()
    process, fills, refused = server.process, 0, 0
    with load.Clients(server.port, str(tmp_path), SEED) as clients:
        clients.wait_for_more(server)
        other, bulk = server.connect(), Bulk(server)
        for _ in range(2):
            ones = int(other.call("GET", "ones"))
            fill(disk)
            clients.wait_until(server, lambda: not bulk.add())
            seen = clients.refused()
            clients.wait_until(server, lambda: clients.refused() > seen)
            assert other.call("INCR", "other") == "OOM the disk or memory budget is used up"
            assert other.call("DEL", "never:there") in (0, "OOM the disk or memory budget is used up")
            assert int(other.call("GET", "ones")) >= ones > 0
            assert int(other.call("MGET", "ones", "other")[0]) >= ones
            assert [name for name, _ in other.call("QUIPU.TOP", 1, "PREFIX", "ones")] == [b"ones"]
            moment = other.pipeline([["MULTI"], ["GET", "ones"], ["PING"], ["EXEC"]])[-1]
            assert int(moment[0]) >= ones and moment[1] == "PONG"
            *_, refusal = other.pipeline([["MULTI"], ["INCR", "other"], ["GET", "ones"], ["EXEC"]])
            assert "OOM" in str(refusal) and other.call("GET", "other") is None
            assert other.pipeline([["MULTI"], ["INCR", "other"], ["DISCARD"]])[-1] == "OK"
            fills += 1
            disk.free()
            clients.wait_until(server, lambda: not isinstance(other.call("INCR", "room"), resp.Error))
            clients.wait_for_more(server)
        assert server.process is process
        other.call("DEL", "room")
        other.close()
        bulk.end()
        refused = judge(server, disk.folder, clients, f"full disk, {fill.__name__}", f"{fills} times full").refused
    assert refused > 0


MEMORY_MIB = 128
NEW_COUNTERS = 300_000
BATCH = 1000


def peak_memory_mib(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) >> 10


def test_new_counters_and_tokens_do_not_grow_the_memory_beyond_its_limit(tmp_path):
    with MemoryGroup(2 * MEMORY_MIB) as group:
        stay_within_memory(group, tmp_path)


def stay_within_memory(group, tmp_path):
    limit = group.reason or f"{group.mib} MiB"
    server = servers.make("quipu", str(tmp_path), flags=[f"--engine.memory={MEMORY_MIB}MiB"])

    server.before_exec = group.join
    server.start()
    chance = random.Random(SEED)
    deltas = [chance.randint(-2**32, 2**32) for _ in range(NEW_COUNTERS)]
    connection = server.connect()
    peaks = []
    for begin in range(0, NEW_COUNTERS, BATCH):
        todo = list(range(begin, begin + BATCH))
        while todo:  # a refusal promises that nothing happened
            replies = connection.pipeline([["QUIPU.ADD", f"new:{n}", deltas[n], "TOKEN", f"{SEED}-{n}"] for n in todo])
            errors = {n: reply for n, reply in zip(todo, replies) if isinstance(reply, resp.Error)}
            assert all(error.startswith(("OOM", "BUSY", "TRYAGAIN")) for error in errors.values()), errors
            todo = list(errors)
        if begin % (NEW_COUNTERS // 5) == 0:
            peaks.append(peak_memory_mib(server.process))
    peaks.append(peak_memory_mib(server.process))
    print(f"memory: {NEW_COUNTERS} new counters with tokens at engine.memory={MEMORY_MIB}MiB, limit {limit}: "
          f"peak MiB over time {peaks}; QUIPU_FAULT_SEED={SEED}")
    for _ in ("running on", "after a restart in order"):
        names = [f"new:{n}" for n in range(NEW_COUNTERS)]
        values = [int(v) for begin in range(0, NEW_COUNTERS, 10 * BATCH)
                  for v in connection.call("MGET", *names[begin:begin + 10 * BATCH])]
        assert values == deltas
        connection.close()
        assert peak_memory_mib(server.process) <= MEMORY_MIB * 5 // 4
        server.restart()
        connection = server.connect()
    connection.close()
    assert server.stop() == 0
    assert check_offline(str(tmp_path)) == []


DESCRIPTORS = 96
FLOOD = 200


def newest_segment(folder):
    return max(str(path) for path in (folder / "data" / "journal").rglob("*.log"))


def test_without_free_descriptors_those_who_are_there_go_on_and_others_are_refused(tmp_path):
    server = servers.make("quipu", str(tmp_path))

    def few_descriptors():
        servers.end_with_parent()
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))

    server.before_exec = few_descriptors
    server.start()
    with load.Clients(server.port, str(tmp_path), SEED) as clients:
        clients.wait_for_all(server)
        bulk = Bulk(server)
        flood = [resp.Connection(server.port) for _ in range(FLOOD)]
        answers = []
        for connection in flood:
            try:
                answers.append(connection.call("PING"))
            except (OSError, resp.Closed):
                answers.append("closed")
        refused = sum(answer != "PONG" for answer in answers)
        # Segments of the journal end and begin, and are settled, while no descriptor is left for a connection.
        for _ in range(2):
            segment = newest_segment(tmp_path)
            clients.wait_until(server, lambda: bulk.add() and newest_segment(tmp_path) != segment)
        for connection in flood:
            connection.close()
        clients.wait_until(server, server.answers)
        bulk.end()
        judge(server, str(tmp_path), clients, "descriptors", f"{refused} of {FLOOD} connections refused")
    assert refused > 0 and refused < FLOOD


HOUR = 3600


def test_a_wall_clock_that_leaps_by_hours_neither_loses_nor_doubles(tmp_path, shim):
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("q", 0))
    server = servers.make("quipu", str(tmp_path))
    server.environment = {"LD_PRELOAD": shim, "QUIPU_TEST_CLOCK": str(clock)}
    server.start()
    with load.Clients(server.port, str(tmp_path), SEED, words=["timeless"]) as clients:
        leaps, offset = 0, 0
        for n, hours in enumerate((3, -6, 9, -12, 1, 5)):
            clients.wait_for_more(server)
            offset += hours * HOUR
            with open(clock, "r+b") as file:
                file.write(struct.pack("q", offset))
            connection = server.connect()
            off = lambda: int(connection.call("TIME")[0]) - time.time()
            clients.wait_until(server, lambda: abs(off() - offset) < HOUR / 2)
            connection.close()
            leaps += 1
            if n % 2 == 1:
                clients.wait_for_more(server)
                server.kill()
                server.start()
        clients.wait_for_more(server)
        judge(server, str(tmp_path), clients, "clock", f"{leaps} leaps of 1 to 12 hours")
