// SPDX-License-Identifier: Apache-2.0
#include "bench/spill/plain_files.hpp"

#include <fcntl.h>
#include <unistd.h>

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

void PlainFile::begin(bool writing, std::uint64_t offset, std::size_t place) {
    pieces_[place] = {memory_.data() + place * piece_bytes, piece_bytes};
    const std::span one(&pieces_[place], 1);
    writing ? ring_->write_at(fd_, one, offset, place) : ring_->read_at(fd_, one, offset, place);
}

bool PlainFile::await(std::vector<std::size_t>& free) {
    if (!ring_->wait()) return false;
    bool sound = true;
    for (const io::Completion& completion : ring_->drain(pieces_flying)) {
        sound = sound && completion.result == static_cast<std::int32_t>(piece_bytes);
        free.push_back(completion.token);
    }
    return sound;
}

bool PlainFile::pass(bool writing) {
    std::uint64_t offset = 0;
    std::vector<std::size_t> free;
    for (std::size_t place = 0; place < pieces_flying; ++place) free.push_back(place);
    for (;;) {
        for (; !free.empty() && offset < bytes_; free.pop_back(), offset += piece_bytes)
            begin(writing, offset, free.back());
        if (free.size() == pieces_flying) return true;
        if (!await(free)) return false;
    }
}

bool PlainFile::write_while(const std::function<bool()>& more) {
    std::vector<std::size_t> free;
    for (std::size_t place = 0; place < pieces_flying; ++place) free.push_back(place);
    std::uint64_t offset = 0;
    for (bool going = more(); going || free.size() != pieces_flying;) {
        if (going && !free.empty()) {
            begin(true, offset, free.back());
            free.pop_back();
            offset = (offset + piece_bytes) % bytes_;
            if (!ring_->wait(0)) return false;  // hands it over before the next one is waited for
            going = more();
            for (const io::Completion& completion : ring_->drain(pieces_flying)) {
                if (completion.result != static_cast<std::int32_t>(piece_bytes)) return false;
                free.push_back(completion.token);
            }
            continue;
        }
        if (!await(free)) return false;
    }
    return true;
}

}  // namespace weir::bench
