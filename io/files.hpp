// SPDX-License-Identifier: Apache-2.0
//
// What a spill store asks of a disk, and who answers.
//
// Every operation is asked for and completes later: its token and what the system call would have
// returned, or a negated errno, come to whoever called, in the caller's own turn. There are two
// answers to these questions. RingFiles asks the kernel through the broker's one io_uring. A test's
// double (tests/support/fake_files.hpp) keeps files in memory and can fail the n-th operation of
// any kind, tear a write, take its time, or be full.
//
//   F1  an operation completes exactly once
//   F2  paths, pieces and the memory they name stay as they are until then
#ifndef WEIR_IO_FILES_HPP
#define WEIR_IO_FILES_HPP

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/ring.hpp"

namespace weir::io {

class Files {
public:
    virtual ~Files() = default;

    // A new file, readable and writable by its owner only: completes with its descriptor. `direct`:
    // past the page cache, or -EINVAL where the file system cannot.
    virtual void create(const char* path, bool direct, Token token) = 0;
    virtual void make_directory(const char* path, Token token) = 0;
    // Space for bytes of the file that are not there yet.
    virtual void allocate(int fd, std::uint64_t offset, std::uint64_t bytes, Token token) = 0;
    // Gives space back; the file keeps its length.
    virtual void punch(int fd, std::uint64_t offset, std::uint64_t bytes, Token token) = 0;
    virtual void write(int fd, std::span<const iovec> pieces, std::uint64_t offset,
                       Token token) = 0;
    virtual void read(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token) = 0;
    virtual void sync(int fd, Token token) = 0;
    virtual void unlink(const char* path, Token token) = 0;
    virtual void close(int fd, Token token) = 0;
};

// The kernel's files. Completions of its operations come out of the ring's drain() with
// `token_prefix` in their highest bits; tokens are below them.
class RingFiles final : public Files {
public:
    RingFiles(Ring& ring, Token token_prefix) noexcept : ring_(&ring), prefix_(token_prefix) {}

    void create(const char* path, bool direct, Token token) override;
    void make_directory(const char* path, Token token) override;
    void allocate(int fd, std::uint64_t offset, std::uint64_t bytes, Token token) override;
    void punch(int fd, std::uint64_t offset, std::uint64_t bytes, Token token) override;
    void write(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token) override;
    void read(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token) override;
    void sync(int fd, Token token) override;
    void unlink(const char* path, Token token) override;
    void close(int fd, Token token) override;

private:
    Ring* ring_;
    Token prefix_;
};

}  // namespace weir::io

#endif  // WEIR_IO_FILES_HPP
