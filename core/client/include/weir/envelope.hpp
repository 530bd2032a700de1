// SPDX-License-Identifier: Apache-2.0
//
// What may travel beside a payload. A message without an envelope costs nothing for it.
#ifndef WEIR_ENVELOPE_HPP
#define WEIR_ENVELOPE_HPP

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir {

struct Envelope {
    std::optional<std::uint64_t> timestamp_ns = {};  // since the epoch (CLOCK_REALTIME)
    std::optional<std::uint64_t>
        expiry_ns;  // since the epoch; passed over by receivers from then on
    std::string correlation_id = {};
    std::string reply_to;                                              // a destination
    std::string content_type;                                          // a media type
    std::vector<std::pair<std::string, std::string>> properties = {};  // in the order given

    bool empty() const noexcept {
        return !timestamp_ns && !expiry_ns && correlation_id.empty() && reply_to.empty() &&
               content_type.empty() && properties.empty();
    }
    // The first property of that key, or nothing.
    std::optional<std::string> property(const std::string& key) const;
};

}  // namespace weir

#endif
