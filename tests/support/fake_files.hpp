// SPDX-License-Identifier: Apache-2.0
//
// Files in memory, for a spill store whose disk misbehaves on demand.
//
// The fault model, which is what a test may ask for:
//
//   refusal     the n-th operation of a kind (or of any) completes with an errno, nothing was done
//   torn write  the n-th write leaves half of its bytes, and completes with an errno, short, or
//               as if all was well
//   rot         bytes of a file change while it lies there
//   no room     the disk holds `capacity_bytes`; other programs may take some of it
//   slowness    every operation takes `delay_ns` of the clock's time
//   absence     the directory is gone, or may not be written; no O_DIRECT; no fallocate
//
// An operation has its effect when it completes, so memory that its owner changes meanwhile shows.
#ifndef WEIR_TESTS_SUPPORT_FAKE_FILES_HPP
#define WEIR_TESTS_SUPPORT_FAKE_FILES_HPP

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.hpp"
#include "io/files.hpp"

namespace weir::test {

class FakeFiles final : public io::Files {
public:
    enum Kind {
        create_,
        directory_,
        allocate_,
        punch_,
        write_,
        read_,
        sync_,
        unlink_,
        close_,
        any_
    };
    enum class Tear { none, with_error, short_result, silently };

    explicit FakeFiles(const Clock& clock) : clock_(&clock) {}

    // What the disk is like.
    std::uint64_t capacity_bytes = 1ull << 40;
    std::uint64_t delay_ns = 0;
    bool has_directory = true;
    bool makes_directories = true;
    bool has_direct = true;
    int refuse_all = 0;  // an errno for every operation
    // The next fault: the n-th operation from now of this kind, `repeats` times in a row.
    Kind fault_kind = any_;
    std::uint64_t fault_at = 0;  // 0: none
    std::uint64_t repeats = 1;
    int fault_error = EIO;
    Tear tear = Tear::none;

    // What was done.
    std::map<Kind, std::uint64_t> done;
    std::vector<std::size_t> write_sizes;
    bool fault_struck = false;

    void create(const char* path, bool direct, io::Token token) override {
        ask(create_, token, [this, name = std::string(path), direct]() -> std::int32_t {
            if (!has_directory) return -ENOENT;
            if (direct && !has_direct) return -EINVAL;
            if (names_.count(name) != 0) return -EEXIST;
            nodes_.push_back({});
            names_[name] = nodes_.size() - 1;
            return static_cast<std::int32_t>(nodes_.size() - 1) + first_fd;
        });
    }
    void make_directory(const char*, io::Token token) override {
        ask(directory_, token, [this]() -> std::int32_t {
            if (has_directory) return -EEXIST;
            if (!makes_directories) return -EACCES;
            has_directory = true;
            return 0;
        });
    }
    void allocate(int fd, std::uint64_t offset, std::uint64_t bytes, io::Token token) override {
        ask(allocate_, token, [=, this] { return change(fd, offset, bytes, true); });
    }
    void punch(int fd, std::uint64_t offset, std::uint64_t bytes, io::Token token) override {
        ask(punch_, token, [=, this] { return change(fd, offset, bytes, false); });
    }
    void write(int fd, std::span<const iovec> pieces, std::uint64_t offset,
               io::Token token) override {
        std::size_t whole = 0;
        for (const iovec& piece : pieces) whole += piece.iov_len;
        write_sizes.push_back(whole);
        ask(write_, token, [=, this] { return move(fd, pieces, offset, true, whole); });
    }
    void read(int fd, std::span<const iovec> pieces, std::uint64_t offset,
              io::Token token) override {
        std::size_t whole = 0;
        for (const iovec& piece : pieces) whole += piece.iov_len;
        ask(read_, token, [=, this] { return move(fd, pieces, offset, false, whole); });
    }
    void sync(int, io::Token token) override {
        ask(sync_, token, [] { return 0; });
    }
    void unlink(const char* path, io::Token token) override {
        ask(unlink_, token, [this, name = std::string(path)]() -> std::int32_t {
            return names_.erase(name) != 0 ? 0 : -ENOENT;
        });
    }
    void close(int fd, io::Token token) override {
        ask(close_, token, [=, this]() -> std::int32_t {
            node(fd) = {};
            return 0;
        });
    }

    // Hands out what is due. True: there was something.
    bool deliver(const std::function<void(io::Token, std::int32_t)>& completed) {
        bool any = false;
        // What is asked for meanwhile comes in the next round.
        for (std::size_t count = asked_.size(); count != 0; --count) {
            if (asked_.front().due_ns > clock_->now_ns()) break;
            Asked one = std::move(asked_.front());
            asked_.pop_front();
            completed(one.token, one.act());
            any = true;
        }
        return any;
    }
    std::size_t waiting() const { return asked_.size(); }
    std::uint64_t operations() const {
        std::uint64_t sum = 0;
        for (const auto& [kind, count] : done) sum += count;
        return sum;
    }

    std::size_t names() const { return names_.size(); }
    bool has(const std::string& name) const { return names_.count(name) != 0; }
    std::uint64_t allocated_bytes() const {
        std::uint64_t units = 0;
        for (const Node& one : nodes_)
            units += static_cast<std::uint64_t>(std::count(one.there.begin(), one.there.end(), 1));
        return units * unit;
    }
    // Flips a bit of every file that has a byte there.
    void rot(std::uint64_t offset) {
        for (Node& one : nodes_)
            if (offset < one.bytes.size()) one.bytes[offset] ^= std::byte{1};
    }

private:
    static constexpr int first_fd = 1000;
    static constexpr std::uint64_t unit = 4096;

    struct Node {
        std::vector<std::byte> bytes;
        std::vector<char> there;  // by unit: 1 if it has space on the disk
    };
    struct Asked {
        io::Token token;
        std::uint64_t due_ns;
        std::function<std::int32_t()> act;
    };

    Node& node(int fd) { return nodes_.at(static_cast<std::size_t>(fd - first_fd)); }

    template <class Act>
    void ask(Kind kind, io::Token token, Act act) {
        ++done[kind];
        bool strikes = false;
        if (fault_at != 0 && (fault_kind == any_ || fault_kind == kind)) {
            if (fault_at > 1) {
                --fault_at;
            } else {
                strikes = fault_struck = true;
                if (--repeats == 0) fault_at = 0;
            }
        }
        const int error = refuse_all;
        asked_.push_back(
            {token, clock_->now_ns() + delay_ns, [=, this, act = std::move(act)]() -> std::int32_t {
                 if (error != 0) return -error;
                 // A close that fails has closed all the same.
                 if (!strikes || kind == close_) {
                     const std::int32_t result = act();
                     return strikes ? -fault_error : result;
                 }
                 tears_ = kind == write_ ? tear : Tear::none;
                 if (tears_ == Tear::none) return -fault_error;
                 const std::int32_t result = act();
                 const Tear how = std::exchange(tears_, Tear::none);
                 return how == Tear::with_error ? -fault_error : result;
             }});
    }

    std::int32_t change(int fd, std::uint64_t offset, std::uint64_t bytes, bool there) {
        Node& file = node(fd);
        const std::size_t first = offset / unit;
        const std::size_t last = (offset + bytes) / unit;
        if (there && allocated_bytes() + bytes > capacity_bytes) return -ENOSPC;
        if (file.there.size() < last) {
            file.there.resize(last, 0);
            file.bytes.resize(last * unit);
        }
        std::fill(file.there.begin() + static_cast<std::ptrdiff_t>(first),
                  file.there.begin() + static_cast<std::ptrdiff_t>(last), there ? 1 : 0);
        if (!there) std::memset(file.bytes.data() + offset, 0, bytes);
        return 0;
    }

    std::int32_t move(int fd, std::span<const iovec> pieces, std::uint64_t offset, bool to_disk,
                      std::size_t whole) {
        Node& file = node(fd);
        const std::size_t moved = tears_ == Tear::none ? whole : whole / 2;
        std::size_t left = moved;
        for (const iovec& piece : pieces) {
            const std::size_t part = std::min(left, piece.iov_len);
            if (offset + part > file.bytes.size()) return -ENOSPC;
            std::byte* const memory = static_cast<std::byte*>(piece.iov_base);
            std::byte* const disk = file.bytes.data() + offset;
            std::memcpy(to_disk ? disk : memory, to_disk ? memory : disk, part);
            offset += part;
            left -= part;
        }
        return static_cast<std::int32_t>(tears_ == Tear::short_result ? moved : whole);
    }

    const Clock* clock_;
    std::vector<Node> nodes_;
    std::map<std::string, std::size_t> names_;
    std::deque<Asked> asked_;
    Tear tears_ = Tear::none;
};

}  // namespace weir::test

#endif
