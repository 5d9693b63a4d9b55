"""The judge is judged: histories whose verdict is known, right ones and wrong ones."""
import random

from judge import Op, ReadBounds, allowed_finals, check_blocks, check_finals, check_ones, check_reads, read_bounds


def acked(*deltas, counter="c", ended=1.0):
    return [Op(counter, d, f"t{n}", 0.0, ended, "applied") for n, d in enumerate(deltas)]


def opened(*deltas):
    return [Op("c", d) for d in deltas]


def test_an_empty_history_allows_only_zero():
    assert allowed_finals([]) == {0}
    assert check_finals([], {"c": 0}) == []
    assert check_finals([], {"c": 1}) != []


def test_acknowledged_adds_sum_up_exactly():
    ops = acked(2, 3)
    assert check_finals(ops, {"c": 5}) == []
    for wrong in (4, 6):
        assert len(check_finals(ops, {"c": wrong})) == 1


def test_open_adds_allow_every_subset_and_nothing_between():
    ops = acked(10) + opened(5, -1, -1)
    valid = {8, 9, 10, 13, 14, 15}
    assert allowed_finals(ops) == valid
    for value in range(0, 30):
        assert (check_finals(ops, {"c": value}) == []) == (value in valid)


def test_a_failed_add_moves_no_bound_and_an_open_one_moves_one():
    failed = [Op("c", 7, "t", 0.0, 1.0, "failed")]
    assert read_bounds(failed, 2, 3) == (0, 0)
    assert read_bounds(failed + opened(4), 2, 3) == (0, 4)
    assert read_bounds(failed + opened(-4), 2, 3) == (-4, 0)


def test_an_add_counts_for_a_read_by_when_it_ended_and_was_sent():
    op = [Op("c", 5, "t", sent=2.0, ended=4.0, outcome="applied")]
    assert read_bounds(op, 0, 1) == (0, 0)
    assert read_bounds(op, 3, 5) == (0, 5)
    assert read_bounds(op, 5, 6) == (5, 5)
    assert check_reads(op, [("c", 5, 6, 5), ("c", 3, 5, 0)]) == []
    assert len(check_reads(op, [("c", 5, 6, 0), ("c", 0, 1, 5), ("c", 5, 6, 10)])) == 3


def test_bounds_of_many_reads_are_those_of_each_read():
    chance = random.Random(1)
    for _ in range(200):
        ops = []
        for n in range(chance.randrange(12)):
            op = Op("c", chance.randint(-9, 9), f"t{n}", sent=chance.randrange(10))
            op.outcome = chance.choice(["applied", "open", "failed"])
            if op.outcome != "open":
                op.ended = op.sent + chance.randrange(1, 5)
            ops.append(op)
        bounds = ReadBounds(ops)
        for start in range(12):
            for end in range(start, 12):
                assert bounds.at(start, end) == read_bounds(ops, start, end), (ops, start, end)


def test_a_token_left_open_fails_by_itself():
    assert check_finals([Op("c", 5, "t")], {"c": 5}) == ["c: token t was never resolved"]


def test_a_counter_nobody_added_to_must_read_zero_and_a_missing_read_fails():
    assert check_finals(acked(1), {"c": 1, "other": 3}) != []
    assert check_finals(acked(1), {}) != []


def ones(*values):
    return [Op("one", 1, f"t{n}", 0.0, 10.0, "applied", v) for n, v in enumerate(values)]


def test_returned_values_are_distinct_and_without_gap():
    assert check_ones(ones(2, 1, 3)) == []
    assert check_ones(ones(1, 2, 2)) != []
    assert check_ones(ones(1, 2, 4)) != []


def test_returned_values_follow_real_time():
    a = Op("one", 1, "a", sent=0.0, ended=1.0, outcome="applied", value=2)
    b = Op("one", 1, "b", sent=2.0, ended=3.0, outcome="applied", value=1)
    assert check_ones([a, b]) != []
    b.sent = 0.5
    assert check_ones([a, b]) == []


def test_half_a_block_is_found():
    block = [Op("a", 1, "t1", block="x"), Op("b", 1, "t2", block="x")]
    assert check_blocks(block, set()) == []
    assert check_blocks(block, {"t1", "t2"}) == []
    assert check_blocks(block, {"t2"}) == ["block x: 1 of 2 adds survived"]
