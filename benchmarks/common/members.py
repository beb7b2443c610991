"""Conducts measured processes (common/conducted.hpp tells the protocol): each connects to a socket and waits there,
asleep, until it is its turn."""

import contextlib
import ctypes
import dataclasses
import os
import signal
import socket
import subprocess
import sys

from common.cpu_time import cpu_us_of, tree_of

START_LIMIT_S, ORDER_LIMIT_S = 120, 300
_libc = ctypes.CDLL(None)


def die_with_parent(by=signal.SIGKILL):
    PR_SET_PDEATHSIG = 1
    _libc.prctl(PR_SET_PDEATHSIG, by)


def leave_scopes_when_terminated():
    """SIGTERM ends the program as Ctrl-C does: what was started is closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@dataclasses.dataclass(frozen=True)
class Turn:
    """What one order came to."""

    times_us: list  # of rank 0, per timed call
    cpu_us: float  # per call, of all processes of the library together
    wrong: int = 0  # elements


class Members:
    """The processes of one library: `count` of them, started by `commands`, in which CONTROL stands for the socket:
    a path, or @NAME, which is seen in this network namespace only."""

    def __init__(self, name, control, commands, count, environment=None):
        self.name = name
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("\0" + control[1:] if control.startswith("@") else control)
        self.listener.listen(64)
        self.listener.settimeout(START_LIMIT_S)
        self.processes = [
            subprocess.Popen(
                [argument.replace("CONTROL", control) for argument in command],
                preexec_fn=die_with_parent,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                env=os.environ | (environment or {}),
            )
            for command in commands
        ]
        self.streams, self.variants = [], ["-"]
        for _ in range(count):
            connection, _ = self.listener.accept()
            connection.settimeout(ORDER_LIMIT_S)
            stream = connection.makefile("rw")
            hello = stream.readline().split()
            if int(hello[1]) == 0:
                self.variants = hello[3].split(",")
            self.streams.append(stream)
            connection.close()
        self.process_ids = tree_of(process.pid for process in self.processes)

    def measure(self, size, warmup, iterations, variant="-", in_place=False, check=False):
        cpu_us = -cpu_us_of(self.process_ids)
        for stream in self.streams:
            stream.write(f"run {size} {warmup} {iterations} {in_place:d} {check:d} {variant}\n")
            stream.flush()
        times, wrong = [], 0
        for stream in self.streams:
            try:
                answer = stream.readline().split()
            except TimeoutError:
                answer = []
            if not answer:
                sys.exit(f"{self.name} ({variant}, {size} bytes): a member has ended or hangs")
            wrong += int(answer[1])
            cpu_us -= float(answer[2])
            end = answer.index("way") if "way" in answer else len(answer)
            times += [float(t) for t in answer[3:end]]
        cpu_us += cpu_us_of(self.process_ids)
        return Turn(times, cpu_us / (warmup + iterations + check), wrong)

    def close(self):
        for stream in self.streams:
            with contextlib.suppress(OSError):
                stream.close()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.listener.close()
