"""Taking turns: the machine drifts, so the libraries are measured in rounds, each once per round, and figures that
compare two of them are medians over the rounds of their ratio within a round."""

import dataclasses
import statistics

from common.members import Members, Turn
from comparison.libraries import LIBRARIES, Library
from comparison.sizes import KIB, MIB, shown


@dataclasses.dataclass(frozen=True)
class Contestant:
    name: str
    library: Library
    members: Members
    variant: str

    def turn(self, size, warmup, iterations, in_place, check=False) -> Turn:
        return self.members.measure(self.library.bytes_of(size), warmup, iterations, self.variant, in_place, check)


@dataclasses.dataclass
class Series:
    """The turns of a contestant at one size, one per round."""

    variant: str
    bytes: int
    turns: list = dataclasses.field(default_factory=list)

    @property
    def times_us(self):
        return [statistics.median(turn.times_us) for turn in self.turns]

    @property
    def median_us(self):
        return statistics.median(self.times_us)

    @property
    def p95_us(self):
        samples = sorted(time for turn in self.turns for time in turn.times_us)
        return samples[int(0.95 * (len(samples) - 1) + 0.5)]

    @property
    def cpu_us(self):
        """Per call, all processes of the library together; None where it is not known."""
        return [turn.cpu_us for turn in self.turns]

    @property
    def median_cpu_us(self):
        return None if None in self.cpu_us else statistics.median(self.cpu_us)

    def busbw(self, world):
        return self.bytes / self.median_us / 1e3 * 2 * (world - 1) / world


def iterations_for(size):
    """Calls per turn, and turns at most: about a tenth of a second a turn, fewer turns when calls are long."""
    if size <= 64 * KIB:
        return 100, 15
    if size <= 4 * MIB:
        return 12, 9
    return (3, 7) if size <= 64 * MIB else (2, 5)


def rotated(items, by):
    return items[by % len(items):] + items[:by % len(items)]


def fast_enough(first_times, margin):
    """Those that are not far behind the best variant of their library."""
    best = {}
    for contestant, time in first_times.items():
        best[contestant.name] = min(time, best.get(contestant.name, time))
    return [c for c, time in first_times.items() if time <= margin * best[c.name]]


def measure_size(taking_part, size, most_rounds, in_place):
    """Per library the series of its best variant; and the number of wrong elements."""
    iterations, rounds = iterations_for(size)
    contestants = [
        Contestant(name, LIBRARIES[name], members, variant)
        for name, members in taking_part.items()
        if LIBRARIES[name].smallest <= size <= LIBRARIES[name].largest
        for variant in LIBRARIES[name].variants(members)
    ]
    first_times, wrong = {}, 0
    for contestant in contestants:
        turn = contestant.turn(size, 2, iterations, in_place, check=True)
        first_times[contestant] = statistics.median(turn.times_us)
        if turn.wrong:
            print(f"{contestant.name} {contestant.variant}: {turn.wrong} wrong elements of {shown(size)}")
        wrong += turn.wrong
    contestants = fast_enough(first_times, 2.0 if size <= 4 * MIB else 1.3)
    series = {c: Series(c.variant, c.library.bytes_of(size)) for c in contestants}
    for number in range(min(rounds, most_rounds)):
        for contestant in rotated(contestants, number):
            series[contestant].turns.append(contestant.turn(size, 1, iterations, in_place))
    best = {}
    for contestant, own in series.items():
        if contestant.name not in best or own.median_us < best[contestant.name].median_us:
            best[contestant.name] = own
    return best, wrong


def paired_ratio(numerator, denominator):
    return statistics.median(a / b for a, b in zip(numerator, denominator))
