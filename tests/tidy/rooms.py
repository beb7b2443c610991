#!/usr/bin/env python3
"""Redraws the arrows between the rooms of src/ from the real #includes.

    tests/tidy/rooms.py [root]            check; names every wrong arrow as file:line and ends with 1
    tests/tidy/rooms.py [root] --update   also writes the picture into docs/architecture.md

Wrong is: an include of a room on the same shelf or a higher one; an include of a room that the link line
(pccl_room(... USES ...)) does not name; sockets, Asio or clocks in a room whose decisions must be replayable;
a picture that is not the one drawn here.
"""
import argparse
import pathlib
import re
import sys
from typing import NamedTuple

SHELVES = [["base"], ["plan", "kernels", "wire"], ["net", "device"],
           ["membership", "collective", "shared_state"], ["node"], ["hierarchical"], ["api"]]
SHELF_OF = {room: height for height, shelf in enumerate(SHELVES) for room in shelf}

# These run unchanged under the simulator: all they know comes as an argument.
REPLAYABLE = {"plan", "kernels", "wire", "membership", "collective", "shared_state"}
SOCKETS = re.compile(r"^(asio(\.hpp|/)|boost/|sys/(socket|epoll|un|uio|select)\.h|netinet/|arpa/|netdb\.h|poll\.h)")
CLOCK = re.compile(r"_clock::now\s*\(|\bclock_gettime\s*\(|\bsleep_(for|until)\s*\(")
ASIO = re.compile(r"^asio(\.hpp|/)")
ASIO_ROOMS = {"net", "node"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
PAGE = "docs/architecture.md"
BEGIN = "<!-- rooms: drawn by tests/tidy/rooms.py --update from the #includes of src/ -->"
END = "<!-- rooms: end -->"


class Include(NamedTuple):
    file: str  # relative to the root
    line: int
    room: str  # whose file it is
    target: str  # what stands between the quotes
    target_room: str  # "" for a header that is no room's


def sources(root):
    return sorted(path for path in (root / "src").rglob("*") if path.suffix in (".hpp", ".h", ".cpp", ".inl", ".cu", ".cuh"))


def room_of(root, path):
    parts = path.relative_to(root / "src").parts
    return parts[0] if len(parts) > 1 else ""


def includes(root):
    rooms = {path.name for path in (root / "src").iterdir() if path.is_dir()}
    for path in sources(root):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(2)
            first = target.split("/")[0] if match.group(1) == '"' and "/" in target else ""
            yield Include(str(path.relative_to(root)), number, room_of(root, path), target,
                          first if first in rooms else "")


def link_lines(root):
    """Room -> the rooms that its pccl_room() call names after USES."""
    uses = {}
    for path in (root / "src").glob("*/CMakeLists.txt"):
        text = re.sub(r"#.*", "", path.read_text())
        for name, body in re.findall(r"pccl_room\(\s*(\w+)([^)]*)\)", text):
            named = re.search(r"\bUSES\b([^)]*?)(?=\b(?:SOURCES|LINKS)\b|$)", body, re.DOTALL)
            uses[name] = set(named.group(1).split()) if named else set()
    return uses


def wrong_arrow(include, uses):
    """The reason why this include may not be, or ""."""
    if include.target_room and include.target_room != include.room:
        here, there = SHELF_OF.get(include.room), SHELF_OF.get(include.target_room)
        if here is None or there is None:
            return f"{include.room if here is None else include.target_room} is on no shelf (see SHELVES)"
        if there >= here:
            return f"{include.room} -> {include.target_room} points {'sideways' if there == here else 'up'}"
        if include.target_room not in uses.get(include.room, set()):
            return (f"{include.room} -> {include.target_room} is not in the link line of src/{include.room}/"
                    "CMakeLists.txt")
    if include.room in REPLAYABLE and SOCKETS.match(include.target):
        return f"{include.room} may not know sockets: <{include.target}>"
    if ASIO.match(include.target) and include.room not in ASIO_ROOMS:
        return f"{include.room} may not know Asio: <{include.target}>"
    if include.room == "membership" and include.target == "base/log.hpp":
        return "membership does not log: its effects tell"
    return ""


def check(root):
    """[(file, line, reason)]"""
    uses = link_lines(root)
    wrong = [(one.file, one.line, reason) for one in includes(root) if (reason := wrong_arrow(one, uses))]
    for path in sources(root):
        if room_of(root, path) not in REPLAYABLE:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if CLOCK.search(line.split("//")[0]):
                wrong.append((str(path.relative_to(root)), number,
                              f"{room_of(root, path)} may not read a clock: time is an argument"))
    return sorted(wrong)


def draw(root):
    rooms = {path.name for path in (root / "src").iterdir() if path.is_dir() and room_files(path)}
    arrows = {(one.room, one.target_room) for one in includes(root)
              if one.target_room and one.room and one.target_room not in (one.room, "base")}
    lines = ["```mermaid", "flowchart TD"]
    for height in reversed(range(len(SHELVES))):
        shelf = [room for room in SHELVES[height] if room in rooms]
        if shelf:
            lines += [f"  subgraph shelf{height}[\" \"]", "    direction LR", *(f"    {room}" for room in shelf), "  end"]
    lines += [f"  {room} --> {target}" for room, target in sorted(arrows, key=lambda a: (-SHELF_OF.get(a[0], 0), a))]
    return "\n".join(lines + ["```"])


def room_files(path):
    return any(file.suffix in (".hpp", ".cpp") for file in path.rglob("*"))


def page_with(text, picture):
    """The page with the picture between its markers, appended with them when there are none."""
    block = f"{BEGIN}\n{picture}\n{END}"
    if BEGIN in text and END in text:
        return text[:text.index(BEGIN)] + block + text[text.index(END) + len(END):]
    return text.rstrip("\n") + ("\n\n" if text else "") + block + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--update", action="store_true", help=f"write the picture into {PAGE}")
    options = parser.parse_args()
    root = options.root.resolve()

    wrong = check(root)
    for file, line, reason in wrong:
        print(f"{file}:{line}: {reason}")
    page = root / PAGE
    text = page.read_text() if page.exists() else ""
    drawn = page_with(text, draw(root))
    if options.update and drawn != text:
        page.parent.mkdir(exist_ok=True)
        page.write_text(drawn)
        print(f"{PAGE}: picture redrawn")
    elif drawn != text:
        print(f"{PAGE}:1: the picture of the rooms is out of date: run tests/tidy/rooms.py --update")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
