// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"

namespace weir::tools {

Progress::Progress() : on_terminal_(::isatty(STDERR_FILENO) == 1), began_ns_(monotonic_ns()) {}

void Progress::draw_if_due() {
    constexpr std::uint64_t interval_ns = 200 * ns_per_ms;
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns - drawn_ns_ < interval_ns) return;
    drawn_ns_ = now_ns;
    draw(now_ns);
}

void Progress::draw(std::uint64_t now_ns) const {
    const double seconds =
        static_cast<double>(std::max<std::uint64_t>(now_ns - began_ns_, 1)) / ns_per_s;
    const double messages_per_s = static_cast<double>(messages_) / seconds;
    const double bytes_per_s = static_cast<double>(bytes_) / seconds;
    const std::string line = fmt::format("\r{} messages, {}, {:.0f} messages/s, {}/s\x1b[K",
                                         messages_, format_size(bytes_), messages_per_s,
                                         format_size(static_cast<std::uint64_t>(bytes_per_s)));
    std::fwrite(line.data(), 1, line.size(), stderr);
}

void Progress::end() {
    if (!on_terminal_) return;
    draw(monotonic_ns());
    std::fputc('\n', stderr);
}

}  // namespace weir::tools
