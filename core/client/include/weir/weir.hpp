// SPDX-License-Identifier: Apache-2.0
//
// Weir: messages between processes of one host, through shared memory.
//
// Everything a client needs. Results are values: a call that can fail returns what it made or one
// of a closed list of reasons (errors.hpp), never an exception.
#ifndef WEIR_WEIR_HPP
#define WEIR_WEIR_HPP

#include "weir/consumer.hpp"
#include "weir/envelope.hpp"
#include "weir/errors.hpp"
#include "weir/message.hpp"
#include "weir/producer.hpp"
#include "weir/session.hpp"

#endif
