// SPDX-License-Identifier: Apache-2.0
//
// Objects that have a number each, of a fixed range: the tables of a broker.
//
//      used_     [ 0 1 0 0 1 ... ]            a bit for each slot
//      objects_  [ . * . . * ... ]
//
// Going through them costs what is there and not what there could be: a bit of an empty slot is
// looked at with 63 others. Pointers alone would be 32 KiB for 4096 lanes, read by an idle broker
// every second, and from memory each time.
//
//   L1  a slot's bit is set exactly while it has an object
//
// While they are gone through, any of them may be erased, also the one that is looked at; one that
// is made meanwhile is seen if its slot is still to come.
//
// Not for several threads.
#ifndef WEIR_CORE_BASE_SLOTS_HPP
#define WEIR_CORE_BASE_SLOTS_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/check.hpp"

namespace weir {

template <class T>
class Slots {
    static constexpr std::size_t word_bits = 64;

public:
    class Iterator {
    public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        Iterator() = default;
        T& operator*() const noexcept { return *(*slots_)[slot_]; }
        T* operator->() const noexcept { return (*slots_)[slot_]; }
        Iterator& operator++() noexcept {
            slot_ = slots_->used_from(slot_ + 1);
            return *this;
        }
        Iterator operator++(int) noexcept {
            const Iterator before = *this;
            ++*this;
            return before;
        }
        bool operator==(const Iterator& other) const noexcept { return slot_ == other.slot_; }

    private:
        friend Slots;
        Iterator(const Slots& slots, std::size_t slot) noexcept : slots_(&slots), slot_(slot) {}
        const Slots* slots_ = nullptr;
        std::size_t slot_ = 0;
    };

    Slots() = default;
    explicit Slots(std::size_t count)
        : objects_(count), used_((count + word_bits - 1) / word_bits) {}

    // What a table of `count` slots takes of memory, without the objects.
    static constexpr std::size_t bytes_for(std::size_t count) noexcept {
        return count * sizeof(void*) + (count + word_bits - 1) / word_bits * sizeof(std::uint64_t);
    }

    std::size_t size() const noexcept { return objects_.size(); }
    // Null: nothing is there. A slot at or behind size() is an error of the caller.
    T* operator[](std::size_t slot) const noexcept { return objects_[slot].get(); }

    // The lowest slot that is free and of which `fits(slot)` holds.
    template <class Fits>
    std::optional<std::uint32_t> free_slot(Fits fits) const {
        for (std::size_t slot = 0; slot < size(); ++slot)
            if (!objects_[slot] && fits(slot)) return static_cast<std::uint32_t>(slot);
        return std::nullopt;
    }
    std::optional<std::uint32_t> free_slot() const {
        return free_slot([](std::size_t) { return true; });
    }

    T& put(std::size_t slot, std::unique_ptr<T> object) {
        WEIR_CHECK(object != nullptr && !objects_[slot]);
        objects_[slot] = std::move(object);
        used_[slot / word_bits] |= bit(slot);
        return *objects_[slot];
    }
    // The object is destroyed; its slot is free while that happens.
    void erase(std::size_t slot) {
        used_[slot / word_bits] &= ~bit(slot);
        objects_[slot].reset();
    }

    // The objects at and behind a slot, up to end().
    Iterator from(std::size_t slot) const noexcept { return {*this, used_from(slot)}; }
    Iterator begin() const noexcept { return {*this, used_from(0)}; }
    Iterator end() const noexcept { return {*this, size()}; }

private:
    static constexpr std::uint64_t bit(std::size_t slot) noexcept {
        return std::uint64_t{1} << slot % word_bits;
    }
    // The first slot in use at or behind one; size(): there is none.
    std::size_t used_from(std::size_t slot) const noexcept {
        if (slot >= size()) return size();
        std::size_t word = slot / word_bits;
        std::uint64_t bits = used_[word] & ~std::uint64_t{0} << slot % word_bits;
        while (bits == 0) {
            if (++word == used_.size()) return size();
            bits = used_[word];
        }
        return word * word_bits + static_cast<std::size_t>(std::countr_zero(bits));
    }

    std::vector<std::unique_ptr<T>> objects_;
    std::vector<std::uint64_t> used_;
};

}  // namespace weir

#endif
