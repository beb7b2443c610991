#include "kernels/dispatch.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>

#include "base/log.hpp"

namespace pccl::kernels {

namespace {

#if defined(__x86_64__)
bool cpu_has_f16c() {  // the builtin does not know this feature in every compiler
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

// The builtin also asks whether the operating system saves the registers.
bool cpu_runs_avx2() {
  return __builtin_cpu_supports("avx2") && cpu_has_f16c();
}

bool cpu_runs_avx512() {
  return cpu_runs_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

class AvailableSets {
 public:
  AvailableSets() {
    add(scalar_kernels);
#if defined(__x86_64__)
    if (cpu_runs_avx2()) add(avx2_kernels);
    if (cpu_runs_avx512()) add(avx512_kernels);
#elif defined(__aarch64__)
    add(neon_kernels);
#endif
  }
  std::span<const KernelSet* const> all() const { return {sets_.data(), count_}; }

 private:
  void add(const KernelSet& set) { sets_[count_++] = &set; }

  std::array<const KernelSet*, 3> sets_{};
  std::size_t count_ = 0;
};

}  // namespace

std::span<const KernelSet* const> available_kernel_sets() {
  static const AvailableSets sets;
  return sets.all();
}

const KernelSet& kernel_set_named(std::string_view name) {
  const std::span<const KernelSet* const> sets = available_kernel_sets();
  for (const KernelSet* set : sets)
    if (set->name == name) return *set;
  const KernelSet& widest = *sets.back();
  if (!name.empty())
    log()->warn("PCCL_KERNELS={} is no set of kernels that this CPU can run; using {}", name,
                widest.name);
  return widest;
}

const KernelSet& chosen_kernel_set() {
  static const KernelSet& chosen = []() -> const KernelSet& {
    const char* const name = std::getenv("PCCL_KERNELS");
    return kernel_set_named(name == nullptr ? "" : name);
  }();
  return chosen;
}

}  // namespace pccl::kernels
