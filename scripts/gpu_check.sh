#!/usr/bin/env bash
# Builds what is for GPUs and runs its tests and benchmarks, on a machine with a GPU, which may be without internet.
#
#   scripts/gpu_check.sh prepare    where there is internet (Debian, Ubuntu): packages to take along, into build/gpu-root
#   scripts/gpu_check.sh            where the GPU is, with nvcc, a C++ compiler, CMake and Ninja
#
# Logs and figures go to the folder $OUT, or build/gpu-results. Ends with a line for each check, and with exit code 0 only if
# none has failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=build/gpu-root

case ${1:-check} in
  prepare)
    scripts/package_root.sh amd64 "$root"
    # For the Python tests: newer than Debian's, and for any Python.
    exec python3 -m pip install --quiet --upgrade --no-compile --target "$root/python" pybind11 pytest
    ;;
  check) ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

out=${OUT:-build/gpu-results}
mkdir -p "$out"
summary=()
failed=0

# Runs a command; its output goes to a log, and the end of it to the terminal.
check() {
  local name=$1 began=$SECONDS verdict=ok
  shift
  "$@" > "$out/$name.log" 2>&1 < /dev/null || { verdict="FAILED ($?)"; failed=1; }
  tail -n 30 "$out/$name.log"
  summary+=("$(printf '%-12s %-12s %4s s' "$name" "$verdict" $((SECONDS - began)))")
  [ "$verdict" = ok ]
}

finish() {
  printf '\n=== %s\n' "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2> /dev/null || echo "no nvidia-smi")"
  printf '%s\n' "${summary[@]}" | tee "$out/summary.txt"
  exit $failed
}

architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 | tr -d .)
configure=(cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=Release -DPCCL_BUILD_CUDA_SUPPORT=ON
  -DCMAKE_CUDA_ARCHITECTURES="${architecture:-90}" -DPCCL_EMBED_DEPENDENCIES=ON -DPCCL_BUILD_TOOLS=OFF -DPCCL_BUILD_EXAMPLES=OFF)
if [ -d "$root" ]; then
  here=$(cd "$root" && pwd)
  configure+=(-DCMAKE_PREFIX_PATH="$here/usr" -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu
    -DCMAKE_CXX_FLAGS="-isystem $here/usr/include" -DCMAKE_CUDA_FLAGS="-isystem $here/usr/include"
    -DPCCL_BUILD_PYTHON=AUTO -Dpybind11_DIR="$here/python/pybind11/share/cmake/pybind11")
  export PYTHONPATH="$here/python${PYTHONPATH:+:$PYTHONPATH}"
fi
check gpu nvidia-smi -L # without one the rest is built all the same, skipped or left out, and this line says FAILED
check configure "${configure[@]}" || finish
check build cmake --build build/gpu --target kernels_cuda_test device_test device_all_reduce_test device_bits_test device_shared_state_test \
  device_nccl_test cuda_perf cuda_all_reduce cuda_state_sync || finish
export PCCL_MASTER_GRACE=0
tests=build/gpu/tests/kernels/kernels_cuda_test
check numerics "$tests"
check mixed "build/gpu/tests/device/device_bits_test"
check stand_in sh -c 'for test in device device_all_reduce device_shared_state device_nccl; do build/gpu/tests/device/${test}_test || exit 1; done'
if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck; do
    check "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests" \
      --gtest_filter='Cuda/OnAGpu.Reduces*:Cuda/OnAGpu.Averages*:Cuda/OnAGpu.D*'
  done
fi
check cuda_perf build/gpu/benchmarks/cuda_perf
check all_reduce build/gpu/benchmarks/cuda_all_reduce --json "$out/cuda_all_reduce.jsonl"
check state_sync build/gpu/benchmarks/cuda_state_sync --json "$out/cuda_state_sync.jsonl"
if cmake --build build/gpu --target pccl_python > "$out/python_build.log" 2>&1 && python3 -c 'import torch, pytest' 2> /dev/null; then
  check python env PYTHONPATH="$PWD/build/gpu/bindings/python:${PYTHONPATH:-}" OMP_NUM_THREADS=1 python3 -m pytest -q -p no:cacheprovider tests/python/cuda \
    tests/python/test_gpu_operands.py tests/python/torch/test_on_gpus.py
  nvidia-smi -L > /dev/null 2>&1 && check fsdp_diloco env PYTHONPATH="$PWD/build/gpu/bindings/python:${PYTHONPATH:-}" OMP_NUM_THREADS=1 \
    python3 examples/python/fsdp_diloco_gpt.py --device cuda --cpu-peers 1
else
  echo "python: no bindings, torch or pytest here: left out" | tee -a "$out/summary.txt"
fi
finish
