// The kernels of a GPU: reduce.hpp, quantize.hpp, error_feedback.hpp and digest.hpp on memory of
// the current device, with the same bits. Each function puts its work into a stream and returns;
// memory is aligned to its elements. The result is a cudaError_t, 0 when the launch went well.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.hpp"
#include "base/quantization.hpp"
#include "kernels/cuda/steps.hpp"

struct CUstream_st;

namespace pccl::kernels::cuda {

using Stream = CUstream_st*;  // cudaStream_t

// out[i] = op(a[i], b[i]); `out` may be `a` or `b`.
[[nodiscard]] int reduce(RedOp op, DataType type, void* out, const void* a, const void* b,
                         std::size_t count, Stream stream);
[[nodiscard]] int finalize(RedOp op, DataType type, void* data, std::size_t count,
                           std::uint32_t world_size, Stream stream);

// The kernels of these ops are loaded when it returns. Else a first launch loads them, and may so
// wait for all that the GPU does.
[[nodiscard]] int load_reduce(RedOp op, DataType type);
[[nodiscard]] int load_quantize(DataType type, Code code);

// `type` is a floating-point type. Fast are blocks of lanes_block_elements (lanes_body.hpp).
[[nodiscard]] int quantize(DataType type, Code code, const QuantizeStep& step, Stream stream);
[[nodiscard]] int dequantize(DataType type, Code code, const DequantizeStep& step, Stream stream);

// jobs[count], octets[count][16] and the secret (XXH3's default one, 192 bytes aligned to eight)
// are memory of the device.
[[nodiscard]] int digest(const DigestJob* jobs, std::size_t count, std::uint8_t* octets,
                         const std::byte* secret, Stream stream);

}  // namespace pccl::kernels::cuda
