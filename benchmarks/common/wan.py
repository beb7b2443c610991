"""Hosts far from each other, and processes on them: the emulator of ../shared/wanem, a master, and peers that
are told what to do line by line (tests/e2e/peer.cpp)."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

from common.members import die_with_parent
from common.results import record  # noqa: F401: callers that measure on a Wan find it here, too

PORT = 48148


def emulator_of(build):
    """It is built beside the e2e tests, where its source is found."""
    program = build / "tests" / "e2e" / "wanem"
    if not program.exists():
        sys.exit(f"skipped: no {program}: no ../shared/wanem, nor a -DPCCL_WANEM=FOLDER, when this was built")
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        sys.exit("skipped: the WAN emulator needs root and /dev/net/tun")
    return str(program)


class Wan:
    """An instance of the emulator for a `with`; hosts are 1, 2, ..."""

    def __init__(self, program, hosts, *options):
        self.program, self.name = program, f"pccl{os.getpid()}"
        self.up = ["--hosts", str(hosts), "--sysctl", "net.ipv4.tcp_no_metrics_save=1", *options]

    def __enter__(self):
        self.run("up", *self.up)
        return self

    def __exit__(self, *_):
        self.run("down")

    def run(self, command, *arguments):
        line = [self.program, command, "--name", self.name, *arguments]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    def ctl(self, *command):
        return self.run("ctl", *command)

    def on(self, host, command):
        return [self.program, "exec", "--name", self.name, str(host), "--", *command]

    def stats(self):
        """{"emulator": {key: number}, "host 1": ..., "link 1>2": ...}"""
        table = {}
        for line in self.ctl("stats").splitlines():
            words = line.split()
            pairs = [word.split("=") for word in words if "=" in word]
            name = " ".join(word for word in words if "=" not in word)
            table[name] = {k: float(v) for k, v in pairs if v.replace(".", "").isdigit()}
        return table


class Process:
    """Its lines of output are collected by a thread; stderr goes to a file."""

    def __init__(self, wan, host, command, log, environment=None):
        self.log = log
        self.process = subprocess.Popen(
            wan.on(host, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(log, "w"),
            text=True,
            bufsize=1,
            preexec_fn=die_with_parent,
            env=os.environ | {"PCCL_LOG_LEVEL": "INFO"} | (environment or {}),
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def logged(self, text):
        with open(self.log) as file:
            return [line.rstrip() for line in file if text in line]


class Answer:
    """`done NAME RESULT key=value... | text`"""

    def __init__(self, line):
        head, _, text = line.partition(" |")
        self.text = text.strip()
        words = head.split()
        self.result = words[2]
        self.values = dict(word.split("=") for word in words[3:])

    def number(self, key):
        return int(self.values[key])


class Peer(Process):
    def __init__(self, wan, host, program, log, number, group=0, master="10.77.0.1"):
        super().__init__(wan, host, [program], log)
        self.events = []
        self.must(f"create id={number} port={PORT} host={master} group={group}")

    def say(self, command):
        self.process.stdin.write(command + "\n")

    def answer(self, within=120):
        deadline = time.monotonic() + within
        while True:
            line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if line is None:
                raise RuntimeError(f"the peer of {self.log} has ended")
            if line.startswith("done "):
                return Answer(line)
            self.events.append(line)

    def must(self, command, within=120):
        self.say(command)
        return self.successful(within)

    def successful(self, within=120):
        answer = self.answer(within)
        if answer.result != "pcclSuccess":
            raise RuntimeError(f"{self.log}: {answer.result} {answer.text}")
        return answer


def start_master(wan, host, build, log, *options):
    address = f"10.77.0.{host}"
    master = Process(wan, host, [str(build / "tools" / "pccl-master"), "--listen", f"{address}:{PORT}",
                                 "--log-level", "INFO", *options], log, {"PCCL_MASTER_GRACE": "0"})
    if master.lines.get(timeout=20) is None:
        raise RuntimeError(f"the master has ended: {log}")
    return master


def all_must(peers, command, within=120):
    for peer in peers:
        peer.say(command)
    return [peer.successful(within) for peer in peers]


def scratch_folder():
    return tempfile.TemporaryDirectory(prefix="pccl-wan-")
