// SPDX-License-Identifier: Apache-2.0
#include "core/broker/accounts.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace weir::broker {

void Resource::publish_to(Usage& usage) noexcept {
    published_ = &usage;
    moved();
}

void Resource::moved() noexcept {
    peak_ = std::max(peak_, ledger_.used);
    if (published_ == nullptr) return;
    // relaxed: both are numbers for people; nothing is read by them.
    published_->used.store(ledger_.used, std::memory_order_relaxed);
    published_->peak.store(peak_, std::memory_order_relaxed);
}

Account::~Account() {
    WEIR_CHECK(used_ == 0);
    resource_->ledger_.reserves -= reserve_;
}

bool Account::open_reserve(Bytes reserve) noexcept {
    WEIR_CHECK(reserve_ == 0);
    WEIR_CHECK(used_ == 0);
    if (!reserve_fits(resource_->ledger_, reserve)) return false;
    reserve_ = reserve;
    resource_->ledger_.reserves += reserve;
    return true;
}

void Account::change_reserve(Bytes reserve) noexcept {
    Ledger& ledger = resource_->ledger_;
    ledger.reserves -= own_left();
    reserve_ = reserve;
    ledger.reserves += own_left();
    WEIR_CHECK(ledger.used <= ledger.capacity && ledger.reserves <= ledger.capacity - ledger.used);
}

// The nearest reserve counts: only destinations have one, so there is at most one on the way up.
Bytes Account::reserve_left() const noexcept {
    for (const Account* account = this; account != nullptr; account = account->parent_)
        if (account->reserve_ != 0) return account->own_left();
    return 0;
}

bool Account::fits(Bytes bytes) const noexcept {
    return grant_fits(resource_->ledger_, reserve_left(), bytes);
}

std::optional<Charge> Account::charge(Bytes bytes) noexcept {
    if (!fits(bytes)) return std::nullopt;
    add(bytes);
    return Charge(*this, bytes);
}

void Account::add(Bytes bytes) noexcept {
    Ledger& ledger = resource_->ledger_;
    for (Account* account = this; account != nullptr; account = account->parent_) {
        const Bytes before = account->own_left();
        account->used_ += bytes;
        ledger.reserves -= before - account->own_left();
    }
    ledger.used += bytes;
    resource_->moved();
}

void Account::give_back(Bytes bytes) noexcept {
    Ledger& ledger = resource_->ledger_;
    for (Account* account = this; account != nullptr; account = account->parent_) {
        WEIR_CHECK(account->used_ >= bytes);
        const Bytes before = account->own_left();
        account->used_ -= bytes;
        ledger.reserves += account->own_left() - before;
    }
    WEIR_CHECK(ledger.used >= bytes);
    ledger.used -= bytes;
    resource_->moved();
}

Charge Charge::split(Bytes bytes) noexcept {
    WEIR_CHECK(bytes <= bytes_);
    bytes_ -= bytes;
    return bytes == 0 ? Charge() : Charge(*account_, bytes);
}

void Charge::give_back() noexcept {
    if (account_ != nullptr) account_->give_back(bytes_);
    account_ = nullptr;
    bytes_ = 0;
}

}  // namespace weir::broker
