# Sourced. Which clang can fuzz: new enough for C++20 (15) and with the libFuzzer runtime installed.

clang_versions="16 15 17 18 19 20"  # 16 first: it is what the preset names and what we test with

# Prints the version of the first such clang, or fails.
find_fuzz_clang() {
  local version runtime
  for version in $clang_versions; do
    command -v "clang++-$version" > /dev/null || continue
    runtime=$("clang++-$version" --print-file-name="libclang_rt.fuzzer-$(uname -m).a")
    if [ ! -e "$runtime" ]; then
      runtime=$("clang++-$version" --print-runtime-dir)/libclang_rt.fuzzer.a
    fi
    if [ -e "$runtime" ]; then
      echo "$version"
      return 0
    fi
  done
  return 1
}
