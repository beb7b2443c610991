// The past of the benchmarks: one JSON line per run in results/*.jsonl.
#pragma once

#include <string>

namespace bench {

// `"commit":"…","date":"…","machine":"…"`: the fields every line begins with.
std::string run_fields();

// Appends `{run_fields, fields}` to `file` ("-": nowhere). `fields` is the inside of a JSON object.
void record(const std::string& file, const std::string& fields);

}  // namespace bench
