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
  // Where the residuals are on the host. After an op on a GPU, `bring_back` has to come first.
  float* data() const { return data_; }
  void bring_back();
  std::size_t count() const { return count_; }

 private:
  pcclErrorFeedback_t* handle_ = nullptr;
  float* data_ = nullptr;
  std::size_t count_;
};

void bind_error_feedback(pybind11::module_& module);

}  // namespace pccl_python
