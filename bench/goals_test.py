#!/usr/bin/env python3
"""Do goals and tables say what was measured?"""
import dataclasses
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report  # noqa: E402
import rows  # noqa: E402
from goals import Figure, Ratio  # noqa: E402


@dataclasses.dataclass
class Row:
    name: str
    goals: list
    what: str = "a row"


RATES = {"ours": [{"ops_per_s": 30.0}, {"ops_per_s": 90.0}, {"ops_per_s": 20.0}],
         "theirs": [{"ops_per_s": 10.0}, {"ops_per_s": 100.0}, {"ops_per_s": 10.0}]}


class Goals(unittest.TestCase):
    def test_a_ratio_is_taken_within_a_round_and_then_the_median(self):
        goal = Ratio("ours / theirs", 1.5, 2.5, case="ours", against="theirs")
        self.assertEqual(goal.values(RATES), [3.0, 0.9, 2.0])
        self.assertEqual(goal.value(RATES), 2.0)

    def test_the_verdict_knows_both_directions_and_the_edge(self):
        at_least, at_most = Figure("rate", 4, 6), Figure("bytes", 64, 32, at_most=True)
        self.assertEqual([at_least.verdict(v) for v in (3.99, 4, 6)], ["**missed**", "met", "stretch"])
        self.assertEqual([at_most.verdict(v) for v in (64.1, 64, 32)], ["**missed**", "met", "stretch"])

    def test_what_a_run_did_not_meet_is_not_called_met(self):
        goal = Figure("ms", 1, at_most=True, case="ours", metric="moved")
        runs = {"ours": [{"moved": None}]}
        self.assertEqual(goal.verdict(goal.value(runs)), "not seen")
        self.assertIn("not seen", report.goals_table([(Row("r", [goal]), runs)]))

    def test_a_full_load_generator_is_told(self):
        run = {"ops_per_s": 5.0, "p50_us": 1, "p99_us": 2, "us_per_op": 1, "path_us_per_op": 1}
        text = report.rates_table([(Row("r", []), {"free": [{**run, "client_cores": 0.5}]}),
                                   (Row("s", []), {"busy": [{**run, "client_cores": 0.95}]})]).splitlines()
        self.assertNotIn("its own", text[2])
        self.assertIn("its own", text[3])

    def test_rows_have_names_of_their_own_and_goals(self):
        names = [row.name for row in rows.ROWS]
        self.assertEqual(len(names), len(set(names)))
        self.assertTrue(all(row.goals for row in rows.ROWS))


class Kept(unittest.TestCase):
    def test_a_row_measured_again_replaces_its_own_runs_only(self):
        goal = Ratio("ours / theirs", 1.5, case="ours", against="theirs")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.json")
            report.keep(path, [(Row("a", [goal]), RATES), (Row("b", [goal]), RATES)], {"commit": "1"})
            latest = report.keep(path, [(Row("b", [goal]), RATES)], {"commit": "2"})
            self.assertEqual({name: kept["commit"] for name, kept in latest.items()}, {"a": "1", "b": "2"})
            self.assertEqual(latest["a"]["goals"][0]["verdict"], "met")

    def test_an_update_changes_what_stands_between_its_lines(self):
        with tempfile.NamedTemporaryFile("w+", suffix=".md") as file:
            file.write("before\n<!-- goals -->\nold\n<!-- /goals -->\nafter\n")
            file.flush()
            report.update(file.name, {"goals": "new\n", "rates": "nowhere\n"})
            with open(file.name, encoding="utf-8") as f:
                self.assertEqual(f.read(), "before\n<!-- goals -->\nnew\n<!-- /goals -->\nafter\n")


if __name__ == "__main__":
    unittest.main()
