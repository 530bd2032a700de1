// SPDX-License-Identifier: Apache-2.0
//
// What a broker is started with.
//
// A setting comes from the command line, from a TOML file or from a default; the first that speaks
// wins. In the file:
//
//   name = "orders"            # also: WEIR_NAME
//   largest-message = "8M"
//
//   [memory]                   # --direct, --heap, --producer-part
//   direct = "256MiB"          # a number means bytes
//   heap = "32MiB"
//   producer-part = "60%"      # percentages here and below are of direct memory
//
//   [flow-to-disk]             # --flow-threshold, --flow-resume, --spill-dir, --spill-limit
//   threshold = "75%"
//   resume = "70%"
//   directory = "/var/tmp/weir"    # at the top it may also be called spill-dir
//   limit = "50%"              # of the file system's free space
//   dwell = "1s"
//
//   [session]                  # what one session may hold: lanes, subscriptions, heap, direct,
//   direct = "25%"             # max-uncommitted
//
//   [user]                     # what one user's sessions may hold together: also sessions
//   sessions = 100
//
//   [[policy]]                 # any number of them: policy_key.hpp
//   match = "queue://orders.>"
//   limit = "64MiB"
//
// Every value is judged before anything is made. That matters most for memory: shared memory is not
// bound by what the machine has, so a broker that asked for too much would not be told so, the
// kernel would end some process instead. Hence direct + heap is held against what is available now.
//
// Invariants
//   C1  a setting that is unknown, of a wrong type or out of its bounds is refused, never adjusted;
//       the sentence names where it stands (option, or file and line) and the cure
//   C2  a configuration fits: its tables into heap, the largest message into direct, both into the
//       machine's available memory at the time of asking, and every limit into the one above it
#ifndef WEIR_CORE_BROKER_CONFIG_HPP
#define WEIR_CORE_BROKER_CONFIG_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/broker/limit_options.hpp"
#include "core/broker/policy_set.hpp"
#include "core/protocol/places.hpp"

namespace weir::broker {

enum class StartFailure {
    usage,         // the configuration is wrong
    already_runs,  // a broker of that name lives
    no_memory,     // not enough of it
    refused,       // the machine does not let it: a permission, a kernel feature, a directory
};

struct BrokerConfig {
    std::string name;
    std::uint64_t direct_bytes = 0;
    std::uint64_t heap_bytes = 0;
    std::uint64_t largest_message = 0;
    LimitOptions limits;
    PolicySet policies;
    Places places;
    bool ends_with_last_session = false;  // a private broker, started by a client
    std::string config_file;              // absolute; empty: none was read
};

// One value as it was written, and where.
struct Setting {
    std::string value;
    std::string origin;  // "--direct 100G" or "weir.toml:3: direct = 100G", for sentences
};

struct Settings {
    std::optional<Setting> name;
    std::optional<Setting> largest_message;

    std::optional<Setting> direct;
    std::optional<Setting> heap;
    std::optional<Setting> producer_part;

    std::optional<Setting> flow_threshold;
    std::optional<Setting> flow_resume;
    std::optional<Setting> flow_dwell;
    std::optional<Setting> spill_dir;
    std::optional<Setting> spill_limit;

    std::optional<Setting> session_lanes;
    std::optional<Setting> session_subscriptions;
    std::optional<Setting> session_heap;
    std::optional<Setting> session_direct;
    std::optional<Setting> session_uncommitted;

    std::optional<Setting> user_sessions;
    std::optional<Setting> user_lanes;
    std::optional<Setting> user_subscriptions;
    std::optional<Setting> user_heap;
    std::optional<Setting> user_direct;

    std::vector<RuleText> policies;  // of the file only

    // Takes what is missing here from `other`.
    void fill_from(const Settings& other);
};

// What the machine has; a test gives its own.
struct Machine {
    std::uint64_t memory_bytes;
    std::uint64_t available_bytes;

    static Machine here();
};

// Reads a TOML file (config_file.cpp).
Result<Settings, Error<StartFailure>> read_config_file(const std::string& path);

// What is behind the sections flow-to-disk, session and user, and producer-part, for memories of
// these sizes (config_limits.cpp).
Result<LimitOptions, Error<StartFailure>> judge_limits(const Settings& settings,
                                                       std::uint64_t direct_bytes,
                                                       std::uint64_t heap_bytes);

// Defaults, bounds and C2.
Result<BrokerConfig, Error<StartFailure>> configure(const Settings& settings,
                                                    const Machine& machine);

// Defaults as functions of what they depend on.
std::uint64_t default_direct_bytes(const Machine& machine) noexcept;
std::uint64_t default_heap_bytes(std::uint64_t direct_bytes) noexcept;
std::uint64_t default_largest_message(std::uint64_t direct_bytes) noexcept;

}  // namespace weir::broker

#endif
