// SPDX-License-Identifier: Apache-2.0
//
// A deque for objects of which there are thousands, most of them with nothing or one thing in it,
// and whose memory somebody has to answer for.
//
//      map_    [ * ][ * ][ * ]                 as long as there are blocks
//                |    |    |
//      blocks  [..ab][cdef][g...]              `per_block` places each
//                 ^ first_
//
// Others keep a map of eight blocks from the start, blocks of half a kilobyte, and two iterators of
// four pointers; and their map stays as large as it ever was. Here an empty one owns nothing, and
// what any owns follows from what is in it:
//
//   D1  no block is without a thing, and only the first and the last are not full
//   D2  the map has room for at most twice as many blocks as there are, and four more
//       (for a moment, while it is made smaller or larger, there are two maps)
//   D3  there is a T at the places with a thing and at no other
//
// Things are moved when others are put between them; iterators are places by number, and are at
// another thing after each change in front of them.
#ifndef WEIR_CORE_BASE_DEQUE_HPP
#define WEIR_CORE_BASE_DEQUE_HPP

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/allocated.hpp"

namespace weir {

// Larger blocks cost fewer trips to the allocator, and more while they are not full.
template <class T>
inline constexpr std::size_t things_per_block =
    std::bit_floor(std::max<std::size_t>(1, 192 / sizeof(T)));

template <class T, std::size_t per_block = things_per_block<T>>
class Deque {
    static_assert(std::has_single_bit(per_block));

    template <class Owner, class Thing>
    class At {
    public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = Thing*;
        using reference = Thing&;

        At() = default;
        At(Owner& owner, std::size_t index) noexcept : owner_(&owner), index_(index) {}
        operator At<const Deque, const T>() const noexcept { return {*owner_, index_}; }

        reference operator*() const noexcept { return (*owner_)[index_]; }
        pointer operator->() const noexcept { return &(*owner_)[index_]; }
        reference operator[](difference_type by) const noexcept { return *(*this + by); }
        At& operator+=(difference_type by) noexcept {
            index_ += static_cast<std::size_t>(by);  // wraps both ways
            return *this;
        }
        At& operator-=(difference_type by) noexcept { return *this += -by; }
        At& operator++() noexcept { return *this += 1; }
        At& operator--() noexcept { return *this += -1; }
        At operator++(int) noexcept { return std::exchange(*this, *this + 1); }
        At operator--(int) noexcept { return std::exchange(*this, *this - 1); }
        friend At operator+(At at, difference_type by) noexcept { return at += by; }
        friend At operator+(difference_type by, At at) noexcept { return at += by; }
        friend At operator-(At at, difference_type by) noexcept { return at -= by; }
        friend difference_type operator-(const At& one, const At& other) noexcept {
            return static_cast<difference_type>(one.index_ - other.index_);
        }
        friend bool operator==(const At& one, const At& other) noexcept {
            return one.index_ == other.index_;
        }
        friend std::strong_ordering operator<=>(const At& one, const At& other) noexcept {
            return one.index_ <=> other.index_;
        }

    private:
        Owner* owner_ = nullptr;
        std::size_t index_ = 0;
    };

    // Places, not things.
    struct Block {
        alignas(T) std::array<std::byte, per_block * sizeof(T)> bytes;
    };
    using Map = std::vector<std::unique_ptr<Block>>;
    // By D2, and rounded up to the allocator's unit: 8 * (2 * blocks + 4) + 8 + 8.
    static constexpr std::size_t block_bytes = allocated_bytes(sizeof(Block)) + 16;
    static constexpr std::size_t map_bytes_beside = 48;

public:
    // What it owns with n things in it is at most n * bytes_each + bytes_beside.
    //   By D1 there are at most (n + 2 * (per_block - 1)) / per_block blocks.
    static constexpr std::size_t bytes_each = (block_bytes + per_block - 1) / per_block;
    static constexpr std::size_t bytes_beside = 2 * (per_block - 1) * bytes_each + map_bytes_beside;

    using value_type = T;
    using iterator = At<Deque, T>;
    using const_iterator = At<const Deque, const T>;
    using reverse_iterator = std::reverse_iterator<iterator>;
    using const_reverse_iterator = std::reverse_iterator<const_iterator>;

    Deque() = default;
    ~Deque() { clear(); }
    Deque(const Deque&) = delete;
    Deque& operator=(const Deque&) = delete;

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }

    T& operator[](std::size_t index) noexcept { return place(first_ + index); }
    const T& operator[](std::size_t index) const noexcept { return place(first_ + index); }
    T& front() noexcept { return (*this)[0]; }
    const T& front() const noexcept { return (*this)[0]; }
    T& back() noexcept { return (*this)[size_ - 1]; }
    const T& back() const noexcept { return (*this)[size_ - 1]; }

    iterator begin() noexcept { return {*this, 0}; }
    iterator end() noexcept { return {*this, size_}; }
    const_iterator begin() const noexcept { return {*this, 0}; }
    const_iterator end() const noexcept { return {*this, size_}; }
    const_iterator cbegin() const noexcept { return begin(); }
    const_iterator cend() const noexcept { return end(); }
    reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
    reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
    const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
    const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

    void push_back(const T& thing) { push_back(T(thing)); }
    void push_back(T&& thing) {
        if (first_ + size_ == map_.size() * per_block) {
            make_room_in_map();
            map_.push_back(std::make_unique_for_overwrite<Block>());
        }
        std::construct_at(&place(first_ + size_), std::move(thing));
        ++size_;
    }
    void push_front(const T& thing) { push_front(T(thing)); }
    void push_front(T&& thing) {
        if (first_ == 0) {
            make_room_in_map();
            map_.insert(map_.begin(), std::make_unique_for_overwrite<Block>());
            first_ = per_block;
        }
        std::construct_at(&place(first_ - 1), std::move(thing));
        --first_;
        ++size_;
    }
    void pop_front() noexcept {
        if (size_ == 1 || first_ + 1 == per_block) return drop_front(1);  // a block goes as well
        std::destroy_at(&front());
        ++first_;
        --size_;
    }
    void pop_back() noexcept {
        if (size_ == 1 || (first_ + size_ - 1) % per_block == 0) return drop_back(1);
        std::destroy_at(&back());
        --size_;
    }
    void clear() noexcept { drop_back(size_); }

    // Whichever side of it is shorter makes room.
    iterator insert(const_iterator before, T thing) {
        const std::ptrdiff_t index = before - cbegin();
        if (static_cast<std::size_t>(index) < size_ / 2) {
            push_front(T{});
            std::move(begin() + 1, begin() + 1 + index, begin());
        } else {
            push_back(T{});
            std::move_backward(begin() + index, end() - 1, end());
        }
        const iterator at = begin() + index;
        *at = std::move(thing);
        return at;
    }
    iterator erase(const_iterator from, const_iterator to) noexcept {
        const std::ptrdiff_t index = from - cbegin();
        const std::ptrdiff_t count = to - from;
        const iterator begins = begin() + index;
        if (to == cend() && count == 1) {
            pop_back();
            return end();
        }
        if (index < cend() - to) {
            std::move_backward(begin(), begins, begins + count);
            drop_front(static_cast<std::size_t>(count));
        } else {
            std::move(begins + count, end(), begins);
            drop_back(static_cast<std::size_t>(count));
        }
        return begin() + index;
    }
    iterator erase(const_iterator at) noexcept { return erase(at, at + 1); }
    template <class Predicate>
    friend void erase_if(Deque& deque, Predicate goes) {
        deque.erase(std::remove_if(deque.begin(), deque.end(), goes), deque.end());
    }

private:
    T& place(std::size_t number) const noexcept {
        std::byte* const first = map_[number / per_block]->bytes.data();
        return reinterpret_cast<T*>(first)[number % per_block];  // NOLINT: D3
    }

    void make_room_in_map() {
        if (map_.size() == map_.capacity()) map_.reserve(map_.size() + map_.size() / 2 + 2);
    }

    void drop_front(std::size_t count) noexcept {
        for (std::size_t index = 0; index < count; ++index) std::destroy_at(&(*this)[index]);
        size_ -= static_cast<std::uint32_t>(count);
        const std::size_t first = first_ + count;
        first_ = static_cast<std::uint32_t>(first % per_block);
        const std::size_t blocks = size_ == 0 ? map_.size() : first / per_block;
        map_.erase(map_.begin(), map_.begin() + static_cast<std::ptrdiff_t>(blocks));
        fit();
    }
    void drop_back(std::size_t count) noexcept {
        for (std::size_t index = size_ - count; index < size_; ++index)
            std::destroy_at(&(*this)[index]);
        size_ -= static_cast<std::uint32_t>(count);
        const std::size_t blocks = size_ == 0 ? 0 : (first_ + size_ + per_block - 1) / per_block;
        map_.erase(map_.begin() + static_cast<std::ptrdiff_t>(blocks), map_.end());
        fit();
    }

    // Only after a quarter of the blocks has gone, so that coming and going costs no more than the
    // things do.
    void fit() noexcept {
        if (size_ == 0) {
            first_ = 0;
            Map().swap(map_);
        }
        if (map_.capacity() <= 2 * map_.size() + 4) return;
        Map smaller;
        smaller.reserve(map_.size() + map_.size() / 2 + 2);
        std::move(map_.begin(), map_.end(), std::back_inserter(smaller));
        map_.swap(smaller);
    }

    Map map_;
    std::uint32_t first_ = 0;  // of the first block's places, the first with a thing
    std::uint32_t size_ = 0;
};

}  // namespace weir

#endif
