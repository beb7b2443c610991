"""A whole run on this machine: a master in this process, peers in others, which are killed and started on schedule."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
from typing import Any

import pccl

from common.history import RESULT

_SECONDS_TO_END = 10  # of a peer after the others
_STEP = re.compile(r"^\[(?P<peer>\S+)\] \w+ (?P<step>\d+)/")


@dataclasses.dataclass
class Event:
    """What happens to the run when the first peer has reported this step."""

    step: int
    what: str  # "kill": a peer dies; "start": another one joins


class LocalRun:
    """Starts peers as ``COMMAND --join ADDRESS --name peer-N``, passes on what they print, and collects their results.

    Args:
        events: what happens at which step.
        replacements: so often, whenever as many as in the beginning train, one is killed and another one started.
        each: further arguments of the first peers, one list each.
    """

    def __init__(
        self,
        command: list[str],
        peers: int,
        events: list[Event],
        replacements: int,
        limit_s: float,
        each: list[list[str]],
    ) -> None:
        self._command = command
        self._peers = peers
        self._events = sorted(events, key=lambda event: event.step)
        self._replacements = replacements
        self._started = 0
        self._chance = random.Random(peers)
        self._limit_s = limit_s
        self._each = each
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._results: dict[str, dict[str, Any]] = {}
        self._killed: set[str] = set()
        self._reported: set[str] = set()
        self._late: set[str] = set()
        self._lock = threading.Lock()

    def run(self) -> list[dict[str, Any]]:
        """The results of all peers but the killed one; SystemExit when one of them has failed."""
        master, address = _start_master()
        timer = threading.Timer(self._limit_s, self._give_up)
        timer.start()
        try:
            for _ in range(self._peers):
                self._start(address)
            for reader in self._readers:  # grows when a peer joins
                reader.join()
            return self._collect()
        finally:
            timer.cancel()
            for process in self._processes.values():
                _kill(process)
                process.wait()
            master.interrupt()

    def _start(self, address: str) -> None:
        self._started += 1
        name = f"peer-{self._started}"
        own = self._each[self._started - 1] if self._started <= len(self._each) else []
        process = subprocess.Popen(
            [*self._command, *own, "--join", address, "--name", name],
            stdout=subprocess.PIPE,
            text=True,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            start_new_session=True,  # so that a kill reaches what it starts
        )
        self._processes[name] = process
        reader = threading.Thread(target=self._read, args=(name, process, address))
        self._readers.append(reader)
        reader.start()

    def _read(self, name: str, process: subprocess.Popen[str], address: str) -> None:
        for line in process.stdout:
            if line.startswith(RESULT):
                self._results[name] = json.loads(line.removeprefix(RESULT))
                continue
            print(line, end="", flush=True)
            if (step := _STEP.match(line)) is not None:
                self._let_happen(name, int(step["step"]), address)
        process.wait()
        self._end_who_came_too_late()

    def _let_happen(self, name: str, step: int, address: str) -> None:
        with self._lock:
            self._reported.add(name)
            while self._events and step >= self._events[0].step:
                if self._events.pop(0).what == "kill":
                    self._kill_one()
                else:
                    self._start_another(address)
            if self._replacements > 0 and len(self._training()) >= max(2, self._peers):
                self._replacements -= 1
                self._kill_one()
                self._start_another(address)

    def _end_who_came_too_late(self) -> None:
        """When all others are done, who has not come in yet is the first of a new run, and would wait for company."""
        with self._lock:
            if not self._results or self._training():
                return
            late = {name for name, process in self._processes.items() if process.poll() is None} - self._reported - self._late
            self._late |= late
        for name in late:
            try:
                self._processes[name].wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                print(f"=== training ended before {name} was there", flush=True)
                _kill(self._processes[name])

    def _training(self) -> list[str]:
        return sorted(name for name in self._reported - self._killed if self._processes[name].poll() is None)

    def _kill_one(self) -> None:
        """Of those who train; the last one is spared."""
        if len(training := self._training()) > 1:
            victim = self._chance.choice(training)
            print(f"=== killing {victim} (SIGKILL)", flush=True)
            self._killed.add(victim)
            _kill(self._processes[victim])

    def _start_another(self, address: str) -> None:
        print(f"=== starting peer-{self._started + 1}", flush=True)
        self._start(address)

    def _give_up(self) -> None:
        print(f"=== not done in {self._limit_s:.0f} s, giving up", flush=True)
        for process in self._processes.values():
            _kill(process)

    def _collect(self) -> list[dict[str, Any]]:
        if self._replacements > 0:
            raise SystemExit(f"FAILED: training ended before {self._replacements} more peers were replaced")
        failed = [
            f"{name} ({'came too late' if name in self._late else f'exit code {process.returncode}'})"
            for name, process in self._processes.items()
            if name not in self._killed and (process.returncode != 0 or name not in self._results)
        ]
        if failed:
            raise SystemExit(f"FAILED: {', '.join(failed)}")
        return list(self._results.values())


def print_table(results: list[dict[str, Any]]) -> bool:
    """Who ended with what; whether all hold the same bits."""
    print(f"\n{'peer':8} {'loss at start':>13} {'loss at end':>11} {'sent MB':>8}  hash of the weights")
    for result in results:
        print(
            f"{result['name']:8} {result['first_loss']:13.3f} {result['last_loss']:11.3f} {result['sent_mb']:8.2f}  "
            f"{result['hash'][:16]}"
        )
    same = len({result["hash"] for result in results}) == 1 and all(result["same_bits"] for result in results)
    print("all peers hold the same bits" if same else "PEERS DIFFER", flush=True)
    return same


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _start_master() -> tuple[pccl.MasterNode, str]:
    """On a free port of this machine."""
    os.environ.setdefault("PCCL_MASTER_GRACE", "0")  # nobody comes back from an earlier life of this master
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        master = pccl.MasterNode(address)
        try:
            master.run()
        except pccl.PCCLError:
            continue  # somebody else was faster
        return master, address
    raise SystemExit("no free port for the master")
