// SPDX-License-Identifier: Apache-2.0
#include "bench/spill/plain_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace weir::bench {

PlainFile::PlainFile(io::Ring& ring, std::span<std::byte> memory, const std::string& directory,
                     std::uint64_t bytes)
    : ring_(&ring), memory_(memory), bytes_(bytes), path_(directory + "/weir-spill-plain") {
    const int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
    fd_ = ::open(path_.c_str(), flags | O_DIRECT, 0600);
    direct_ = fd_ >= 0;
    if (!direct_) fd_ = ::open(path_.c_str(), flags, 0600);
    if (fd_ >= 0 && ::posix_fallocate(fd_, 0, static_cast<off_t>(bytes)) != 0) {
        ::close(fd_);
        fd_ = -1;
    }
}

PlainFile::~PlainFile() {
    if (fd_ >= 0) ::close(fd_);
    ::unlink(path_.c_str());
}

bool PlainFile::pass(bool writing) {
    std::array<iovec, pieces_flying> pieces{};
    std::uint64_t offset = 0;
    std::uint64_t flying = 0;
    const auto begin = [&](std::size_t place) {
        pieces[place] = {memory_.data() + place * piece_bytes, piece_bytes};
        const std::span one(&pieces[place], 1);
        writing ? ring_->write_at(fd_, one, offset, place)
                : ring_->read_at(fd_, one, offset, place);
        offset += piece_bytes;
        ++flying;
    };
    for (std::size_t place = 0; place < pieces_flying && offset < bytes_; ++place) begin(place);
    while (flying != 0) {
        if (!ring_->wait()) return false;
        for (const io::Completion& completion : ring_->drain(pieces_flying)) {
            --flying;
            if (completion.result != static_cast<std::int32_t>(piece_bytes)) return false;
            if (offset < bytes_) begin(completion.token);
        }
    }
    return true;
}

}  // namespace weir::bench
