#!/usr/bin/env python3
"""Does bench/cost.py object when it must?"""
import contextlib
import io
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cost  # noqa: E402


class Compare(unittest.TestCase):
    RECORD = {"add": 1000, "get": 400}

    def inside(self, counted):
        return cost.compare(counted, self.RECORD)[1]

    def test_what_stays_in_the_band_passes(self):
        self.assertTrue(self.inside({"add": 1049.0, "get": 381.0}))

    def test_a_case_that_costs_more_is_told(self):
        lines, inside = cost.compare({"add": 1051.0, "get": 400.0}, self.RECORD)
        self.assertFalse(inside)
        self.assertIn("costs more", lines[0])
        self.assertNotIn("costs", lines[1])

    def test_a_case_that_costs_less_is_to_be_recorded(self):
        lines, inside = cost.compare({"add": 1000.0, "get": 379.0}, self.RECORD)
        self.assertFalse(inside)
        self.assertIn("record it", lines[1])

    def test_a_case_too_many_or_too_few_is_told(self):
        self.assertFalse(self.inside({"add": 1000.0}))
        self.assertFalse(self.inside({"add": 1000.0, "get": 400.0, "set": 1.0}))

    def test_the_committed_record_has_its_facts_and_cases(self):
        facts, recorded = cost.read_record()
        self.assertEqual(set(facts), {"compiler", "machine"})
        self.assertIn("add_token_16", recorded)

    def test_a_patch_of_the_same_compiler_is_judged_and_another_one_is_not(self):
        facts, recorded = cost.read_record()
        version = facts["compiler"].split()[-1]
        double = {name: (2.0 * count, "") for name, count in recorded.items()}
        with mock.patch.object(cost.platform, "machine", lambda: facts["machine"]), \
                contextlib.redirect_stdout(io.StringIO()):
            with mock.patch.object(cost, "compiler", lambda: f"g++ (Elsewhere {version}-2) {version}"):
                self.assertEqual(cost.check(double), 1)
            with mock.patch.object(cost, "compiler", lambda: "g++ (Elsewhere 99.1-1) 99.1.0"):
                self.assertEqual(cost.check(double), 0)


if __name__ == "__main__":
    unittest.main()
