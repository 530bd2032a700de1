// SPDX-License-Identifier: Apache-2.0
//
// Where `weir recv` puts messages, and when it may acknowledge them: after their output succeeded.
//
// What success means depends on the place. A regular file or a terminal has a message when write()
// took it. A pipe has it only when its reader took it out: bytes in a pipe die with the reader. So
// a pipe is made one page small, holds one message at a time, and the next one waits until it is
// empty; that is what makes `weir recv | head -1` lose nothing. A folder has it when the file
// stands under its name.
//
//   O1  a message is acknowledged only after it is out, and in the order it came
//   O2  what was not acknowledged is still in the broker: a failure loses nothing, it may repeat
#ifndef WEIR_TOOLS_RECV_OUTPUT_HPP
#define WEIR_TOOLS_RECV_OUTPUT_HPP

#include <cstdint>
#include <memory>
#include <string>
#include <weir/weir.hpp>

#include "core/base/result.hpp"

namespace weir::tools {

enum class OutputEnd {
    reader_left,  // nobody reads any more: the end of the work, not a failure
    stop_asked,
    refused,  // the message's name may not be written: the sentence says why
    failed,
};

using Written = Result<void, Error<OutputEnd>>;

class Output {
public:
    virtual ~Output() = default;

    // Takes the message, and acknowledges it and others as soon as they are out.
    virtual Written put(const Message& message) = 0;
    // Brings out what put() kept back.
    virtual Written flush() { return {}; }
    // While no message comes: whether anybody still reads.
    virtual bool reader_left() const { return false; }
    // In an error once that is so. -1: nobody can leave.
    virtual int left_fd() const { return -1; }
    // How many messages it is good to hold.
    virtual std::uint32_t prefetch() const { return 100; }

protected:
    Output() = default;
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
};

// Lines on a descriptor: the fitting one of the two below.
std::unique_ptr<Output> make_line_output(int fd);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_RECV_OUTPUT_HPP
