#!/usr/bin/env bash
# Makes build/venv: the Python in which the demo and the tests run, with torch, and with what the bindings are built with.
#
#   scripts/python_env.sh           for the examples
#   scripts/python_env.sh --tests   also what tests/python uses
#
# Takes the system's packages where they do (a torch of 2.6 or later), else PyPI's. Says which torch it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extra=examples
[ "${1:-}" != --tests ] || extra=tests
venv=build/venv
python=$venv/bin/python

say() { echo "python: $*"; }
fail() { echo "python: $*" >&2; exit 1; }

base=${PYTHON:-python3}
"$base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null || fail "Python 3.10 or later is needed: $("$base" --version 2>&1)"
"$python" -c 'import sys; sys.exit(0)' 2> /dev/null || "$base" -m venv --clear --system-site-packages "$venv"

install() { "$python" -m pip install --quiet --disable-pip-version-check --progress-bar off "$@"; }

torch_version() { "$python" -c 'import torch; print(torch.__version__)' 2> /dev/null; }
torch_is_new_enough() {
  local version
  version=$(torch_version) && [ "$(printf '%s\n' 2.6 "$version" | sort -V | head -n 1)" = 2.6 ]
}

# Prints the other packages of the extra in pyproject.toml, or with "torch" the pinned torch.
requirements() {
  "$python" - "$1" "$extra" << 'END'
import pathlib, re, sys
text = pathlib.Path("pyproject.toml").read_text()
def extra(name):
    return re.findall(r'"([^"]+)"', re.search(rf"^{name} = \[(.*)\]$", text, re.M)[1])
wanted = extra("torch") + [package for package in extra(sys.argv[2]) if not package.startswith("pypccl")]
print(*[package for package in wanted if (package.split("==")[0] == "torch") == (sys.argv[1] == "torch")])
END
}

if torch_is_new_enough; then
  say "torch $(torch_version), $("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')"
else
  pinned=$(requirements torch)
  # The wheel without CUDA is a tenth of the size; PyPI has it for some systems only.
  say "installing $pinned, the build for CPUs where it can be had"
  install "$pinned+cpu" 2> /dev/null ||
    install "$pinned+cpu" --index-url https://download.pytorch.org/whl/cpu 2> /dev/null ||
    install "$pinned" || fail "no $pinned for this Python: see https://pytorch.org"
  say "torch $(torch_version), just installed"
fi

missing=()
for package in pybind11 $(requirements others); do
  module=${package%%[=<>]*}
  "$python" -c "import $module" 2> /dev/null || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  install "${missing[@]}"
fi
