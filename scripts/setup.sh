#!/usr/bin/env bash
# Installs what building PCCL needs and this machine lacks (Debian 12, Ubuntu 22.04 and 24.04).
#
#   scripts/setup.sh            to build the library, the daemons, the Python bindings, the examples and the tests
#   scripts/setup.sh --tests    also what only scripts/test.sh uses: a clang with libFuzzer, ip, setarch
#
# Idempotent: when nothing is missing it asks neither the network nor for root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/clang.sh

tests=no
for argument in "$@"; do
  case $argument in
    --tests) tests=yes ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "setup: unknown option $argument" >&2; exit 2 ;;
  esac
done

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# A tool may come from elsewhere (pip, a newer release in PATH): then its package is not wanted.
tool_works() { "$@" --version > /dev/null 2>&1; }
cmake_is_new_enough() {
  local version
  version=$(cmake --version 2> /dev/null | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
  [ -n "$version" ] && [ "$(printf '%s\n' 3.22 "$version" | sort -V | head -n 1)" = 3.22 ]
}
has_package() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]; }

missing=()
want_tool() { tool_works "${@:2}" || missing+=("$1"); }
want_package() { has_package "$1" || missing+=("$1"); }

cmake_is_new_enough || missing+=(cmake)
want_tool ninja-build ninja
want_tool ccache ccache
want_tool git git
want_tool python3 python3
want_tool pkg-config pkg-config
python_builds_extensions() {
  python3 -c 'import ensurepip, os, sysconfig, venv; os.stat(sysconfig.get_path("include") + "/Python.h")' > /dev/null 2>&1
}
python_builds_extensions || missing+=(python3-dev python3-venv)
if command -v dpkg-query > /dev/null; then
  for package in build-essential libasio-dev libspdlog-dev libfmt-dev libgtest-dev libssl-dev libxxhash-dev \
    libcli11-dev nlohmann-json3-dev; do
    want_package "$package"
  done
else
  say "this is no Debian: make sure that Asio, spdlog, fmt, GoogleTest, OpenSSL, xxHash, CLI11 and nlohmann-json are installed"
fi
if [ "$tests" = yes ]; then
  command -v ip > /dev/null || missing+=(iproute2)
  command -v setarch > /dev/null || missing+=(util-linux)
fi
want_clang=no
if [ "$tests" = yes ] && ! find_fuzz_clang > /dev/null; then want_clang=yes; fi

if [ ${#missing[@]} -eq 0 ] && [ $want_clang = no ]; then
  say "nothing is missing"
  exit 0
fi

command -v apt-get > /dev/null || fail "please install: ${missing[*]} (this machine has no apt-get)"
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo > /dev/null || fail "please run as root: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" < /dev/null > "$log" 2>&1
}
apt_or_fail() { apt "$@" || { cat "$log" >&2; fail "apt-get $* failed"; }; }

say "updating the package lists"
apt_or_fail update
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  apt_or_fail install -y --no-install-recommends "${missing[@]}"
fi
if [ $want_clang = yes ]; then
  for version in $clang_versions; do
    if apt-cache show "libclang-rt-$version-dev" > /dev/null 2>&1; then
      say "installing clang-$version libclang-rt-$version-dev"
      apt install -y --no-install-recommends "clang-$version" "libclang-rt-$version-dev" || cat "$log" >&2
      break
    fi
  done
  find_fuzz_clang > /dev/null || say "no clang >= 15 with libFuzzer is to be had: fuzzing will be skipped"
fi
cmake_is_new_enough || fail "CMake >= 3.22 is needed and not in PATH: $(cmake --version | head -n 1) (pip install cmake has newer ones)"
say "done"
