#!/usr/bin/env python3
"""How much of its step rate does training keep when peers far from each other exchange? DiLoCo between two hosts over
emulated links, waiting for each exchange and overlapping it, beside the same steps without communication. Compute is
a pause: two cores cannot train and emulate a network honestly.

    wan_diloco.py --build build/release
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import results, wan  # noqa: E402

MODES = ("alone", "waiting", "overlapping")
HOSTS = 2


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements, in turns")
    parser.add_argument("--parameters", type=int, default=8_000_000, help="float32; 8-bit codes are exchanged")
    parser.add_argument("--sync-every", type=int, default=50, help="steps between two exchanges")
    parser.add_argument("--step-ms", type=float, default=100, help="the pause that stands for a step")
    parser.add_argument("--exchanges", type=int, default=6, help="of one measurement; the first is not timed")
    parser.add_argument("--uplink-mbit", type=float, default=100)
    parser.add_argument("--delay-ms", type=float, default=30, help="one way")
    parser.add_argument("--json", default="-", help="append a line to this file")
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)  # be a peer
    return parser.parse_args()


def peer(arguments):
    """Says `rate STEPS_PER_SECOND` in the end."""
    import torch

    import pccl
    import pccl.torch

    torch.set_num_threads(1)
    model = torch.nn.Linear(arguments.parameters // 1000, 1000, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    diloco = None
    if arguments.mode != "alone":
        diloco = pccl.torch.DiLoCo(
            model,
            optimizer,
            pccl.Communicator(f"10.77.0.1:{wan.PORT}"),
            sync_every=arguments.sync_every,
            quantization="uint8",
            overlap=arguments.mode == "overlapping",
            min_peers=HOSTS,
        )
    began = time.perf_counter()
    for step in range(arguments.exchanges * arguments.sync_every):
        if step == arguments.sync_every:
            began = time.perf_counter()
        time.sleep(arguments.step_ms * 1e-3)
        if diloco is not None and (report := diloco.step()) is not None:
            print(report, file=sys.stderr, flush=True)
    seconds = time.perf_counter() - began
    print(f"rate {(arguments.exchanges - 1) * arguments.sync_every / seconds}", flush=True)


def measure(arguments, mode, logs):
    """Steps per second of the slower host."""
    build = arguments.build.resolve()
    network = ["--delay-ms", str(arguments.delay_ms), "--egress-mbit", str(arguments.uplink_mbit)]
    with wan.Wan(wan.emulator_of(build), HOSTS, *network) as wan_up:
        wan.start_master(wan_up, 1, build, logs / "master.log")
        command = [sys.executable, __file__, *sys.argv[1:], "--mode", mode]
        environment = {"PYTHONPATH": str(build / "bindings" / "python"), "PCCL_LOG_LEVEL": "WARN"}
        peers = [wan.Process(wan_up, host, command, logs / f"{mode}-{host}.log", environment) for host in (1, 2)]
        limit = 60 + 3 * arguments.exchanges * arguments.sync_every * arguments.step_ms * 1e-3
        rates = []
        for process in peers:
            line = process.lines.get(timeout=limit)
            if line is None:
                sys.exit(pathlib.Path(process.log).read_text())
            rates.append(float(line.split()[1]))
        late = wan_up.stats()["emulator"]
    return min(rates), late


def main():
    arguments = options()
    if arguments.mode:
        return peer(arguments)
    rates = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for mode in MODES:
                rate, emulator = measure(arguments, mode, pathlib.Path(folder))
                rates[mode].append(rate)
                print(f"{mode:12} {rate:.3f} steps/s  emulator {emulator}", flush=True)
    kept = {
        mode: statistics.median(rate / alone for rate, alone in zip(rates[mode], rates["alone"])) for mode in MODES[1:]
    }
    for mode, part in kept.items():
        print(f"{mode}: {part:.3f} of the step rate without communication")
    results.record(
        arguments.json,
        {"benchmark": "wan_diloco", "rates": rates, "kept": kept}
        | {name: getattr(arguments, name) for name in ("parameters", "sync_every", "step_ms", "uplink_mbit", "delay_ms")},
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
