#include "hierarchical/all_reduce.hpp"

#include <fmt/format.h>

#include <exception>
#include <initializer_list>
#include <optional>
#include <utility>

#include "base/limits.hpp"

namespace pccl::hierarchical {

namespace {

// Where NCCL reads and writes fastest, of whatever type.
constexpr std::size_t alignment = 256;

// What the ranks of a host have to say alike, in a number below 2^62.
std::uint64_t fingerprint(std::initializer_list<std::uint64_t> words) {
  std::uint64_t mixed = 0;
  for (const std::uint64_t word : words) {
    mixed = (mixed ^ word) * 0x9e3779b97f4a7c15;  // 2^64 over the golden ratio, which is odd
    mixed ^= mixed >> 32;
  }
  return mixed >> 2;
}

std::uint64_t fingerprint(const node::ReduceRequest& request, std::uint32_t block) {
  return fingerprint({request.count, request.tag, static_cast<std::uint64_t>(request.type),
                      static_cast<std::uint64_t>(request.op),
                      static_cast<std::uint64_t>(request.quantization.algorithm),
                      static_cast<std::uint64_t>(request.quantization.code), block});
}

// What a rank is doing. Of a launch that was refused before anybody has looked, no tag is known.
std::uint64_t launching() {
  return fingerprint({1});
}
std::uint64_t awaiting(std::uint64_t tag) {
  return fingerprint({2, tag});
}

// Divided by all ranks of all hosts at last.
RedOp op_across_hosts(RedOp op) {
  return op == RedOp::avg ? RedOp::sum : op;
}

std::optional<Code> code_of(const QuantizationOptions& quantization) {
  return quantization ? std::optional(quantization.code) : std::nullopt;
}

// The launch has not been counted in this rank's group, while it may have been in those of others.
bool puts_groups_out_of_step(Status refused) {
  return refused == Status::internal || refused == Status::invalid_usage ||
         refused == Status::invalid_argument;
}

}  // namespace

// ---- Before anything moves ----

Outcome AllReduce::check(const node::ReduceRequest& request,
                         const device::Presence& presence) const {
  // Else all would go on, and hear from an await that a peer was lost: again and again.
  if (!presence.in_run())
    return {Status::invalid_usage,
            "no longer in the run: make a new communicator and attach a local one to it"};
  if (!device::nccl_type(request.type))
    return {Status::invalid_argument,
            fmt::format("NCCL has no {}, so a local communicator cannot reduce it",
                        name_of(request.type))};
  if (in_flight(request.tag)) return {Status::invalid_argument, "the tag is in flight"};
  if (ops_.size() >= limits::ops_in_flight)
    return {Status::invalid_usage, fmt::format("{} ops are in flight, the limit", ops_.size())};
  if (request.count == 0) return {};
  const int gpu = ranks_->gpu().ordinal();
  for (const auto& [what, buffer] :
       {std::pair{"send", request.send}, {"receive", static_cast<const void*>(request.receive)}}) {
    const device::Location there = device::location_of(buffer);
    if (there == device::Location{device::Place::cuda, gpu}) continue;
    return {Status::invalid_argument,
            fmt::format("the {} buffer is {}; the local communicator's is GPU {}", what,
                        device::name_of(there), gpu)};
  }
  return {};
}

// All that one rank may lack, where the others do not: also memory of the host.
Outcome AllReduce::prepare(const node::ReduceRequest& request, const device::Presence& presence,
                           Ops& prepared) const {
  try {
    if (Outcome refused = check(request, presence); !refused.ok()) return refused;
    Op& op = prepared[request.tag];
    op.request = request;
    return take_memory(op);
  } catch (const std::exception& error) {
    return {Status::internal, error.what()};
  }
}

Outcome AllReduce::take_memory(Op& op) const {
  const auto ranks = static_cast<std::size_t>(ranks_->size());
  op.part = op.request.count / ranks;
  op.tail = op.request.count % ranks;
  const std::size_t shard_bytes =
      (op.shard() * op.element_bytes() + alignment - 1) / alignment * alignment;
  device::Gpu& gpu = ranks_->gpu();
  // By now, since CUDA may wait for all that the GPU does before it has loaded kernels.
  if (const int loaded = gpu.runtime().load_reduce(gpu.ordinal(), op.request.op, op.request.type);
      loaded != 0)
    throw device::Error(gpu.runtime(), gpu.ordinal(), "its kernels cannot be loaded", loaded);
  op.scratch = gpu.memory(shard_bytes + (op.tail > 0 ? ranks * op.element_bytes() : 0));
  op.tails = op.scratch.data() + shard_bytes;
  // What the launch across hosts uses of the GPU: there it is too late for one rank to have none.
  // No way back: who reads the shard after a failure? And nothing to wait for, since the shard is
  // complete before it is launched.
  if (op.shard() > 0)
    op.workspace = device::make_workspace(gpu.ordinal(), ranks_->queue().stream(),
                                          {.op = op_across_hosts(op.request.op),
                                           .type = op.request.type,
                                           .code = code_of(op.request.quantization),
                                           .bytes = op.shard() * op.element_bytes()});
  return ranks_->follow(op.request.on_gpu.stream);
}

// `mine` where it is what all have to say, else what one of them has said; `not_the_same` where the
// numbers differ.
Outcome AllReduce::agree(const Outcome& mine, std::uint64_t call, std::uint64_t number,
                         const Outcome& not_the_same, const device::Presence& presence) {
  device::LocalRanks::Agreed agreed;
  if (Outcome failed = ranks_->agree({mine.status, call, number}, presence, agreed); !failed.ok())
    return failed;
  if (!agreed.same_call)
    return {Status::invalid_usage, "the ranks of this host launch and await in different orders"};
  if (agreed.status == Status::ok) return agreed.same_number ? Outcome{} : not_the_same;
  if (agreed.status == mine.status) return mine;
  return {agreed.status, fmt::format("on local rank {} of this host", agreed.rank)};
}

// ---- Steps 1 and 2 ----

Outcome AllReduce::launch(const AcrossHosts& hosts, const Outcome& checked,
                          const node::ReduceRequest& request) {
  if (const Outcome& broken = ranks_->broken(); !broken.ok())
    return {Status::invalid_usage,
            fmt::format("this peer has left the run, since {}: make a new communicator and attach "
                        "another local one",
                        broken.why)};
  Ops prepared;
  const Outcome ready = checked.ok() ? prepare(request, hosts.presence, prepared) : checked;
  if (Outcome refused =
          agree(ready, launching(), fingerprint(request, block_),
                {Status::invalid_argument,
                 "the ranks of this host ask for different all-reduces, or are in peer groups that "
                 "do not belong together"},
                hosts.presence);
      !refused.ok())
    return refused;
  Op& op = prepared.begin()->second;
  if (Outcome failed = reduce_scatter(op, hosts.presence); !failed.ok()) {
    ranks_->leave_behind(std::move(op.scratch));
    return failed;
  }

  // The shard is complete before it goes to other hosts, none of whom could tell that NCCL has
  // failed here. And whatever the launch says is told to the other ranks when they ask.
  node::ReduceRequest shard = request;
  shard.send = shard.receive = op.scratch.data();
  shard.count = op.shard();
  shard.on_gpu = {{device::Place::cuda, ranks_->gpu().ordinal()}, ranks_->queue().stream()};
  shard.op = op_across_hosts(request.op);
  shard.workspace = std::move(op.workspace);
  try {
    op.launched = hosts.launch(shard);
  } catch (const std::exception& error) {
    op.launched = {Status::internal, error.what()};
  }
  if (puts_groups_out_of_step(op.launched.status)) hosts.presence.leave_run(op.launched.why);
  ops_.merge(prepared);
  return {};
}

Outcome AllReduce::reduce_scatter(Op& op, const device::Presence& presence) {
  const node::ReduceRequest& request = op.request;
  const device::Nccl::Type type = *device::nccl_type(request.type);
  const device::Nccl::Op nccl_op = device::nccl_op(request.op);
  const auto ranks = static_cast<std::size_t>(ranks_->size());
  const std::size_t bytes = op.element_bytes();
  device::Queue& queue = ranks_->queue();
  if (op.part > 0)
    if (Outcome failed = ranks_->reduce_scatter(request.send, op.scratch.data(), op.part, type,
                                                nccl_op, presence);
        !failed.ok())
      return failed;
  if (op.tail > 0) {
    const std::byte* const end =
        static_cast<const std::byte*>(request.send) + request.count * bytes;
    queue.copy(op.tails, end - op.tail * bytes, op.tail * bytes);
    for (std::size_t i = op.tail; i < ranks; ++i)
      queue.copy(op.tails + i * bytes, end - bytes, bytes);
    if (Outcome failed =
            ranks_->reduce_scatter(op.tails, op.tail_of_shard(), 1, type, nccl_op, presence);
        !failed.ok())
      return failed;
  }
  return ranks_->settle(presence);
}

// ---- Steps 2 to 4 ----

Outcome AllReduce::await(const AcrossHosts& hosts, std::uint64_t tag, node::ReduceInfo& info) {
  auto found = ops_.extract(tag);
  if (found.empty()) return {Status::peer_lost, "no op with this tag is in flight"};
  Op op = std::move(found.mapped());
  node::ReduceInfo of_shard;
  Outcome outcome = op.launched;
  try {
    if (outcome.ok()) outcome = hosts.await(tag, of_shard);
  } catch (const std::exception& error) {  // the other ranks are to hear of it as well
    outcome = {Status::internal, error.what()};
  }
  outcome =
      agree(outcome, awaiting(tag), of_shard.world_size,
            {Status::peer_lost, "the peer groups of this host's ranks have different members"},
            hosts.presence);
  if (!outcome.ok()) return outcome;
  outcome = all_gather(op, of_shard.world_size, hosts.presence);
  if (outcome.ok()) {
    info = of_shard;
    return outcome;
  }
  ranks_->leave_behind(std::move(op.scratch));
  return {Status::internal, outcome.why};  // whatever it was, the receive buffer is not as it was
}

Outcome AllReduce::all_gather(Op& op, std::uint32_t hosts, const device::Presence& presence) {
  const node::ReduceRequest& request = op.request;
  const device::Nccl::Type type = *device::nccl_type(request.type);
  const auto ranks = static_cast<std::size_t>(ranks_->size());
  auto* const receive = static_cast<std::byte*>(request.receive);
  device::Queue& queue = ranks_->queue();
  queue.finalize(request.op, request.type, op.scratch.data(), op.shard(),
                 hosts * static_cast<std::uint32_t>(ranks));
  if (op.part > 0)
    if (Outcome failed = ranks_->all_gather(op.scratch.data(), receive, op.part, type, presence);
        !failed.ok())
      return failed;
  if (op.tail > 0) {
    if (Outcome failed = ranks_->all_gather(op.tail_of_shard(), op.tails, 1, type, presence);
        !failed.ok())
      return failed;
    queue.copy(receive + ranks * op.part * op.element_bytes(), op.tails,
               op.tail * op.element_bytes());
  }
  return ranks_->settle(presence);
}

}  // namespace pccl::hierarchical
