"""A whole run on this machine: a master in this process, peers in others, one of them killed and another joining late."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import threading
from typing import Any, Optional

import pccl

from common.history import RESULT

_STEP = re.compile(r"^\[(?P<peer>\S+)\] \w+ (?P<step>\d+)/")


@dataclasses.dataclass
class Churn:
    """At step ``kill_at`` the second peer is killed, at ``join_at`` another one starts; None: never."""

    kill_at: Optional[int] = None
    join_at: Optional[int] = None


class LocalRun:
    """Starts peers as ``COMMAND --join ADDRESS --name peer-N``, passes on what they print, and collects their results."""

    def __init__(self, command: list[str], peers: int, churn: Churn, limit_s: float) -> None:
        self._command = command
        self._peers = peers
        self._churn = churn
        self._limit_s = limit_s
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._results: dict[str, dict[str, Any]] = {}
        self._killed: Optional[str] = None
        self._joined = False
        self._lock = threading.Lock()

    def run(self) -> list[dict[str, Any]]:
        """The results of all peers but the killed one; SystemExit when one of them has failed."""
        master, address = _start_master()
        timer = threading.Timer(self._limit_s, self._give_up)
        timer.start()
        try:
            for number in range(1, self._peers + 1):
                self._start(f"peer-{number}", address)
            for reader in self._readers:  # grows when a peer joins
                reader.join()
            return self._collect()
        finally:
            timer.cancel()
            for process in self._processes.values():
                _kill(process)
                process.wait()
            master.interrupt()

    def _start(self, name: str, address: str) -> None:
        process = subprocess.Popen(
            [*self._command, "--join", address, "--name", name],
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
                self._make_churn(int(step["step"]), address)
        process.wait()

    def _make_churn(self, step: int, address: str) -> None:
        with self._lock:
            if self._churn.kill_at is not None and step >= self._churn.kill_at and self._killed is None:
                self._killed = "peer-2"
                print(f"=== killing {self._killed} (SIGKILL)", flush=True)
                _kill(self._processes[self._killed])
            if self._churn.join_at is not None and step >= self._churn.join_at and not self._joined:
                self._joined = True
                name = f"peer-{self._peers + 1}"
                print(f"=== starting {name}", flush=True)
                self._start(name, address)

    def _give_up(self) -> None:
        print(f"=== not done in {self._limit_s:.0f} s, giving up", flush=True)
        for process in self._processes.values():
            _kill(process)

    def _collect(self) -> list[dict[str, Any]]:
        failed = [
            f"{name} (exit code {process.returncode})"
            for name, process in self._processes.items()
            if name != self._killed and (process.returncode != 0 or name not in self._results)
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
