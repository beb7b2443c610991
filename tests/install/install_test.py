#!/usr/bin/env python3
"""Installs a build to a temporary prefix and uses it as an outsider: find_package, pkg-config, add_subdirectory,
shared and static, C99 and C++; and compares what libpccl.so exports with what pccl.h declares."""
import argparse
import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
OPTIONS = None


def run(*command, env=None):
    command = [str(word) for word in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=170,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="pccl-install-")
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.prefix = pathlib.Path(cls.scratch.name) / "prefix"
        run(OPTIONS.cmake, "--install", OPTIONS.build, "--prefix", cls.prefix)
        cls.libdir = next(cls.prefix.glob("**/libpccl.so")).parent

    def one_peer_run(self, program):
        output = run(program, free_port(), env={"LD_LIBRARY_PATH": str(self.libdir)})
        self.assertRegex(output, r"pccl \d+\.\d+\.\d+, world 1\n$")

    def test_everything_is_there(self):
        for name in "pccl.h", "ccoip.h", "ccoip_inet.h":
            self.assertTrue((self.prefix / "include" / name).is_file(), name)
        for name in "libpccl.so", "libpccl.a", "pkgconfig/pccl.pc", "cmake/pccl/pcclConfig.cmake":
            self.assertTrue((self.libdir / name).is_file(), name)
        self.assertTrue(os.access(self.prefix / "bin" / "ccoip_master", os.X_OK))
        # The daemon finds its library beside it, without LD_LIBRARY_PATH.
        self.assertRegex(run(self.prefix / "bin" / "pccl-master", "--version"), r"^pccl-master \d")

    def test_exports_what_the_header_declares_and_nothing_else(self):
        header = re.sub(r"/\*.*?\*/|^#.*?$", "", (SOURCE / "include" / "pccl.h").read_text(),
                        flags=re.DOTALL | re.MULTILINE)
        declared = set(re.findall(r"PCCL_EXPORT[^;(]*?\b(\w+)\s*\(", header))
        exported = {line.split()[-1] for line in
                    run("nm", "-D", "--defined-only", self.libdir / "libpccl.so").splitlines()}
        self.assertGreater(len(declared), 15)
        self.assertEqual(exported, declared)

    def test_find_package(self):
        build = pathlib.Path(self.scratch.name) / "outside"
        run(OPTIONS.cmake, "-S", HERE / "outside", "-B", build, "-G", OPTIONS.generator,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_C_COMPILER={OPTIONS.cc}",
            f"-DCMAKE_CXX_COMPILER={OPTIONS.cxx}", f"-DCMAKE_C_FLAGS={OPTIONS.flags}",
            f"-DCMAKE_CXX_FLAGS={OPTIONS.flags}")
        run(OPTIONS.cmake, "--build", build)
        for program in "c_with_pccl", "cpp_with_pccl", "c_with_pccl_static", "cpp_with_pccl_static":
            with self.subTest(program):
                self.one_peer_run(build / program)

    def pkg_config(self, *arguments):
        # Only what we installed: the shared library must not ask for anybody's development package.
        return shlex.split(run("pkg-config", *arguments, "pccl",
                               env={"PKG_CONFIG_LIBDIR": str(self.libdir / "pkgconfig")}))

    def test_pkg_config(self):
        flags = shlex.split(OPTIONS.flags)
        static = ["-l:libpccl.a" if word == "-lpccl" else word for word in self.pkg_config("--static", "--libs")]
        for compiler, standard, source in (OPTIONS.cc, "c99", "program.c"), (OPTIONS.cxx, "c++17", "program.cpp"):
            for kind, libraries in ("shared", self.pkg_config("--libs")), ("static", static):
                with self.subTest(source=source, kind=kind):
                    program = pathlib.Path(self.scratch.name) / f"{kind}-{source}.out"
                    run(compiler, f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror", *flags,
                        HERE / "outside" / source, "-o", program, *self.pkg_config("--cflags"), *libraries)
                    self.one_peer_run(program)

    def test_add_subdirectory(self):
        # Configures and plans the build; to build the library a second time would test the compiler.
        build = pathlib.Path(self.scratch.name) / "parent"
        run(OPTIONS.cmake, "-S", HERE / "parent", "-B", build, "-G", OPTIONS.generator,
            f"-DPCCL_SOURCE={SOURCE}", f"-DCMAKE_C_COMPILER={OPTIONS.cc}",
            f"-DCMAKE_CXX_COMPILER={OPTIONS.cxx}")
        plan = run(OPTIONS.cmake, "--build", build, "--", "-n")
        self.assertIn("program", plan)
        self.assertNotIn("_test", plan)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in "build", "cmake", "generator", "cc", "cxx", "flags":
        parser.add_argument(f"--{option}", required=True)
    OPTIONS = parser.parse_args()
    unittest.main(argv=sys.argv[:1])
