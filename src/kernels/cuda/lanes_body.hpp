// What a warp does with a whole block of a quantized tensor, of the size that the library uses:
// each *lane* has its part of the elements in registers, and all that it reads is under way before
// it uses the first of it. The rest, and blocks of other sizes, are quantize_body.hpp's.
//
// A lane has *quads* of four elements that follow each other. The codes of a quad are a *word*;
// where codes are narrower than a byte (codes.hpp), a word has those of several quads, its *rows*.
// Nobody else reads or writes what a lane has, so that codes may come and go in the same memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/quantize_body.hpp"
#include "kernels/cuda/reduce_body.hpp"

namespace pccl::kernels::cuda {

inline constexpr std::size_t lanes_block_elements = 1024;
inline constexpr unsigned quad = 4, quads_of_lane = lanes_block_elements / warp_threads / quad;

// Four elements: one load or store where `aligned`, to the vectors of reduce_body.hpp.
template <typename T>
struct alignas(sizeof(T) * quad < vector_bytes ? sizeof(T) * quad : vector_bytes) Quad {
  T lanes[quad];

  PCCL_ANYWHERE static bool is_aligned(const void* at) {
    return reinterpret_cast<std::uintptr_t>(at) % alignof(Quad) == 0;
  }
  PCCL_ANYWHERE static Quad loaded(const T* from, bool aligned) {
    if (aligned) return *reinterpret_cast<const Quad*>(from);
    Quad all;
    for (unsigned i = 0; i < quad; ++i) all.lanes[i] = from[i];
    return all;
  }
  PCCL_ANYWHERE void store(T* to, bool aligned) const {
    if (aligned)
      *reinterpret_cast<Quad*>(to) = *this;
    else
      for (unsigned i = 0; i < quad; ++i) to[i] = lanes[i];
  }
};

// The codes of a word. `Unit` is what is loaded and stored; codes are little-endian in it.
template <DataType type, Code code>
struct CodeWord {
  using B = BlockCoder<type, code>;
  using Stored = typename B::StoredCode;
  using Unit = std::conditional_t<(B::bits <= 8), std::uint32_t, std::uint64_t>;
  static constexpr unsigned rows = B::per_byte, bytes = quad * sizeof(Stored);
  static constexpr unsigned units = bytes / sizeof(Unit), slot_bits = 8 * sizeof(Stored);
  static constexpr unsigned slots_of_unit = quad / units;
  static constexpr unsigned of_lane = quads_of_lane / rows;

  Unit unit[units];

  PCCL_ANYWHERE static CodeWord loaded(const std::byte* from) {
    CodeWord word;
    for (unsigned i = 0; i < units; ++i) word.unit[i] = reinterpret_cast<const Unit*>(from)[i];
    return word;
  }
  PCCL_ANYWHERE void store(std::byte* to) const {
    for (unsigned i = 0; i < units; ++i) reinterpret_cast<Unit*>(to)[i] = unit[i];
  }
  PCCL_ANYWHERE Stored code_at(unsigned row, unsigned i) const {
    const Unit slot = unit[i / slots_of_unit] >> shift(row, i);
    if constexpr (rows > 1)
      return static_cast<Stored>(slot & ((1u << B::bits) - 1));
    else
      return static_cast<Stored>(slot);
  }
  PCCL_ANYWHERE void add(unsigned row, unsigned i, Stored stored) {
    unit[i / slots_of_unit] |= static_cast<Unit>(stored) << shift(row, i);
  }

  // Of word `index` of a lane: the word in the block, and the first element of a row.
  PCCL_ANYWHERE static unsigned in_block(unsigned lane, unsigned index) {
    return index * warp_threads + lane;
  }
  PCCL_ANYWHERE static unsigned element(unsigned lane, unsigned index, unsigned row) {
    constexpr unsigned group = code_group_elements, stride = group / rows;
    constexpr unsigned words_of_group = stride / quad;
    const unsigned word = in_block(lane, index);
    return word / words_of_group * group + row * stride + word % words_of_group * quad;
  }

 private:
  static constexpr unsigned shift(unsigned row, unsigned i) {
    return i % slots_of_unit * slot_bits + row * unsigned{B::bits};
  }
};

// Codes that are no narrower than the elements save nothing: no code of their own for them.
template <DataType type, Code code>
inline constexpr bool worth_lanes = bits_of(code) < 8 * size_of(type);

// All blocks of `step` that are whole are for lanes.
template <DataType type, Code code>
PCCL_ANYWHERE inline bool for_lanes(const Codes& codes, std::size_t block_elements) {
  constexpr std::size_t alignment = sizeof(typename CodeWord<type, code>::Unit);
  return block_elements == lanes_block_elements &&
         reinterpret_cast<std::uintptr_t>(codes.codes) % alignment == 0;
}
template <DataType type, Code code>
PCCL_ANYWHERE inline bool for_lanes(const QuantizeStep& step) {
  return for_lanes<type, code>(step.out, step.block_elements) &&
         (step.in.codes == nullptr || (for_lanes<type, code>(step.in, step.block_elements) &&
                                       (step.op == RedOp::sum || step.op == RedOp::avg)));
}
template <DataType type, Code code>
PCCL_ANYWHERE inline bool for_lanes(const DequantizeStep& step) {
  return for_lanes<type, code>(step.in, step.block_elements);
}

// What one lane does.
template <DataType type, Code code>
class Lane {
 public:
  using B = BlockCoder<type, code>;
  using Real = typename B::Real;
  using Element = typename B::Element;
  using Accumulator = ElementOf<B::accumulator>;
  using Word = CodeWord<type, code>;

  // What is to be encoded of the elements: (what has come +) value + residual, averaged.
  template <bool has_come>
  PCCL_ANYWHERE void gather(const QuantizeStep& step, const BlockPlace& place, unsigned lane) {
    Word come[Word::of_lane];
    Range range{0, 0};
    if constexpr (has_come) {
      load(come, step.in, place, lane);
      range = B::range_at(step.in.ranges, place.index);
    }
    load(static_cast<const typename Element::Stored*>(step.values) + place.first, lane);
    if (step.residual != nullptr) add_residual(step.residual + place.first, lane);
    if constexpr (has_come) {
      const typename B::Coder coder = B::decoder(step.levels, range);
      each([&](Real& value, unsigned index, unsigned row, unsigned i) {
        value = Accumulator::template combine<RedOp::sum>(coder.decode(come[index].code_at(row, i)),
                                                          value);
      });
      if (step.op == RedOp::avg && step.world_size > 1)
        each([&](Real& value, unsigned, unsigned, unsigned) {
          value = Accumulator::average(value, step.world_size);
        });
    }
  }

  PCCL_ANYWHERE Scan<typename B::Bits> scan() {
    Scan<typename B::Bits> scan;
    each([&](Real& value, unsigned, unsigned, unsigned) {
      scan.see(std::bit_cast<typename B::Bits>(value));
    });
    return scan;
  }

  // Codes out, and in the residual what they lose.
  PCCL_ANYWHERE void encode(const QuantizeStep& step, const BlockPlace& place, Range range,
                            unsigned lane) const {
    auto* const codes = static_cast<std::byte*>(step.out.codes) + B::code_bytes(place.first);
    if (is_void(range)) {
      for (unsigned index = 0; index < Word::of_lane; ++index)
        Word{}.store(codes + Word::in_block(lane, index) * Word::bytes);
      return;
    }
    const typename B::Coder coder(grid_of(B::accumulator, code, step.levels, range));
    for (unsigned index = 0; index < Word::of_lane; ++index) {
      Word word{};
      for (unsigned row = 0; row < Word::rows; ++row)
        for (unsigned i = 0; i < quad; ++i)
          word.add(row, i, coder.encode(meant_[index * Word::rows + row][i]));
      word.store(codes + Word::in_block(lane, index) * Word::bytes);
      if (step.residual == nullptr) continue;
      for (unsigned row = 0; row < Word::rows; ++row) {
        Quad<float> lost;
        for (unsigned i = 0; i < quad; ++i)
          lost.lanes[i] = B::lost(step, meant_[index * Word::rows + row][i],
                                  coder.decode(word.code_at(row, i)));
        note(step.residual + place.first + Word::element(lane, index, row), lost);
      }
    }
  }

  PCCL_ANYWHERE static void decode(const DequantizeStep& step, const BlockPlace& place,
                                   unsigned lane) {
    Word come[Word::of_lane];
    load(come, step.in, place, lane);
    const typename B::Coder coder =
        B::decoder(step.levels, B::range_at(step.in.ranges, place.index));
    auto* const out = static_cast<typename Element::Stored*>(step.out) + place.first;
    using Out = Quad<typename Element::Stored>;
    const bool aligned = Out::is_aligned(out);
    for (unsigned index = 0; index < Word::of_lane; ++index)
      for (unsigned row = 0; row < Word::rows; ++row) {
        Out numbers;
        for (unsigned i = 0; i < quad; ++i)
          numbers.lanes[i] = Element::store(coder.decode(come[index].code_at(row, i)));
        numbers.store(out + Word::element(lane, index, row), aligned);
      }
  }

 private:
  PCCL_ANYWHERE static void load(Word* words, const Codes& in, const BlockPlace& place,
                                 unsigned lane) {
    const auto* const codes = static_cast<const std::byte*>(in.codes) + B::code_bytes(place.first);
    for (unsigned index = 0; index < Word::of_lane; ++index)
      words[index] = Word::loaded(codes + Word::in_block(lane, index) * Word::bytes);
  }

  PCCL_ANYWHERE void load(const typename Element::Stored* values, unsigned lane) {
    const auto loaded = quads_at(values, lane);
    each([&](Real& value, unsigned index, unsigned row, unsigned i) {
      value = Element::load(loaded.quads[index * Word::rows + row].lanes[i]);
    });
  }

  PCCL_ANYWHERE void add_residual(const float* residual, unsigned lane) {
    const auto loaded = quads_at(residual, lane);
    each([&](Real& value, unsigned index, unsigned row, unsigned i) {
      value = Accumulator::store(
          value + static_cast<Real>(loaded.quads[index * Word::rows + row].lanes[i]));
    });
  }

  template <typename T>
  struct Quads {
    Quad<T> quads[quads_of_lane];
  };
  template <typename T>
  PCCL_ANYWHERE static Quads<T> quads_at(const T* from, unsigned lane) {
    Quads<T> all;
    const auto load = [&](bool aligned) {
      for (unsigned index = 0; index < Word::of_lane; ++index)
        for (unsigned row = 0; row < Word::rows; ++row)
          all.quads[index * Word::rows + row] =
              Quad<T>::loaded(from + Word::element(lane, index, row), aligned);
    };
    if (Quad<T>::is_aligned(from))  // once, not in the midst of the loads
      load(true);
    else
      load(false);
    return all;
  }

  // What is not finite is not noted.
  PCCL_ANYWHERE static void note(float* residual, const Quad<float>& lost) {
    bool all = Quad<float>::is_aligned(residual);
    for (unsigned i = 0; i < quad; ++i) all = all && B::is_noted(lost.lanes[i]);
    if (all)
      lost.store(residual, true);
    else
      for (unsigned i = 0; i < quad; ++i)
        if (B::is_noted(lost.lanes[i])) residual[i] = lost.lanes[i];
  }

  template <typename F>
  PCCL_ANYWHERE void each(F f) {
    for (unsigned index = 0; index < Word::of_lane; ++index)
      for (unsigned row = 0; row < Word::rows; ++row)
        for (unsigned i = 0; i < quad; ++i) f(meant_[index * Word::rows + row][i], index, row, i);
  }

  Real meant_[quads_of_lane][quad];
};

// A team of warp_threads has, beside what quantize_body.hpp tells, Lanes<L>, its lanes;
// each_lane(lanes, f), which calls f(lane, its index) for each; and extremes_of(lanes), which gives
// the Extremes of what their scan() saw, to every thread.
template <DataType type, Code code, bool has_come, typename Team>
PCCL_ANYWHERE inline void quantize_by_lanes(Team& team, const QuantizeStep& step,
                                            const BlockPlace& place) {
  using L = Lane<type, code>;
  typename Team::template Lanes<L> lanes;
  team.each_lane(
      lanes, [&](L& lane, unsigned index) { lane.template gather<has_come>(step, place, index); });
  const Range range = range_of(L::B::accumulator, team.extremes_of(lanes));
  put_range<type, code>(team, step.out, place, range);
  team.each_lane(lanes, [&](L& lane, unsigned index) { lane.encode(step, place, range, index); });
}

template <DataType type, Code code, typename Team>
PCCL_ANYWHERE inline void dequantize_by_lanes(Team& team, const DequantizeStep& step,
                                              const BlockPlace& place) {
  using L = Lane<type, code>;
  typename Team::template Lanes<L> lanes;
  team.each_lane(lanes, [&](L& lane, unsigned index) { lane.decode(step, place, index); });
}

// ---- any block

template <DataType type, Code code, bool has_come, typename Team>
PCCL_ANYWHERE inline void quantize_any(Team& team, const QuantizeStep& step, std::size_t block) {
  const BlockPlace place = block_place(block, step.count, step.block_elements);
  if constexpr (worth_lanes<type, code>)
    if (place.count == lanes_block_elements && for_lanes<type, code>(step))
      return quantize_by_lanes<type, code, has_come>(team, step, place);
  quantize_block<type, code, has_come>(team, step, place);
}

template <DataType type, Code code, typename Team>
PCCL_ANYWHERE inline void dequantize_any(Team& team, const DequantizeStep& step,
                                         std::size_t block) {
  const BlockPlace place = block_place(block, step.count, step.block_elements);
  if constexpr (worth_lanes<type, code>)
    if (place.count == lanes_block_elements && for_lanes<type, code>(step))
      return dequantize_by_lanes<type, code>(team, step, place);
  dequantize_block<type, code>(team, step, place);
}

}  // namespace pccl::kernels::cuda
