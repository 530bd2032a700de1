// SPDX-License-Identifier: Apache-2.0
//
// Reading names; see names.hpp for their grammar.
//
// A name comes from a command line, from a configuration or, over the control socket, from a
// process that may send anything. So the whole text is checked byte by byte before a part of it is
// used, and what a sentence quotes is cut and made printable first: it may end in a log or on a
// terminal.
#include "core/protocol/names.hpp"

#include <algorithm>
#include <array>

namespace weir {
namespace {

constexpr std::string_view scheme_end = "://";
constexpr std::string_view queue_scheme = "queue://";
constexpr std::string_view topic_scheme = "topic://";
static_assert(queue_scheme.size() == 8 && topic_scheme.size() == 8,
              "DestinationName::words() and matches() cut eight bytes off");

constexpr std::size_t name_length_max = name_bytes - 1;
constexpr std::size_t broker_name_length_max = 32;
constexpr std::size_t quoted_length_max = 60;

constexpr bool is_word_byte(char byte) noexcept {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

std::string quoted(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string shown = "\"";
    for (const char byte : text.substr(0, quoted_length_max)) {
        const auto code = static_cast<unsigned char>(byte);
        if (code >= 0x20 && code < 0x7f && byte != '"') {
            shown += byte;
        } else {
            shown += "\\x";
            shown += digits[code >> 4];
            shown += digits[code & 0xf];
        }
    }
    if (text.size() > quoted_length_max) shown += "...";
    return shown + "\"";
}

// The first word of `rest`, taken off together with its dot. A dot at the end leaves an empty word.
std::string_view take_word(std::string_view& rest, bool& more) noexcept {
    const std::size_t dot = rest.find('.');
    const std::string_view word = rest.substr(0, dot);
    more = dot != std::string_view::npos;
    rest.remove_prefix(more ? dot + 1 : rest.size());
    return word;
}

using NameFailure = Failure<Error<NameError>>;

NameFailure refuse(NameError code, std::string_view text, const std::string& why) {
    return fail(code, quoted(text) + " is not a destination: " + why);
}

// Checks the words behind the scheme; whether one of them is a wildcard, or why they are refused.
Result<bool, Error<NameError>> check_words(std::string_view text, std::string_view words) {
    bool wild = false;
    bool more = true;
    while (more) {
        const std::string_view word = take_word(words, more);
        if (word.empty())
            return refuse(
                NameError::bad_word, text,
                "a word is empty: write words with one dot between them, as in orders.eu");
        if (word == "*" || word == ">") {
            if (word == ">" && more)
                return refuse(NameError::wildcard, text,
                              "\">\" means all the rest, so it must be the last word");
            wild = true;
            continue;
        }
        const auto bad = std::find_if_not(word.begin(), word.end(), is_word_byte);
        if (bad == word.end()) continue;
        if (*bad == '*' || *bad == '>')
            return refuse(NameError::wildcard, text,
                          "a wildcard stands for a whole word: write orders.* or orders.>");
        return refuse(NameError::bad_word, text,
                      quoted(std::string_view(&*bad, 1)) +
                          " may not stand in a word: use letters, digits, '_' and '-'");
    }
    return wild;
}

Result<std::map<std::string, std::string>, Error<NameError>> parse_options(
    std::string_view text, std::string_view options) {
    std::map<std::string, std::string> parsed;
    for (bool more = true; more;) {
        const std::size_t end = options.find('&');
        more = end != std::string_view::npos;
        const std::string_view option = options.substr(0, end);
        options.remove_prefix(more ? end + 1 : options.size());
        const std::size_t equals = option.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return refuse(NameError::bad_option, text,
                          "options behind '?' are written key=value&key=value, and " +
                              quoted(option) + " is not");
        if (!parsed.emplace(option.substr(0, equals), option.substr(equals + 1)).second)
            return refuse(NameError::bad_option, text,
                          "the option " + quoted(option.substr(0, equals)) + " is given twice");
    }
    return parsed;
}

Result<DestinationName, Error<NameError>> parse(std::string_view text, bool wildcards) {
    DestinationName name;
    const std::size_t mark = text.find('?');
    std::string_view words = text.substr(0, mark);
    if (const std::size_t end = words.find(scheme_end); end != std::string_view::npos) {
        const std::string_view scheme = words.substr(0, end + scheme_end.size());
        if (scheme != queue_scheme && scheme != topic_scheme)
            return refuse(
                NameError::unknown_scheme, text,
                "the scheme " + quoted(scheme) + " is unknown: write queue:// or topic://");
        if (scheme == topic_scheme) name.kind = DestinationKind::topic;
        words.remove_prefix(scheme.size());
    }
    if (words.empty())
        return refuse(NameError::empty, text, "it has no words: write for example queue://orders");
    name.full = name.kind == DestinationKind::topic ? topic_scheme : queue_scheme;
    if (name.full.size() + words.size() > name_length_max)
        return refuse(NameError::too_long, text,
                      "with its scheme it has " + std::to_string(name.full.size() + words.size()) +
                          " bytes, and " + std::to_string(name_length_max) + " is the most");

    auto wild = check_words(text, words);
    if (!wild) return fail(wild.error());
    if (*wild && !wildcards)
        return refuse(NameError::wildcard, text,
                      "it has a wildcard, and only a subscription to a topic may have one");
    name.pattern = *wild;
    name.full += words;
    if (mark != std::string_view::npos) {
        auto options = parse_options(text, text.substr(mark + 1));
        if (!options) return fail(options.error());
        name.options = std::move(*options);
    }
    return name;
}

}  // namespace

Result<DestinationName, Error<NameError>> parse_destination(std::string_view text) {
    return parse(text, false);
}

Result<DestinationName, Error<NameError>> parse_pattern(std::string_view text) {
    return parse(text, true);
}

bool matches(std::string_view pattern, std::string_view destination) noexcept {
    const std::size_t scheme = queue_scheme.size();
    if (pattern.size() <= scheme || destination.size() <= scheme) return false;
    if (pattern.substr(0, scheme) != destination.substr(0, scheme)) return false;
    pattern.remove_prefix(scheme);
    destination.remove_prefix(scheme);
    for (;;) {
        bool more_wanted = false;
        bool more_there = false;
        const std::string_view wanted = take_word(pattern, more_wanted);
        const std::string_view there = take_word(destination, more_there);
        if (wanted == ">") return true;  // it stands last, and there is at least this word
        if (wanted != "*" && wanted != there) return false;
        if (!more_wanted || !more_there) return more_wanted == more_there;
    }
}

bool valid_broker_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= broker_name_length_max &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
               std::string_view::npos;
}

}  // namespace weir
