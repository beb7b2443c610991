// What one all-reduce uses of a GPU: queues, each with a block of memory for a segment, and memory
// for the way back. Nothing is put into the queues before the gate opens, which is when the
// application's work has ended: else it would wait there for as long as that takes, in channels
// that CUDA shares among streams and that are full some time; and so would whoever cancels the op.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.hpp"
#include "base/quantization.hpp"
#include "device/gate.hpp"
#include "device/gpu.hpp"

namespace pccl::device {

struct Workspace {
  ~Workspace();

  std::shared_ptr<Gpu> gpu;
  Memory blocks;             // of queue i the i-th of limits::segment_bytes
  Memory way_back;           // for the receive buffer, where the op is in place
  Memory residual_way_back;  // for the residuals, of an op with error feedback
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::vector<std::shared_ptr<Queue>> queues;

  // The first thing that has gone wrong, as words; empty: nothing. check() asks the GPU as well,
  // wait() after it has done everything.
  std::string failure() const;
  std::string check();
  void wait();
};

struct WorkspaceNeeds {
  RedOp op = RedOp::sum;
  DataType type = DataType::float32;
  std::optional<Code> code{};      // of a quantized op
  std::size_t bytes = 0;           // that go through blocks, in all
  std::size_t way_back_bytes = 0;  // of the receive buffer; 0 unless in place
  std::size_t residual_bytes = 0;
};

// Throws Error. `application` is the stream in which the application has put the work that writes
// the operands; null is CUDA's default stream.
std::shared_ptr<Workspace> make_workspace(int gpu, Stream application, const WorkspaceNeeds& needs);

}  // namespace pccl::device
