// SPDX-License-Identifier: Apache-2.0
#include "core/client/name_options.hpp"

#include <limits>

#include "core/base/bytes.hpp"

namespace weir::detail {
namespace {

using std::chrono::nanoseconds;

// Each reads one value; false if it makes no sense.
bool read_span(const std::string& text, nanoseconds& span) {
    const auto parsed = parse_duration_ns(text);
    if (!parsed || *parsed > static_cast<std::uint64_t>(nanoseconds::max().count())) return false;
    span = nanoseconds(static_cast<std::int64_t>(*parsed));
    return true;
}

template <class T>
bool read_size(const std::string& text, T& size) {
    const auto parsed = parse_size(text);
    if (!parsed || *parsed > std::numeric_limits<T>::max()) return false;
    size = static_cast<T>(*parsed);
    return true;
}

template <class T>
bool read_choice(const std::string& text, T& choice,
                 std::initializer_list<std::pair<const char*, T>> known) {
    for (const auto& [word, value] : known) {
        if (text != word) continue;
        choice = value;
        return true;
    }
    return false;
}

enum class Read { good, bad_value, unknown };

Read read_option(const std::string& key, const std::string& value, ProducerOptions& options) {
    bool good = false;
    if (key == "producer.onFull") {
        good = read_choice(value, options.on_full,
                           {{"policy", OnFull::policy},
                            {"wait", OnFull::wait},
                            {"fail", OnFull::fail},
                            {"dropOldest", OnFull::drop_oldest},
                            {"dropNewest", OnFull::drop_newest}});
    } else if (key == "producer.timeout") {
        good = read_span(value, options.timeout.emplace());
    } else if (key == "producer.timestamps") {
        good = read_choice(value, options.timestamps, {{"true", true}, {"false", false}});
    } else {
        return Read::unknown;
    }
    return good ? Read::good : Read::bad_value;
}

Read read_option(const std::string& key, const std::string& value, ConsumerOptions& options) {
    bool good = false;
    if (key == "consumer.prefetchSize") {
        good = read_size(value, options.prefetch);
    } else if (key == "consumer.prefetchBytes") {
        good = read_size(value, options.prefetch_bytes);
    } else if (key == "consumer.acknowledge") {
        good = read_choice(
            value, options.acknowledge,
            {{"automatic", Acknowledge::automatic}, {"cumulative", Acknowledge::cumulative}});
    } else if (key == "consumer.waiting") {
        good = read_choice(value, options.waiting,
                           {{"balanced", Waiting::balanced}, {"spin", Waiting::spin}});
    } else if (key == "consumer.densePause") {
        good = read_span(value, options.dense_pause);
    } else {
        return Read::unknown;
    }
    return good ? Read::good : Read::bad_value;
}

template <class Own, class Other>
Result<void, Error<OpenError>> apply(const DestinationName& name, Own& own, Other other) {
    for (const auto& [key, value] : name.options) {
        Read read = read_option(key, value, own);
        if (read == Read::unknown) read = read_option(key, value, other);
        if (read == Read::unknown)
            return fail(OpenError::bad_name,
                        name.full + " has an unknown option \"" + key +
                            "\": known are producer.onFull, .timeout, .timestamps and "
                            "consumer.prefetchSize, .prefetchBytes, .acknowledge, .waiting, "
                            ".densePause");
        if (read == Read::bad_value)
            return fail(OpenError::bad_name, name.full + ": the option " + key +
                                                 " does not know the value \"" + value + "\"");
    }
    return {};
}

}  // namespace

Result<void, Error<OpenError>> apply_options(const DestinationName& name,
                                             ProducerOptions& options) {
    return apply(name, options, ConsumerOptions{});
}

Result<void, Error<OpenError>> apply_options(const DestinationName& name,
                                             ConsumerOptions& options) {
    return apply(name, options, ProducerOptions{});
}

}  // namespace weir::detail
