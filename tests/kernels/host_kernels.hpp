// The kernels of a GPU on the CPU, thread after thread: the same functions as
// kernels/cuda/kernels.hpp, done when they return.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.hpp"
#include "kernels/cuda/steps.hpp"

namespace pccl::kernels::on_host {

void reduce(RedOp op, DataType type, void* out, const void* a, const void* b, std::size_t count);
void finalize(RedOp op, DataType type, void* data, std::size_t count, std::uint32_t world_size);
void quantize(DataType type, Code code, const cuda::QuantizeStep& step);
void dequantize(DataType type, Code code, const cuda::DequantizeStep& step);
void digest(const cuda::DigestJob* jobs, std::size_t count, std::uint8_t* octets,
            const std::byte* secret);

}  // namespace pccl::kernels::on_host
