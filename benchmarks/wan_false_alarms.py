#!/usr/bin/env python3
"""Does a saturated line look like a death? Four hosts with slow uplinks, long queues and loss; on each, a peer
that all-reduces without end and some, of other groups, that synchronize changing states without end, half of them
sending. The master shares the first host's uplink. Nobody dies, so nobody may be removed.

    wan_false_alarms.py --build build/release [--minutes 30]
"""

import argparse
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import results, wan  # noqa: E402

HOSTS = 4
SYNC_LIMIT_S = 600


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--uplink-mbit", type=float, default=20)
    parser.add_argument("--queue-ms", type=float, default=500, help="of the uplink, when it is full")
    parser.add_argument("--loss", default="1%")
    parser.add_argument("--delay-ms", type=float, default=20, help="one way, between any two hosts")
    parser.add_argument("--mtu", default="1500")
    parser.add_argument("--congestion-control", help="of the hosts; default: the machine's")
    parser.add_argument("--reduce-mib", type=int, default=8, help="of eight all-reduces, four of them in flight")
    parser.add_argument("--syncs", type=int, default=4, help="groups that synchronize; an even number")
    parser.add_argument("--state-mib", type=int, default=8, help="of the state; all of it changes")
    parser.add_argument("--json", default="-", help="append a line to this file")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the logs here")
    return parser.parse_args()


class Syncs(threading.Thread):
    """One sync after the other: each time the half that was up to date changes everything, and fetches it back
    from the other half."""

    def __init__(self, peers, state_mib, first_half, end):
        super().__init__(daemon=True)
        self.halves = [peers[:HOSTS // 2], peers[HOSTS // 2:]]
        self.count, self.first_half, self.end = 0, first_half, end
        self.failures, self.seconds = [], []
        wan.all_must(peers, f"state tensors=9 bytes={(state_mib << 20) // 8} seed=1")

    def run(self):
        while time.monotonic() < self.end and not self.failures:
            self.count += 1
            try:
                self.one()
            except Exception as error:  # a peer that ended, or hangs
                self.failures.append(f"sync {self.count}: {error!r}")

    def one(self):
        behind = self.halves[(self.first_half + self.count) % 2]
        for peer in behind:
            peer.say("touch every=4096")
        for peer in sum(self.halves, []):
            peer.say(f"sync revision={0 if peer in behind else self.count}")
        digests = set()
        for peer in behind:
            peer.successful()
        for peer in sum(self.halves, []):
            answer = peer.successful(SYNC_LIMIT_S)
            digests.add(answer.values["digest"])
            self.seconds.append(answer.number("took") * 1e-9)
        if len(digests) != 1:
            raise RuntimeError("contents differ")


def run(wan_up, build, logs, arguments):
    master = wan.start_master(wan_up, 1, build, logs / "master.log")
    program = str(build / "tests" / "e2e" / "e2e_peer")
    groups = [[wan.Peer(wan_up, host, program, logs / f"{what}-{host}.log", host, group)
               for host in range(1, HOSTS + 1)]
              for group, what in enumerate(["reduce"] + [f"sync{i}" for i in range(arguments.syncs)])]
    reducing, everyone = groups[0], sum(groups, [])
    wan.all_must(everyone, f"join world={len(everyone)}")
    begin = time.monotonic()
    end = begin + 60 * arguments.minutes
    syncs = [Syncs(group, arguments.state_mib, number, end) for number, group in enumerate(groups[1:])]
    wan_up.ctl("stats", "reset")
    for peer in reducing:
        peer.say(f"loop retry tensors=8 in_flight=4 count={(arguments.reduce_mib << 20) // 32}")
    for each in syncs:
        each.start()
    while time.monotonic() < end and not any(each.failures for each in syncs):
        time.sleep(0.5)
    seconds = time.monotonic() - begin
    stats = wan_up.stats()
    for each in syncs:
        each.join()
    for peer in reducing:
        peer.say("stop")
    loops = [peer.answer(SYNC_LIMIT_S) for peer in reducing]
    failures = [event for peer in everyone for event in peer.events if event.startswith("event failed")]
    failures += [answer.text for answer in loops if answer.result != "pcclSuccess"]
    failures += sum((each.failures for each in syncs), [])
    sent = [sum(v["bytes"] for k, v in stats.items() if k.startswith(f"link {i}>")) for i in range(1, HOSTS + 1)]
    total = lambda key: int(sum(v.get(key, 0) for v in stats.values()))  # noqa: E731
    return {
        "seconds": round(seconds),
        "removals": master.logged("removes"),
        "failures": failures,
        "links_doubted": master.logged("reports that its link"),
        "wrong": sum(answer.number("wrong") for answer in loops),
        "all_reduces": 8 * loops[0].number("rounds"),
        "syncs": sum(each.count for each in syncs),
        "longest_sync_s": round(max(sum((each.seconds for each in syncs), [0])), 2),
        "uplink_used": [round(8e-6 * b / seconds / arguments.uplink_mbit, 3) for b in sent],
        "packets": total("packets"),
        "lost_packets": total("loss_drops"),
        "queue_drops": total("egress_drops"),
        "emulator_late_max_us": stats["emulator"]["late_max_us"],
    }


def main():
    arguments = options()
    queue_kib = arguments.queue_ms * 1e-3 * arguments.uplink_mbit * 1e6 / 8 / 1024
    network = ["--delay-ms", str(arguments.delay_ms), "--loss", arguments.loss, "--mtu", arguments.mtu,
               "--egress-mbit", str(arguments.uplink_mbit), "--nic-queue-kib", str(round(queue_kib))]
    if arguments.congestion_control:
        network += ["--sysctl", f"net.ipv4.tcp_congestion_control={arguments.congestion_control}"]
    with wan.scratch_folder() as scratch:
        logs = arguments.keep or pathlib.Path(scratch)
        logs.mkdir(parents=True, exist_ok=True)
        with wan.Wan(wan.emulator_of(arguments.build.resolve()), HOSTS, *network) as wan_up:
            result = run(wan_up, arguments.build.resolve(), logs, arguments)
    for key, value in result.items():
        print(f"{key:32} {len(value) if key in ('removals', 'failures', 'links_doubted') else value}")
    for line in result["removals"] + result["failures"] + result["links_doubted"]:
        print("  " + line)
    good = not result["removals"] and not result["failures"] and result["wrong"] == 0
    print(f"  {'met' if good else 'MISSED':6} nobody removed, nothing failed, in {arguments.minutes:g} minutes")
    counted = {k: len(v) if k in ("removals", "failures", "links_doubted") else v for k, v in result.items()}
    results.record(arguments.json, {
        "benchmark": "wan_false_alarms", "uplink_mbit": arguments.uplink_mbit, "queue_ms": arguments.queue_ms,
        "loss": arguments.loss, "rtt_ms": 2 * arguments.delay_ms,
        "congestion_control": arguments.congestion_control or "default"} | counted)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
