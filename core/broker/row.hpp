// SPDX-License-Identifier: Apache-2.0
//
// A row of things that come at its end and mostly go at its front: the pages of a lane, ranges that
// wait to be delivered again.
//
// Ten thousand lanes have a page each, so an empty row must cost nothing and a short one little (a
// deque takes half a kilobyte for its first element). It is a vector whose front may be unused:
//
//      | gone | gone | first | ... | last |
//                    ^ head
//
//   R1  what is gone is a default-constructed T: it holds nothing
//   R2  less than half of a long row is gone, and a row that became short gives its memory back
#ifndef WEIR_CORE_BROKER_ROW_HPP
#define WEIR_CORE_BROKER_ROW_HPP

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace weir::broker {

template <class T>
class Row {
public:
    using iterator = typename std::vector<T>::iterator;
    using const_iterator = typename std::vector<T>::const_iterator;

    iterator begin() noexcept { return items_.begin() + head_; }
    iterator end() noexcept { return items_.end(); }
    const_iterator begin() const noexcept { return items_.begin() + head_; }
    const_iterator end() const noexcept { return items_.end(); }
    std::size_t size() const noexcept { return static_cast<std::size_t>(end() - begin()); }
    bool empty() const noexcept { return begin() == end(); }
    T& operator[](std::size_t at) noexcept { return begin()[static_cast<std::ptrdiff_t>(at)]; }
    const T& operator[](std::size_t at) const noexcept {
        return begin()[static_cast<std::ptrdiff_t>(at)];
    }
    T& front() noexcept { return *begin(); }
    const T& front() const noexcept { return *begin(); }
    T& back() noexcept { return items_.back(); }
    const T& back() const noexcept { return items_.back(); }

    void push_back(T item) {
        // By a quarter and not by two: of a million pages half would stand empty.
        if (items_.size() == items_.capacity() && items_.size() >= short_row)
            items_.reserve(items_.size() + items_.size() / 4);
        items_.push_back(std::move(item));
    }
    // Cheap where something went before.
    void push_front(T item) {
        if (head_ == 0) {
            items_.insert(items_.begin(), std::move(item));
        } else {
            --head_;
            front() = std::move(item);
        }
    }
    void insert(iterator at, T item) { items_.insert(at, std::move(item)); }
    void pop_front() { erase(begin(), begin() + 1); }
    void clear() noexcept {
        items_ = std::vector<T>();
        head_ = 0;
    }
    void erase(iterator first, iterator last) {
        if (first != begin()) {
            items_.erase(first, last);
        } else {
            for (; first != last; ++first) *first = T();
            head_ = first - items_.begin();
        }
        tidy();
    }

private:
    static constexpr std::size_t short_row = 16;

    void tidy() {
        if (empty() && items_.capacity() > short_row) return clear();
        const std::size_t gone = static_cast<std::size_t>(head_);
        if (empty() || (gone >= short_row && gone > size())) {
            items_.erase(items_.begin(), begin());
            head_ = 0;
        }
        if (items_.capacity() <= 4 * std::max(items_.size(), short_row)) return;
        std::vector<T> fitting;
        fitting.reserve(items_.size() + items_.size() / 2);
        std::move(items_.begin(), items_.end(), std::back_inserter(fitting));
        items_ = std::move(fitting);
    }

    std::vector<T> items_;
    std::ptrdiff_t head_ = 0;
};

}  // namespace weir::broker

#endif
