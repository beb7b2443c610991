#!/usr/bin/env python3
"""All-reduce over wide-area links: plain pcclAllReduce calls with default settings between emulated hosts.

    wan_perf.py --build build/release                      # all of the cases below
    wan_perf.py --build build/release --case fast lossy    # some of them

Each figure is the median over rounds of the busbw of the calls of a round beside what the link carries. `cold` is
the first call of a connection. What the emulator says of itself is printed beside each figure: where it was late by
more than 5 ms, or dropped packets that it was too slow to fetch, the figure says nothing.
"""

import argparse
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import members, results, wan  # noqa: E402

MIB = 1 << 20
# name: hosts, RTT ms, Mbit/s, loss, quantized to, (bytes, least busbw as part of the rate)
CASES = {
    "fast": (2, 100, 1000, "0", "none", [(256 * MIB, 0.80), (1024 * MIB, 0.90)]),
    "lossy": (2, 100, 1000, "0.0001", "none", [(256 * MIB, 0.72), (1024 * MIB, 0.82)]),
    "ring": (4, 100, 300, "0", "none", [(64 * MIB, None)]),
    "thin": (2, 40, 200, "0", "none", [(256 * MIB, None)]),
    "thin-uint8": (2, 40, 200, "0", "uint8", [(256 * MIB, None)]),
    "thin-uint4": (2, 40, 200, "0", "uint4", [(256 * MIB, None)]),
    "tiny": (8, 100, 1000, "0", "none", [(4, None)]),
}
RATIOS = [("thin-uint8", "thin", 3.6), ("thin-uint4", "thin", 6.5)]
TINY_ROUND_TRIPS = 1.15


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrent", type=int, default=1, help="so many calls at once share the bytes")
    parser.add_argument("--largest-mib", type=int, default=1024, help="leave out what is larger")
    parser.add_argument("--mtu", default="9000", help="of the hosts; 1500 costs the emulator more")
    parser.add_argument("--congestion-control", help="of the hosts; default: the machine's")
    parser.add_argument("--json", default="-", help="append a line per figure to this file")
    return parser.parse_args()


class Run:
    """A master and a peer on each host, conducted over a socket in the file system."""

    def __init__(self, wan_up, build, folder, hosts, quantized):
        self.master = wan.start_master(wan_up, 1, build, folder / "master.log")
        perf = [str(build / "benchmarks" / "all_reduce_perf"), "--world", str(hosts), "--conducted", "CONTROL",
                "--master-host", "10.77.0.1", "--master-port", str(wan.PORT), "--quantize", quantized]
        # Rank 0 tells the times: as far from the master as anybody.
        commands = [wan_up.on(host, [*perf, "--peer-rank", str(hosts - host)]) for host in range(1, hosts + 1)]
        self.peers = members.Members("pccl", str(folder / "control"), commands, hosts)

    def close(self):
        self.peers.close()
        self.master.kill()


def measure(arguments, name, folder):
    """{bytes: [seconds of a round's call]}, the cold ones, and what the emulator says."""
    hosts, rtt, mbit, loss, quantized, sizes = CASES[name]
    network = ["--delay-ms", str(rtt / 2), "--egress-mbit", str(mbit), "--loss", loss,
               "--mtu", arguments.mtu]
    if arguments.congestion_control:
        network += ["--sysctl", f"net.ipv4.tcp_congestion_control={arguments.congestion_control}"]
    build = arguments.build.resolve()
    times, cold, emulator = {}, {}, {}
    for size, _ in sizes:
        if size > arguments.largest_mib * MIB:
            continue
        with wan.Wan(wan.emulator_of(build), hosts, *network) as wan_up:
            place = folder / f"{name}-{size}"
            place.mkdir()
            run = Run(wan_up, build, place, hosts, quantized)
            variant = str(arguments.concurrent)
            cold[size] = run.peers.measure(size, 0, 1, variant).times_us[0] * 1e-6
            run.peers.measure(size, 1, 1, variant)
            wan_up.ctl("stats", "reset")
            times[size] = [run.peers.measure(size, 0, 1, variant).times_us[0] * 1e-6 for _ in range(arguments.rounds)]
            emulator[size] = wan_up.stats()["emulator"]
            run.close()
    return times, cold, emulator


def show(arguments, name, size, times, cold, emulator, least):
    hosts, rtt, mbit, loss, quantized, _ = CASES[name]
    seconds = statistics.median(times)
    busbw = size * 2 * (hosts - 1) / hosts / seconds  # bytes/s
    part = busbw * 8e-6 / mbit
    late, drops = emulator["late_max_us"] / 1e3, int(emulator.get("tun_drops", 0))
    mark = "" if least is None else f"{'met' if part >= least else 'MISSED'} (>= {least:.2f})"
    print(f"{name:10} {hosts:5} {rtt:5} {mbit:6} {loss:>7} {quantized:>6} {size:11} {seconds:9.3f} {cold:9.3f} "
          f"{busbw * 8e-6:9.1f} {part:6.3f} {late:8.1f} {drops:6}  {mark}", flush=True)
    results.record(arguments.json, {
        "benchmark": "wan_perf", "case": name, "hosts": hosts, "rtt_ms": rtt, "mbit": mbit, "loss": loss,
        "mtu": int(arguments.mtu), "quantized": quantized, "bytes": size, "concurrent": arguments.concurrent, "seconds": round(seconds, 4),
        "cold_s": round(cold, 4), "part_of_rate": round(part, 4), "emulator_late_max_ms": late, "tun_drops": drops,
        "congestion_control": arguments.congestion_control or "default"})
    return seconds, least is None or part >= least


def main():
    arguments = options()
    print(f"{'case':10} {'hosts':>5} {'RTT':>5} {'Mbit/s':>6} {'loss':>7} {'quant.':>6} {'bytes':>11} {'time(s)':>9} "
          f"{'cold(s)':>9} {'busMbit/s':>9} {'part':>6} {'late(ms)':>8} {'drops':>6}")
    met, seconds = True, {}
    with wan.scratch_folder() as scratch:
        for name in arguments.case:
            times, cold, emulator = measure(arguments, name, pathlib.Path(scratch))
            for size, least in CASES[name][-1]:
                if size in times:
                    seconds[name], good = show(arguments, name, size, times[size], cold[size], emulator[size], least)
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
