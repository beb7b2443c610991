#!/usr/bin/env bash
# Fetches what a cross-build for AArch64 needs beside the compiler (docs/testing.md) from Debian's archive, unpacked
# into a folder: build/aarch64-root, or the one given. Nothing is installed, no architecture is added to dpkg.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=${1:-build/aarch64-root}
mkdir -p "$root"
root=$(cd "$root" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/packages"

options=(-oAPT::Architecture=arm64 -oAPT::Architectures=arm64 -oDir::State::Lists="$scratch/lists"
  -oAPT::Sandbox::User=root -qq)
apt-get "${options[@]}" update
cd "$scratch/packages"
# The shared libraries have their version in the name of the package: take those that the -dev packages ask for.
development=(libfmt-dev libspdlog-dev libgtest-dev libgmock-dev libxxhash-dev libasio-dev)
mapfile -t shared < <(apt-cache "${options[@]}" depends --important libfmt-dev libspdlog-dev |
  sed -n 's/^ *Depends: \(lib\(fmt\|spdlog\)[0-9.]*\)$/\1/p' | sort -u)
apt-get "${options[@]}" download "${development[@]}" "${shared[@]}"
for package in *.deb; do dpkg-deb -x "$package" "$root"; done
echo "unpacked into $root:" *.deb
