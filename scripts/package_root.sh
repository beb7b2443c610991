#!/usr/bin/env bash
# Fetches what a build needs beside the compiler from Debian's archive, unpacked into a folder: for a cross-build, or to take
# along to a machine without internet. Nothing is installed, no architecture is added to dpkg.
#
#   scripts/package_root.sh arm64 build/aarch64-root    # preset aarch64
#   scripts/package_root.sh amd64 build/gpu-root        # scripts/gpu_check.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
architecture=${1:?which architecture, as Debian calls it}
root=${2:?which folder}
mkdir -p "$root"
root=$(cd "$root" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/packages"

options=(-oAPT::Architecture="$architecture" -oAPT::Architectures="$architecture" -oDir::State::Lists="$scratch/lists"
  -oAPT::Sandbox::User=root -qq)
apt-get "${options[@]}" update
cd "$scratch/packages"
# The shared libraries have their version in the name of the package: take those that the -dev packages ask for.
development=(libfmt-dev libspdlog-dev libgtest-dev libgmock-dev libxxhash-dev libasio-dev libcli11-dev)
mapfile -t shared < <(apt-cache "${options[@]}" depends --important libfmt-dev libspdlog-dev |
  sed -n 's/^ *Depends: \(lib\(fmt\|spdlog\)[0-9.]*\)$/\1/p' | sort -u)
apt-get "${options[@]}" download "${development[@]}" "${shared[@]}"
for package in *.deb; do dpkg-deb -x "$package" "$root"; done
rm -rf "$root/usr/share/doc"
echo "unpacked into $root:" *.deb
