"""What a peer says while it trains, and the picture of it at the end."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from typing import Any, Optional

RESULT = "RESULT "  # begins the last line of a peer, for whoever reads its output


@dataclasses.dataclass
class Point:
    step: int
    loss: float
    sent_bytes: int


class History:
    """One line per report, at once, even into a pipe."""

    def __init__(self, name: str, unit: str, end: int) -> None:
        self.points: list[Point] = []
        self._name = name
        self._unit = unit
        self._end = end
        self._began = time.perf_counter()
        self._tokens = 0

    def count_tokens(self, tokens: int) -> None:
        self._tokens += tokens

    def report(self, step: int, loss: float, peers: int, sent_bytes: int, note: str = "") -> None:
        self.points.append(Point(step, loss, sent_bytes))
        rate = self._tokens / (time.perf_counter() - self._began)
        print(
            f"[{self._name}] {self._unit} {step}/{self._end}  peers {peers}  loss {loss:.3f}  "
            f"{rate / 1000:.1f}k tokens/s  sent {sent_bytes / 1e6:.2f} MB{note and '  ' + note}",
            flush=True,
        )

    def result(self, **values: Any) -> None:
        """The last line: what became of this peer."""
        last = self.points[-1]
        print(
            RESULT
            + json.dumps(
                {
                    "name": self._name,
                    "first_loss": round(self.points[0].loss, 3),
                    "last_loss": round(last.loss, 3),
                    "steps": last.step,
                    "sent_mb": round(last.sent_bytes / 1e6, 3),
                    "points": [dataclasses.astuple(point) for point in self.points],
                    **values,
                }
            ),
            flush=True,
        )


def plot(results: list[dict[str, Any]], unit: str, path: Optional[pathlib.Path]) -> None:
    """Loss over steps, and over bytes sent."""
    if path is None:
        return
    try:
        import matplotlib
    except ImportError:
        print(f"no {path}: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (over_steps, over_bytes) = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for result in results:
        steps, losses, sent = zip(*result["points"])
        over_steps.plot(steps, losses, label=result["name"])
        over_bytes.plot([count / 1e6 for count in sent], losses, label=result["name"])
    over_steps.set(xlabel=unit, ylabel="held-out loss, nats per byte")
    over_bytes.set(xlabel="MB sent by this peer")
    over_steps.legend()
    for axes in (over_steps, over_bytes):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(f"picture: {path}")
