#!/usr/bin/env python3
"""What pcclOptimizeTopology finds over wide-area links: six hosts, every direction of every path with a rate of its
own, some of them slow. Bus bandwidth of an all-reduce over the ring in which the peers have joined, over the ring that
pcclOptimizeTopology has found, and over the best ring of all orders (peers that join in this order), in turns.

    wan_topology.py --build build/release

`busbw` is bytes / time * 2 (n - 1) / n, the rate that every link of the ring has carried. It is the best of some
all-reduces, after one that does not count: connections are young then, and take a second or two to find their rate.
The tensor is large enough for the round trips of its first and last chunks to count for little. What the emulator was
late by tells whether the machine had time for all this; a round is not to be trusted where that is tens of milliseconds.
"""

import argparse
import itertools
import pathlib
import random
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import wan  # noqa: E402

HOSTS = 6
MASTER = HOSTS + 1


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--rounds", type=int, default=3, help="each with another network")
    parser.add_argument("--mib", type=int, default=32, help="of the tensor that is reduced")
    parser.add_argument("--joined-mib", type=int, default=2, help="the same over the ring of slow links")
    parser.add_argument("--reduces", type=int, default=3, help="the best of them counts; one before them does not")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loss", default="0")
    parser.add_argument("--json", default="-", help="append a line to this file")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the logs here")
    return parser.parse_args()


def network(rng):
    """{(from, to): (Mbit/s, one-way ms)}; hosts on two continents, and a slow path out of and into each."""
    side = [rng.random() < 0.5 for _ in range(HOSTS)]
    paths = {}
    for a, b in itertools.permutations(range(HOSTS), 2):
        delay = rng.uniform(4, 15) if side[a] == side[b] else rng.uniform(35, 50)
        paths[a, b] = (rng.uniform(40, 120), delay)
    for a in range(HOSTS):  # in the ring of the first order, where it hurts
        paths[a, (a + 1) % HOSTS] = (rng.uniform(5, 12), paths[a, (a + 1) % HOSTS][1])
    return paths


def slowest(paths, ring):
    return min(paths[ring[i], ring[(i + 1) % len(ring)]][0] for i in range(len(ring)))


def length(paths, ring):
    return sum(paths[ring[i], ring[(i + 1) % len(ring)]][1] for i in range(len(ring)))


def best_ring(paths):
    """Of those with the fastest slowest link the shortest."""
    return max(((0, *rest) for rest in itertools.permutations(range(1, HOSTS))),
               key=lambda ring: (slowest(paths, ring), -length(paths, ring)))


def busbw(peers, mib, reduces):
    """Mbit/s."""
    count = (mib << 20) // 4
    rates = []
    for _ in range(reduces):
        answers = wan.all_must(peers, f"reduce tag=1 count={count}")
        assert all(answer.number("right") == 1 for answer in answers)
        seconds = max(answer.number("call") for answer in answers) * 1e-9
        rates.append(count * 32e-6 / seconds * 2 * (HOSTS - 1) / HOSTS)
    return max(rates)


def lateness(wan_up):
    """Of the emulator at most, in ms, since this was asked last."""
    late = wan_up.stats()["emulator"]["late_max_us"] / 1e3
    wan_up.ctl("stats", "reset")
    return late


def run(arguments, paths, order, logs, optimize):
    """busbw of the ring of this order, or with `optimize` of the one that is found, and how late the emulator was
    meanwhile; with `optimize` also what holds of the call itself."""
    build = arguments.build.resolve()
    logs.mkdir(parents=True)
    matrix = logs / "matrix"
    matrix.write_text("".join(f"set {a + 1} {b + 1} rate={rate:.1f} delay={delay:.1f} loss={arguments.loss} oneway\n"
                              for (a, b), (rate, delay) in paths.items()))
    with wan.Wan(wan.emulator_of(build), MASTER, "--delay-ms", "20", "--mtu", "9000",
                 "--matrix", str(matrix)) as wan_up:
        wan.start_master(wan_up, MASTER, build, logs / "master.log")
        program = str(build / "tests" / "e2e" / "e2e_peer")
        peers = []
        for host in order:
            peers.append(wan.Peer(wan_up, host + 1, program, logs / f"peer-{host}.log", host,
                                  master=f"10.77.0.{MASTER}"))
            peers[-1].say(f"join world={len(peers)}")
            for peer in peers[:-1]:
                peer.say(f"join admit=1 world={len(peers)}")
            for peer in peers:
                peer.successful()
        call = {}
        if optimize:
            call["joined"] = busbw(peers, arguments.joined_mib, 1)
            lateness(wan_up)
            call["s"], call["again_s"] = (
                max(answer.number("took") for answer in wan.all_must(peers, "optimize")) * 1e-9 for _ in range(2))
            call["late_ms"] = lateness(wan_up)
        busbw(peers, arguments.mib, 1)
        lateness(wan_up)
        rate = busbw(peers, arguments.mib, arguments.reduces)
        return rate, lateness(wan_up), call


def main():
    arguments = options()
    rng = random.Random(arguments.seed)
    ratios, times, lates = [], [], []
    with wan.scratch_folder() as scratch:
        logs = arguments.keep or pathlib.Path(scratch) / "logs"
        for number in range(arguments.rounds):
            paths = network(rng)
            best = best_ring(paths)
            found, found_late, call = run(arguments, paths, range(HOSTS), logs / f"{number}-found", True)
            forced, forced_late, _ = run(arguments, paths, best, logs / f"{number}-best", False)
            ratios.append(found / forced)
            times.append(call["s"])
            lates.append([call["late_ms"], found_late, forced_late])
            print(f"joined {call['joined']:6.1f} Mbit/s, optimized in {call['s']:.1f} s (again: {call['again_s']:.3f} s) "
                  f"{found:6.1f}, best of all orders {forced:6.1f} (its slowest link: {slowest(paths, best):.1f}): "
                  f"{found / forced:.2f}\n  emulator late by at most {call['late_ms']:.1f} ms in the call, {found_late:.1f} "
                  f"and {forced_late:.1f} in the all-reduces", flush=True)
    met = min(ratios) >= 0.9 and max(times) < 15
    print(f"  {'met' if met else 'MISSED':6} busbw >= 0.9 of the best ring's in < 15 s: {min(ratios):.2f} at worst (median "
          f"{statistics.median(ratios):.2f}), {max(times):.1f} s at most")
    wan.record(arguments.json, {
        "benchmark": "wan_topology", "hosts": HOSTS, "bytes": arguments.mib << 20, "rounds": arguments.rounds,
        "seed": arguments.seed, "loss": arguments.loss, "worst_ratio": round(min(ratios), 3),
        "median_ratio": round(statistics.median(ratios), 3), "slowest_call_s": round(max(times), 2),
        "ratios": [round(ratio, 3) for ratio in ratios], "call_s": [round(seconds, 2) for seconds in times],
        "emulator_late_max_ms": [[round(late, 1) for late in of_round] for of_round in lates]})
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
