// SPDX-License-Identifier: Apache-2.0
#include "io/files.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

namespace weir::io {

// Names only what is new: a file of that name that lives belongs to somebody else.
void RingFiles::create(const char* path, bool direct, Token token) {
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | (direct ? O_DIRECT : 0);
    ring_->open(path, flags, S_IRUSR | S_IWUSR, prefix_ | token);
}

void RingFiles::make_directory(const char* path, Token token) {
    ring_->make_directory(path, S_IRWXU, prefix_ | token);
}

void RingFiles::allocate(int fd, std::uint64_t offset, std::uint64_t bytes, Token token) {
    ring_->allocate(fd, 0, offset, bytes, prefix_ | token);
}

void RingFiles::punch(int fd, std::uint64_t offset, std::uint64_t bytes, Token token) {
    ring_->allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes, prefix_ | token);
}

void RingFiles::write(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token) {
    ring_->write_at(fd, pieces, offset, prefix_ | token);
}

void RingFiles::read(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token) {
    ring_->read_at(fd, pieces, offset, prefix_ | token);
}

void RingFiles::sync(int fd, Token token) { ring_->sync_data(fd, prefix_ | token); }

void RingFiles::unlink(const char* path, Token token) { ring_->unlink(path, prefix_ | token); }

void RingFiles::close(int fd, Token token) { ring_->close(fd, prefix_ | token); }

}  // namespace weir::io
