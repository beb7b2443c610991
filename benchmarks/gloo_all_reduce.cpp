// The all-reduce algorithms of Gloo's C++ library as a conducted member (common/conducted.hpp):
//   gloo_all_reduce RANK WORLD STORE_DIRECTORY @CONTROL
// Always in place: three of the four algorithms know no other way, and for the ring it is the
// faster one.
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/allreduce_ring_chunked.h>
#include <gloo/barrier.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/rendezvous/prefix_store.h>
#include <gloo/transport/tcp/device.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "common/conducted.hpp"

namespace {

using ContextPtr = std::shared_ptr<gloo::rendezvous::Context>;

// Each algorithm has connections of its own: old and new ones disturb each other on the same.
ContextPtr connect(int rank, int world, gloo::rendezvous::Store& files, const std::string& variant,
                   std::shared_ptr<gloo::transport::Device> device) {
  gloo::rendezvous::PrefixStore store(variant, files);
  auto context = std::make_shared<gloo::rendezvous::Context>(rank, world);
  context->connectFullMesh(store, device);
  return context;
}

// The older algorithms bind to a buffer when they are made; that is not what we measure.
template <typename Algorithm>
class BoundAlgorithm {
 public:
  BoundAlgorithm(ContextPtr context, ContextPtr barrier_context)
      : context_(std::move(context)), barrier_context_(std::move(barrier_context)) {}

  void run(const bench::FloatCall& call) {
    if (call.output != output_ || call.count != count_) {
      gloo::BarrierOptions everybody_is_done(barrier_context_);
      gloo::barrier(everybody_is_done);
      algorithm_ = std::make_unique<Algorithm>(context_, std::vector<float*>{call.output},
                                               static_cast<int>(call.count));
      output_ = call.output;
      count_ = call.count;
    }
    algorithm_->run();
  }

 private:
  ContextPtr context_, barrier_context_;
  std::unique_ptr<Algorithm> algorithm_;
  float* output_ = nullptr;
  std::size_t count_ = 0;
};

void run_new_style(const ContextPtr& context, const bench::FloatCall& call) {
  gloo::AllreduceOptions options(context);
  options.setAlgorithm(call.variant == "bcube" ? gloo::AllreduceOptions::Algorithm::BCUBE
                                               : gloo::AllreduceOptions::Algorithm::RING);
  options.setOutput(call.output, call.count);
  options.setReduceFunction([](void* to, const void* left, const void* right, std::size_t count) {
    gloo::sum<float>(to, left, right, count);
  });
  gloo::allreduce(options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: gloo_all_reduce RANK WORLD STORE_DIRECTORY CONTROL\n");
    return 2;
  }
  bench::MemberOptions options{argv[4],
                               std::atoi(argv[1]),
                               std::atoi(argv[2]),
                               {"ring", "bcube", "halving-doubling", "ring-chunked"}};
  gloo::rendezvous::FileStore files(argv[3]);
  auto device = gloo::transport::tcp::CreateDevice("127.0.0.1");
  std::map<std::string, ContextPtr> contexts;
  for (const std::string& variant : options.variants) {
    contexts[variant] = connect(options.rank, options.world, files, variant, device);
  }
  BoundAlgorithm<gloo::AllreduceHalvingDoubling<float>> halving_doubling(
      contexts["halving-doubling"], contexts["ring"]);
  BoundAlgorithm<gloo::AllreduceRingChunked<float>> ring_chunked(contexts["ring-chunked"],
                                                                 contexts["ring"]);
  const auto all_reduce = [&](const bench::FloatCall& call) {
    if (call.variant == "halving-doubling") {
      halving_doubling.run(call);
    } else if (call.variant == "ring-chunked") {
      ring_chunked.run(call);
    } else {
      run_new_style(contexts[call.variant], call);
    }
  };
  bench::FloatSum workload(options.rank, options.world, all_reduce, /*always_in_place=*/true);
  bench::serve(options, workload);
  std::_Exit(0);  // leaving in step with the others is of no interest
}
