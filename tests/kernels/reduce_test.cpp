// Every type, op and set of kernels against the slow reference: over sizes around the vector
// widths, at any alignment, and where the output is one of the inputs.
#include "kernels/reduce.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "kernels/dispatch.hpp"
#include "reference.hpp"

namespace pccl::kernels {
namespace {

using reference::Bytes;
using reference::difference;

constexpr std::size_t sizes[] = {0, 1, 2, 3, 15, 16, 17, 63, 64, 65, 1000};
constexpr std::byte untouched{0xa5};

// A copy of some elements `offset` bytes into a buffer of its own, between bytes that must not
// change.
class Placed {
 public:
  Placed(const Bytes& elements, std::size_t offset)
      : buffer_(offset + elements.size() + 64, untouched), offset_(offset), size_(elements.size()) {
    std::copy(elements.begin(), elements.end(),
              buffer_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void* data() { return buffer_.data() + offset_; }
  Bytes elements() const {
    const auto first = buffer_.begin() + static_cast<std::ptrdiff_t>(offset_);
    return {first, first + static_cast<std::ptrdiff_t>(size_)};
  }
  bool surroundings_untouched() const {
    const auto is_untouched = [](std::byte byte) { return byte == untouched; };
    const auto first = buffer_.begin() + static_cast<std::ptrdiff_t>(offset_);
    return std::all_of(buffer_.begin(), first, is_untouched) &&
           std::all_of(first + static_cast<std::ptrdiff_t>(size_), buffer_.end(), is_untouched);
  }

 private:
  Bytes buffer_;
  std::size_t offset_, size_;
};

class Reduce : public testing::TestWithParam<std::tuple<DataType, RedOp>> {
 protected:
  const DataType type = std::get<0>(GetParam());
  const RedOp op = std::get<1>(GetParam());
  std::mt19937_64 random{20240229};
};

TEST_P(Reduce, MatchesTheReferenceAtEverySizeAndAlignment) {
  constexpr std::size_t offsets[][3] = {{0, 0, 0}, {1, 0, 0},   {0, 1, 3},
                                        {5, 7, 2}, {32, 16, 8}, {63, 31, 33}};
  for (const KernelSet* set : available_kernel_sets()) {
    for (const std::size_t count : sizes) {
      const Bytes a = reference::random_elements(type, count, random);
      const Bytes b = reference::random_elements(type, count, random);
      const Bytes expected = reference::reduce(op, type, a, b);
      for (const auto& [offset_out, offset_a, offset_b] : offsets) {
        SCOPED_TRACE(testing::Message() << set->name << ", " << count << " elements at "
                                        << offset_out << ", " << offset_a << ", " << offset_b);
        Placed out(Bytes(a.size()), offset_out), placed_a(a, offset_a), placed_b(b, offset_b);
        set->reduce(op, type, out.data(), placed_a.data(), placed_b.data(), count);
        EXPECT_EQ(difference(type, out.elements(), expected), "");
        EXPECT_TRUE(out.surroundings_untouched());
        EXPECT_EQ(placed_a.elements(), a);
        EXPECT_EQ(placed_b.elements(), b);
      }
    }
  }
}

TEST_P(Reduce, TheOutputMayBeAnInput) {
  for (const KernelSet* set : available_kernel_sets()) {
    for (const std::size_t count : sizes) {
      const Bytes a = reference::random_elements(type, count, random);
      const Bytes b = reference::random_elements(type, count, random);
      const Bytes expected = reference::reduce(op, type, a, b);
      for (const std::size_t offset : {0u, 1u, 6u}) {
        SCOPED_TRACE(testing::Message() << set->name << ", " << count << " elements at " << offset);
        Placed into_a(a, offset), into_b(b, offset), itself(a, offset);
        set->reduce(op, type, into_a.data(), into_a.data(), b.data(), count);
        set->reduce(op, type, into_b.data(), a.data(), into_b.data(), count);
        set->reduce(op, type, itself.data(), itself.data(), itself.data(), count);
        EXPECT_EQ(difference(type, into_a.elements(), expected), "") << "out is a";
        EXPECT_EQ(difference(type, into_b.elements(), expected), "") << "out is b";
        EXPECT_EQ(difference(type, itself.elements(), reference::reduce(op, type, a, a)), "")
            << "all are one";
        EXPECT_TRUE(into_a.surroundings_untouched() && into_b.surroundings_untouched() &&
                    itself.surroundings_untouched());
      }
    }
  }
}

TEST_P(Reduce, IsCommutativeToTheBit) {
  const Bytes a = reference::random_elements(type, 1000, random);
  const Bytes b = reference::random_elements(type, 1000, random);
  Bytes ab(a.size()), ba(a.size());
  for (const KernelSet* set : available_kernel_sets()) {
    set->reduce(op, type, ab.data(), a.data(), b.data(), 1000);
    set->reduce(op, type, ba.data(), b.data(), a.data(), 1000);
    EXPECT_EQ(difference(type, ab, ba), "") << set->name;
  }
}

TEST_P(Reduce, ThePublicFunctionUsesTheChosenSet) {
  const Bytes a = reference::random_elements(type, 1000, random);
  const Bytes b = reference::random_elements(type, 1000, random);
  Bytes out(a.size());
  reduce(op, type, out.data(), a.data(), b.data(), 1000);
  EXPECT_EQ(difference(type, out, reference::reduce(op, type, a, b)), "");
}

TEST_P(Reduce, NothingNeedsNoBuffer) {
  for (const KernelSet* set : available_kernel_sets())
    set->reduce(op, type, nullptr, nullptr, nullptr, 0);
}

INSTANTIATE_TEST_SUITE_P(Every, Reduce,
                         testing::Combine(testing::ValuesIn(reference::all_types()),
                                          testing::ValuesIn(reference::all_ops())),
                         [](const auto& test) {
                           return std::string(name_of(std::get<0>(test.param))) + "_" +
                                  std::string(name_of(std::get<1>(test.param)));
                         });

}  // namespace
}  // namespace pccl::kernels
