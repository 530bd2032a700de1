// SPDX-License-Identifier: Apache-2.0
//
// Between weir::Envelope, which users fill, and the fields of shm/envelope.hpp.
#ifndef WEIR_CORE_CLIENT_ENVELOPE_CODEC_HPP
#define WEIR_CORE_CLIENT_ENVELOPE_CODEC_HPP

#include <optional>
#include <span>

#include "weir/envelope.hpp"

namespace weir::detail {

// Words (of 8 bytes) the envelope takes; nothing if it is larger than an envelope may be.
std::optional<std::uint64_t> envelope_words(const Envelope& envelope) noexcept;

// Writes it into an area of that many words.
void write_envelope(const Envelope& envelope, std::byte* area) noexcept;

// Reads it from a private copy of the area; what is damaged is left out.
Envelope read_envelope(std::span<const std::byte> copy);

}  // namespace weir::detail

#endif
