// SPDX-License-Identifier: Apache-2.0
//
// One grammar for sizes, durations, percentages and counts: digits [ '.' digits ] [ ' ' ] [ unit ],
// over a table of units. All arithmetic is in integers, so that no size passes through a double,
// which is exact only up to 8 PiB.
#include "core/base/bytes.hpp"

#include <array>
#include <optional>
#include <span>

#include "core/base/check.hpp"
#include "core/base/clock.hpp"

namespace weir {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
    bool fractions = true;
};

constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB, TiB = 1024 * GiB;
constexpr std::uint64_t kB = 1000, MB = 1000 * kB, GB = 1000 * MB, TB = 1000 * GB;

constexpr std::array size_units{
    Unit{"", 1, false}, Unit{"B", 1, false}, Unit{"K", KiB},   Unit{"M", MiB},   Unit{"G", GiB},
    Unit{"T", TiB},     Unit{"KiB", KiB},    Unit{"MiB", MiB}, Unit{"GiB", GiB}, Unit{"TiB", TiB},
    Unit{"kB", kB},     Unit{"MB", MB},      Unit{"GB", GB},   Unit{"TB", TB},
};

constexpr std::array duration_units{
    Unit{"", ns_per_s},         Unit{"ns", 1, false}, Unit{"us", ns_per_us},
    Unit{"ms", ns_per_ms},      Unit{"s", ns_per_s},  Unit{"m", 60 * ns_per_s},
    Unit{"h", 3600 * ns_per_s},
};

// Largest first: the first one that is not larger than the value is the one to print.
constexpr std::array size_steps{Unit{"TiB", TiB}, Unit{"GiB", GiB}, Unit{"MiB", MiB},
                                Unit{"KiB", KiB}, Unit{"B", 1}};
constexpr std::array duration_steps{Unit{"h", 3600 * ns_per_s}, Unit{"m", 60 * ns_per_s},
                                    Unit{"s", ns_per_s},        Unit{"ms", ns_per_ms},
                                    Unit{"us", ns_per_us},      Unit{"ns", 1}};

struct Grammar {
    std::string_view what;
    std::string_view example;
    std::string_view units_text;
    std::span<const Unit> units;
};

constexpr Grammar size_grammar{"size", "64M", "K M G T, KiB MiB GiB TiB or kB MB GB TB",
                               size_units};
constexpr std::array percent_units{Unit{"%", 100}};  // in hundredths
constexpr std::array count_units{Unit{"", 1, false}};

constexpr Grammar percent_grammar{"percentage", "75%", "%", percent_units};
constexpr Grammar count_grammar{"number", "50", "no unit", count_units};
constexpr Grammar duration_grammar{"duration", "500ms", "ns us ms s m h", duration_units};

// Takes leading digits off `text`.
std::string_view take_digits(std::string_view& text) {
    std::size_t count = text.find_first_not_of("0123456789");
    std::string_view digits = text.substr(0, count);
    text.remove_prefix(digits.size());
    return digits;
}

// digits * factor, or nothing where that exceeds 64 bits.
std::optional<std::uint64_t> scaled_whole(std::string_view digits, std::uint64_t factor) {
    std::uint64_t number = 0;
    for (char digit : digits) {
        if (__builtin_mul_overflow(number, 10U, &number)) return std::nullopt;
        if (__builtin_add_overflow(number, static_cast<unsigned>(digit - '0'), &number))
            return std::nullopt;
    }
    if (__builtin_mul_overflow(number, factor, &number)) return std::nullopt;
    return number;
}

// 0.digits * factor, rounded down. Each digit is worth a tenth of the one before it; the remainder
// of each division is carried to the next digit, so nothing is lost before the end:
//   value = (d1 * factor + (d2 * factor + ...) / 10) / 10
// Largest intermediate: 9 * TiB + TiB, far below 64 bits.
std::uint64_t scaled_fraction(std::string_view digits, std::uint64_t factor) {
    std::uint64_t value = 0;
    for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit)
        value = (static_cast<std::uint64_t>(*digit - '0') * factor + value) / 10;
    return value;
}

// What is quoted may have come from another process and ends on terminals and in logs.
std::string quoted(std::string_view text) {
    constexpr std::size_t length_max = 60;
    std::string shown = "\"" + std::string(text.substr(0, length_max));
    for (char& byte : shown)
        if (byte < 0x20 || byte == 0x7f) byte = '?';
    return shown + (text.size() > length_max ? "...\"" : "\"");
}

std::string refusal(const Grammar& grammar, std::string_view text, std::string_view why) {
    std::string sentence = quoted(text) + " is not a " + std::string(grammar.what);
    sentence += " (" + std::string(why) + "): write a number and ";
    sentence += std::string(grammar.units_text) + ", as in " + std::string(grammar.example);
    return sentence;
}

Result<std::uint64_t, Error<ParseFailure>> parse(const Grammar& grammar, std::string_view text) {
    std::string_view rest = text;
    std::string_view whole = take_digits(rest);
    std::string_view fraction;
    bool pointed = rest.starts_with('.');
    if (pointed) {
        rest.remove_prefix(1);
        fraction = take_digits(rest);
    }
    if (whole.empty() || (pointed && fraction.empty()))
        return fail(ParseFailure::not_a_number, refusal(grammar, text, "no number"));
    if (rest.size() > 1 && rest.starts_with(' ')) rest.remove_prefix(1);

    for (const Unit& unit : grammar.units) {
        if (unit.name != rest) continue;
        if (pointed && !unit.fractions)
            return fail(ParseFailure::not_a_number, refusal(grammar, text, "a fraction of one"));
        auto number = scaled_whole(whole, unit.factor);
        std::uint64_t sum = 0;
        if (!number ||
            __builtin_add_overflow(*number, scaled_fraction(fraction, unit.factor), &sum))
            return fail(ParseFailure::too_large, refusal(grammar, text, "too large"));
        return sum;
    }
    return fail(ParseFailure::unknown_unit, refusal(grammar, text, "unknown unit"));
}

// Prints with the largest step that is not larger than `number`, or the next larger one where
// rounding would give a whole one of it ("1023.97 KiB" is "1 MiB").
std::string format(std::uint64_t number, std::span<const Unit> steps) {
    std::size_t at = 0;
    while (at + 1 < steps.size() && number < steps[at].factor) ++at;
    for (;; --at) {
        std::uint64_t factor = steps[at].factor;
        std::uint64_t whole = number / factor;
        // The remainder is below a factor, and the largest factor is 3.6e12: ten times fits.
        std::uint64_t tenths = ((number % factor) * 10 + factor / 2) / factor;
        if (tenths == 10) {
            ++whole;
            tenths = 0;
        }
        if (at > 0 && whole >= steps[at - 1].factor / factor) continue;
        std::string text = std::to_string(whole);
        if (tenths != 0) text += "." + std::to_string(tenths);
        return text + " " + std::string(steps[at].name);
    }
}

}  // namespace

Result<std::uint64_t, Error<ParseFailure>> parse_size(std::string_view text) {
    return parse(size_grammar, text);
}

Result<std::uint64_t, Error<ParseFailure>> parse_duration_ns(std::string_view text) {
    return parse(duration_grammar, text);
}

Result<std::uint32_t, Error<ParseFailure>> parse_percent(std::string_view text) {
    constexpr std::uint64_t whole = 10'000;
    auto hundredths = parse(percent_grammar, text);
    if (!hundredths) return fail(hundredths.error());
    if (*hundredths > whole)
        return fail(ParseFailure::too_large, quoted(text) +
                                                 " is more than the whole: write 100% "
                                                 "or less");
    return static_cast<std::uint32_t>(*hundredths);
}

// The product of two 64-bit numbers has 128 bits; the quotient fits again, hundredths <= 10000.
std::uint64_t share_of(std::uint64_t whole, std::uint64_t hundredths) noexcept {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>(static_cast<Wide>(whole) * hundredths / 10'000);
}

Result<std::uint64_t, Error<ParseFailure>> parse_share(std::string_view text, std::uint64_t whole) {
    if (!text.ends_with('%')) return parse_size(text);
    const auto hundredths = parse_percent(text);
    if (!hundredths) return fail(hundredths.error());
    return share_of(whole, *hundredths);
}

Result<std::uint64_t, Error<ParseFailure>> parse_count(std::string_view text) {
    return parse(count_grammar, text);
}

Result<Rate, Error<ParseFailure>> parse_rate(std::string_view text) {
    constexpr std::string_view a_second = "/s";
    constexpr std::string_view messages = "msg";
    if (!text.ends_with(a_second))
        return fail(ParseFailure::unknown_unit,
                    quoted(text) +
                        " is not a rate: write a size or a number of messages a second, "
                        "as in 100MiB/s or 50000msg/s");
    std::string_view amount = text.substr(0, text.size() - a_second.size());
    const bool of_messages = amount.ends_with(messages);
    if (of_messages) {
        amount.remove_suffix(messages.size());
        if (amount.ends_with(' ')) amount.remove_suffix(1);
    }
    const auto number = of_messages ? parse_count(amount) : parse_size(amount);
    if (!number) return fail(number.error());
    return Rate{*number, of_messages};
}

std::string format_size(std::uint64_t bytes) { return format(bytes, size_steps); }

std::string format_duration_ns(std::uint64_t span_ns) {
    return span_ns == 0 ? "0 s" : format(span_ns, duration_steps);
}

}  // namespace weir
