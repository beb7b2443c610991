"""Lines of results/*.jsonl."""

import datetime
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _git(*arguments):
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()


def commit():
    """With "-dirty" when tracked files are changed, but for the results: each line that is written changes those."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)benchmarks/results")
    return _git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def machine():
    models = [
        line.split(":", 1)[1].strip()
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{(models or ['unknown CPU'])[0]}, {os.cpu_count()} cores, Linux {os.uname().release}"


def record(file, fields):
    """Appends a line to the file; "-": to none."""
    if file == "-":
        return
    now = datetime.datetime.now(datetime.timezone.utc)
    line = {"commit": commit(), "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "machine": machine()}
    with open(file, "a") as results:
        results.write(json.dumps(line | fields) + "\n")
