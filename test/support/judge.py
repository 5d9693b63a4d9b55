"""The judge of a run with crashes: from what clients wrote down before sending and after hearing, what must be true.

An operation is one add: counter, delta, token ("" for a plain INCR), when it was sent and when its outcome came
(monotonic seconds, one machine), and the outcome: "applied" with the value it returned, "failed" for a definite error
that was never retried, "open" when nobody knows. Tokened adds are replayed until none is open, so their sums are exact;
open adds without a token leave a set of allowed values. Each check returns the violations it found, as sentences.
"""
import bisect
import dataclasses
import itertools
import math


@dataclasses.dataclass
class Op:
    counter: str
    delta: int
    token: str = ""
    sent: float = 0.0
    ended: float = math.inf
    outcome: str = "open"
    value: int = None
    block: str = ""


def allowed_finals(ops):
    """Every value the counter of `ops` may have at the end: sum of the applied plus any subset of the open."""
    values = {sum(op.delta for op in ops if op.outcome == "applied")}
    for op in ops:
        if op.outcome == "open":
            values |= {v + op.delta for v in values}
    return values


def check_finals(ops, finals):
    """`finals` maps every counter to the value read at the end. Tokened adds must all be resolved by then."""
    found = [f"{op.counter}: token {op.token} was never resolved" for op in ops if op.token and op.outcome == "open"]
    by_counter = group(ops)
    for counter in sorted(set(by_counter) | set(finals)):
        allowed = allowed_finals(by_counter.get(counter, []))
        if finals.get(counter) not in allowed:
            some = sorted(allowed)[:4]
            off = finals.get(counter, 0) - some[0]
            found.append(f"{counter}: reads {finals.get(counter)}, allowed {some}, off by {off}")
    return found


def read_bounds(ops, start, end):
    """What a read of these ops' counter between `start` and `end` may show, lowest and highest."""
    done = sum(op.delta for op in ops if op.outcome == "applied" and op.ended < start)
    other = [op.delta for op in ops if op.sent < end and op.outcome != "failed"
             and not (op.outcome == "applied" and op.ended < start)]
    return done + sum(min(d, 0) for d in other), done + sum(max(d, 0) for d in other)


class ReadBounds:
    """read_bounds for many reads of one counter: sums over sorted moments, one search a read."""

    def __init__(self, ops):
        done = [op for op in ops if op.outcome == "applied"]
        self.ended = Sums([(op.ended, op.delta) for op in done])
        self.ended_apart = Apart([(op.ended, op.delta) for op in done])
        self.sent_apart = Apart([(op.sent, op.delta) for op in ops if op.outcome != "failed"])

    def at(self, start, end):
        done = self.ended.before(start)
        # What had ended by `start` was sent before `end`: the others are all that were sent less those.
        return tuple(done + sent.before(end) - ended.before(start)
                     for sent, ended in zip(self.sent_apart.parts, self.ended_apart.parts))


class Sums:
    """Of (moment, delta): the sum of the deltas before a moment."""

    def __init__(self, pairs):
        pairs = sorted(pairs)
        self.moments = [moment for moment, _ in pairs]
        self.sums = [0, *itertools.accumulate(delta for _, delta in pairs)]

    def before(self, moment):
        return self.sums[bisect.bisect_left(self.moments, moment)]


class Apart:
    """The same for the negative deltas and for the positive ones."""

    def __init__(self, pairs):
        self.parts = (Sums([(m, min(d, 0)) for m, d in pairs]), Sums([(m, max(d, 0)) for m, d in pairs]))


def check_reads(ops, reads):
    """`reads` are (counter, start, end, value)."""
    found = []
    by_counter = group(ops)
    bounds = {}
    for counter, start, end, value in reads:
        if counter not in bounds:
            bounds[counter] = ReadBounds(by_counter.get(counter, []))
        low, high = bounds[counter].at(start, end)
        if not low <= value <= high:
            found.append(f"{counter}: a read showed {value}, allowed {low}..{high}")
    return found


def check_ones(ops):
    """Adds of +1 that return the value after, all resolved: 1..n without gap or repeat, in the order of real time."""
    found = []
    applied = sorted((op for op in ops if op.outcome == "applied"), key=lambda op: op.value)
    values = [op.value for op in applied]
    if values != list(range(1, len(values) + 1)):
        wrong = next(i for i, v in enumerate(values) if v != i + 1)
        found.append(f"{applied[wrong].counter}: returned values are not 1..{len(values)}: {values[wrong]} is number "
                     f"{wrong + 1}")
    latest_start = -math.inf
    for op in applied:
        # latest_start: when the last of the smaller values was sent. It must not lie after this one's end.
        if op.ended < latest_start:
            found.append(f"{op.counter}: {op.value} had ended before a smaller value was sent")
        latest_start = max(latest_start, op.sent)
    return found


def check_blocks(ops, applied_tokens):
    """After a crash, before any replay: of a MULTI block all tokens were known or none."""
    found = []
    blocks = {}
    for op in ops:
        if op.block:
            blocks.setdefault(op.block, []).append(op.token in applied_tokens)
    for block, states in blocks.items():
        if any(states) and not all(states):
            found.append(f"block {block}: {sum(states)} of {len(states)} adds survived")
    return found


def group(ops):
    by_counter = {}
    for op in ops:
        by_counter.setdefault(op.counter, []).append(op)
    return by_counter
