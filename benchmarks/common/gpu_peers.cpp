#include "common/gpu_peers.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>

namespace bench {

void require(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

bool gpu_is_here() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) return true;
  std::printf("no GPU here\n");
  return false;
}

void GpuPeers::add_hidden_options(CLI::App& app) {
  app.add_option("--conducted", conducted)->group("");
  app.add_option("--master-port", master_port)->group("");
}

void GpuPeers::run(const std::function<void(int, const Peer&, const GpuStream&)>& serve) const {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world; ++rank)
    threads.emplace_back([&, rank] {
      const GpuStream stream;
      Peer peer(master_port);
      peer.connect();
      peer.gather(world);
      peer.require(pcclSetStream(peer.comm(), stream.get()), "pcclSetStream");
      serve(rank, peer, stream);
    });
  for (std::thread& thread : threads) thread.join();
}

void GpuPeers::start(Children& children, const LocalMaster& master, Conductor& conductor,
                     const std::vector<std::string>& arguments) const {
  std::vector<std::string> all{"--master-port", std::to_string(master.port()), "--conducted",
                               conductor.name()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  children.start_self(all);
  conductor.await_members(world);
}

}  // namespace bench
