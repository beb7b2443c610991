// A block is worked on in tiles: a few KiB that stay in the first-level cache between one step
// (widen, decode, reduce, scan, encode) and the next, so that each step is a plain loop of the
// kernel set and memory is still read and written once.
#include "kernels/quantize.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/status.hpp"

namespace pccl::kernels {

namespace {

constexpr std::size_t tile_elements = 1024;
static_assert(tile_elements % code_group_elements == 0);

constexpr std::size_t block_multiple = 64;  // blocks of the narrowest codes start at whole bytes
constexpr std::size_t tile_bytes = tile_elements * sizeof(double);

bool is_half(DataType type) {
  return type == DataType::float16 || type == DataType::bfloat16;
}

const std::byte* bytes(const void* data) {
  return static_cast<const std::byte*>(data);
}
std::byte* bytes(void* data) {
  return static_cast<std::byte*>(data);
}

std::size_t bytes_of_codes(Code code, std::size_t count) {
  const std::size_t bits = bits_of(code);
  return bits >= 8 ? count * (bits / 8) : (count + 8 / bits - 1) / (8 / bits);
}

void fill_with_nan(DataType type, std::byte* values, std::size_t count) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const double double_nan = std::numeric_limits<double>::quiet_NaN();
  const void* const pattern =
      type == DataType::float64 ? static_cast<const void*>(&double_nan) : &nan;
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(values + i * size_of(type), pattern, size_of(type));
}

// Calls step(first, count) for each tile of a block.
template <typename Step>
void for_each_tile(std::size_t count, Step step) {
  for (std::size_t first = 0; first < count; first += tile_elements)
    step(first, std::min(tile_elements, count - first));
}

// Asks for what the next block will read, before this one is encoded out of the cache: else memory
// would stand idle for as long.
void prefetch(const std::byte* from, std::size_t bytes) {
  constexpr std::size_t line = 64, most = 8192;
  for (std::size_t at = 0; at < std::min(bytes, most); at += line) __builtin_prefetch(from + at);
}

constexpr Extremes no_extremes{std::numeric_limits<std::int64_t>::max(),
                               std::numeric_limits<std::int64_t>::min()};

}  // namespace

struct Quantizer::Block {
  std::size_t index, first, count;
};

Quantizer::Quantizer(const Quantization& quantization, const KernelSet& set)
    : quantization_(quantization), accumulator_(accumulator_of(quantization.type)), set_(set) {
  PCCL_INVARIANT(quantization.type >= DataType::float16 &&
                 static_cast<std::uint8_t>(quantization.type) < data_type_count);
  PCCL_INVARIANT(static_cast<std::uint8_t>(quantization.code) < code_count);
  PCCL_INVARIANT(quantization.block_elements > 0 &&
                 quantization.block_elements % block_multiple == 0);
}

std::size_t Quantizer::block_count(std::size_t count) const {
  const std::size_t size = quantization_.block_elements;
  return count / size + (count % size != 0 ? 1 : 0);
}

std::size_t Quantizer::code_bytes(std::size_t count) const {
  return bytes_of_codes(quantization_.code, count);
}

std::size_t Quantizer::range_bytes(std::size_t count) const {
  return block_count(count) * 2 * size_of(accumulator_);
}

void Quantizer::find_ranges(void* ranges, const void* values, std::size_t count) const {
  const DataType type = quantization_.type;
  for (std::size_t i = 0; i < block_count(count); ++i) {
    const Block each = block(i, count);
    const std::byte* const from = bytes(values) + each.first * size_of(type);
    put_range(range_of(type, set_.scan(type, from, each.count)), ranges, i);
  }
}

void Quantizer::encode(Quantized out, const void* values, std::size_t count) const {
  const DataType type = quantization_.type;
  for (std::size_t i = 0; i < block_count(count); ++i) {
    const Block each = block(i, count);
    encode_block(out.codes, type, bytes(values) + each.first * size_of(type), each,
                 range_at(out.ranges, i));
  }
}

void Quantizer::quantize(Quantized out, const void* values, std::size_t count) const {
  const DataType type = quantization_.type;
  for (std::size_t i = 0; i < block_count(count); ++i) {
    const Block each = block(i, count);
    const std::byte* const from = bytes(values) + each.first * size_of(type);
    const Range range = range_of(type, set_.scan(type, from, each.count));
    put_range(range, out.ranges, i);
    prefetch_elements(values, block(i + 1, count));
    encode_block(out.codes, type, from, each, range);
  }
}

void Quantizer::dequantize(void* out, QuantizedView in, std::size_t count) const {
  const DataType type = quantization_.type;
  for (std::size_t i = 0; i < block_count(count); ++i) {
    const Block each = block(i, count);
    const std::optional<Grid> grid = grid_within(range_at(in.ranges, i));
    std::byte* const to = bytes(out) + each.first * size_of(type);
    const std::byte* const codes = bytes(in.codes) + code_bytes(each.first);
    if (!is_half(type)) {
      decode_tile(to, codes, each.count, grid);
      continue;
    }
    for_each_tile(each.count, [&](std::size_t first, std::size_t in_tile) {
      alignas(64) std::byte tile[tile_bytes];
      decode_tile(tile, codes + code_bytes(first), in_tile, grid);
      set_.narrow(type, to + first * size_of(type), tile, in_tile);
    });
  }
}

void Quantizer::dequantize_reduce(RedOp op, void* sums, QuantizedView in, const void* values,
                                  std::size_t count, void* ranges) const {
  for (std::size_t i = 0; i < block_count(count); ++i) {
    const Block each = block(i, count);
    const Extremes extremes =
        reduce_block(op, bytes(sums) + each.first * size_of(accumulator_), in, values, each, 1);
    if (ranges != nullptr) put_range(range_of(accumulator_, extremes), ranges, i);
  }
}

void Quantizer::requantize(RedOp op, Quantized out, QuantizedView in, const void* values,
                           std::size_t count, void* scratch, std::uint32_t world_size) const {
  PCCL_INVARIANT(world_size > 0);
  for (std::size_t i = 0; i < block_count(count); ++i) {
    const Block each = block(i, count);
    const Extremes extremes = reduce_block(op, scratch, in, values, each, world_size);
    const Range range = range_of(accumulator_, extremes);
    put_range(range, out.ranges, i);
    prefetch_elements(values, block(i + 1, count));
    encode_block(out.codes, accumulator_, bytes(scratch), each, range);
  }
}

// Empty behind the last one.
Quantizer::Block Quantizer::block(std::size_t index, std::size_t count) const {
  const std::size_t first = std::min(index * quantization_.block_elements, count);
  return {.index = index,
          .first = first,
          .count = std::min(quantization_.block_elements, count - first)};
}

void Quantizer::prefetch_elements(const void* values, const Block& block) const {
  const std::size_t element_bytes = size_of(quantization_.type);
  prefetch(bytes(values) + block.first * element_bytes, block.count * element_bytes);
}

Range Quantizer::range_at(const void* ranges, std::size_t index) const {
  const std::byte* const from = bytes(ranges) + index * 2 * size_of(accumulator_);
  if (accumulator_ == DataType::float64) {
    double pair[2];
    std::memcpy(pair, from, sizeof pair);
    return {pair[0], pair[1]};
  }
  float pair[2];
  std::memcpy(pair, from, sizeof pair);
  return {pair[0], pair[1]};
}

void Quantizer::put_range(Range range, void* ranges, std::size_t index) const {
  std::byte* const to = bytes(ranges) + index * 2 * size_of(accumulator_);
  if (accumulator_ == DataType::float64) {
    const double pair[2] = {range.lowest, range.highest};
    std::memcpy(to, pair, sizeof pair);
  } else {
    const float pair[2] = {static_cast<float>(range.lowest), static_cast<float>(range.highest)};
    std::memcpy(to, pair, sizeof pair);
  }
}

// None of a void range.
std::optional<Grid> Quantizer::grid_within(Range range) const {
  if (is_void(range)) return std::nullopt;
  return grid_of(accumulator_, quantization_.code, quantization_.levels, range);
}

// The sums of one block, and what a scan of them gives.
Extremes Quantizer::reduce_block(RedOp op, void* sums, QuantizedView in, const void* values,
                                 const Block& block, std::uint32_t world_size) const {
  const DataType type = quantization_.type;
  const std::optional<Grid> grid = grid_within(range_at(in.ranges, block.index));
  const bool adds = op == RedOp::sum || op == RedOp::avg;
  const bool averages = op == RedOp::avg && world_size > 1;
  Extremes extremes = no_extremes;
  for_each_tile(block.count, [&](std::size_t first, std::size_t in_tile) {
    std::byte* const to = bytes(sums) + first * size_of(accumulator_);
    const std::byte* const codes = bytes(in.codes) + code_bytes(block.first + first);
    const std::byte* local = bytes(values) + (block.first + first) * size_of(type);
    alignas(64) std::byte widened[tile_elements * sizeof(float)];
    if (is_half(type)) {
      set_.widen(type, widened, local, in_tile);
      local = widened;
    }
    if (adds && grid && !averages) {
      const Extremes found =
          set_.decode_add(accumulator_, quantization_.code, to, codes, local, in_tile, *grid);
      if (!is_void(range_of(accumulator_, found))) {
        extremes = united(extremes, found);
        return;
      }  // else once more, because a NaN must come out canonical
    }
    decode_tile(to, codes, in_tile, grid);
    set_.reduce(op, accumulator_, to, to, local, in_tile);
    if (averages) set_.average(accumulator_, to, in_tile, world_size);
    extremes = united(extremes, set_.scan(accumulator_, to, in_tile));
  });
  return extremes;
}

void Quantizer::decode_tile(std::byte* accumulators, const std::byte* codes, std::size_t count,
                            const std::optional<Grid>& grid) const {
  if (grid)
    set_.decode(accumulator_, quantization_.code, accumulators, codes, count, *grid);
  else
    fill_with_nan(accumulator_, accumulators, count);
}

// `values` are those of the block, of `type`; `codes` are those of the whole.
void Quantizer::encode_block(void* codes, DataType type, const std::byte* values,
                             const Block& block, Range range) const {
  std::byte* const to = bytes(codes) + code_bytes(block.first);
  const Code code = quantization_.code;
  const std::optional<Grid> grid = grid_within(range);
  if (!grid) {
    std::memset(to, 0, code_bytes(block.count));
    return;
  }
  if (!is_half(type)) {
    set_.encode(accumulator_, code, to, values, block.count, *grid);
    return;
  }
  for_each_tile(block.count, [&](std::size_t first, std::size_t in_tile) {
    alignas(64) std::byte tile[tile_elements * sizeof(float)];
    set_.widen(type, tile, values + first * size_of(type), in_tile);
    set_.encode(accumulator_, code, to + code_bytes(first), tile, in_tile, *grid);
  });
}

}  // namespace pccl::kernels
