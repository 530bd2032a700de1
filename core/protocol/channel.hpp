// SPDX-License-Identifier: Apache-2.0
//
// One end of a control socket: packets of messages.hpp with descriptors beside them.
#ifndef WEIR_CORE_PROTOCOL_CHANNEL_HPP
#define WEIR_CORE_PROTOCOL_CHANNEL_HPP

#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/fd.hpp"
#include "core/base/result.hpp"
#include "core/protocol/messages.hpp"

struct msghdr;

namespace weir::protocol {

enum class ChannelError { closed, timed_out, full, garbage, system };

// A packet as it arrived: bytes of one kind, and the descriptors that came with it.
struct Packet {
    std::array<std::byte, packet_bytes_max> bytes{};
    std::size_t size = 0;
    std::vector<Fd> fds;

    // The header, or nothing if the magic is wrong or no kind has such a length. Whether the length
    // is that of its kind is for read() to say: only the header is alike in all versions.
    const Header* header() const noexcept;

    // The message, copied, if the packet is of its kind and of exactly its length.
    template <class Message>
    bool read(Message& message) const noexcept {
        const Header* const head = header();
        if (head == nullptr || head->kind != Message::kind || size != sizeof(Message)) return false;
        std::memcpy(&message, bytes.data(), sizeof(Message));
        return true;
    }
};

// Sends one packet without waiting: a peer that does not read is the peer's problem (`full`).
Result<void, ChannelError> send_packet(int socket, std::span<const std::byte> bytes,
                                       std::span<const int> fds) noexcept;

// Takes over the descriptors that came with a received message, for who receives by other means.
std::vector<Fd> take_descriptors(msghdr& message);

// Receives one packet; waits until CLOCK_MONOTONIC `deadline_ns`.
Result<Packet, ChannelError> receive_packet(int socket, std::uint64_t deadline_ns);

template <class Message>
Result<void, ChannelError> send_message(int socket, Message message, std::uint64_t request,
                                        std::span<const int> fds = {}) noexcept {
    message.header = {packet_magic, Message::kind, request};
    return send_packet(socket, std::as_bytes(std::span(&message, 1)), fds);
}

// Copies a text into a fixed field, cut to fit, always zero-terminated.
void copy_text(std::span<char> field, std::string_view text) noexcept;
// Reads a fixed field that another process filled: ends at the first zero or at its last byte.
std::string_view read_text(std::span<const char> field) noexcept;

}  // namespace weir::protocol

#endif
