#include "chaos/round.hpp"

#include <algorithm>
#include <array>
#include <random>

#include "chaos/mix.hpp"
#include "e2e/values.hpp"

namespace chaos {

namespace {

// Whose first element can name all contributors of an op with fewer elements than slots: 10 bits.
constexpr std::array wide_types{pcclInt16, pcclUint16,  pcclUint32, pcclInt32, pcclUint64,
                                pcclInt64, pcclFloat16, pcclFloat,  pcclDouble};

// Small ops, which go through the master, are as frequent as those of the ring.
std::size_t draw_bytes(std::mt19937_64& random, std::size_t largest) {
  const std::uint64_t size = random() % 100;
  if (size < 45) return 1 + random() % 4096;
  if (size < 85) return 4096 + random() % 100'000;
  if (size < 97) return 100'000 + random() % std::max<std::size_t>(largest / 8, 1);
  return 1 + random() % largest;
}

Op draw_op(std::mt19937_64& random, std::size_t largest) {
  constexpr std::array ops{pcclSum, pcclSum, pcclSum, pcclAvg, pcclMax, pcclMin, pcclProd};
  Op op;
  if (random() % 8 == 0) {  // too few elements for one per slot
    op.count = 1 + random() % (slots - 1);
    op.type = wide_types[random() % wide_types.size()];
    return op;
  }
  op.type = static_cast<pcclDataType_t>(random() % 12);
  op.op = ops[random() % ops.size()];
  // The average of what these hold exactly is not a number that they hold exactly.
  if (op.op == pcclAvg && (op.type == pcclFloat16 || op.type == pcclBFloat16)) op.type = pcclDouble;
  op.count = std::max(slots, draw_bytes(random, largest) / e2e::size_of(op.type));
  return op;
}

}  // namespace

std::size_t Op::bytes() const {
  return count * e2e::size_of(type);
}

Round round_of(std::uint64_t run_seed, std::uint64_t step, std::size_t largest_bytes) {
  std::mt19937_64 random(mix({run_seed, step}));
  Round round;
  round.update_at_once = random() % 5 == 0;
  round.sync_after_loss = random() % 2 == 0;
  const std::size_t ops = 1 + random() % 5;
  for (std::uint32_t index = 0; index < ops; ++index) {
    Op op = draw_op(random, largest_bytes);
    op.step = step;
    op.index = index;
    op.tag = index * 0x0123'4567'89ab'cdefULL;  // the same tags at every step
    round.ops.push_back(op);
  }
  return round;
}

}  // namespace chaos
