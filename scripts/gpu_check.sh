#!/usr/bin/env bash
# Builds what is for GPUs and runs its tests and benchmarks, on a machine with a GPU, which may be without internet.
#
#   scripts/gpu_check.sh prepare       where there is internet (Debian, Ubuntu): packages to take along, into build/gpu-root
#   scripts/gpu_check.sh [STEP...]     where the GPU is, with nvcc, a C++ compiler, CMake and Ninja; default: all steps
#
# Steps, what matters most first: build mixed python numerics fsdp benchmarks sanitizers. Whatever is named, what is missing is
# built before. Every check has a limit. Where a call may only last so long, CHECK_SECONDS ends it in time, with a summary:
#
#   CHECK_SECONDS=580 scripts/gpu_check.sh build mixed python
#   CHECK_SECONDS=580 scripts/gpu_check.sh numerics fsdp benchmarks
#   CHECK_SECONDS=580 scripts/gpu_check.sh sanitizers
#
# In the folder $OUT, or build/gpu-results: gpu_check.log has all output, summary.txt a line for each check as it ends, *.jsonl the
# figures. Exit code 0 only if nothing has failed, been skipped or been left out.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=build/gpu-root
all=(build mixed python numerics fsdp benchmarks sanitizers)

usage() {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p;}' "$0"
  exit 2
}

if [ "${1:-}" = prepare ]; then
  scripts/package_root.sh amd64 "$root" || exit
  # For the Python tests: newer than Debian's, and for any Python.
  exec python3 -m pip install --quiet --upgrade --no-compile --target "$root/python" pybind11 pytest
fi
steps=("$@")
[ $# -gt 0 ] || steps=("${all[@]}")
for step in "${steps[@]}"; do
  case " ${all[*]} " in *" $step "*) ;; *) usage ;; esac
done

out=${OUT:-build/gpu-results}
mkdir -p "$out"
out=$(cd "$out" && pwd) # checks may change the folder
log=$out/gpu_check.log
failed=0
deadline=${CHECK_SECONDS:-86400}

# A line of the summary, at once: who ends this script early has those before. At its end all of them once more.
summary=()
trap 'printf "%s\n" "" "${summary[@]}"' EXIT
note() {
  summary+=("$(printf '%-18s %-14s %4s s' "$1" "$2" "$3")")
  printf '%s\n' "${summary[-1]}" | tee -a "$out/summary.txt"
  [ "$2" = ok ] || failed=1
}

# check NAME SECONDS COMMAND...: its output goes to the log, and of a check that is not ok the end of it to the terminal.
check() {
  local name=$1 limit=$2 began=$SECONDS before code=0 verdict=ok
  shift 2
  [ "$limit" -lt $((deadline - SECONDS - 10)) ] || limit=$((deadline - SECONDS - 10))
  if [ "$limit" -lt 10 ]; then
    note "$name" "NO TIME LEFT" 0
    return 1
  fi
  printf '\n=== %s: %s\n' "$name" "$*" >> "$log"
  before=$(stat -c %s "$log")
  timeout -k 10 "$limit" "$@" >> "$log" 2>&1 < /dev/null || code=$?
  case $code in
    0) ;;
    124 | 137) verdict="OVER ${limit} s" ;;
    *) verdict="FAILED ($code)" ;;
  esac
  if [ "$verdict" = ok ] && [ -n "${must_run:-}" ] &&
    [ "$(tail -c "+$((before + 1))" "$log" | grep -cF -e '[  SKIPPED ]' -e 'no GPU here')" != 0 ]; then
    verdict=SKIPPED
  fi
  if [ "$verdict" != ok ]; then
    # 12,000 characters of all of it may be shown.
    tail -c "+$((before + 1))" "$log" | tail -n 25 | cut -c 1-240 | tail -c 1500
    echo
  fi
  note "$name" "$verdict" $((SECONDS - began))
  [ "$verdict" = ok ]
}

# As check, of what is for a GPU alone: not ok where it has found none.
check_gpu() {
  local must_run=1
  check "$@"
}

steps_have() {
  case " ${steps[*]} " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# ---- what is needed by all

architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 | tr -d .)
configure=(cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=Release -DPCCL_BUILD_CUDA_SUPPORT=ON
  -DCMAKE_CUDA_ARCHITECTURES="${architecture:-90}" -DPCCL_EMBED_DEPENDENCIES=ON -DPCCL_BUILD_TOOLS=OFF -DPCCL_BUILD_EXAMPLES=OFF
  -DPCCL_BUILD_PYTHON=AUTO -DPython3_EXECUTABLE="$(command -v python3)")
if [ -d "$root" ]; then
  here=$(cd "$root" && pwd)
  configure+=(-DCMAKE_PREFIX_PATH="$here/usr" -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu
    -DCMAKE_CXX_FLAGS="-isystem $here/usr/include" -DCMAKE_CUDA_FLAGS="-isystem $here/usr/include"
    -Dpybind11_DIR="$here/python/pybind11/share/cmake/pybind11")
  export PYTHONPATH="$here/python${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$PWD/build/gpu/bindings/python${PYTHONPATH:+:$PYTHONPATH}"
export PCCL_MASTER_GRACE=0 OMP_NUM_THREADS=1 PCCL_REQUIRE_GPU=1
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONUNBUFFERED=1 # plugins of that machine's own may want what the pytest taken along has not
export PCCL_TEST_LAST_BOUND=100 # seconds, in which a test that hangs tells where

printf '=== %s: %s\n' "$(date -u +%FT%TZ)" "${steps[*]}" | tee -a "$out/summary.txt"
check gpu 60 nvidia-smi # without one the rest is built all the same
tests=build/gpu/tests
if steps_have build || [ ! -x $tests/device/device_bits_test ]; then
  check configure 120 "${configure[@]}" || exit 1
  # What does not compile is one failure, and the rest goes on without it.
  check build 420 cmake --build build/gpu --target kernels_cuda_test device_test device_all_reduce_test device_bits_test \
    device_shared_state_test device_application_stream_test device_nccl_test cuda_perf cuda_all_reduce cuda_state_sync -- -k 0
  check python_build 120 cmake --build build/gpu --target pccl_python
  check python_packages 60 python3 -c 'import pccl, pytest, torch; print(pccl.__file__, pytest.__version__, torch.__version__, torch.version.cuda)'
fi

# ---- the steps

step_build() { :; } # done above

step_mixed() {
  check_gpu mixed 120 $tests/device/device_bits_test
  for test in device device_all_reduce device_shared_state device_application_stream device_nccl; do # on a stand-in, in this build
    check "$test" 60 "$tests/device/${test}_test"
  done
}

# A process for each: after an illegal access none can go on.
step_python() {
  local pytest=(python3 -B -m pytest -v -p no:cacheprovider)
  check py_all_reduce 150 "${pytest[@]}" tests/python/cuda/test_all_reduce_on_gpu.py
  check py_training 150 "${pytest[@]}" tests/python/cuda/test_training_on_gpu.py tests/python/cuda/test_memory_on_gpu.py
  check py_shared_state 60 "${pytest[@]}" tests/python/cuda/test_shared_state_on_gpu.py
  check py_operands 60 "${pytest[@]}" tests/python/test_gpu_operands.py tests/python/torch/test_on_gpus.py
}

step_numerics() { check_gpu numerics 180 $tests/kernels/kernels_cuda_test; }

step_fsdp() {
  check fsdp_diloco 150 python3 examples/python/fsdp_diloco_gpt.py --device cuda --cpu-peers 1 --rounds 10 --limit 120
}

step_benchmarks() {
  check_gpu cuda_perf 60 build/gpu/benchmarks/cuda_perf
  check_gpu all_reduce 150 build/gpu/benchmarks/cuda_all_reduce --json "$out/cuda_all_reduce.jsonl"
  check_gpu state_sync 60 build/gpu/benchmarks/cuda_state_sync --json "$out/cuda_state_sync.jsonl"
}

step_sanitizers() {
  if ! command -v compute-sanitizer > /dev/null; then
    note compute-sanitizer "LEFT OUT" 0
    return
  fi
  # Racecheck is about shared memory, which no kernel has today; synccheck about the masks of shuffles.
  local filter='Cuda/OnAGpu.Reduces*:Cuda/OnAGpu.Averages*:Cuda/OnAGpu.D*:Cuda/OnAGpu.QuantizesAFewLikeScalar'
  for tool in memcheck racecheck synccheck; do
    check_gpu "$tool" 180 compute-sanitizer --tool "$tool" --error-exitcode 1 $tests/kernels/kernels_cuda_test --gtest_filter="$filter"
  done
}

for step in "${all[@]}"; do
  if steps_have "$step"; then "step_$step"; fi
done
exit $failed
