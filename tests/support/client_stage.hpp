// SPDX-License-Identifier: Apache-2.0
//
// A client without a broker: one destination whose lanes have one page each, granted for good, and
// a thread that answers the control socket from a list. Nothing is ever freed or granted, so a test
// knows every byte.
#ifndef WEIR_TESTS_SUPPORT_CLIENT_STAGE_HPP
#define WEIR_TESTS_SUPPORT_CLIENT_STAGE_HPP

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/client/connection.hpp"
#include "core/client/open.hpp"
#include "core/protocol/channel.hpp"
#include "shm/control_region.hpp"
#include "shm/futex.hpp"
#include "weir/weir.hpp"

namespace weir::test {

inline constexpr std::uint64_t mebibyte = 1024 * 1024;

inline std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

// Everything that can be received now.
inline std::vector<std::string> drain(Consumer& consumer) {
    std::vector<std::string> texts;
    while (auto message = consumer.poll()) texts.emplace_back(message->text());
    return texts;
}

class ClientStage {
public:
    // `lanes` lanes of the destination, a page of `page_bytes` each.
    ClientStage(const std::string& destination, std::uint32_t lanes, std::uint64_t page_bytes)
        : name_(parse_destination(destination).value()) {
        const std::uint64_t direct_bytes = lanes * round_up(page_bytes, page_unit);
        const Limits limits = limits_for(direct_bytes, 16 * 1024 * 1024, direct_bytes / lanes / 2);
        const std::string object = "stage-" + std::to_string(::getpid());
        ControlRegion::remove(object);
        control_ = std::move(ControlRegion::create(object, limits).value());
        ControlRegion::remove(object);
        direct_ = make_memory_file("stage-direct", direct_bytes).value();
        signals_ = make_memory_file("stage-signals", limits.signals_bytes).value();
        block_ = make_memory_file("stage-exchange", block_bytes).value();
        claims_ = make_memory_file("stage-claims", limits.claims_bytes).value();
        direct_memory_ = Mapping::map(direct_.get(), direct_bytes, Access::read_write).value();
        signals_memory_ =
            Mapping::map(signals_.get(), limits.signals_bytes, Access::read_write).value();
        block_memory_ = Mapping::map(block_.get(), block_bytes, Access::read_write).value();
        claims_memory_ =
            Mapping::map(claims_.get(), limits.claims_bytes, Access::read_write).value();
        doorbell_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        lay_out(lanes, page_bytes / page_unit);
        control_.publish();
    }

    ~ClientStage() {
        for (std::thread& server : servers_) server.join();
    }

    // A session of its own; its answers come from a thread that ends with it.
    std::shared_ptr<detail::Connection> connect(const ConnectOptions& options = {}) {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        servers_.emplace_back([this, fd = ends[1]] { serve(Fd(fd)); });
        return detail::Connection::attach(Fd(ends[0]), "stage", options).value();
    }
    Producer producer(const std::shared_ptr<detail::Connection>& connection,
                      const ProducerOptions& options = {}) {
        return detail::Maker::wrap(detail::open_producer(connection, name_, options).value());
    }
    Consumer consumer(const std::shared_ptr<detail::Connection>& connection,
                      const ConsumerOptions& options = {}) {
        return detail::Maker::wrap(detail::open_consumer(connection, name_, options).value());
    }

    // Does what the broker does for one grant: gives lane 0 the first `units` units that belong to
    // the page of lane `from`, which the test does not use otherwise, `skip` units behind its
    // start.
    void grant_to_first(LaneId from, std::uint64_t skip, std::uint64_t units) {
        const std::uint64_t unit = from * units_ + skip;
        const PageRef ref = ref_of_unit(unit);
        PageSlot& page = control_.page(ref);
        word_at(pages().bytes(ref) + page_header_bytes).store(0, std::memory_order_relaxed);
        page.units.store(static_cast<std::uint32_t>(units), std::memory_order_relaxed);
        page.lane.store(0, std::memory_order_relaxed);
        page.start.store(end_of_first_, std::memory_order_relaxed);
        control_.page(last_of_first_).next.store(ref, std::memory_order_release);
        last_of_first_ = ref;
        end_of_first_ += units * page_unit;
        lane(0).stop_and_revocations.store(stop_word(end_of_first_, 0), std::memory_order_relaxed);
        lane(0).grants.fetch_add(1, std::memory_order_release);
        futex_wake(lane(0).grants, 1);
    }

    LaneSlot& lane(LaneId id) { return control_.lane(id); }
    PageView pages() {
        return {direct_memory_.data(), control_.view().pages(), control_.view().limits.pages};
    }
    SignalsView signals() { return {signals_memory_.data()}; }
    ClaimsView claims() {
        const Limits& limits = control_.view().limits;
        return {claims_memory_.data(), limits.lanes, limits.subscriptions};
    }
    // The last consumer's piece, the last producer's cell.
    ConsumerPiece piece() { return piece_; }
    int widened() const { return widened_; }
    // What comes of a consumer that asks for a wider piece.
    enum class Widening { granted, refused, not_answered };
    void set_widening(Widening widening) { widening_ = widening; }
    ProducerCell& cell() { return *cell_; }
    std::uint64_t rings() {
        std::uint64_t count = 0;
        return ::read(doorbell_.get(), &count, sizeof count) > 0 ? count : 0;
    }
    ControlRegion& control() { return control_; }

private:
    static constexpr std::uint64_t block_bytes = 1024 * 1024;

    void lay_out(std::uint32_t lanes, std::uint64_t units) {
        units_ = units;
        last_of_first_ = ref_of_unit(0);
        end_of_first_ = position_first + units * page_unit;
        DestinationSlot& destination = control_.destination(0);
        destination.kind = name_.kind;
        destination.birth = 1;
        protocol::copy_text(destination.name, name_.full);
        for (LaneId id = 0; id < lanes; ++id) {
            const PageRef ref = ref_of_unit(id * units);
            PageSlot& page = control_.page(ref);
            page.units.store(static_cast<std::uint32_t>(units), std::memory_order_relaxed);
            page.lane.store(id, std::memory_order_relaxed);
            page.state.store(PageState::granted, std::memory_order_relaxed);
            page.start.store(position_first, std::memory_order_relaxed);
            LaneSlot& slot = control_.lane(id);
            slot.first_page.store(ref, std::memory_order_relaxed);
            slot.producer_page.store(ref, std::memory_order_relaxed);
            slot.stop_and_revocations.store(stop_word(position_first + units * page_unit, 0),
                                            std::memory_order_relaxed);
            slot.birth.store(1, std::memory_order_relaxed);
            slot.next_lane.store(id + 1 < lanes ? id + 2 : 0, std::memory_order_relaxed);
            slot.state.store(SlotState::live, std::memory_order_release);
            claims().cursor(id).store(cursor_word(position_first + page_header_bytes, 0),
                                      std::memory_order_relaxed);
        }
        destination.first_lane.store(1, std::memory_order_relaxed);
        destination.state.store(SlotState::live, std::memory_order_release);
        control_.superblock().lanes_generation.store(1, std::memory_order_relaxed);
    }

    std::uint32_t place(std::uint64_t bytes) {
        const std::uint32_t at = static_cast<std::uint32_t>(used_);
        used_ = round_up(used_ + bytes, line_distance);
        EXPECT_LE(used_, block_bytes);
        return at;
    }

    void serve(Fd socket) {
        bool has_block = false;
        bool has_direct = false;
        for (;;) {
            auto packet = protocol::receive_packet(socket.get(), no_deadline);
            if (!packet) return;
            const protocol::Header head = *packet->header();
            const std::uint32_t with_block = has_block ? 0 : 1;
            if (head.kind == protocol::Kind::hello) {
                protocol::Welcome welcome{};
                welcome.control_bytes = control_.bytes();
                welcome.signals_bytes = signals_memory_.bytes();
                welcome.direct_bytes = direct_memory_.bytes();
                welcome.claims_bytes = claims_memory_.bytes();
                const int fds[] = {control_.read_only_fd(), signals_.get(), direct_.get(),
                                   doorbell_.get(), claims_.get()};
                static_cast<void>(protocol::send_message(socket.get(), welcome, head.request, fds));
            } else if (head.kind == protocol::Kind::open_producer) {
                protocol::ProducerOpened answer{};
                answer.lane = next_lane_++;
                answer.block_offset = place(sizeof(ProducerCell));
                answer.block_bytes = block_bytes;
                answer.with_direct = has_direct ? 0 : 1;
                answer.with_block = with_block;
                cell_ = reinterpret_cast<ProducerCell*>(block_memory_.data() + answer.block_offset);
                std::vector<int> fds;
                if (!has_direct) fds.push_back(direct_.get());
                if (with_block != 0) fds.push_back(block_.get());
                has_direct = has_block = true;
                static_cast<void>(protocol::send_message(socket.get(), answer, head.request, fds));
            } else if (head.kind == protocol::Kind::open_consumer) {
                protocol::OpenConsumer request{};
                packet->read(request);
                open_consumer_for(socket, request, with_block);
                has_block = true;
            } else if (head.kind == protocol::Kind::widen_consumer) {
                protocol::WidenConsumer request{};
                packet->read(request);
                widen_consumer_for(socket, request);
            } else {
                static_cast<void>(
                    protocol::send_message(socket.get(), protocol::Done{}, head.request));
            }
        }
    }

    void open_consumer_for(Fd& socket, const protocol::OpenConsumer& request,
                           std::uint32_t with_block) {
        const bool queue = name_.kind == DestinationKind::queue;
        protocol::ConsumerOpened answer{};
        answer.subscription = consumers_++;
        answer.subscription_kind = queue ? SubscriptionKind::shared : SubscriptionKind::exclusive;
        answer.destination = 1;
        answer.consumer_slot = queue ? consumers_ : 0;
        answer.notes = queue ? request.notes : 0;
        answer.places = queue ? 0 : lanes_opened();
        answer.block_offset =
            place(queue ? shared_piece_bytes(request.notes) : exclusive_piece_bytes(answer.places));
        answer.block_bytes = block_bytes;
        answer.with_block = with_block;
        piece_ = {block_memory_.data() + answer.block_offset, answer.notes, answer.places};
        for (std::uint32_t id = 0; id < answer.places; ++id) {
            piece_.place(id).cursor.store(position_first + page_header_bytes,
                                          std::memory_order_relaxed);
            piece_.place(id).lane.store(id + 1, std::memory_order_relaxed);
        }
        opened_ = answer;
        std::vector<int> fds;
        if (with_block != 0) fds.push_back(block_.get());
        static_cast<void>(
            protocol::send_message(socket.get(), answer, request.header.request, fds));
    }

    // The lanes are opened before the consumers, from 0 on.
    std::uint32_t lanes_opened() {
        std::uint32_t count = 0;
        while (control_.lane(count).state.load(std::memory_order_relaxed) == SlotState::live)
            ++count;
        return count;
    }

    // Of the consumer that was opened last.
    void widen_consumer_for(Fd& socket, const protocol::WidenConsumer& request) {
        if (widening_ == Widening::not_answered) return;
        if (widening_ == Widening::refused) {
            protocol::Refused refused{};
            refused.code = protocol::Refusal::heap_full;
            static_cast<void>(
                protocol::send_message(socket.get(), refused, request.header.request));
            return;
        }
        ++widened_;
        opened_.with_block = 0;
        opened_.notes = request.notes;
        opened_.block_offset = place(shared_piece_bytes(request.notes));
        const ConsumerPiece wider{block_memory_.data() + opened_.block_offset, request.notes, 0};
        std::memcpy(wider.base, piece_.base,
                    sizeof(ConsumerCell) + piece_.notes * sizeof(InFlightNote));
        piece_ = wider;
        static_cast<void>(protocol::send_message(socket.get(), opened_, request.header.request));
    }

    DestinationName name_;
    ControlRegion control_;
    Fd direct_, signals_, block_, claims_, doorbell_;
    Mapping direct_memory_, signals_memory_, block_memory_, claims_memory_;
    std::uint64_t used_ = 0;
    std::uint64_t units_ = 0;  // of each lane's first page
    PageRef last_of_first_ = 0;
    Position end_of_first_ = 0;
    LaneId next_lane_ = 0;
    std::uint32_t consumers_ = 0;
    ConsumerPiece piece_;
    protocol::ConsumerOpened opened_{};
    int widened_ = 0;
    std::atomic<Widening> widening_ = Widening::granted;
    ProducerCell* cell_ = nullptr;
    std::vector<std::thread> servers_;
};

}  // namespace weir::test

#endif
