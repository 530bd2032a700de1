// SPDX-License-Identifier: Apache-2.0
//
// A deque that owns no memory while nothing was ever put in: std::deque of this library takes 600
// bytes when it is made, which thousands of lanes and destinations would pay for each of theirs.
#ifndef WEIR_CORE_BASE_DEQUE_HPP
#define WEIR_CORE_BASE_DEQUE_HPP

#include <boost/container/deque.hpp>

namespace weir {

template <class T>
using Deque = boost::container::deque<T>;

}  // namespace weir

#endif
