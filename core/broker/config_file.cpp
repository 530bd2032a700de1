// SPDX-License-Identifier: Apache-2.0
//
// The TOML file of config.hpp. toml++ is included here only: it is slow to compile.
//
// The file is turned into texts with their places; what they mean is judged elsewhere, the same way
// as what comes from the command line. A key that nobody knows is refused, not passed over: most of
// them are misspelled, and a limit that was meant to hold and does not is found too late.
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "core/broker/config.hpp"

namespace weir::broker {
namespace {

// What a value may be beside a text.
enum class Form { text, size, count };

struct Key {
    std::string_view section;  // empty: at the top
    std::string_view name;
    std::optional<Setting> Settings::*setting;
    Form form;
};

constexpr std::array keys{
    Key{"", "name", &Settings::name, Form::text},
    Key{"", "largest-message", &Settings::largest_message, Form::size},
    Key{"", "spill-dir", &Settings::spill_dir, Form::text},
    Key{"memory", "direct", &Settings::direct, Form::size},
    Key{"memory", "heap", &Settings::heap, Form::size},
    Key{"memory", "producer-part", &Settings::producer_part, Form::size},
    Key{"flow-to-disk", "threshold", &Settings::flow_threshold, Form::size},
    Key{"flow-to-disk", "resume", &Settings::flow_resume, Form::size},
    Key{"flow-to-disk", "dwell", &Settings::flow_dwell, Form::text},
    Key{"flow-to-disk", "directory", &Settings::spill_dir, Form::text},
    Key{"flow-to-disk", "limit", &Settings::spill_limit, Form::size},
    Key{"session", "lanes", &Settings::session_lanes, Form::count},
    Key{"session", "subscriptions", &Settings::session_subscriptions, Form::count},
    Key{"session", "heap", &Settings::session_heap, Form::size},
    Key{"session", "direct", &Settings::session_direct, Form::size},
    Key{"session", "max-uncommitted", &Settings::session_uncommitted, Form::size},
    Key{"user", "sessions", &Settings::user_sessions, Form::count},
    Key{"user", "lanes", &Settings::user_lanes, Form::count},
    Key{"user", "subscriptions", &Settings::user_subscriptions, Form::count},
    Key{"user", "heap", &Settings::user_heap, Form::size},
    Key{"user", "direct", &Settings::user_direct, Form::size},
};

constexpr std::string_view policy_section = "policy";
constexpr std::string_view match_key = "match";

Failure<Error<StartFailure>> usage(std::string sentence) {
    return fail(StartFailure::usage, std::move(sentence));
}

std::string place(const std::string& path, const toml::source_region& source) {
    return path + ":" + std::to_string(source.begin.line);
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool is_section(std::string_view name) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const Key& key) { return !name.empty() && key.section == name; });
}

// "[memory]" or "the top of the file", and what may stand there.
std::string known_in(std::string_view section) {
    std::string known = section.empty() ? "at the top of the file there are "
                                        : "in [" + std::string(section) + "] there are ";
    std::string_view comma;
    for (const Key& key : keys) {
        if (key.section != section) continue;
        known += std::string(comma) + std::string(key.name);
        comma = ", ";
    }
    if (section.empty())
        known += " and the sections [memory], [flow-to-disk], [session], [user] and [[policy]]";
    return known;
}

Failure<Error<StartFailure>> unknown(const std::string& where, std::string_view section,
                                     std::string_view name) {
    const auto elsewhere =
        std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.name == name; });
    if (section.empty() && elsewhere != keys.end())
        return usage(where + ": " + quoted(name) + " stands in a section: write it below [" +
                     std::string(elsewhere->section) + "]");
    return usage(where + ": " + quoted(name) + " is no setting of a broker: " + known_in(section));
}

Result<Setting, Error<StartFailure>> setting_of(const std::string& where, const Key& key,
                                                const toml::node& node) {
    std::string value;
    if (const auto* text = node.as_string()) {
        value = text->get();
    } else if (const auto* number = node.as_integer();
               number != nullptr && key.form != Form::text) {
        if (number->get() < 0)
            return usage(where + ": a " + (key.form == Form::size ? "size" : "number") +
                         " is not negative");
        value = std::to_string(number->get());
    } else {
        constexpr std::array<std::string_view, 3> forms{
            " is a text: write it in quotation marks",
            " is a size: write a text as in \"64M\", or bytes as a number",
            " is a number: write it as in 100, or \"none\""};
        return usage(where + ": " + std::string(key.name) +
                     std::string(forms[static_cast<std::size_t>(key.form)]));
    }
    return Setting{value, where + ": " + std::string(key.name) + " = " + value};
}

Result<void, Error<StartFailure>> read_key(const std::string& where, std::string_view section,
                                           std::string_view name, const toml::node& node,
                                           Settings& settings) {
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const Key& each) {
        return each.section == section && each.name == name;
    });
    if (key == keys.end()) return unknown(where, section, name);
    auto setting = setting_of(where, *key, node);
    if (!setting) return fail(setting.error());
    std::optional<Setting>& target = settings.*(key->setting);
    if (target) return usage(setting->origin + ": said already at " + target->origin);
    target = std::move(*setting);
    return {};
}

Result<void, Error<StartFailure>> read_section(const std::string& path, std::string_view section,
                                               const toml::table& table, Settings& settings) {
    for (const auto& [name, node] : table) {
        auto read = read_key(place(path, name.source()), section, name.str(), node, settings);
        if (!read) return read;
    }
    return {};
}

// A text, a number, or texts in brackets as `rate` has them: one text with commas.
Result<std::string, Error<StartFailure>> policy_text(const std::string& where, std::string_view key,
                                                     const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
    const auto* const list = node.as_array();
    if (list == nullptr || key != name_of(PolicyKey::rate))
        return usage(where + ": " + std::string(key) + " is a text or a number: write it as in " +
                     "\"64MiB\"" + (key == name_of(PolicyKey::rate) ? " or [\"1MiB/s\"]" : ""));
    std::string texts;
    for (const toml::node& each : *list) {
        const auto* const text = each.as_string();
        if (text == nullptr)
            return usage(where + ": each rate is a text: write it as in \"50000msg/s\"");
        texts += (texts.empty() ? "" : ",") + text->get();
    }
    return texts;
}

Result<RuleText, Error<StartFailure>> read_policy(const std::string& path,
                                                  const toml::table& table) {
    RuleText rule;
    rule.place = place(path, table.source());
    for (const auto& [name, node] : table) {
        const std::string where = place(path, name.source());
        const std::string key(name.str());
        if (key == match_key) {
            const auto* const text = node.as_string();
            if (text == nullptr)
                return usage(where +
                             ": match is a destination or a pattern: write it as in "
                             "\"queue://orders.>\"");
            rule.match = text->get();
            rule.place = where;
            continue;
        }
        auto text = policy_text(where, key, node);
        if (!text) return fail(text.error());
        rule.values.push_back({key, std::move(*text), where});
    }
    if (rule.match.empty())
        return usage(rule.place +
                     ": a policy without match: say for what it is, as in match = \"queue://>\"");
    return rule;
}

Result<void, Error<StartFailure>> read_policies(const std::string& path, const std::string& where,
                                                const toml::node& node, Settings& settings) {
    const auto* const list = node.as_array();
    const auto is_table = [](const toml::node& each) { return each.is_table(); };
    if (list == nullptr || !std::all_of(list->begin(), list->end(), is_table))
        return usage(where + ": policies are written one by one, each below [[policy]]");
    for (const toml::node& each : *list) {
        auto rule = read_policy(path, *each.as_table());
        if (!rule) return fail(rule.error());
        settings.policies.push_back(std::move(*rule));
    }
    return {};
}

}  // namespace

Result<Settings, Error<StartFailure>> read_config_file(const std::string& path) {
    toml::table table;
    try {
        table = toml::parse_file(path);
    } catch (const toml::parse_error& error) {
        // Line 0: the file itself could not be read.
        const bool unread = error.source().begin.line == 0;
        std::ostringstream what;
        what << (unread ? path : place(path, error.source())) << ": " << error.description()
             << (unread ? ": name a file that exists and may be read (--config)" : "");
        return usage(what.str());
    }
    Settings settings;
    for (const auto& [name, node] : table) {
        const std::string where = place(path, name.source());
        const bool section = is_section(name.str());
        if (section && !node.is_table())
            return usage(where + ": " + quoted(name.str()) + " is a section: write [" +
                         std::string(name.str()) + "]");
        auto read = section ? read_section(path, name.str(), *node.as_table(), settings)
                    : name.str() == policy_section
                        ? read_policies(path, where, node, settings)
                        : read_key(where, "", name.str(), node, settings);
        if (!read) return fail(read.error());
    }
    return settings;
}

}  // namespace weir::broker
