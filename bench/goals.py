"""What a row is made of: cases, goals, and the verdict on what was measured."""
import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Case:
    """One load on one server. `hot` is one counter, otherwise all. `work`: plain, token, replay, get."""
    name: str
    server: str
    work: str
    pipeline: int
    connections: int = 50
    hot: bool = False


@dataclasses.dataclass(frozen=True)
class Goal:
    """One line of the table of goals. `reach` and `stretch` are at least or at most what is measured; None: not set."""
    what: str
    reach: float
    stretch: float | None = None
    at_most: bool = False

    def value(self, runs):
        """None where the run met nothing to measure."""
        values = self.values(runs)
        return statistics.median(values) if values else None

    def verdict(self, value):
        if value is None:
            return "not seen"
        fits = lambda limit: limit is not None and (value <= limit if self.at_most else value >= limit)
        return "stretch" if fits(self.stretch) else "met" if fits(self.reach) else "**missed**"


@dataclasses.dataclass(frozen=True)
class Ratio(Goal):
    """`metric` of one case by that of another, round by round: both of a round stood beside each other in time."""
    case: str = ""
    against: str = ""
    metric: str = "ops_per_s"

    def values(self, runs):
        return [a[self.metric] / b[self.metric] for a, b in zip(runs[self.case], runs[self.against])]


@dataclasses.dataclass(frozen=True)
class Figure(Goal):
    """`metric` of one case as it is."""
    case: str = ""
    metric: str = ""

    def values(self, runs):
        return [run[self.metric] for run in runs[self.case] if run[self.metric] is not None]


def middle(runs, metric):
    return statistics.median(run[metric] for run in runs)
