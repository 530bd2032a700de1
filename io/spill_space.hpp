// SPDX-License-Identifier: Apache-2.0
//
// The spill files of one broker as space: reserved before it is used, given back at once.
//
// A file is created, allocated whole (that is the reservation: from then on no other program can
// take the room away), filled from front to back with extents, and never written twice. An extent
// that is released is punched out of its file; a file in which nothing lives any more goes as a
// whole. While one file fills up the next is made ready, so that a writer need not wait for it.
//
//      | punched | lives | punched | lives |  filled up to here -->  reserved, not used yet |
//
//   state        completes        goes to
//   creating     create           allocating, or absent with trouble
//   allocating   allocate         ready, or unlinking with trouble; no room: again, half as large
//   ready        (nothing)        unlinking, when nothing in it lives and nothing more is wanted
//   unlinking    unlink           closing
//   closing      close            absent: its place is free for another file
//
//   S1  reserved() <= limit: what all files hold on disk, in every state but absent
//   S2  an extent is given out once, lies in one file, and is part of `live` until it is released
//   S3  a file is unlinked only when nothing in it lives and no operation on it is in flight
//
// Nothing here waits. It acts in turn() only; completions are noted by their caller.
#ifndef WEIR_IO_SPILL_SPACE_HPP
#define WEIR_IO_SPILL_SPACE_HPP

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "io/files.hpp"
#include "io/spill_trouble.hpp"

namespace weir::io {

struct SpillOptions {
    std::string directory;
    std::string owner;                               // names the files (spill_directory.hpp)
    std::uint64_t limit = 0;                         // bytes on disk
    std::uint64_t file_bytes = 64ull * 1024 * 1024;  // of one file; less when less is there
    bool direct = true;                              // past the page cache where that is possible
};

// A place on disk. Small, because its holder keeps one for each run of pages.
struct Extent {
    std::uint32_t file = 0;
    std::uint32_t unit = 0;  // of spill_unit, from the file's start
};

class SpillSpace {
public:
    // Its operations have tokens with `token_bit` set; completions come without it.
    SpillSpace(Files& files, SpillOptions options, Token token_bit = 0);
    SpillSpace(const SpillSpace&) = delete;
    SpillSpace& operator=(const SpillSpace&) = delete;

    // Space for `bytes`, or nothing: then it is made ready, if it can be, and trouble() says what
    // is in the way.
    std::optional<Extent> take(std::uint64_t bytes, std::uint64_t now_ns);
    bool has_room(std::uint64_t bytes, std::uint64_t now_ns);
    void release(Extent extent, std::uint64_t bytes);

    // An operation on a file begins and ends; its descriptor stays open in between.
    int begin_use(std::uint32_t file);
    void end_use(std::uint32_t file);
    bool is_direct(std::uint32_t file) const { return files_[file].direct; }
    // A write failed: nothing more is written to this file.
    void note_failed_write(std::uint32_t file, int error, std::uint64_t now_ns);
    void note_good_write();

    void completed(Token own, std::int32_t result, std::uint64_t now_ns);
    void turn(std::uint64_t now_ns);
    // Nothing in any file is needed any more: all of them go as soon as nobody uses them.
    void abandon();

    std::uint64_t reserved() const noexcept;
    std::uint64_t live() const noexcept;
    // Files that exist, in whatever state, and operations of its own that are in flight.
    std::size_t files() const noexcept;
    std::size_t in_flight() const noexcept;
    Trouble trouble() const noexcept;
    int trouble_error() const noexcept;
    const SpillOptions& options() const noexcept { return options_; }
    void set_limit(std::uint64_t limit) noexcept { options_.limit = limit; }

private:
    enum class State : std::uint8_t { absent, creating, allocating, ready, unlinking, closing };
    struct Hole {
        std::uint64_t offset;
        std::uint64_t bytes;
    };
    struct File {
        State state = State::absent;
        std::string path;
        int fd = -1;
        bool direct = true;
        bool full = false;      // nothing more is put into it
        bool punching = false;  // one punch at a time
        std::uint64_t bytes = 0;
        std::uint64_t filled = 0;
        std::uint64_t live = 0;
        std::uint64_t punched = 0;
        std::uint32_t users = 0;
        std::uint32_t refusals = 0;  // of its unlinking
        std::deque<Hole> holes;      // to be punched; the first is in flight if `punching`
    };

    bool room_in(const File& file, std::uint64_t bytes) const noexcept;
    std::optional<std::uint32_t> file_with_room(std::uint64_t bytes) const noexcept;
    bool is_making() const noexcept;
    void close_small_tails(std::uint64_t bytes);
    void make_file(std::uint64_t now_ns);
    void created(File& file, std::int32_t result, std::uint64_t now_ns);
    void allocated(File& file, std::int32_t result, std::uint64_t now_ns);
    void made_directory(std::int32_t result, std::uint64_t now_ns);
    void add_hole(File& file, std::uint64_t offset, std::uint64_t bytes);
    void punched(File& file, std::int32_t result);
    void tend(File& file, bool idle);
    void set_trouble(int error, std::uint64_t now_ns);
    Token token(const File& file) const noexcept;

    Files* disk_;
    Token token_bit_;
    SpillOptions options_;
    std::deque<File> files_;  // by number; places never move
    std::uint64_t serial_ = 0;
    std::uint64_t wanted_ = 0;       // bytes that found no room
    std::uint64_t wanted_soon_ = 0;  // bytes that will find none; no trouble if they do not
    std::uint64_t wanted_at_ns_ = 0;
    std::uint64_t next_bytes_;  // of the next file
    std::uint64_t retry_at_ns_ = 0;
    bool direct_ = true;
    bool directory_is_gone_ = false;  // it is made again before the next file
    bool making_directory_ = false;
    bool punch_works_ = true;
    Trouble trouble_ = Trouble::none;  // of making files
    int trouble_error_ = 0;
    Trouble trouble_of_writing_ = Trouble::none;
    int error_of_writing_ = 0;
};

}  // namespace weir::io

#endif  // WEIR_IO_SPILL_SPACE_HPP
