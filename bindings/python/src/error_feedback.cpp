#include "error_feedback.hpp"

#include <new>
#include <stdexcept>

#include "blocking.hpp"

namespace py = pybind11;

namespace pccl_python {

ErrorFeedback::ErrorFeedback(std::size_t count) : count_(count) {
  const pcclResult_t result = pcclCreateErrorFeedback(count, &handle_);
  if (result == pcclInternalError) throw std::bad_alloc();
  if (result != pcclSuccess)
    throw std::invalid_argument("count is over the limit of an all-reduce");
  bring_back();
}

// Blocks for as long as a GPU copies.
void ErrorFeedback::bring_back() {
  const pcclResult_t result =
      without_gil([this] { return pcclErrorFeedbackData(handle_, &data_, nullptr); });
  if (result == pcclInvalidUsage)
    throw std::runtime_error("an all-reduce with these residuals is in flight");
  if (result != pcclSuccess)
    throw std::runtime_error("the residuals cannot be copied from the GPU");
}

// To free memory of a GPU may take as long as all that it does.
ErrorFeedback::~ErrorFeedback() {
  without_gil([this] { return pcclDestroyErrorFeedback(handle_); });
}

void bind_error_feedback(py::module_& module) {
  py::class_<ErrorFeedback>(module, "ErrorFeedback", py::buffer_protocol())
      .def(py::init<std::size_t>(), py::arg("count"))
      .def_property_readonly("count", &ErrorFeedback::count)
      .def("bring_back", &ErrorFeedback::bring_back)
      .def_buffer([](const ErrorFeedback& feedback) {
        return py::buffer_info(feedback.data(), static_cast<py::ssize_t>(feedback.count()));
      });
}

}  // namespace pccl_python
