// SPDX-License-Identifier: Apache-2.0
#include "core/broker/accounts.hpp"

#include "core/base/check.hpp"

namespace weir::broker {
namespace {

void show_usage(Usage& usage, Bytes used, Bytes peak, Bytes limit) noexcept {
    // relaxed: all of these are numbers for people; nothing is read by them.
    usage.used.store(used, std::memory_order_relaxed);
    usage.peak.store(peak, std::memory_order_relaxed);
    usage.limit.store(limit == no_limit ? 0 : limit, std::memory_order_relaxed);
}

}  // namespace

void Part::pair(Part& one, Part& other) noexcept {
    one.other_ = &other;
    other.other_ = &one;
}

void Part::set_share(Bytes share) noexcept {
    state_.share = share;
    show();
}

void Part::publish_to(Usage& usage) noexcept {
    published_ = &usage;
    show();
}

bool Part::allows(Bytes asked) const noexcept {
    return other_ == nullptr || part_allows(state_, other_->state_, asked);
}

void Part::add(Bytes bytes) noexcept {
    state_.used += bytes;
    peak_ = std::max(peak_, state_.used);
    show();
}

void Part::give_back(Bytes bytes) noexcept {
    WEIR_CHECK(state_.used >= bytes);
    state_.used -= bytes;
    show();
}

void Part::show() noexcept {
    if (published_ != nullptr) show_usage(*published_, state_.used, peak_, state_.share);
}

Account::~Account() {
    WEIR_CHECK(used_ == 0);
    WEIR_CHECK(set_reserve(0));
}

void Account::set_limit(Bytes limit) noexcept {
    limit_ = limit;
    show();
}

void Account::publish_to(Usage& usage) noexcept {
    published_ = &usage;
    show();
}

void Account::show() noexcept {
    peak_ = std::max(peak_, used_);
    if (published_ != nullptr) show_usage(*published_, used_, peak_, limit_);
}

// What producers leave for reading back, readers need not leave; but both leave the margin, so that
// what was kept is there beside it.
Bytes Account::held_back(bool reading, Margin margin) const noexcept {
    return (margin == Margin::leave ? margin_ : 0) + (reading ? 0 : kept_left(kept_, read_back_));
}

bool Account::set_reserve(Bytes reserve) noexcept {
    const Bytes before = committed(below_, reserve_);
    const Bytes after = committed(below_, reserve);
    Bytes grown = after > before ? after - before : 0;
    for (const Account* above = parent_; above != nullptr; above = above->parent_) {
        if (!fits(above->limit_, above->below_, grown, above->held_back(false, Margin::use)))
            return false;
        grown = growth(above->below_, above->reserve_, grown);
    }
    change_reserve(reserve);
    return true;
}

void Account::change_reserve(Bytes reserve) noexcept {
    const Bytes before = committed(below_, reserve_);
    const Bytes after = committed(below_, reserve);
    if (parent_ != nullptr) parent_->reserves_below_ += reserve - reserve_;  // wraps both ways
    Bytes grown = after > before ? after - before : 0;
    Bytes shrunk = before > after ? before - after : 0;
    for (Account* above = parent_; above != nullptr; above = above->parent_) {
        const Bytes was = committed(above->below_, above->reserve_);
        above->below_ += grown;
        above->below_ -= shrunk;
        const Bytes now = committed(above->below_, above->reserve_);
        grown = now > was ? now - was : 0;
        shrunk = was > now ? was - now : 0;
    }
    reserve_ = reserve;
}

// Judged as one: the sum of what grows, less the sum of what shrinks. None is larger than all there
// is, below 2^44 bytes, so no sum over fewer than 2^20 destinations overflows.
Bytes reserves_growth(std::span<const ReserveChange> changes) noexcept {
    Bytes grown = 0;
    Bytes shrunk = 0;
    for (const auto& [account, reserve] : changes) {
        const Bytes before = committed(account->below(), account->reserve());
        const Bytes after = committed(account->below(), reserve);
        (after > before ? grown : shrunk) += after > before ? after - before : before - after;
    }
    return grown > shrunk ? grown - shrunk : 0;
}

bool reserves_fit(const Account& above, std::span<const ReserveChange> changes) noexcept {
    return reserves_fit(above, changes, 0, above.limit());
}

bool reserves_fit(const Account& above, std::span<const ReserveChange> changes, Bytes to_come,
                  Bytes limit) noexcept {
    for (const auto& [account, reserve] : changes) {
        WEIR_CHECK(account->parent_ == &above);
        if (reserve > limit) return false;
    }
    const Bytes growth = reserves_growth(changes);
    if (to_come > limit || growth > limit) return false;
    return fits(limit, above.below_, growth + to_come, above.held_back(false, Margin::use));
}

bool change_reserves(const Account& above, std::span<const ReserveChange> changes) noexcept {
    if (!reserves_fit(above, changes)) return false;
    for (const auto& [account, reserve] : changes) account->change_reserve(reserve);
    return true;
}

Obstacle Account::obstacle(Bytes bytes, const Account* holder, Margin margin) const noexcept {
    Bytes grown = bytes;
    bool reading = false;
    const Part* part = nullptr;
    for (const Account* at = this; at != nullptr; at = at->parent_) {
        reading = reading || at->reads_back();
        if (at->part_ != nullptr) part = at->part_;
        if (!fits(at->limit_, at->below_, grown, at->held_back(reading, margin)))
            return {at->level_, at->used_, at->limit_};
        // Of the broker's memory a reserve is had in whatever part it is used.
        if (at->parent_ == nullptr && part != nullptr && grown != 0 && !part->allows(bytes))
            return {part->level_, part->state_.used, part->state_.share};
        grown = growth(at->below_, at->reserve_, grown);
    }
    for (const Account* at = holder; at != nullptr; at = at->parent_)
        if (!fits(at->limit_, at->below_, bytes, 0)) return {at->level_, at->used_, at->limit_};
    return {};
}

// Reserves of others are as good as used: they are never lent.
Obstacle Account::obstacle_for_ever(Bytes bytes, const Account* holder) const noexcept {
    bool reading = false;
    Bytes own_reserve = 0;
    for (const Account* at = this; at != nullptr; at = at->parent_) {
        reading = reading || at->reads_back();
        const Bytes others = at->reserves_below_ - own_reserve;
        const Bytes gone = others + at->margin_;  // what is kept for reading back comes back
        const bool covered = bytes <= own_reserve;
        if (!covered && !fits(at->limit_, gone, bytes, 0))
            return {at->level_, at->used_, at->limit_};
        own_reserve = at->reserve_;
    }
    for (const Account* at = holder; at != nullptr; at = at->parent_)
        if (bytes > at->limit_) return {at->level_, at->used_, at->limit_};
    return {};
}

bool Account::reserved(Bytes bytes) const noexcept {
    Bytes grown = bytes;
    for (const Account* at = this; at != nullptr && grown != 0; at = at->parent_)
        grown = growth(at->below_, at->reserve_, grown);
    return grown == 0;
}

Result<Charge, Obstacle> Account::charge(Bytes bytes, Account* holder, Margin margin) noexcept {
    if (const Obstacle found = obstacle(bytes, holder, margin)) return fail(found);
    add(bytes);
    if (holder != nullptr) holder->hold(bytes);
    return Charge(*this, holder, bytes);
}

void Account::add(Bytes bytes) noexcept {
    Bytes grown = bytes;
    bool reading = false;
    for (Account* at = this; at != nullptr; at = at->parent_) {
        reading = reading || at->reads_back();
        if (at->part_ != nullptr) at->part_->add(bytes);
        const Bytes more = growth(at->below_, at->reserve_, grown);
        at->below_ += grown;
        at->used_ += bytes;
        if (reading) at->read_back_ += bytes;
        at->show();
        grown = more;
    }
}

void Account::give_back(Bytes bytes) noexcept {
    Bytes shrunk = bytes;
    bool reading = false;
    for (Account* at = this; at != nullptr; at = at->parent_) {
        reading = reading || at->reads_back();
        WEIR_CHECK(at->used_ >= bytes);
        WEIR_CHECK(at->below_ >= shrunk);
        if (at->part_ != nullptr) at->part_->give_back(bytes);
        const Bytes less = shrinkage(at->below_, at->reserve_, shrunk);
        at->below_ -= shrunk;
        at->used_ -= bytes;
        if (reading) at->read_back_ -= bytes;
        at->show();
        shrunk = less;
    }
}

// Sessions and users have no reserves: what lies below them is what is used.
void Account::hold(Bytes bytes) noexcept {
    for (Account* at = this; at != nullptr; at = at->parent_) {
        at->used_ += bytes;
        at->below_ += bytes;
        at->show();
    }
}

void Account::let_go(Bytes bytes) noexcept {
    for (Account* at = this; at != nullptr; at = at->parent_) {
        WEIR_CHECK(at->used_ >= bytes);
        at->used_ -= bytes;
        at->below_ -= bytes;
        at->show();
    }
}

Charge Charge::split(Bytes bytes) noexcept {
    WEIR_CHECK(bytes <= bytes_);
    bytes_ -= bytes;
    return bytes == 0 ? Charge() : Charge(*account_, holder_, bytes);
}

void Charge::absorb(Charge other) noexcept {
    WEIR_CHECK(account_ == other.account_ && holder_ == other.holder_);
    bytes_ += std::exchange(other.bytes_, 0);
}

void Charge::leave_session() noexcept {
    if (holder_ == nullptr || holder_->level_ != LimitLevel::session) return;
    Account* const user = holder_->parent_;
    holder_->let_go(bytes_);
    if (user != nullptr) user->hold(bytes_);
    holder_ = user;
}

bool Charge::hand_to(Account& holder) noexcept {
    Account* const before = holder_;
    if (before != nullptr) before->let_go(bytes_);
    bool fit = true;
    for (const Account* at = &holder; at != nullptr; at = at->parent_)
        fit = fit && fits(at->limit_, at->below_, bytes_, 0);
    if (fit) holder_ = &holder;
    if (holder_ != nullptr) holder_->hold(bytes_);
    return fit;
}

void Charge::give_back() noexcept {
    if (account_ != nullptr) account_->give_back(bytes_);
    if (holder_ != nullptr) holder_->let_go(bytes_);
    account_ = nullptr;
    holder_ = nullptr;
    bytes_ = 0;
}

}  // namespace weir::broker
