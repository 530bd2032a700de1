// SPDX-License-Identifier: Apache-2.0
//
// A value, or the reason why there is none.
//
// A call that can fail for reasons its caller must handle returns Result<T, E>. E is a closed enum
// on hot paths; on cold paths it is Error<Code>, which adds a sentence that names the cure. Weir
// throws nothing: an exception would hide at the call site which conditions there are, and the hot
// path could not afford its tables.
//
//   Result<Page, NoPage> take_page();
//
//   auto page = take_page();
//   if (!page) return fail(page.error());
//   page->clear();
//
// A Failure<E> is what makes the two sides distinct where T and E are of one type: only fail(...)
// builds the right-hand side.
//
// Invariants
//   R1  a result holds exactly one side from its construction on
//   R2  reading the side it does not hold is a programmer's error and ends the process
#ifndef WEIR_CORE_BASE_RESULT_HPP
#define WEIR_CORE_BASE_RESULT_HPP

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/base/check.hpp"

namespace weir {

// The error of a cold call: a closed enum for the program, a sentence with the cure for its user.
template <class Code>
struct Error {
    Code code;
    std::string sentence;
};

// What fail() returns; it exists only between a return statement and the Result it becomes.
template <class E>
struct [[nodiscard]] Failure {
    E error;
};

template <class E>
constexpr Failure<std::decay_t<E>> fail(E&& error) {
    return {std::forward<E>(error)};
}

template <class Code>
Failure<Error<Code>> fail(Code code, std::string sentence) {
    static_assert(std::is_enum_v<Code>, "the code of an error is a closed enum");
    return {Error<Code>{code, std::move(sentence)}};
}

template <class T, class E>
class [[nodiscard]] Result {
    static_assert(std::is_object_v<T> && std::is_object_v<E>, "a result holds values");

public:
    constexpr Result(T value) : sides_(std::in_place_index<0>, std::move(value)) {}

    template <class F>
        requires std::convertible_to<F, E>
    constexpr Result(Failure<F> failure)
        : sides_(std::in_place_index<1>, std::move(failure.error)) {}

    constexpr explicit operator bool() const noexcept { return sides_.index() == 0; }

    constexpr T& value() & { return *held_value(); }
    constexpr const T& value() const& { return *held_value(); }
    constexpr T&& value() && { return std::move(*held_value()); }

    constexpr T& operator*() & { return *held_value(); }
    constexpr const T& operator*() const& { return *held_value(); }
    constexpr T&& operator*() && { return std::move(*held_value()); }

    constexpr T* operator->() { return held_value(); }
    constexpr const T* operator->() const { return held_value(); }

    constexpr E& error() & { return *held_error(); }
    constexpr const E& error() const& { return *held_error(); }
    constexpr E&& error() && { return std::move(*held_error()); }

private:
    constexpr T* held_value() {
        WEIR_CHECK(sides_.index() == 0);
        return std::get_if<0>(&sides_);
    }
    constexpr const T* held_value() const {
        WEIR_CHECK(sides_.index() == 0);
        return std::get_if<0>(&sides_);
    }
    constexpr E* held_error() {
        WEIR_CHECK(sides_.index() == 1);
        return std::get_if<1>(&sides_);
    }
    constexpr const E* held_error() const {
        WEIR_CHECK(sides_.index() == 1);
        return std::get_if<1>(&sides_);
    }

    std::variant<T, E> sides_;
};

// The same for plain values with a closed enum, which is what hot paths return. It is assigned
// field by field and never as a block, so a compiler that inlines the call keeps it in registers.
template <class T, class E>
    requires(
        std::is_trivially_copyable_v<T>&& std::is_trivially_destructible_v<T>&& std::is_enum_v<E>)
class [[nodiscard]] Result<T, E> {
public:
    constexpr Result(const T& value) noexcept : value_(value), holds_value_(true) {}

    template <class F>
        requires std::convertible_to<F, E>
    constexpr Result(Failure<F> failure) noexcept
        : nothing_(), error_(failure.error), holds_value_(false) {}

    constexpr explicit operator bool() const noexcept { return holds_value_; }

    constexpr T& value() { return *held_value(); }
    constexpr const T& value() const { return *held_value(); }
    constexpr T& operator*() { return *held_value(); }
    constexpr const T& operator*() const { return *held_value(); }
    constexpr T* operator->() { return held_value(); }
    constexpr const T* operator->() const { return held_value(); }

    constexpr E error() const {
        WEIR_CHECK(!holds_value_);
        return error_;
    }

private:
    constexpr T* held_value() {
        WEIR_CHECK(holds_value_);
        return &value_;
    }
    constexpr const T* held_value() const {
        WEIR_CHECK(holds_value_);
        return &value_;
    }

    struct Nothing {};
    union {
        T value_;
        Nothing nothing_;
    };
    E error_{};
    bool holds_value_;
};

// Success carries nothing: `return {};`.
//
// Of a closed enum it is one word, written whole. An optional would write its flag alone, and a
// caller that takes the result from its register's copy in memory would then wait until every store
// before that flag has reached the cache: one send after the other instead of dozens in flight.
template <class E>
    requires std::is_enum_v<E>
class [[nodiscard]] Result<void, E> {
public:
    constexpr Result() = default;

    template <class F>
        requires std::convertible_to<F, E>
    constexpr Result(Failure<F> failure)
        : word_(failed | static_cast<std::uint32_t>(static_cast<E>(failure.error))) {}

    constexpr explicit operator bool() const noexcept { return word_ == 0; }

    constexpr void value() const { WEIR_CHECK(word_ == 0); }

    constexpr E error() const {
        WEIR_CHECK(word_ != 0);
        return static_cast<E>(static_cast<std::uint32_t>(word_));
    }

private:
    static_assert(sizeof(E) <= sizeof(std::uint32_t), "the code fits beside the flag");
    static constexpr std::uint64_t failed = std::uint64_t{1} << 32;

    std::uint64_t word_ = 0;
};

template <class E>
class [[nodiscard]] Result<void, E> {
    static_assert(std::is_object_v<E>, "a result holds values");

public:
    constexpr Result() = default;

    template <class F>
        requires std::convertible_to<F, E>
    constexpr Result(Failure<F> failure) : error_(std::move(failure.error)) {}

    constexpr explicit operator bool() const noexcept { return !error_.has_value(); }

    constexpr void value() const { WEIR_CHECK(!error_.has_value()); }

    constexpr E& error() & {
        WEIR_CHECK(error_.has_value());
        return *error_;
    }
    constexpr const E& error() const& {
        WEIR_CHECK(error_.has_value());
        return *error_;
    }
    constexpr E&& error() && {
        WEIR_CHECK(error_.has_value());
        return std::move(*error_);
    }

private:
    std::optional<E> error_;
};

}  // namespace weir

#endif  // WEIR_CORE_BASE_RESULT_HPP
