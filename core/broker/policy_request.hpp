// SPDX-License-Identifier: Apache-2.0
//
// Seeing and changing the policies of a running broker, from another process.
#ifndef WEIR_CORE_BROKER_POLICY_REQUEST_HPP
#define WEIR_CORE_BROKER_POLICY_REQUEST_HPP

#include <vector>

#include "core/broker/policy_set.hpp"
#include "core/broker/request_session.hpp"
#include "core/broker/segment.hpp"

namespace weir::broker {

// A key of a policy, and why it has its value.
struct PolicyLine {
    std::string key;
    std::string value;
    PolicyValue numbers;
    PolicySource source;
};

// All keys, of one moment.
struct PolicyReport {
    std::string destination;
    std::uint64_t generation = 0;
    std::vector<PolicyLine> lines;
};

Result<PolicyReport, Error<RequestFailure>> show_policy(const std::string& name,
                                                        const Places& places,
                                                        const std::string& destination);

// `settings`: "key=value" each.
Result<PolicyChange, Error<RequestFailure>> set_policy(const std::string& name,
                                                       const Places& places,
                                                       const std::string& pattern,
                                                       const std::vector<std::string>& settings);

// The broker reads its configuration file again.
Result<PolicyChange, Error<RequestFailure>> read_policies(const std::string& name,
                                                          const Places& places);

}  // namespace weir::broker

#endif
