// A wait for a stream of the application's, on the thread that called: it can be interrupted.
#pragma once

#include <functional>

#include "device/runtime.hpp"

namespace pccl::device {

// Blocks until what is in the stream now has been carried out: true. False: `give_up`, which is
// asked now and then, has said so. Throws Error when the stream cannot be followed or has failed.
bool wait_for_stream(int gpu, Stream application, const std::function<bool()>& give_up);

}  // namespace pccl::device
