#!/usr/bin/env bash
# Sets up, builds and tests: every preset given, or all of them.
#
#   scripts/test.sh                     dev asan-ubsan tsan fuzz
#   scripts/test.sh dev tsan            only these (also: release, coverage)
#   scripts/test.sh --no-setup dev      without asking apt what is missing
#
# Ends with one line per preset and with exit code 0 only if all have passed. Logs stay in build/<preset>/.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
source scripts/clang.sh

setup=yes
presets=()
for argument in "$@"; do
  case $argument in
    --no-setup) setup=no ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    dev | release | asan-ubsan | tsan | fuzz | coverage) presets+=("$argument") ;;
    *) echo "test.sh: no preset $argument" >&2; exit 2 ;;
  esac
done
[ ${#presets[@]} -gt 0 ] || presets=(dev asan-ubsan tsan fuzz)

jobs=$(nproc)
failed=0
summary=()

say() { printf '\n=== %s\n' "$*"; }

# Runs a command quietly; its output goes to a log, the end of which is shown when it fails.
quietly() {
  local log=$1
  shift
  "$@" > "$log" 2>&1 < /dev/null || { tail -n 60 "$log"; echo "(all of it: $log)"; return 1; }
}

# The sanitizers of older compilers do not know the address layouts of newer kernels.
without_aslr() {
  if setarch "$(uname -m)" -R true 2> /dev/null; then setarch "$(uname -m)" -R "$@"; else "$@"; fi
}

# One line for the end: preset, seconds of the build and of the tests, the last word.
note() { summary+=("$(printf '%-11s build %4ss  tests %4ss  %s' "$@")"); }

run_preset() {
  local preset=$1 configure=() began built tested
  local folder=build/$preset
  mkdir -p "$folder"
  if [ "$preset" = fuzz ]; then
    local clang
    if ! clang=$(find_fuzz_clang); then
      summary+=("$(printf '%-11s skipped: no clang >= 15 with libFuzzer on this machine' fuzz)")
      return 0
    fi
    configure=(-DCMAKE_C_COMPILER="clang-$clang" -DCMAKE_CXX_COMPILER="clang++-$clang")
  fi
  began=$SECONDS
  say "$preset: building"
  if ! quietly "$folder/configure.log" cmake --preset "$preset" "${configure[@]}" ||
    ! quietly "$folder/build.log" cmake --build --preset "$preset" -j "$jobs"; then
    note "$preset" $((SECONDS - began)) 0 "BUILD FAILED"
    return 1
  fi
  built=$((SECONDS - began)) began=$SECONDS
  say "$preset: testing"
  local run=()
  case $preset in asan-ubsan | tsan) run=(without_aslr) ;; esac
  "${run[@]}" ctest --preset "$preset" -j "$jobs" < /dev/null 2>&1 | tee "$folder/test.log"
  local result=${PIPESTATUS[0]}
  tested=$((SECONDS - began))
  note "$preset" $built $tested "$(grep -E '^[0-9]+% tests passed|^No tests' "$folder/test.log" | tail -n 1)"
  return "$result"
}

if [ $setup = yes ]; then
  say "setting up"
  scripts/setup.sh --tests && scripts/python_env.sh --tests || exit 1
fi
for preset in "${presets[@]}"; do
  run_preset "$preset" || failed=1
done

say "summary (${SECONDS} s)"
printf '%s\n' "${summary[@]}"
exit $failed
