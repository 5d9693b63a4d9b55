#!/usr/bin/env python3
"""One client of a test with faults, in a process of its own: ledger_client.py PORT LEDGER SEED [PREFIX [WORD...]].

Before a batch is sent its adds are appended to LEDGER and synced; outcomes are appended after. When the connection
breaks, adds without an outcome are open: the client reconnects, asks which tokens the server knows (a MULTI block must
be known whole or not at all), and replays every open token until the answer is definite. A refusal that promises that
nothing happened is taken at its word: a token that was only ever refused must not be known. `stop` on stdin: resolve,
exit 0. Counters begin with PREFIX.

Words: `twice`, what is sent may arrive twice, so nothing is sent without a token; `impatient`, an answer that does not
come in time is given up, while the request is still under way, for longer each time until one has come; `timeless`,
tokens have no time inside.

Lines of the ledger, blanks between: S number counter delta token block time | R number value status time |
F number time error (a finding) | N number time error (refused: nothing happened) | U number time error (unknown) |
K token known (0, 1; before the replay) | G counter start end value (a read)
"""
import itertools
import os
import random
import select
import sys
import time

import resp
import tokens

COUNTERS = 24
BATCHES_WIDE = (1, 8, 64)
PATIENCE_SECONDS = 300.0  # against hanging
# Answers that promise that nothing happened, and those that promise nothing. Both invite the same token again.
REFUSED = ("LOADING", "TRYAGAIN", "BUSY", "OOM", "READONLY", "EXECABORT")
UNKNOWN = ("UNCERTAIN",)
AGAIN = REFUSED + UNKNOWN
STATUSES = (b"APPLIED", b"REPLAYED")


class Ledger:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")

    def note(self, *words):
        self.file.write(" ".join(str(w) for w in words) + "\n")

    def sync(self):
        self.file.flush()
        os.fsync(self.file.fileno())


class Client:
    def __init__(self, port, path, seed, prefix="", *words):
        self.port = port
        self.prefix = prefix
        self.twice = "twice" in words
        self.timeless = "timeless" in words
        self.first_patience = self.patience = 0.1 if "impatient" in words else PATIENCE_SECONDS
        self.name = f"c{seed}"
        self.random = random.Random(seed)
        self.ledger = Ledger(path)
        self.open = {}  # number -> (counter, delta, token, block); insertion order is sending order
        self.plain = set()  # numbers of adds without a token: their outcome is never asked again
        self.maybe = set()  # open numbers that an earlier attempt may have applied
        self.refused = set()  # open numbers that no attempt can have applied
        self.numbers = 0
        self.settled = []  # (counter, delta, token, value) to replay now and then
        self.connection = None
        self.stopping = False

    def token(self):
        return f"{self.random.getrandbits(128):032x}" if self.timeless else tokens.uuid7(self.random)

    def wait(self, seconds):
        """Passes time between attempts, and hears `stop`."""
        if select.select([] if self.stopping else [sys.stdin], [], [], seconds)[0]:
            self.stopping = True

    def audit(self):
        """One of the counters whose deltas are random; every third is a field of a hash."""
        n = self.random.randrange(COUNTERS)
        return f"{self.prefix}audit[{n}]" if n % 3 == 0 else f"{self.prefix}audit:{n}"

    def new(self, counter, delta, token, block=""):
        self.numbers += 1
        self.ledger.note("S", self.numbers, counter, delta, token or "-", block or "-", time.monotonic())
        self.open[self.numbers] = (counter, delta, token, block)
        if not token:
            self.plain.add(self.numbers)
        return self.numbers

    def add_command(self, number):
        counter, delta, token, _ = self.open[number]
        return ["QUIPU.ADD", counter, delta, "TOKEN", token] if token else ["INCR", counter]

    def heard(self, number, reply):
        counter, delta, token, _ = self.open[number]
        if isinstance(reply, resp.Error):
            self.heard_error(number, token, reply)
            return
        value, status = reply if token else (reply, b"APPLIED")
        status = status if isinstance(status, bytes) else status.encode()
        assert status in STATUSES, f"{counter} {token}: {reply!r}"
        self.ledger.note("R", number, value, status.decode(), time.monotonic())
        del self.open[number]
        if token and (len(self.settled) < 500 or self.random.random() < 0.02):
            self.settled.append((counter, delta, token, value))

    def heard_error(self, number, token, error):
        if not error.startswith(AGAIN):
            self.ledger.note("F", number, time.monotonic(), error)
            del self.open[number]
        elif error.startswith(UNKNOWN):
            self.ledger.note("U", number, time.monotonic(), error)
            self.maybe.add(number)
        else:
            self.ledger.note("N", number, time.monotonic(), error)
            if number not in self.maybe and not self.twice:
                self.refused.add(number)
            if not token:
                del self.open[number]

    def batch(self):
        """Random adds, one write; every tenth with a MULTI block over two counters, reads and replays mixed in."""
        r = self.random
        commands, on_reply = [], []
        for _ in range(r.choice(BATCHES_WIDE)):
            kind = r.random()
            if kind < 0.70:
                number = self.new(self.audit(), r.randint(-2**32, 2**32), self.token())
            elif kind < 0.90 or self.twice:
                number = self.new(f"{self.prefix}ones", 1, self.token())
            else:
                number = self.new(f"{self.prefix}plain:{self.name}", 1, "")
            commands.append(self.add_command(number))
            on_reply.append(lambda reply, n=number: self.heard(n, reply))
        if r.random() < 0.1:
            block = f"{self.name}.{self.numbers}"
            delta = r.randint(1, 2**32)
            pair = [self.new(self.audit(), d, self.token(), block) for d in (delta, -delta)]
            commands += [["MULTI"], *[self.add_command(n) for n in pair], ["EXEC"]]
            on_reply += [None, None, None, lambda replies, p=pair: self.heard_block(p, replies)]
        if r.random() < 0.2:
            counter = self.audit()
            commands.append(["GET", counter])
            on_reply.append(lambda v, c=counter, s=time.monotonic(): self.heard_read(c, s, v))
        if self.settled and r.random() < 0.2:
            counter, delta, token, value = r.choice(self.settled)
            commands.append(["QUIPU.ADD", counter, delta, "TOKEN", token])
            on_reply.append(lambda v, t=token, w=value: self.heard_replay(t, w, v))
            commands.append(["QUIPU.ADD", counter, delta + 1, "TOKEN", token])
            on_reply.append(lambda v, t=token: self.heard_conflict(t, v))
        self.ledger.sync()
        self.connection.send(b"".join(resp.encode(*c) for c in commands))
        for hear in on_reply:
            reply = self.connection.read()
            if hear:
                hear(reply)
        self.ledger.sync()

    def heard_block(self, pair, replies):
        for number, reply in zip(pair, replies if isinstance(replies, list) else [replies] * len(pair)):
            self.heard(number, reply)

    def heard_read(self, counter, start, value):
        if not isinstance(value, resp.Error):
            self.ledger.note("G", counter, start, time.monotonic(), int(value or 0))

    def heard_replay(self, token, value, reply):
        if isinstance(reply, resp.Error) and reply.startswith(AGAIN):
            return
        same = not isinstance(reply, resp.Error) and reply[0] == value and reply[1] in (b"REPLAYED", "REPLAYED")
        assert same, f"token {token}: first {value}, replayed {reply!r}"

    def heard_conflict(self, token, reply):
        refused = isinstance(reply, resp.Error) and reply.startswith(("TOKENCONFLICT", *AGAIN))
        assert refused, f"token {token}: {reply!r}"

    def ask(self, numbers):
        """Pairs of number and what QUIPU.TOKEN says. The tokens of a block are asked about in one moment: what was sent
        before the connection broke may still arrive meanwhile."""
        groups = [list(group) for _, group in itertools.groupby(numbers, lambda n: self.open[n][3] or n)]
        commands = []
        for group in groups:
            questions = [["QUIPU.TOKEN", self.open[n][0], self.open[n][2]] for n in group]
            commands += [["MULTI"], *questions, ["EXEC"]] if len(group) > 1 else questions
        replies = iter(self.connection.pipeline(commands))
        for group in groups:
            if len(group) > 1:
                *_, known = itertools.islice(replies, len(group) + 2)
                yield from zip(group, known if isinstance(known, list) else [known] * len(group))
            else:
                yield group[0], next(replies)

    def resolve(self):
        """Everything open gets its outcome. Adds without a token stay open for ever."""
        for number in [n for n in self.open if n in self.plain]:
            del self.open[number]
        waiting = list(self.open)
        for number, reply in self.ask(waiting):
            if isinstance(reply, resp.Error):
                assert reply.startswith(AGAIN), reply
                return
            self.ledger.note("K", self.open[number][2], int(reply is not None))
            if reply is not None and number in self.refused:
                self.ledger.note("F", number, time.monotonic(), "was refused, yet the token is known")
        for number, reply in zip(waiting, self.connection.pipeline([self.add_command(n) for n in waiting])):
            self.heard(number, reply)
        self.ledger.sync()

    def run(self):
        while not (self.stopping and not self.open):
            try:
                if not self.connection:
                    self.connection = resp.Connection(self.port, self.patience)
                if self.open:
                    self.resolve()
                    self.wait(0.01 if self.open else 0)
                elif not self.stopping:
                    self.batch()
                    self.patience = self.first_patience
                    self.wait(0)
            except (OSError, resp.Closed) as e:
                if isinstance(e, TimeoutError):
                    self.patience *= 2
                self.maybe.update(self.open)
                self.refused.clear()
                if self.connection:
                    self.connection.close()
                self.connection = None
                self.wait(0.02)


if __name__ == "__main__":
    Client(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:]).run()
