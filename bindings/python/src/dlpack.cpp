#include "dlpack.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>

namespace py = pybind11;

namespace pccl_python {

namespace {

// The layout that the standard fixes, in our own words.
struct Device {
  std::int32_t type;
  std::int32_t id;
};
struct ElementType {
  std::uint8_t code;  // 0 int, 1 unsigned, 2 float, 4 bfloat
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  std::int32_t dimensions;
  ElementType type;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null: C order
  std::uint64_t byte_offset;
};
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};

// Since version 1.
struct ManagedVersioned {
  std::uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  std::uint64_t flags;
  Tensor tensor;
};
constexpr std::uint64_t read_only_flag = 1;
constexpr const char* versioned_name = "dltensor_versioned";

bool in_c_order(const Tensor& tensor) {
  if (tensor.strides == nullptr) return true;
  std::int64_t expected = 1;
  for (std::int32_t i = tensor.dimensions - 1; i >= 0; --i) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

template <typename Struct>
const Struct& inside(const py::capsule& capsule, const char* name) {
  const auto* const managed = static_cast<const Struct*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (managed == nullptr) throw py::error_already_set();
  return *managed;
}

py::tuple described(const Tensor& tensor, bool read_only) {
  if (tensor.type.lanes != 1) throw std::invalid_argument("DLPack: elements of several lanes");
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < tensor.dimensions; ++i) count *= tensor.shape[i];
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
  return py::make_tuple(address, count, tensor.type.code, tensor.type.bits, tensor.device.type,
                        tensor.device.id, in_c_order(tensor) || count == 0, read_only);
}

// (address, elements, type code, bits, device type, device id, in C order, read-only). The capsule
// stays its owner's.
py::tuple describe(const py::capsule& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), versioned_name) == 0)
    return described(inside<Managed>(capsule, "dltensor").tensor, false);
  const auto& managed = inside<ManagedVersioned>(capsule, versioned_name);
  if (managed.major != 1)
    throw std::invalid_argument("DLPack: version " + std::to_string(managed.major) + " is unknown");
  return described(managed.tensor, (managed.flags & read_only_flag) != 0);
}

}  // namespace

void bind_dlpack(py::module_& module) {
  module.def("describe_dlpack", &describe);
}

}  // namespace pccl_python
