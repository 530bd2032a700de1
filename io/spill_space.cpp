// SPDX-License-Identifier: Apache-2.0
#include "io/spill_space.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/clock.hpp"
#include "io/spill_directory.hpp"
#include "io/spill_format.hpp"

namespace weir::io {
namespace {

// After trouble, before the next attempt; and how long nobody must want space before the files that
// hold nothing go.
constexpr std::uint64_t retry_ns = ns_per_s / 2;
constexpr std::uint64_t idle_ns = ns_per_s;

// The next file is made when so much of one is used.
constexpr std::uint64_t ready_early_part = 2;

constexpr std::uint32_t unlink_attempts_max = 3;

constexpr Token directory_token = UINT32_MAX;

constexpr std::uint64_t whole_units(std::uint64_t bytes) noexcept {
    return bytes / spill_unit * spill_unit;
}

}  // namespace

SpillSpace::SpillSpace(Files& files, SpillOptions options, Token token_bit)
    : disk_(&files),
      token_bit_(token_bit),
      options_(std::move(options)),
      next_bytes_(options_.file_bytes),
      direct_(options_.direct) {}

Token SpillSpace::token(const File& file) const noexcept {
    for (std::size_t number = 0; number < files_.size(); ++number)
        if (&files_[number] == &file) return token_bit_ | number;
    return token_bit_ | directory_token;
}

bool SpillSpace::room_in(const File& file, std::uint64_t bytes) const noexcept {
    return file.state == State::ready && !file.full && bytes <= file.bytes - file.filled;
}

std::optional<std::uint32_t> SpillSpace::file_with_room(std::uint64_t bytes) const noexcept {
    for (std::size_t number = 0; number < files_.size(); ++number)
        if (room_in(files_[number], bytes)) return static_cast<std::uint32_t>(number);
    return std::nullopt;
}

bool SpillSpace::is_making() const noexcept {
    return making_directory_ || std::any_of(files_.begin(), files_.end(), [](const File& file) {
               return file.state == State::creating || file.state == State::allocating;
           });
}

bool SpillSpace::has_room(std::uint64_t bytes, std::uint64_t now_ns) {
    wanted_at_ns_ = now_ns;
    if (file_with_room(bytes)) return true;
    wanted_ = std::max(wanted_, bytes);
    return false;
}

std::optional<Extent> SpillSpace::take(std::uint64_t bytes, std::uint64_t now_ns) {
    WEIR_CHECK(bytes != 0 && bytes % spill_unit == 0);
    if (!has_room(bytes, now_ns)) return std::nullopt;
    const std::uint32_t number = *file_with_room(bytes);
    File& file = files_[number];
    const Extent extent{number, static_cast<std::uint32_t>(file.filled / spill_unit)};
    file.filled += bytes;
    file.live += bytes;
    file.full = file.filled == file.bytes;
    const bool other = std::any_of(files_.begin(), files_.end(), [&](const File& one) {
        return &one != &file && one.state == State::ready && !one.full && one.filled == 0;
    });
    if (file.filled >= file.bytes / ready_early_part && !other)
        wanted_soon_ = std::max(wanted_soon_, bytes);
    return extent;
}

void SpillSpace::release(Extent extent, std::uint64_t bytes) {
    File& file = files_[extent.file];
    WEIR_CHECK(bytes <= file.live);
    file.live -= bytes;
    add_hole(file, std::uint64_t{extent.unit} * spill_unit, bytes);
}

int SpillSpace::begin_use(std::uint32_t file) {
    ++files_[file].users;
    return files_[file].fd;
}

void SpillSpace::end_use(std::uint32_t file) { --files_[file].users; }

void SpillSpace::note_failed_write(std::uint32_t file, int error, std::uint64_t now_ns) {
    files_[file].full = true;
    trouble_of_writing_ = trouble_of(error);
    error_of_writing_ = error;
    retry_at_ns_ = now_ns + retry_ns;
}

void SpillSpace::note_good_write() {
    trouble_of_writing_ = Trouble::none;
    error_of_writing_ = 0;
}

Trouble SpillSpace::trouble() const noexcept {
    return trouble_of_writing_ != Trouble::none ? trouble_of_writing_ : trouble_;
}

int SpillSpace::trouble_error() const noexcept {
    return trouble_of_writing_ != Trouble::none ? error_of_writing_ : trouble_error_;
}

void SpillSpace::set_trouble(int error, std::uint64_t now_ns) {
    trouble_ = trouble_of(error);
    trouble_error_ = error;
    retry_at_ns_ = now_ns + retry_ns;
    if (trouble_ == Trouble::gone) directory_is_gone_ = true;
}

// What is left at the end of files in which nothing of this size fits is given back.
void SpillSpace::close_small_tails(std::uint64_t bytes) {
    for (File& file : files_) {
        if (file.state != State::ready || file.full || bytes <= file.bytes - file.filled) continue;
        file.full = true;
        if (file.filled < file.bytes) add_hole(file, file.filled, file.bytes - file.filled);
    }
}

void SpillSpace::make_file(std::uint64_t now_ns) {
    if (directory_is_gone_) {
        making_directory_ = true;
        disk_->make_directory(options_.directory.c_str(), token_bit_ | directory_token);
        return;
    }
    const std::uint64_t needed = std::max(wanted_, wanted_soon_);
    if (wanted_ != 0) close_small_tails(wanted_);
    const std::uint64_t held = reserved();
    const std::uint64_t room = whole_units(options_.limit > held ? options_.limit - held : 0);
    const std::uint64_t bytes = whole_units(std::min(std::max(next_bytes_, needed), room));
    if (bytes < needed) {
        if (wanted_ > room) {
            trouble_ = Trouble::limit;
            trouble_error_ = 0;
        }
        return;
    }
    auto place = std::find_if(files_.begin(), files_.end(),
                              [](const File& file) { return file.state == State::absent; });
    if (place == files_.end()) place = files_.insert(files_.end(), File{});
    File& file = *place;
    file = File{};
    file.state = State::creating;
    file.bytes = bytes;
    file.direct = direct_;
    file.path = options_.directory + "/" + spill_file_name(options_.owner, ++serial_);
    retry_at_ns_ = now_ns;
    disk_->create(file.path.c_str(), file.direct, token(file));
}

void SpillSpace::made_directory(std::int32_t result, std::uint64_t now_ns) {
    making_directory_ = false;
    directory_is_gone_ = result < 0 && result != -EEXIST;
    if (directory_is_gone_) set_trouble(-result, now_ns);
}

void SpillSpace::created(File& file, std::int32_t result, std::uint64_t now_ns) {
    if (result >= 0) {
        file.fd = result;
        file.state = State::allocating;
        disk_->allocate(file.fd, 0, file.bytes, token(file));
        return;
    }
    file.state = State::absent;
    if (result == -EEXIST) return;  // the next one has another name
    if (result == -EINVAL && file.direct) {
        direct_ = false;  // no O_DIRECT on this file system
        return;
    }
    set_trouble(-result, now_ns);
}

void SpillSpace::allocated(File& file, std::int32_t result, std::uint64_t now_ns) {
    if (result >= 0) {
        file.state = State::ready;
        wanted_ = wanted_soon_ = 0;
        trouble_ = Trouble::none;
        trouble_error_ = 0;
        return;
    }
    const std::uint64_t half = whole_units(file.bytes / 2);
    const std::uint64_t needed = std::max(wanted_, spill_unit);
    if (trouble_of(-result) == Trouble::disk_full && half >= needed) {
        next_bytes_ = half;
    } else {
        next_bytes_ = options_.file_bytes;
        set_trouble(-result, now_ns);
    }
    file.bytes = 0;
    file.full = true;
    file.state = State::unlinking;
    disk_->unlink(file.path.c_str(), token(file));
}

void SpillSpace::add_hole(File& file, std::uint64_t offset, std::uint64_t bytes) {
    const bool joins = !file.holes.empty() && (file.holes.size() > 1 || !file.punching) &&
                       file.holes.back().offset + file.holes.back().bytes == offset;
    if (joins) {
        file.holes.back().bytes += bytes;
    } else {
        file.holes.push_back({offset, bytes});
    }
}

void SpillSpace::punched(File& file, std::int32_t result) {
    file.punching = false;
    // What cannot be punched comes back with the whole file.
    if (result >= 0) file.punched += file.holes.front().bytes;
    if (result == -EOPNOTSUPP) punch_works_ = false;
    file.holes.pop_front();
}

void SpillSpace::completed(Token own, std::int32_t result, std::uint64_t now_ns) {
    if (own == directory_token) return made_directory(result, now_ns);
    File& file = files_[own];
    if (file.punching) return punched(file, result);
    switch (file.state) {
        case State::creating: return created(file, result, now_ns);
        case State::allocating: return allocated(file, result, now_ns);
        case State::unlinking:
            if (result < 0 && result != -ENOENT && ++file.refusals < unlink_attempts_max) {
                disk_->unlink(file.path.c_str(), token(file));
                return;
            }
            // Still there: the next start clears it away.
            file.state = State::closing;
            disk_->close(file.fd, token(file));
            return;
        case State::closing: file.state = State::absent; return;
        case State::ready:
        case State::absent: break;
    }
    constexpr bool somebody_waits_for_it = false;
    WEIR_CHECK(somebody_waits_for_it);
}

// S3. A file with nothing in it goes when it is full, or when nobody wants space any more.
void SpillSpace::tend(File& file, bool idle) {
    if (file.state != State::ready || file.punching) return;
    if (file.live == 0 && file.users == 0 && (file.full || idle)) {
        file.state = State::unlinking;
        disk_->unlink(file.path.c_str(), token(file));
        return;
    }
    if (!punch_works_) file.holes.clear();
    if (file.holes.empty()) return;
    file.punching = true;
    disk_->punch(file.fd, file.holes.front().offset, file.holes.front().bytes, token(file));
}

void SpillSpace::turn(std::uint64_t now_ns) {
    const bool idle = now_ns - wanted_at_ns_ >= idle_ns && live() == 0;
    if (now_ns - wanted_at_ns_ >= idle_ns) {
        wanted_ = wanted_soon_ = 0;
        trouble_ = Trouble::none;
        next_bytes_ = options_.file_bytes;
    }
    for (File& file : files_) tend(file, idle);
    const bool wanted = wanted_ != 0 || wanted_soon_ != 0;
    if (wanted && now_ns >= retry_at_ns_ && !is_making()) make_file(now_ns);
}

void SpillSpace::abandon() {
    wanted_ = wanted_soon_ = 0;
    for (File& file : files_) {
        file.live = 0;
        file.full = true;
    }
}

std::uint64_t SpillSpace::reserved() const noexcept {
    std::uint64_t bytes = 0;
    for (const File& file : files_)
        if (file.state != State::absent) bytes += file.bytes - file.punched;
    return bytes;
}

std::uint64_t SpillSpace::live() const noexcept {
    std::uint64_t bytes = 0;
    for (const File& file : files_) bytes += file.live;
    return bytes;
}

std::size_t SpillSpace::files() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(files_.begin(), files_.end(),
                      [](const File& file) { return file.state != State::absent; }));
}

std::size_t SpillSpace::in_flight() const noexcept {
    std::size_t count = making_directory_ ? 1 : 0;
    for (const File& file : files_)
        if (file.punching || (file.state != State::absent && file.state != State::ready)) ++count;
    return count;
}

}  // namespace weir::io
