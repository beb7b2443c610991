#!/usr/bin/env python3
"""All-reduce over wide-area links: plain pcclAllReduce calls with default settings between emulated hosts.

    wan_perf.py --build build/release                      # all of the cases below
    wan_perf.py --build build/release --case fast lossy    # some of them

Each figure is the median over rounds of the busbw of the calls of a round beside what the link carries. `cold` is
the first call of a connection. What the emulator says of itself is printed beside each figure: where it was late by
more than 5 ms, or dropped packets that it was too slow to fetch, the figure says nothing.

In the case `ring`, iperf3 takes turns with the calls: every host sends to its successor at the same time, over several
streams and for about as long as a call takes.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import iperf, members, results, wan  # noqa: E402

MIB = 1 << 20
# name: hosts, RTT ms, Mbit/s, loss, quantized to, (bytes, least busbw as part of the rate)
CASES = {
    "fast": (2, 100, 1000, "0", "none", [(256 * MIB, 0.80), (1024 * MIB, 0.90)]),
    "lossy": (2, 100, 1000, "0.0001", "none", [(256 * MIB, 0.72), (1024 * MIB, 0.82)]),
    "ring": (4, 100, 300, "0", "none", [(64 * MIB, None), (256 * MIB, None)]),
    "thin": (2, 40, 200, "0", "none", [(256 * MIB, None)]),
    "thin-uint8": (2, 40, 200, "0", "uint8", [(256 * MIB, None)]),
    "thin-uint4": (2, 40, 200, "0", "uint4", [(256 * MIB, None)]),
    "tiny": (8, 100, 1000, "0", "none", [(4, None)]),
}
RATIOS = [("thin-uint8", "thin", 3.6), ("thin-uint4", "thin", 6.5)]
TINY_ROUND_TRIPS = 1.15
BESIDE_IPERF = {"ring": 0.92}  # least busbw as part of what iperf3 receives
IPERF_WARMUP_S = 3


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrent", type=int, default=1, help="so many calls at once share the bytes")
    parser.add_argument("--largest-mib", type=int, default=1024, help="leave out what is larger")
    parser.add_argument("--mtu", default="9000", help="of the hosts; 1500 costs the emulator more")
    parser.add_argument("--congestion-control", help="of all connections; default: the library's choice")
    parser.add_argument("--iperf-streams", type=int, default=8, help="of each host; the library's lanes are 2 to 8")
    parser.add_argument("--json", default="-", help="append a line per figure to this file")
    return parser.parse_args()


def congestion_control_of(arguments):
    return arguments.congestion_control or os.environ.get("PCCL_CONGESTION_CONTROL") or "cubic"


class Run:
    """A master and a peer on each host, conducted over a socket in the file system."""

    def __init__(self, wan_up, folder, hosts, quantized, arguments):
        build = arguments.build.resolve()
        self.master = wan.start_master(wan_up, 1, build, folder / "master.log")
        perf = [str(build / "benchmarks" / "all_reduce_perf"), "--world", str(hosts), "--conducted", "CONTROL",
                "--master-host", "10.77.0.1", "--master-port", str(wan.PORT), "--quantize", quantized]
        # Rank 0 tells the times: as far from the master as anybody.
        commands = [wan_up.on(host, [*perf, "--peer-rank", str(hosts - host)]) for host in range(1, hosts + 1)]
        self.peers = members.Members("pccl", str(folder / "control"), commands, hosts,
                                     {"PCCL_CONGESTION_CONTROL": congestion_control_of(arguments)})
        self.variant = str(arguments.concurrent)

    def seconds(self, size, warmup=0):
        return self.peers.measure(size, warmup, 1, self.variant).times_us[0] * 1e-6

    def close(self):
        self.peers.close()
        self.master.kill()


class Lateness:
    """The worst that the emulator says of itself over several turns."""

    def __init__(self, wan_up):
        self.wan_up, self.late_ms, self.drops = wan_up, 0.0, 0

    @contextlib.contextmanager
    def watched(self):
        self.wan_up.ctl("stats", "reset")
        yield
        emulator = self.wan_up.stats()["emulator"]
        self.late_ms = max(self.late_ms, emulator["late_max_us"] / 1e3)
        self.drops += int(emulator.get("tun_drops", 0))


@dataclasses.dataclass
class Figures:
    """Of a case at one size."""

    cold: float  # seconds
    times: list
    lateness: Lateness
    iperf_mbit: list = dataclasses.field(default_factory=list)  # one per time, where it takes part
    iperf_lateness: Lateness = None


def measure_rounds(arguments, run, wan_up, size):
    figures = Figures(run.seconds(size), [], Lateness(wan_up))
    run.seconds(size)
    for _ in range(arguments.rounds):
        with figures.lateness.watched():
            figures.times.append(run.seconds(size))
    return figures


def measure_rounds_beside_iperf(arguments, run, wan_up, hosts, size):
    figures = Figures(run.seconds(size), [], Lateness(wan_up), [], Lateness(wan_up))
    streams, control = arguments.iperf_streams, congestion_control_of(arguments)
    with contextlib.closing(iperf.IperfRing(wan_up, hosts, streams, control)) as ring:
        for _ in range(arguments.rounds):
            with figures.lateness.watched():  # both are warm: connections forget their windows while they are idle
                figures.times.append(run.seconds(size, warmup=1))
            with figures.iperf_lateness.watched():
                seconds = max(1, round(figures.times[-1]))
                figures.iperf_mbit.append(ring.mbit_per_s(seconds, IPERF_WARMUP_S))
    return figures


def measure(arguments, name, folder):
    """{bytes: figures}"""
    hosts, rtt, mbit, loss, quantized, sizes = CASES[name]
    network = ["--delay-ms", str(rtt / 2), "--egress-mbit", str(mbit), "--loss", loss,
               "--mtu", arguments.mtu]
    if arguments.congestion_control:
        network += ["--sysctl", f"net.ipv4.tcp_congestion_control={arguments.congestion_control}"]
    beside_iperf = name in BESIDE_IPERF
    if beside_iperf and not iperf.installed():
        print("iperf3 is left out: not installed (iperf3)", flush=True)
        beside_iperf = False
    figures = {}
    for size, _ in sizes:
        if size > arguments.largest_mib * MIB:
            continue
        with wan.Wan(wan.emulator_of(arguments.build.resolve()), hosts, *network) as wan_up:
            place = folder / f"{name}-{size}"
            place.mkdir()
            with contextlib.closing(Run(wan_up, place, hosts, quantized, arguments)) as run:
                figures[size] = (measure_rounds_beside_iperf(arguments, run, wan_up, hosts, size) if beside_iperf
                                 else measure_rounds(arguments, run, wan_up, size))
    return figures


def show(arguments, name, size, figures, least):
    """The median time, and whether the bars are met."""
    hosts, rtt, mbit, loss, quantized, _ = CASES[name]
    seconds, lateness = statistics.median(figures.times), figures.lateness
    bus_mbit = [size * 2 * (hosts - 1) / hosts / time * 8e-6 for time in figures.times]
    busbw = statistics.median(bus_mbit)
    part, met = busbw / mbit, True
    mark = ""
    if least is not None:
        met = part >= least
        mark = f"{'met' if met else 'MISSED'} (>= {least:.2f})"
    print(f"{name:10} {hosts:5} {rtt:5} {mbit:6} {loss:>7} {quantized:>6} {size:11} {seconds:9.3f} {figures.cold:9.3f} "
          f"{busbw:9.1f} {part:6.3f} {lateness.late_ms:8.1f} {lateness.drops:6}  {mark}", flush=True)
    fields = {
        "benchmark": "wan_perf", "case": name, "hosts": hosts, "rtt_ms": rtt, "mbit": mbit, "loss": loss,
        "mtu": int(arguments.mtu), "quantized": quantized, "bytes": size, "concurrent": arguments.concurrent,
        "seconds": round(seconds, 4), "cold_s": round(figures.cold, 4), "part_of_rate": round(part, 4),
        "emulator_late_max_ms": lateness.late_ms, "tun_drops": lateness.drops,
        "congestion_control": congestion_control_of(arguments)}
    if figures.iperf_mbit:
        beside, streams = figures.iperf_lateness, arguments.iperf_streams
        ratio = statistics.median(own / other for own, other in zip(bus_mbit, figures.iperf_mbit))
        met &= ratio >= BESIDE_IPERF[name]
        reached = statistics.median(figures.iperf_mbit)
        print(f"{f'  iperf3, {streams} streams of each host to the next':77}{reached:9.1f} {reached / mbit:6.3f} "
              f"{beside.late_ms:8.1f} {beside.drops:6}  busbw / iperf3: {ratio:.3f} "
              f"{'met' if ratio >= BESIDE_IPERF[name] else 'MISSED'} (>= {BESIDE_IPERF[name]:.2f})", flush=True)
        fields |= {"iperf_streams": streams, "iperf_mbit": round(reached, 1), "part_of_iperf": round(ratio, 4),
                   "iperf_late_max_ms": beside.late_ms}
    results.record(arguments.json, fields)
    return seconds, met


def main():
    arguments = options()
    members.leave_scopes_when_terminated()
    print(f"{'case':10} {'hosts':>5} {'RTT':>5} {'Mbit/s':>6} {'loss':>7} {'quant.':>6} {'bytes':>11} {'time(s)':>9} "
          f"{'cold(s)':>9} {'busMbit/s':>9} {'part':>6} {'late(ms)':>8} {'drops':>6}")
    met, seconds = True, {}
    with wan.scratch_folder() as scratch:
        for name in arguments.case:
            figures = measure(arguments, name, pathlib.Path(scratch))
            for size, least in CASES[name][-1]:
                if size in figures:
                    seconds[name], good = show(arguments, name, size, figures[size], least)
                    met &= good
    for name, plain, least in RATIOS:
        if name in seconds and plain in seconds:
            ratio = seconds[plain] / seconds[name]
            met &= ratio >= least
            print(f"  {'met' if ratio >= least else 'MISSED':6} {name} / {plain} >= {least}: {ratio:.2f}x faster")
    if "tiny" in seconds:
        trips = seconds["tiny"] * 1e3 / CASES["tiny"][1]
        met &= trips <= TINY_ROUND_TRIPS
        print(f"  {'met' if trips <= TINY_ROUND_TRIPS else 'MISSED':6} tiny <= {TINY_ROUND_TRIPS} round trips: {trips:.3f}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
