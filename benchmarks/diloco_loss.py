#!/usr/bin/env python3
"""Does DiLoCo learn as much as one process that sees the same samples, and what does it send? examples/python/diloco_gpt.py
with four peers, beside the same program with `--alone`, and beside what averaging the gradients of each step would send.

    diloco_loss.py --build build/release --picture docs/images/diloco-loss.png
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import results  # noqa: E402

EXAMPLE = results.ROOT / "examples" / "python" / "diloco_gpt.py"
RESULT = re.compile(r"^RESULT (.*)$", re.M)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--peers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--inner-steps", type=int, default=50)
    parser.add_argument("--flags", default="--context 32 --layers 1 --width 32 --batch 16", help="of both programs")
    parser.add_argument("--picture", type=pathlib.Path, help="where to draw it")
    parser.add_argument("--json", default="-", help="append a line to this file")
    return parser.parse_args()


def run(arguments, more):
    command = [sys.executable, str(EXAMPLE), "--peers", str(arguments.peers), "--rounds", str(arguments.rounds)]
    command += ["--inner-steps", str(arguments.inner_steps), "--kill-at", "-1", "--newcomer-at", "-1"]
    command += ["--limit", "1500", *arguments.flags.split(), *more]
    environment = os.environ | {"PYTHONPATH": str(arguments.build.resolve() / "bindings" / "python")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment)
    if done.returncode != 0:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


def all_peers(arguments):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        run(arguments, ["--results", file.name])
        return json.load(file)


def draw(path, alone, peer, sent_by_averaging, arguments):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (over_steps, over_bytes) = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    steps, losses, sent = zip(*peer["points"])
    over_steps.plot([round * arguments.inner_steps for round in steps], losses, label=f"DiLoCo, {arguments.peers} peers, uint8")
    over_bytes.plot([count / 1e6 for count in sent], losses)
    steps, losses, _ = zip(*alone["points"])
    over_steps.plot([round * arguments.inner_steps for round in steps], losses, label="one process, the same samples")
    each = sent_by_averaging / arguments.rounds / 1e6
    over_bytes.plot([max(round * each, each / 50) for round in steps], losses, label="the same, gradients averaged each step")
    over_steps.set(xlabel="steps", ylabel="held-out loss, nats per byte", ylim=(min(losses) - 0.1, 3))
    over_bytes.set(xlabel="MB sent by one peer", xscale="log")
    for axes in (over_steps, over_bytes):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    print(path)


def main():
    arguments = options()
    alone = json.loads(RESULT.search(run(arguments, ["--alone"]))[1])
    peers = all_peers(arguments)
    sent = max(peer["points"][-1][2] for peer in peers)
    share = 2 * (arguments.peers - 1) / arguments.peers  # of the tensor, what a ring sends per peer
    sent_by_averaging = share * 4 * alone["parameters"] * arguments.rounds * arguments.inner_steps
    loss, reference = peers[0]["last_loss"], alone["last_loss"]
    print(f"loss: DiLoCo {loss:.3f}, one process {reference:.3f}: {loss / reference - 1:+.1%}")
    print(f"sent: DiLoCo {sent / 1e6:.2f} MB, averaging gradients {sent_by_averaging / 1e6:.1f} MB: 1/{sent_by_averaging / sent:.0f}")
    print(f"all peers hold the same bits: {len({peer['hash'] for peer in peers}) == 1}")
    if arguments.picture:
        draw(arguments.picture, alone, peers[0], sent_by_averaging, arguments)
    results.record(
        arguments.json,
        {
            "benchmark": "diloco_loss",
            "flags": arguments.flags,
            "peers": arguments.peers,
            "rounds": arguments.rounds,
            "inner_steps": arguments.inner_steps,
            "loss": loss,
            "reference": reference,
            "sent": sent,
            "sent_by_averaging": sent_by_averaging,
        },
    )


if __name__ == "__main__":
    main()
