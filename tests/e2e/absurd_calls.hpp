// Arguments that no program means: each must be refused, and nothing else happen.
#pragma once

#include <pccl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace e2e {

struct AbsurdCalls {
  std::size_t tried = 0, refused = 0;
};

inline AbsurdCalls make_absurd_calls(pcclComm_t* comm) {
  std::uint32_t number = 1, result = 0;
  pcclReduceDescriptor_t good{};
  good.count = 1;
  good.src_descriptor.datatype = pcclUint32;
  pcclReduceDescriptor_t huge = good, type = good, op = good, quantized = good;
  huge.count = ~std::size_t{0};
  const unsigned nonsense = 4711;
  std::memcpy(&type.src_descriptor.datatype, &nonsense, sizeof nonsense);
  std::memcpy(&op.op, &nonsense, sizeof nonsense);
  std::memcpy(&quantized.quantization_options.algorithm, &nonsense, sizeof nonsense);
  AbsurdCalls calls;
  const auto expect = [&](pcclResult_t got) {
    ++calls.tried;
    calls.refused += got == pcclInvalidArgument ? 1 : 0;
  };
  for (const auto* wrong : {&huge, &type, &op, &quantized})
    expect(pcclAllReduce(&number, &result, wrong, comm, nullptr));
  expect(pcclAllReduce(nullptr, &result, &good, comm, nullptr));
  expect(pcclAllReduce(&number, nullptr, &good, comm, nullptr));
  expect(pcclAllReduce(&number, &result, nullptr, comm, nullptr));
  expect(pcclAllReduce(&number, &result, &good, nullptr, nullptr));
  expect(pcclAllReduceAsync(&number, &result, &good, comm, nullptr));
  expect(pcclAwaitAsyncReduce(nullptr, nullptr));
  expect(pcclUpdateTopology(nullptr));
  expect(pcclArePeersPending(comm, nullptr));
  expect(pcclConnect(nullptr));
  return calls;
}

}  // namespace e2e
