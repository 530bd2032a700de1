// SPDX-License-Identifier: Apache-2.0
//
// What `weir doctor` says, apart from how it came to know it.
#ifndef WEIR_TOOLS_DOCTOR_REPORT_HPP
#define WEIR_TOOLS_DOCTOR_REPORT_HPP

#include <string>

#include "core/inspect/examination.hpp"
#include "core/inspect/snapshot.hpp"

namespace weir::tools {

struct DoctorReport {
    inspect::Examination found;
    inspect::Snapshot snapshot;
    bool broker_lives = false;
    bool broker_answers = false;
};

// The books differ from what was counted here, or from what the broker counted itself.
bool has_drift(const DoctorReport& report) noexcept;

std::string doctor_json(const DoctorReport& report);
std::string doctor_text(const DoctorReport& report);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_DOCTOR_REPORT_HPP
