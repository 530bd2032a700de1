// SPDX-License-Identifier: Apache-2.0
//
// The TOML file of config.hpp. toml++ is included here only: it is slow to compile.
//
// A key that nobody knows is refused, not passed over: most of them are misspelled, and a limit
// that was meant to hold and does not is found too late.
#include <toml++/toml.h>

#include <array>
#include <sstream>

#include "core/broker/config.hpp"

namespace weir::broker {
namespace {

struct Key {
    std::string_view name;
    std::optional<Setting> Settings::*setting;
    bool is_size;  // sizes may be numbers of bytes too
};

constexpr std::array keys{
    Key{"name", &Settings::name, false},
    Key{"direct", &Settings::direct, true},
    Key{"heap", &Settings::heap, true},
    Key{"largest-message", &Settings::largest_message, true},
    Key{"spill-dir", &Settings::spill_dir, false},
};

Failure<Error<StartFailure>> usage(std::string sentence) {
    return fail(StartFailure::usage, std::move(sentence));
}

std::string place(const std::string& path, const toml::source_region& source) {
    return path + ":" + std::to_string(source.begin.line);
}

std::string known_keys() {
    std::string known;
    for (const Key& key : keys) known += (known.empty() ? "" : ", ") + std::string(key.name);
    return known;
}

Result<Setting, Error<StartFailure>> setting_of(const std::string& where, const Key& key,
                                                const toml::node& node) {
    std::string value;
    if (const auto* text = node.as_string()) {
        value = text->get();
    } else if (const auto* number = node.as_integer(); number != nullptr && key.is_size) {
        if (number->get() < 0) return usage(where + ": a size is not negative");
        value = std::to_string(number->get());
    } else {
        return usage(where + ": " + std::string(key.name) +
                     (key.is_size ? " is a size: write a text as in \"64M\", or bytes as a number"
                                  : " is a text: write it in quotation marks"));
    }
    return Setting{value, where + ": " + std::string(key.name) + " = " + value};
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
        const Key* found = nullptr;
        for (const Key& key : keys)
            if (key.name == name.str()) found = &key;
        if (found == nullptr)
            return usage(where + ": \"" + std::string(name.str()) +
                         "\" is no setting of a broker: there are " + known_keys());
        auto setting = setting_of(where, *found, node);
        if (!setting) return fail(setting.error());
        settings.*(found->setting) = std::move(*setting);
    }
    return settings;
}

}  // namespace weir::broker
