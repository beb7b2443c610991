// Peers that share one GPU: threads of one process with a stream each. Processes that share a GPU
// take turns on it, unless somebody runs MPS, and would measure that.
#pragma once

#include <cuda_runtime_api.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/child.hpp"
#include "common/conducted.hpp"
#include "common/pccl_run.hpp"

namespace bench {

void require(cudaError_t error);  // ends the process otherwise, with CUDA's words
bool gpu_is_here();               // says so if there is none

class GpuStream {
 public:
  GpuStream() { require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~GpuStream() { cudaStreamDestroy(stream_); }
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;

  cudaStream_t get() const { return stream_; }
  void copy(void* to, const void* from, std::size_t bytes) const {  // and waits for it
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_));
    require(cudaStreamSynchronize(stream_));
  }

 private:
  cudaStream_t stream_ = nullptr;
};

struct GpuPeers {
  int world = 2;
  // Of the process that the peers are in.
  std::uint16_t master_port = 0;
  std::string conducted;

  void add_hidden_options(CLI::App& app);
  bool are_here() const { return !conducted.empty(); }
  // Runs one peer per rank until the conductor leaves. Its stream is the communicator's.
  void run(
      const std::function<void(int rank, const Peer& peer, const GpuStream& stream)>& serve) const;
  // Starts that process, and waits until all of them have found each other.
  void start(Children& children, const LocalMaster& master, Conductor& conductor,
             const std::vector<std::string>& arguments) const;
};

}  // namespace bench
