#!/usr/bin/env python3
"""docs/protocol.md tells of every message: kind, number, fields and the values of its enums, and of nothing else."""
import pathlib
import re
import sys
import unittest

root = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]


def enum(text, name):
    body = re.search(r"enum class %s\b[^{]*\{(.*?)\};" % name, text, re.S).group(1)
    body = re.sub(r"//.*", "", body)
    return {value: int(number) for value, number in re.findall(r"(\w+)\s*=\s*(\d+)", body)}


def structs(text):
    """struct -> (its kind, if it is a message; names of its fields)"""
    found = {}
    for struct, body in re.findall(r"^struct (\w+) \{(.*?)^\};", text, re.S | re.M):
        kind = re.search(r"Kind kind = Kind::(\w+);", body)
        found[struct] = (kind and kind.group(1), re.findall(r"&%s::(\w+)" % struct, body))
    return found


class ProtocolPage(unittest.TestCase):
    page = (root / "docs/protocol.md").read_text()
    declared = "".join(page.read_text() for page in
                       [*sorted((root / "src/wire/messages").glob("*.hpp")), root / "src/base/algorithm.hpp"])
    bulk = (root / "src/wire/bulk.hpp").read_text()
    sections = {name: (int(number), text) for name, number, text in
                re.findall(r"^### `(\w+)` \((\d+)\)\n(.*?)(?=^##|\Z)", page, re.S | re.M)}

    def test_every_kind_has_its_section_and_every_section_its_kind(self):
        kinds = enum(self.declared, "Kind")
        self.assertGreater(len(kinds), 10)
        self.assertEqual({name: number for name, (number, _) in self.sections.items()}, kinds)

    def test_every_field_is_named_in_the_section_of_its_message(self):
        found = structs(self.declared)
        self.assertEqual({kind for kind, _ in found.values() if kind}, set(enum(self.declared, "Kind")))
        for struct, (kind, names) in found.items():
            text = self.sections[kind][1] if kind else self.page  # parts of several messages: told once
            for name in names:
                self.assertIn(f"`{name}`", text, f"field {name} of {struct}")

    def test_every_value_of_the_enums_is_told(self):
        for name in ("CallKind", "EpochReason", "LinkFault", "Algorithm", "OpOutcome"):
            for value, number in enum(self.declared, name).items():
                self.assertIn(f"`{value}` ({number})", self.page, name)

    def test_every_kind_of_bulk_frame_is_in_the_table(self):
        rows = dict(re.findall(r"^\| `(\w+)` \((\d+)\) \|", self.page, re.M))
        self.assertEqual({name: int(number) for name, number in rows.items()}, enum(self.bulk, "BulkKind"))

    def test_the_version_and_the_magic(self):
        version = re.search(r"protocol_version = (\d+);", self.declared).group(1)
        self.assertIn(f"\nVersion {version}. ", self.page)
        self.assertIn(re.search(r"magic = (0x\w+);", self.declared).group(1), self.page)


if __name__ == "__main__":
    unittest.main()
