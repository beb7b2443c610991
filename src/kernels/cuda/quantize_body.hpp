// What a *team* of threads does with one block of a quantized tensor on a GPU, of any size
// (kernels/quantize.hpp tells what comes out, to the bit). Elements, codes, ranges and residuals
// are aligned to their sizes.
//
// A team has each(count, f), which calls f(i) for all i below `count` by whichever thread, and
// extremes(count, f), which calls them likewise and gives the Extremes of the bits they return, to
// every thread. After both, what any thread wrote before is seen by all.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/codes.hpp"
#include "kernels/cuda/elements.hpp"
#include "kernels/cuda/steps.hpp"
#include "kernels/grid.hpp"

namespace pccl::kernels::cuda {

template <DataType type, Code code>
struct BlockCoder {
  using Element = ElementOf<type>;
  using Real = typename Element::Value;  // of an accumulator
  using Bits = std::conditional_t<sizeof(Real) == 8, std::int64_t, std::int32_t>;
  using Coder = CoderOf<Real, code>;
  using StoredCode = typename Coder::Stored;
  static constexpr DataType accumulator = sizeof(Real) == 8 ? DataType::float64 : DataType::float32;
  static constexpr std::size_t bits = Coder::bits;
  static constexpr std::size_t per_byte = bits < 8 ? 8 / bits : 1;

  static constexpr std::size_t code_bytes(std::size_t count) {
    return bits < 8 ? (count + per_byte - 1) / per_byte : count * (bits / 8);
  }

  // Element `i` of a block of `count` whose codes begin at `codes`.
  static constexpr StoredCode code_at(const void* codes, std::size_t i, std::size_t count) {
    if constexpr (bits >= 8) {
      return static_cast<const StoredCode*>(codes)[i];
    } else {
      const std::size_t group = i / code_group_elements, in_group = i % code_group_elements;
      const std::size_t stride = code_bytes(group_count(group, count));
      const auto* const bytes =
          static_cast<const std::uint8_t*>(codes) + group * code_bytes(code_group_elements);
      const unsigned byte = bytes[in_group % stride];
      return static_cast<StoredCode>(byte >> (in_group / stride * bits) & ((1u << bits) - 1));
    }
  }

  static constexpr std::size_t group_count(std::size_t group, std::size_t count) {
    const std::size_t rest = count - group * code_group_elements;
    return rest < code_group_elements ? rest : code_group_elements;
  }

  static constexpr Range range_at(const void* ranges, std::size_t block) {
    const auto* const pair = static_cast<const Real*>(ranges) + 2 * block;
    return {static_cast<double>(pair[0]), static_cast<double>(pair[1])};
  }

  // That of a void range decodes to NaN: nothing is below that limit.
  static constexpr Coder decoder(Levels levels, Range range) {
    const bool nothing = is_void(range);
    Coder coder(grid_of(accumulator, code, levels, nothing ? Range{0, 0} : range));
    if (nothing) coder.highest = std::numeric_limits<decltype(coder.highest)>::quiet_NaN();
    return coder;
  }

  // What a code loses of an element, and whether that is for the residual.
  static constexpr float lost(const QuantizeStep& step, Real meant, Real decoded) {
    const auto factor = static_cast<Real>(step.op == RedOp::avg ? step.world_size : 1);
    return static_cast<float>((meant - decoded) * factor);
  }
  static constexpr bool is_noted(float lost) { return lost - lost == 0; }  // finite
};

// Where block `index` lies: its elements from `first` on.
struct BlockPlace {
  std::size_t index, first, count;
};
constexpr BlockPlace block_place(std::size_t index, std::size_t count, std::size_t block_elements) {
  const std::size_t first = index * block_elements, rest = count - first;
  return {index, first, rest < block_elements ? rest : block_elements};
}
constexpr std::size_t block_count(std::size_t count, std::size_t block_elements) {
  return (count + block_elements - 1) / block_elements;
}

// What is encoded of one element: op(what has come, value + residual), averaged.
template <DataType type, Code code, bool has_come>
class Meant {
 public:
  using B = BlockCoder<type, code>;
  using Real = typename B::Real;
  using Accumulator = ElementOf<B::accumulator>;

  PCCL_ANYWHERE Meant(const QuantizeStep& step, const BlockPlace& place)
      : step_(step),
        place_(place),
        coder_(B::decoder(step.levels,
                          has_come ? B::range_at(step.in.ranges, place.index) : Range{0, 0})) {}

  PCCL_ANYWHERE Real operator()(std::size_t i) const {
    using Element = typename B::Element;
    const std::size_t at = place_.first + i;
    Real value = Element::load(static_cast<const typename Element::Stored*>(step_.values)[at]);
    if (step_.residual != nullptr)
      value = Accumulator::store(value + static_cast<Real>(step_.residual[at]));
    if constexpr (has_come) {
      const auto* const codes =
          static_cast<const std::byte*>(step_.in.codes) + B::code_bytes(place_.first);
      value = combined(coder_.decode(B::code_at(codes, i, place_.count)), value);
      if (step_.op == RedOp::avg && step_.world_size > 1)
        value = Accumulator::average(value, step_.world_size);
    }
    return value;
  }

 private:
  PCCL_ANYWHERE Real combined(Real a, Real b) const {
    switch (step_.op) {
      case RedOp::sum:
      case RedOp::avg:
        break;
      case RedOp::prod:
        return Accumulator::template combine<RedOp::prod>(a, b);
      case RedOp::max:
        return Accumulator::template combine<RedOp::max>(a, b);
      case RedOp::min:
        return Accumulator::template combine<RedOp::min>(a, b);
    }
    return Accumulator::template combine<RedOp::sum>(a, b);
  }

  const QuantizeStep& step_;
  const BlockPlace& place_;
  typename B::Coder coder_;
};

template <DataType type, Code code, typename Team>
PCCL_ANYWHERE inline void put_range(Team& team, const Codes& out, const BlockPlace& place,
                                    Range range) {
  using Real = typename BlockCoder<type, code>::Real;
  auto* const pair = static_cast<Real*>(out.ranges) + 2 * place.index;
  team.each(2, [&](std::size_t i) {
    pair[i] = static_cast<Real>(i == 0 ? range.lowest : range.highest);
  });
}

// Encodes value(i), and notes in the residual what that loses.
template <DataType type, Code code, typename Team, typename Value>
PCCL_ANYWHERE inline void encode_block(Team& team, const QuantizeStep& step,
                                       const BlockPlace& place, Range range, const Value& value) {
  using B = BlockCoder<type, code>;
  auto* const bytes = static_cast<std::byte*>(step.out.codes) + B::code_bytes(place.first);
  if (is_void(range)) {
    team.each(B::code_bytes(place.count), [&](std::size_t i) { bytes[i] = std::byte{0}; });
    return;
  }
  const typename B::Coder coder(grid_of(B::accumulator, code, step.levels, range));
  const auto encode = [&](std::size_t i) {
    const typename B::Real meant = value(i);
    const auto stored = coder.encode(meant);
    if (step.residual != nullptr) {
      const float lost = B::lost(step, meant, coder.decode(stored));
      if (B::is_noted(lost)) step.residual[place.first + i] = lost;
    }
    return stored;
  };
  if constexpr (B::bits >= 8) {
    auto* const codes = reinterpret_cast<typename B::StoredCode*>(bytes);
    team.each(place.count, [&](std::size_t i) { codes[i] = encode(i); });
  } else {
    constexpr std::size_t group_bytes = B::code_bytes(code_group_elements);
    team.each(B::code_bytes(place.count), [&](std::size_t at) {
      const std::size_t group = at / group_bytes, first = group * code_group_elements;
      const std::size_t in_group = B::group_count(group, place.count);
      const std::size_t stride = B::code_bytes(in_group);
      unsigned byte = 0, shift = 0;
      for (std::size_t i = at % group_bytes; i < in_group; i += stride, shift += B::bits)
        byte |= static_cast<unsigned>(encode(first + i)) << shift;
      bytes[at] = static_cast<std::byte>(byte);
    });
  }
}

// `out` may be the memory of `in`. What is encoded is computed twice, rather than kept: whoever
// writes a code is the only one who reads what was there.
template <DataType type, Code code, bool has_come, typename Team>
PCCL_ANYWHERE inline void quantize_block(Team& team, const QuantizeStep& step,
                                         const BlockPlace& place) {
  using B = BlockCoder<type, code>;
  const Meant<type, code, has_come> value(step, place);
  const Extremes extremes = team.template extremes<typename B::Bits>(
      place.count, [&](std::size_t i) { return std::bit_cast<typename B::Bits>(value(i)); });
  const Range range = range_of(B::accumulator, extremes);
  put_range<type, code>(team, step.out, place, range);
  encode_block<type, code>(team, step, place, range, value);
}

template <DataType type, Code code, typename Team>
PCCL_ANYWHERE inline void dequantize_block(Team& team, const DequantizeStep& step,
                                           const BlockPlace& place) {
  using B = BlockCoder<type, code>;
  using Element = typename B::Element;
  const typename B::Coder coder = B::decoder(step.levels, B::range_at(step.in.ranges, place.index));
  const auto* const codes =
      static_cast<const std::byte*>(step.in.codes) + B::code_bytes(place.first);
  auto* const out = static_cast<typename Element::Stored*>(step.out) + place.first;
  team.each(place.count, [&](std::size_t i) {
    out[i] = Element::store(coder.decode(B::code_at(codes, i, place.count)));
  });
}

}  // namespace pccl::kernels::cuda
