// SPDX-License-Identifier: Apache-2.0
//
// The killing side of KILL_POINT; compiled always, so that it cannot rot, called in test builds.
#include "core/base/kill_point.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/base/check.hpp"

namespace weir {
namespace {

struct Plan {
    std::string_view name;
    std::uint64_t pass = 1;
};

// `name` or `name:N`. A test that misspells N must not pass by killing nobody: it is a check.
Plan plan_from_environment() {
    const char* text = std::getenv("WEIR_KILL_POINT");
    Plan plan;
    if (text == nullptr) return plan;
    plan.name = text;
    std::size_t colon = plan.name.rfind(':');
    if (colon == std::string_view::npos) return plan;
    char* end = nullptr;
    plan.pass = std::strtoull(text + colon + 1, &end, 10);
    WEIR_CHECK(*end == '\0' && plan.pass > 0);
    plan.name = plan.name.substr(0, colon);
    return plan;
}

}  // namespace

void kill_point_reached(const char* name) noexcept {
    static const Plan plan = plan_from_environment();
    static std::atomic<std::uint64_t> passes{0};
    if (plan.name.empty() || plan.name != name) return;
    // relaxed: only the count matters, the kernel orders the rest by ending the process.
    std::uint64_t pass = passes.fetch_add(1, std::memory_order_relaxed) + 1;
    if (pass != plan.pass) return;
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();  // the signal is on its way to this thread: not one instruction more
}

}  // namespace weir
