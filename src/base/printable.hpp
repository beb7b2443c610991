// Text from elsewhere (a tensor's name, a reason that came over the wire), fit for one line of a
// log or of an error.
#pragma once

#include <string>
#include <string_view>

namespace pccl {

// Control characters as \n, \t or \xNN, so that no text can pass for more lines than one or command
// a terminal. Everything else, UTF-8 included, stays as it is.
std::string printable(std::string_view text);

}  // namespace pccl
