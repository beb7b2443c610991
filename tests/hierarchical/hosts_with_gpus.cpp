#include "hierarchical/hosts_with_gpus.hpp"

#include <cstring>
#include <thread>

#include "kernels/host_kernels.hpp"

namespace pccl::hierarchical {

namespace {

// 0, 1, 2 or -1 of any type, whose sums and products over a few ranks are exact.
void store(DataType type, int value, std::byte* at) {
  const auto as = [at]<typename T>(T number) { std::memcpy(at, &number, sizeof number); };
  switch (type) {
    case DataType::float16:
      return as(static_cast<std::uint16_t>(value == 0   ? 0
                                           : value == 1 ? 0x3c00
                                           : value == 2 ? 0x4000
                                                        : 0xbc00));
    case DataType::bfloat16:
      return as(static_cast<std::uint16_t>(value == 0   ? 0
                                           : value == 1 ? 0x3f80
                                           : value == 2 ? 0x4000
                                                        : 0xbf80));
    case DataType::float32:
      return as(static_cast<float>(value));
    case DataType::float64:
      return as(static_cast<double>(value));
    default:
      break;
  }
  const auto wide = static_cast<std::int64_t>(value);
  std::memcpy(at, &wide, size_of(type));
}
bool is_unsigned(DataType type) {
  return type == DataType::uint8 || type == DataType::uint32 || type == DataType::uint64;
}

}  // namespace

void HostsWithGpus::make(std::size_t hosts, std::size_t locals) {
  ranks.clear();
  groups.clear();
  for (std::size_t local = 0; local < locals; ++local)
    groups.push_back(std::make_unique<PeerGroup>(hosts));
  for (std::size_t host = 0; host < hosts; ++host) {
    const auto comms = nccl->host(static_cast<int>(locals), static_cast<int>(host * locals));
    for (std::size_t local = 0; local < locals; ++local) {
      auto rank = std::make_unique<Rank>();
      rank->host = host;
      rank->local = local;
      rank->gpu = static_cast<int>(host * locals + local);
      rank->comm = comms[local];
      rank->application = cuda->application_stream(rank->gpu);
      attach(*rank);
      PeerGroup& group = *groups[local];
      rank->across = {
          .launch = [&group](const ReduceRequest& request) { return group.launch(request); },
          .await = [&group](std::uint64_t tag, ReduceInfo& info) { return group.await(tag, info); },
          .presence = {.in_run = [&mine = *rank] { return mine.in_run; },
                       .leave_run = [&mine = *rank](const std::string&) { mine.has_left = true; }}};
      ranks.push_back(std::move(rank));
    }
  }
}

void HostsWithGpus::attach(Rank& rank, std::uint32_t block) {
  std::string why;
  device::Nccl* const found = device::find_nccl(why);
  Outcome wrong;
  auto local = device::LocalRanks::of(*found, rank.comm, wrong);
  ASSERT_NE(local, nullptr) << wrong.why;
  rank.reducer = std::make_unique<AllReduce>(std::move(local), block);
}

void HostsWithGpus::on_all(const std::function<void(Rank&)>& work) {
  std::vector<std::thread> threads;
  for (const auto& rank : ranks) threads.emplace_back([&work, &rank] { work(*rank); });
  for (std::thread& thread : threads) thread.join();
}

std::byte* HostsWithGpus::input(Rank& rank, DataType type, std::size_t count) {
  std::byte* const at = cuda->device_memory(count * size_of(type), rank.gpu);
  cuda->put(
      rank.application, [this, &rank, type, count, at] { write(rank, type, count, at); }, rank.gpu);
  return at;
}

void HostsWithGpus::write(const Rank& rank, DataType type, std::size_t count, std::byte* at) const {
  for (std::size_t i = 0; i < count; ++i) store(type, value(rank, type, i), at + i * size_of(type));
}

int HostsWithGpus::value(const Rank& rank, DataType type, std::size_t i) const {
  const std::size_t mixed = (rank.host * 7 + rank.local * 3 + i) % (is_unsigned(type) ? 2 : 3);
  return mixed == 2 ? -1 : static_cast<int>(mixed) + 1;
}

std::vector<std::byte> HostsWithGpus::input_of(const Rank& rank, DataType type,
                                               std::size_t count) const {
  std::vector<std::byte> bytes(count * size_of(type));
  write(rank, type, count, bytes.data());
  return bytes;
}

std::vector<std::byte> HostsWithGpus::expected(DataType type, RedOp op, std::size_t count) const {
  std::vector<std::byte> sum = input_of(*ranks.front(), type, count);
  for (std::size_t i = 1; i < ranks.size(); ++i)
    kernels::on_host::reduce(op, type, sum.data(), sum.data(),
                             input_of(*ranks[i], type, count).data(), count);
  kernels::on_host::finalize(op, type, sum.data(), count, static_cast<std::uint32_t>(ranks.size()));
  return sum;
}

std::vector<std::byte> HostsWithGpus::bytes_at(const std::byte* at, DataType type,
                                               std::size_t count) {
  return {at, at + count * size_of(type)};
}

ReduceRequest HostsWithGpus::request(DataType type, RedOp op, std::size_t count, const void* send,
                                     void* receive, std::uint64_t tag) {
  ReduceRequest made;
  made.send = send;
  made.receive = receive;
  made.count = count;
  made.type = type;
  made.op = op;
  made.tag = tag;
  return made;
}

Outcome HostsWithGpus::launch(Rank& rank, const Outcome& checked, ReduceRequest wanted) {
  wanted.on_gpu.stream = rank.application;
  return rank.reducer->launch(rank.across, checked, wanted);
}

Outcome HostsWithGpus::reduce(Rank& rank, const ReduceRequest& wanted, ReduceInfo& info) {
  if (Outcome refused = launch(rank, {}, wanted); !refused.ok()) return refused;
  return rank.reducer->await(rank.across, wanted.tag, info);
}

void HostsWithGpus::expect_reduced(DataType type, RedOp op, std::size_t count, bool in_place) {
  SCOPED_TRACE(std::string(name_of(type)) + " " + std::string(name_of(op)) + " " +
               std::to_string(count));
  on_all([&](Rank& rank) {
    std::byte* const send = input(rank, type, count);
    std::byte* const receive =
        in_place ? send : cuda->device_memory(count * size_of(type), rank.gpu);
    ReduceInfo info;
    const Outcome outcome = reduce(rank, request(type, op, count, send, receive), info);
    EXPECT_TRUE(outcome.ok()) << outcome.why;
    EXPECT_EQ(info.world_size, ranks.size() / groups.size());
    EXPECT_EQ(bytes_at(receive, type, count), expected(type, op, count));
    if (!in_place) {
      EXPECT_EQ(bytes_at(send, type, count), input_of(rank, type, count));
      cuda->release(receive);
    }
    cuda->release(send);
  });
}

void HostsWithGpus::expect_failed(Status status, const std::string& words, std::size_t count) {
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, count);
    ReduceInfo info;
    const Outcome outcome =
        reduce(rank, request(DataType::float32, RedOp::sum, count, buffer, buffer), info);
    EXPECT_EQ(outcome.status, status) << outcome.why;
    EXPECT_NE(outcome.why.find(words), std::string::npos) << outcome.why;
    cuda->wait(rank.gpu, rank.application);
    EXPECT_EQ(bytes_at(buffer, DataType::float32, count), input_of(rank, DataType::float32, count));
    EXPECT_FALSE(rank.reducer->in_flight(5));
    cuda->release(buffer);
  });
}

}  // namespace pccl::hierarchical
