#!/usr/bin/env python3
"""How fast does a newcomer catch up over wide-area links? Hosts with a limited uplink each, far from each other:
a newcomer fetches the whole shared state from one holder, from three, and from three of which one is lost half-way
(its process is killed, or its host falls silent). Every content is checked.

    wan_state.py --build build/release

What the loss of a holder costs is the time beyond what the remaining holders need for what was still missing at
that moment, at the rate that each of the three had without a loss.
"""

import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import results, wan  # noqa: E402

HOLDERS = 3
NEWCOMER = HOLDERS + 1  # its host; the master is with the first holder, which is never lost


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--state-mib", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements, in turns")
    parser.add_argument("--uplink-mbit", type=float, default=200)
    parser.add_argument("--delay-ms", type=float, default=20, help="one way, between any two hosts")
    parser.add_argument("--loss", default="0")
    parser.add_argument("--lost-at", type=float, default=0.4, help="of the state has come when a holder is lost")
    parser.add_argument("--congestion-control", help="of the hosts; default: the machine's")
    parser.add_argument("--json", default="-", help="append a line to this file")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the logs here")
    return parser.parse_args()


def received(peer):
    """Bytes that its host has received."""
    with open(f"/proc/{peer.process.pid}/net/dev") as devices:
        return int(next(line.split(":")[1].split()[0] for line in devices if "wan0:" in line))


def catch_up(wan_up, arguments, logs, holders, loss):
    """Seconds of the newcomer's sync; with a loss also the seconds until it and the part that had come."""
    build = arguments.build.resolve()
    wan.start_master(wan_up, 1, build, logs / "master.log")
    program = str(build / "tests" / "e2e" / "e2e_peer")
    state = f"state tensors=9 bytes={(arguments.state_mib << 20) // 8} "
    holding = [wan.Peer(wan_up, host, program, logs / f"holder-{host}.log", host) for host in range(1, holders + 1)]
    newcomer = wan.Peer(wan_up, NEWCOMER, program, logs / "newcomer.log", NEWCOMER)
    wan.all_must(holding, f"join world={holders}")
    elected = wan.all_must(holding, state + "seed=1")[0].values["digest"]
    newcomer.must(state + "seed=2")
    wan.all_must(holding, "sync revision=1")
    newcomer.say(f"join world={holders + 1}")
    wan.all_must(holding, f"join admit=1 world={holders + 1}")
    newcomer.successful()
    for peer in holding:
        peer.say("sync revision=2")
    before, begin = received(newcomer), time.monotonic()
    newcomer.say("sync revision=0")
    part, until = 0.0, 0.0
    if loss:
        while part < arguments.lost_at:
            time.sleep(0.005)
            part = (received(newcomer) - before) / (arguments.state_mib << 20)
        until = time.monotonic() - begin
        if loss == "killed":
            holding[-1].kill()
        else:
            wan_up.ctl("link", "down", str(holders), "all")
    answer = newcomer.successful()
    if answer.values["digest"] != elected:
        sys.exit(f"wrong content after a sync with {holders} holders, loss: {loss}")
    return answer.number("call") * 1e-9, until, part


CASES = {"one": (1, None), "three": (HOLDERS, None), "killed": (HOLDERS, "killed"), "silent": (HOLDERS, "silent")}


def measure(arguments, logs):
    emulator = wan.emulator_of(arguments.build.resolve())
    network = ["--delay-ms", str(arguments.delay_ms), "--egress-mbit", str(arguments.uplink_mbit),
               "--loss", arguments.loss]
    if arguments.congestion_control:
        network += ["--sysctl", f"net.ipv4.tcp_congestion_control={arguments.congestion_control}"]
    figures = {case: [] for case in CASES}
    for number in range(arguments.rounds):
        for case, (holders, loss) in CASES.items():
            with wan.Wan(emulator, NEWCOMER, *network) as wan_up:
                folder = logs / f"{case}-{number}"
                folder.mkdir(parents=True)
                figures[case].append(catch_up(wan_up, arguments, folder, holders, loss))
                late = wan_up.stats()["emulator"]["late_max_us"] / 1e3
            seconds, until, part = figures[case][-1]
            lost = f", one lost after {until:.2f} s with {part:.0%} here" if loss else ""
            print(f"{case:8} {seconds:6.2f} s{lost} (emulator late by {late:.1f} ms)", flush=True)
    return figures


def show(arguments, figures):
    one, three = (statistics.median(seconds for seconds, _, _ in figures[case]) for case in ("one", "three"))
    mbit = arguments.state_mib * 8.388608
    print(f"one holder    {one:6.2f} s   {mbit / one:5.0f} Mbit/s")
    print(f"three holders {three:6.2f} s   {mbit / three:5.0f} Mbit/s")
    result = {"one_s": round(one, 3), "three_s": round(three, 3), "speed_up": round(one / three, 3)}
    met = one / three >= 2.5
    print(f"  {'met' if met else 'MISSED':6} three holders / one >= 2.5:        {one / three:.2f}")
    for case in ("killed", "silent"):
        remaining = HOLDERS / (HOLDERS - 1)
        costs = [seconds - until - max(0.0, three - until) * remaining for seconds, until, _ in figures[case]]
        raw = [seconds - three for seconds, _, _ in figures[case]]
        result |= {f"{case}_cost_s": round(max(costs), 3), f"{case}_longer_s": round(max(raw), 3)}
        met &= max(costs) < 2
        print(f"  {'met' if max(costs) < 2 else 'MISSED':6} one of three is {case}, costs < 2 s:  "
              f"{max(costs):.2f} s at most (median {statistics.median(costs):.2f}); "
              f"longer than with three: {max(raw):.2f} s")
    results.record(arguments.json, {
        "benchmark": "wan_state", "bytes": arguments.state_mib << 20, "uplink_mbit": arguments.uplink_mbit,
        "rtt_ms": 2 * arguments.delay_ms, "loss": arguments.loss, "rounds": arguments.rounds,
        "congestion_control": arguments.congestion_control or "default"} | result)
    return met


def main():
    arguments = options()
    with wan.scratch_folder() as scratch:
        figures = measure(arguments, arguments.keep or pathlib.Path(scratch) / "logs")
    return 0 if show(arguments, figures) else 1


if __name__ == "__main__":
    sys.exit(main())
