"""The verdict over a server on which there was load with ledgers (load.py): in every way in which values can be read,
on the running server and after a restart in order, and by `quipu check`."""
import collections
import os
import subprocess

import judge
import load
import read_paths

SAMPLE = 2000


class Judged:
    """Compares what is read with what the ledgers say; remembers the values of earlier rounds."""

    def __init__(self, server, chance, all_paths):
        self.server, self.chance, self.all_paths = server, chance, all_paths
        self.earlier, self.old_sample = {}, []
        self.figures = collections.Counter()

    def read(self, counters):
        if self.all_paths:
            found = read_paths.through_all(self.server, counters)
            self.figures["ways to read"] = len(found)
            return found["by_get"], read_paths.differences(found)
        connection = self.server.connect()
        values = read_paths.by_get(connection, sorted(counters))
        connection.close()
        return values, []

    def round(self, history, again):
        """`again` restarts the server in order."""
        found = history.violations()
        counters = history.counters() | {"never:touched"}
        sample = history.sample(self.chance, SAMPLE)
        for _ in ("running on", "after a restart in order"):
            values, differences = self.read(counters | set(self.earlier))
            found += differences
            found += judge.check_finals(history.ops, {c: values[c] for c in counters})
            found += [f"{c}: was {value} after its round, is {values[c]}" for c, value in self.earlier.items()
                      if values[c] != value]
            found += load.check_replays(self.server, sample + self.old_sample)
            again()
        self.earlier |= {c: values[c] for c in history.counters()}
        self.old_sample += self.chance.sample(sample, min(len(sample), 100))
        self.figures.update(history.figures())
        return found


def check_offline(folder):
    checked = subprocess.run([os.environ["QUIPU_BINARY"], "check", os.path.join(folder, "data")], capture_output=True,
                             text=True, timeout=load.FINISH_SECONDS)
    return [] if checked.returncode == 0 else [checked.stdout + checked.stderr]
