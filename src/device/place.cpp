#include "device/place.hpp"

namespace pccl::device {

std::string name_of(const Location& location) {
  switch (location.place) {
    case Place::host:
      return "memory of the host";
    case Place::managed:
      return "managed memory";
    case Place::cuda:
      return "memory of GPU " + std::to_string(location.gpu);
  }
  return "memory of an unknown kind";
}

}  // namespace pccl::device

#if !defined(__linux__)  // where CUDA's driver is not

namespace pccl::device {

Location driver_location_of(const void*) {
  return {};
}

}  // namespace pccl::device

#else

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdint>

namespace pccl::device {

namespace {

// Of CUDA's driver API, whose numbers are fixed: no header is needed, and nothing is linked.
using PointerGetAttribute = int (*)(void* value, int attribute, std::uintptr_t pointer);
constexpr int memory_type_attribute = 2, is_managed_attribute = 8, ordinal_attribute = 9;
constexpr unsigned device_memory = 2;

// Of work that has failed before: the driver answers nothing any more. What it would have said is
// not known; to the CPU the memory may be out of reach. Other errors: CUDA knows nothing of it.
bool tells_of_a_failure(int error) {
  return error >= 700 && error < 800;
}

// How many libraries this process has ever loaded.
std::uint64_t loads() {
  std::uint64_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        *static_cast<std::uint64_t*>(out) = info->dlpi_adds;
        return 1;
      },
      &count);
  return count;
}

// The driver's function, once somebody has loaded the driver. It stays loaded from then on.
PointerGetAttribute pointer_get_attribute() {
  static std::atomic<PointerGetAttribute> found{nullptr};
  static std::atomic<std::uint64_t> looked_after{0};
  if (const PointerGetAttribute function = found) return function;
  const std::uint64_t now = loads();
  if (looked_after == now) return nullptr;
  if (void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD))
    found = reinterpret_cast<PointerGetAttribute>(dlsym(driver, "cuPointerGetAttribute"));
  looked_after = now;
  return found;
}

}  // namespace

Location driver_location_of(const void* at) {
  const PointerGetAttribute ask = pointer_get_attribute();
  if (ask == nullptr) return {};
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  unsigned type = 0, managed = 0;
  int gpu = 0;
  if (const int error = ask(&type, memory_type_attribute, address); error != 0)
    return tells_of_a_failure(error) ? Location{Place::cuda, 0} : Location{};
  const bool is_managed = ask(&managed, is_managed_attribute, address) == 0 && managed != 0;
  if (type != device_memory && !is_managed) return {};
  if (ask(&gpu, ordinal_attribute, address) != 0) gpu = 0;
  return {is_managed ? Place::managed : Place::cuda, gpu};
}

}  // namespace pccl::device

#endif
