"""Processes that tests start, talk to by lines, and end."""

from __future__ import annotations

import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

import pccl
from peers import PATIENCE

PROGRAMS = pathlib.Path(__file__).parent / "programs"
_PACKAGE = str(pathlib.Path(pccl.__file__).parent.parent)


class Child:
    """python with these arguments, in an environment where the tested pccl is found. Killed at the end of its scope."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        paths = [_PACKAGE, *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [threading.Thread(target=self._read_output), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    @classmethod
    def program(cls, name: str, *arguments: str, **environment: str) -> Child:
        """One of the scripts in programs/."""
        return cls(str(PROGRAMS / f"{name}.py"), *arguments, **environment)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        for reader in self._readers:
            reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()

    def expect(self, start: str) -> str:
        """The rest of the first line that begins so; lines before it are skipped."""
        deadline = time.monotonic() + PATIENCE
        seen = []
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no line '{start}...' but {seen}; stderr: {self.errors()}")
            if line.startswith(start):
                return line[len(start) :].strip()
            seen.append(line)

    def tell(self, line: str) -> None:
        print(line, file=self.process.stdin, flush=True)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait_until_asleep(self) -> None:
        """Until its main thread waits for something and uses no processor time any more (Linux)."""
        deadline, quiet, before = time.monotonic() + PATIENCE, 0, None
        while quiet < 20 and time.monotonic() < deadline:
            fields = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/stat").read_text()
            state, *rest = fields.rpartition(")")[2].split()
            now = (state, rest[10], rest[11])  # user and system time
            quiet = quiet + 1 if state == "S" and now == before else 0
            before = now
            time.sleep(0.01)
        assert quiet, f"the child does not come to rest: {self.errors()}"

    def end(self) -> int:
        """Waits until it has ended by itself: the exit code, or minus the signal that ended it."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the child does not end; stderr: {self.errors()}") from None

    def errors(self) -> str:
        """What it has written to stderr, all of it once it has ended."""
        if self.process.poll() is not None:
            self._readers[1].join(PATIENCE)
        return "".join(self._errors)

    def _read_output(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        self._errors.extend(self.process.stderr)
