"""Load with ledgers: clients in processes of their own (ledger_client.py), some of them behind a proxy that makes
faults (fault_proxy.py), and what they wrote down, merged for the judge."""
import json
import os
import random
import subprocess
import sys

import judge
import resp
import server as servers

SUPPORT = os.path.dirname(os.path.abspath(__file__))
FINISH_SECONDS = 300  # against hanging
REPLAYED = (b"REPLAYED", "REPLAYED")
DIRECT, IMPATIENT, FAULTY, TWICE = "direct", "impatient", "faulty", "twice"


class Proxy:
    """The process of fault_proxy.py in front of `port`. Use as a context."""

    def __init__(self, port, seed, share):
        self.ports = {FAULTY: servers.free_port(), TWICE: servers.free_port()}
        self.process = subprocess.Popen(
            [sys.executable, f"{SUPPORT}/fault_proxy.py", str(seed), str(port), str(self.ports[FAULTY]),
             f"{self.ports[TWICE]}:twice"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=servers.end_with_parent)
        assert self.process.stdout.readline() == "listening\n"
        self.share(share)

    def share(self, share):
        """Of the connections from now on so many are faulty."""
        self.process.stdin.write(f"share {share}\n")
        self.process.stdin.flush()

    def end(self):
        """How often each fault happened."""
        return json.loads(self.process.communicate("end\n", timeout=FINISH_SECONDS)[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Clients:
    """One process for each element of `ways` (DIRECT, IMPATIENT, FAULTY or TWICE). Use as a context: what is left over
    at the end of it is killed. `words`: see ledger_client.py."""

    def __init__(self, port, folder, seed, prefix="", ways=(DIRECT,) * 4, proxy=None, words=()):
        self.paths = [os.path.join(folder, f"ledger.{prefix}{n}") for n in range(len(ways))]
        self.processes = []
        for n, (way, path) in enumerate(zip(ways, self.paths)):
            to = str(proxy.ports[way] if way in (FAULTY, TWICE) else port)
            command = [sys.executable, f"{SUPPORT}/ledger_client.py", to, path, str(seed + n), prefix, way, *words]
            self.processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                                   preexec_fn=servers.end_with_parent))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def all_ended(self):
        return all(process.poll() is not None for process in self.processes)

    def written(self):
        """Bytes of all ledgers: by it one sees that there was load."""
        return sum(os.path.getsize(path) for path in self.paths if os.path.exists(path))

    def refused(self):
        """Answers so far that promise that nothing happened."""
        count = 0
        for path in self.paths:
            with open(path, "rb") as ledger:
                count += ledger.read().count(b"\nN ")
        return count

    def wait_for_more(self, server, size=50_000):
        """Until so many bytes more are in the ledgers."""
        enough = self.written() + size
        self.wait_until(server, lambda: self.written() >= enough)

    def wait_for_all(self, server):
        """Until each client has been answered."""
        def answered(path):
            with open(path, "rb") as ledger:
                return b"\nR " in ledger.read()

        self.wait_until(server, lambda: all(os.path.exists(path) and answered(path) for path in self.paths))

    def wait_until(self, server, condition):
        """While the server runs and there is load."""
        for _ in range(FINISH_SECONDS * 50):
            if condition():
                return
            assert not self.all_ended(), self.stop()
            survive(server, 0.02)
        raise AssertionError(f"nothing came of it in {FINISH_SECONDS} s:\n{server.log()}")

    def stop(self):
        """Lets each resolve what is open. What went wrong."""
        for process in self.processes:
            if process.poll() is None:
                process.stdin.write("stop\n")
                process.stdin.flush()
        return [process.communicate(timeout=FINISH_SECONDS)[1] for process in self.processes
                if process.wait(FINISH_SECONDS) != 0]


class Ledgers:
    """What all clients wrote down, merged."""

    def __init__(self, paths):
        self.ops, self.reads, self.known, self.failed = [], [], {}, []
        self.replayed = self.refused = self.unknown = 0
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
        elif kind == "N":
            op = numbered[words[1]]
            op.outcome = op.outcome if op.token else "failed"
            self.refused += 1
        elif kind == "U":
            self.unknown += 1
        elif kind == "F":
            numbered[words[1]].outcome = "failed"
            self.failed.append(f"{path}: {' '.join(words)}")
        elif kind == "K":
            self.known.setdefault(words[1], words[2] == "1")
        elif kind == "G":
            self.reads.append((words[1], float(words[2]), float(words[3]), int(words[4])))

    def counters(self):
        return {op.counter for op in self.ops}

    def violations(self):
        """Of everything but the final values."""
        found = list(self.failed)
        found += judge.check_ones([op for op in self.ops if op.counter.endswith("ones")])
        found += judge.check_reads(self.ops, self.reads)
        found += judge.check_blocks([op for op in self.ops if op.token in self.known],
                                    {token for token, known in self.known.items() if known})
        return found

    def sample(self, chance, size):
        """Of the applied adds with a token."""
        applied = [op for op in self.ops if op.token and op.outcome == "applied"]
        return chance.sample(applied, min(size, len(applied)))

    def figures(self):
        return {"adds": len(self.ops), "asked again": len(self.known), "found applied": self.replayed,
                "reads": len(self.reads), "blocks": len({op.block for op in self.ops if op.block})}


def check_replays(server, sample):
    """Applied tokens, sent once more: the first result, marked as a replay."""
    connection = server.connect()
    replies = connection.pipeline([["QUIPU.ADD", op.counter, op.delta, "TOKEN", op.token] for op in sample])
    connection.close()
    wrong = lambda op, reply: isinstance(reply, resp.Error) or reply[0] != op.value or reply[1] not in REPLAYED
    return [f"{op.counter}: token {op.token} returned {op.value}, replayed {reply!r}"
            for op, reply in zip(sample, replies) if wrong(op, reply)]


def seed_of_run(variable):
    return int(os.environ.get(variable, random.SystemRandom().randint(1, 10**6)))


def ends_within(server, seconds):
    try:
        server.process.wait(timeout=seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def survive(server, seconds):
    """Lets the server run; that it ends by itself is a finding."""
    assert not ends_within(server, seconds), f"ended by itself with {server.process.returncode}:\n{server.log()}"
