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

Account::~Account() { WEIR_CHECK(used_ == 0); }

LimitedAccount::~LimitedAccount() { WEIR_CHECK(set_reserve(0)); }

void LimitedAccount::set_limit(Bytes limit) noexcept {
    bounds_.limit = limit;
    show_limit();
}

void Account::publish_to(Usage& usage) noexcept {
    published_ = &usage;
    show_usage(usage, used_, used_, limit());
}

void Account::show_limit() noexcept {
    if (published_ == nullptr) return;
    // relaxed: a number for people.
    published_->limit.store(limit() == no_limit ? 0 : limit(), std::memory_order_relaxed);
}

// The peak stands only where it is shown: nothing is decided by it.
void Account::show() noexcept {
    if (published_ == nullptr) return;
    // relaxed: all of these are numbers for people; nothing is read by them.
    published_->used.store(used_, std::memory_order_relaxed);
    if (used_ > published_->peak.load(std::memory_order_relaxed))
        published_->peak.store(used_, std::memory_order_relaxed);
}

// What producers leave for reading back, readers need not leave; but both leave the margin, so that
// what was kept is there beside it.
Bytes Account::Bounds::held_back(bool reading, Margin leave) const noexcept {
    return (leave == Margin::leave ? margin : 0) + (reading ? 0 : kept_left(kept, read_back));
}

bool LimitedAccount::set_reserve(Bytes reserve) noexcept {
    const Bytes before = committed(bounds_.below, bounds_.reserve);
    const Bytes after = committed(bounds_.below, reserve);
    Bytes grown = after > before ? after - before : 0;
    for (const Account* above = parent(); above != nullptr; above = above->parent_) {
        const Bounds* const own = above->bounds();
        if (own == nullptr) continue;
        if (!fits(own->limit, own->below, grown, own->held_back(false, Margin::use))) return false;
        grown = growth(own->below, own->reserve, grown);
    }
    change_reserve(reserve);
    return true;
}

void LimitedAccount::change_reserve(Bytes reserve) noexcept {
    const Bytes before = committed(bounds_.below, bounds_.reserve);
    const Bytes after = committed(bounds_.below, reserve);
    if (Bounds* const next = parent() != nullptr ? parent()->bounds() : nullptr)
        next->reserves_below += reserve - bounds_.reserve;  // wraps both ways
    Bytes grown = after > before ? after - before : 0;
    Bytes shrunk = before > after ? before - after : 0;
    for (Account* above = parent(); above != nullptr; above = above->parent_) {
        Bounds* const own = above->bounds();
        if (own == nullptr) continue;
        const Bytes was = committed(own->below, own->reserve);
        own->below += grown;
        own->below -= shrunk;
        const Bytes now = committed(own->below, own->reserve);
        grown = now > was ? now - was : 0;
        shrunk = was > now ? was - now : 0;
    }
    bounds_.reserve = reserve;
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

bool reserves_fit(const LimitedAccount& above, std::span<const ReserveChange> changes) noexcept {
    return reserves_fit(above, changes, 0, above.limit());
}

bool reserves_fit(const LimitedAccount& above, std::span<const ReserveChange> changes,
                  Bytes to_come, Bytes limit) noexcept {
    for (const auto& [account, reserve] : changes) {
        WEIR_CHECK(account->parent() == &above);
        if (reserve > limit) return false;
    }
    const Bytes growth = reserves_growth(changes);
    if (to_come > limit || growth > limit) return false;
    return fits(limit, above.below(), growth + to_come,
                above.bounds_.held_back(false, Margin::use));
}

bool change_reserves(const LimitedAccount& above, std::span<const ReserveChange> changes) noexcept {
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
        const Bounds* const own = at->bounds();
        if (own != nullptr && !fits(own->limit, own->below, grown, own->held_back(reading, margin)))
            return {at->level_, at->used_, own->limit};
        // Of the broker's memory a reserve is had in whatever part it is used.
        if (at->parent_ == nullptr && part != nullptr && grown != 0 && !part->allows(bytes))
            return {part->level_, part->state_.used, part->state_.share};
        if (own != nullptr) grown = growth(own->below, own->reserve, grown);
    }
    for (const Account* at = holder; at != nullptr; at = at->parent_) {
        const Bounds* const own = at->bounds();
        if (own != nullptr && !fits(own->limit, own->below, bytes, 0))
            return {at->level_, at->used_, own->limit};
    }
    return {};
}

// Reserves of others are as good as used: they are never lent.
Obstacle Account::obstacle_for_ever(Bytes bytes, const Account* holder) const noexcept {
    bool reading = false;
    Bytes own_reserve = 0;
    for (const Account* at = this; at != nullptr; at = at->parent_) {
        reading = reading || at->reads_back();
        const Bounds* const own = at->bounds();
        if (own == nullptr) continue;
        const Bytes others = own->reserves_below - own_reserve;
        const Bytes gone = others + own->margin;  // what is kept for reading back comes back
        const bool covered = bytes <= own_reserve;
        if (!covered && !fits(own->limit, gone, bytes, 0))
            return {at->level_, at->used_, own->limit};
        own_reserve = own->reserve;
    }
    for (const Account* at = holder; at != nullptr; at = at->parent_)
        if (bytes > at->limit()) return {at->level_, at->used_, at->limit()};
    return {};
}

bool Account::reserved(Bytes bytes) const noexcept {
    Bytes grown = bytes;
    for (const Account* at = this; at != nullptr && grown != 0; at = at->parent_)
        if (const Bounds* const own = at->bounds()) grown = growth(own->below, own->reserve, grown);
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
        at->used_ += bytes;
        if (Bounds* const own = at->bounds()) {
            const Bytes more = growth(own->below, own->reserve, grown);
            own->below += grown;
            if (reading) own->read_back += bytes;
            grown = more;
        }
        at->show();
    }
}

void Account::give_back(Bytes bytes) noexcept {
    Bytes shrunk = bytes;
    bool reading = false;
    for (Account* at = this; at != nullptr; at = at->parent_) {
        reading = reading || at->reads_back();
        WEIR_CHECK(at->used_ >= bytes);
        if (at->part_ != nullptr) at->part_->give_back(bytes);
        at->used_ -= bytes;
        if (Bounds* const own = at->bounds()) {
            WEIR_CHECK(own->below >= shrunk);
            const Bytes less = shrinkage(own->below, own->reserve, shrunk);
            own->below -= shrunk;
            if (reading) own->read_back -= bytes;
            shrunk = less;
        }
        at->show();
    }
}

// Sessions and users have no reserves: what lies below them is what is used.
void Account::hold(Bytes bytes) noexcept {
    for (Account* at = this; at != nullptr; at = at->parent_) {
        at->used_ += bytes;
        if (Bounds* const own = at->bounds()) own->below += bytes;
        at->show();
    }
}

void Account::let_go(Bytes bytes) noexcept {
    for (Account* at = this; at != nullptr; at = at->parent_) {
        WEIR_CHECK(at->used_ >= bytes);
        at->used_ -= bytes;
        if (Bounds* const own = at->bounds()) own->below -= bytes;
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
        if (const Account::Bounds* const own = at->bounds())
            fit = fit && fits(own->limit, own->below, bytes_, 0);
    if (fit) holder_ = &holder;
    if (holder_ != nullptr) holder_->hold(bytes_);
    return fit;
}

void Charge::give_back() noexcept {
    account_->give_back(bytes_);
    if (holder_ != nullptr) holder_->let_go(bytes_);
    account_ = nullptr;
    holder_ = nullptr;
    bytes_ = 0;
}

}  // namespace weir::broker
