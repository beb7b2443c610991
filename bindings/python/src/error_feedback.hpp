// pcclErrorFeedback_t for Python.
#pragma once

#include <pccl.h>
#include <pybind11/pybind11.h>

#include <cstddef>

namespace pccl_python {

class ErrorFeedback {
 public:
  explicit ErrorFeedback(std::size_t count);  // throws what Python is to see
  ~ErrorFeedback();
  ErrorFeedback(const ErrorFeedback&) = delete;
  ErrorFeedback& operator=(const ErrorFeedback&) = delete;

  pcclErrorFeedback_t* handle() const { return handle_; }
  float* data() const { return data_; }
  std::size_t count() const { return count_; }

 private:
  pcclErrorFeedback_t* handle_ = nullptr;
  float* data_ = nullptr;
  std::size_t count_;
};

void bind_error_feedback(pybind11::module_& module);

}  // namespace pccl_python
