#!/usr/bin/env bash
# One command on a bare machine: sets up, builds, and lets separate processes train a small GPT together with DiLoCo,
# on this machine's loopback. One of them is killed in the middle, another joins later.
# Ends with a table and a picture, and with exit code 0 only if all finishers hold the same weights and have learned.
#
#   scripts/demo.sh                 as it is
#   scripts/demo.sh --rounds 100    flags of examples/python/diloco_gpt.py
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

build_dir=build/release
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '\n=== %s\n' "$*"; }
quietly() { "$@" > "$log" 2>&1 || { cat "$log"; say "FAILED: $*"; exit 1; }; }

say "setting up"
scripts/setup.sh
scripts/python_env.sh

say "building"
cuda=AUTO
nvidia-smi -L > /dev/null 2>&1 || cuda=OFF # where no GPU is, minutes of nvcc would be for nothing
quietly cmake --preset release -DPCCL_BUILD_PYTHON=ON -DPCCL_BUILD_CUDA_SUPPORT=$cuda
cmake --build "$build_dir" --parallel --target pccl_python

say "training a small GPT with three peers; pseudo-gradients travel as 8-bit codes"
PYTHONPATH=$build_dir/bindings/python build/venv/bin/python examples/python/diloco_gpt.py \
  --rounds 40 --kill-at 10 --newcomer-at 16 --report-every 2 --limit 240 --plot build/demo.png "$@"
