// SPDX-License-Identifier: Apache-2.0
//
// Who holds how much of the two resources, heap-like and direct-like memory.
//
// Accounts form a tree: broker, destination, lane or subscription. A charge is what says that bytes
// are held: it can be moved and split but not copied, and it returns its bytes to its account and
// to all accounts above when it ends. So there is no call site that could forget, and what a dead
// session held is returned by ending the objects that held it.
//
//      resource  | free | reserves not yet used | used                                   |
//      broker                                   | destination A           | destination B |
//                                               | lane 1      | lane 2    | lane 3        |
//
//   A1  a resource's `used` is the sum of the charges that exist
//   A2  used + reserves <= capacity, where `reserves` is what destinations could still ask of
//       theirs
//   A3  what a charge holds is returned exactly once
//
// An account outlives its charges: that is the order of members in the tables (tables.hpp).
#ifndef WEIR_CORE_BROKER_ACCOUNTS_HPP
#define WEIR_CORE_BROKER_ACCOUNTS_HPP

#include <optional>
#include <utility>

#include "shm/control.hpp"

namespace weir::broker {

using Bytes = std::uint64_t;

// The numbers of one resource.
struct Ledger {
    Bytes capacity = 0;
    Bytes used = 0;
    Bytes reserves = 0;  // of all accounts, as far as they are not used
    Bytes margin = 0;    // kept for destinations that do not exist yet
};

// May an account take `asked` bytes, of whose own reserve `own` is left?
//
// Within its reserve always: A2 says that the bytes are there. Beyond it when
//   used + asked + reserves_of_others + margin <= capacity,  reserves_of_others = reserves - own
// Rearranged without a sum that can overflow, by A2 and own <= reserves:
//   asked <= capacity - used - reserves_of_others - margin
constexpr bool grant_fits(const Ledger& ledger, Bytes own, Bytes asked) noexcept {
    if (asked <= own) return true;
    const Bytes room = ledger.capacity - ledger.used - (ledger.reserves - own);
    return room >= ledger.margin && asked <= room - ledger.margin;
}

// May another account come into being with this reserve? Here the margin may be used: it is for
// this.
constexpr bool reserve_fits(const Ledger& ledger, Bytes reserve) noexcept {
    return reserve <= ledger.capacity - ledger.used - ledger.reserves;
}

class Account;
class Charge;

// One of the two resources, with its published use.
class Resource {
public:
    Resource() = default;
    Resource(const Resource&) = delete;
    Resource& operator=(const Resource&) = delete;

    // Use and peak are published there from now on.
    void publish_to(Usage& usage) noexcept;
    void set_capacity(Bytes capacity) noexcept { ledger_.capacity = capacity; }
    void set_margin(Bytes margin) noexcept { ledger_.margin = margin; }

    const Ledger& ledger() const noexcept { return ledger_; }

private:
    friend class Account;
    void moved() noexcept;

    Ledger ledger_;
    Bytes peak_ = 0;
    Usage* published_ = nullptr;
};

class Account {
public:
    Account(Resource& resource, Account* parent) noexcept : resource_(&resource), parent_(parent) {}
    ~Account();
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    // Sets bytes aside for this account while it holds less. False: they are not there.
    [[nodiscard]] bool open_reserve(Bytes reserve) noexcept;

    // Another reserve in its place. The caller has seen that A2 holds with it.
    void change_reserve(Bytes reserve) noexcept;

    // A charge of `bytes` to this account and all above, or nothing was changed.
    [[nodiscard]] std::optional<Charge> charge(Bytes bytes) noexcept;
    bool fits(Bytes bytes) const noexcept;
    // True when `bytes` are covered by what is left of the reserve of this account or one above.
    bool reserved(Bytes bytes) const noexcept { return bytes <= reserve_left(); }

    Bytes used() const noexcept { return used_; }

private:
    friend class Charge;
    Bytes own_left() const noexcept { return reserve_ > used_ ? reserve_ - used_ : 0; }
    Bytes reserve_left() const noexcept;
    void add(Bytes bytes) noexcept;
    void give_back(Bytes bytes) noexcept;

    Resource* resource_;
    Account* parent_;
    Bytes used_ = 0;
    Bytes reserve_ = 0;
};

class [[nodiscard]] Charge {
public:
    Charge() = default;
    Charge(Charge&& other) noexcept
        : account_(std::exchange(other.account_, nullptr)),
          bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&& other) noexcept {
        if (this != &other) {
            give_back();
            account_ = std::exchange(other.account_, nullptr);
            bytes_ = std::exchange(other.bytes_, 0);
        }
        return *this;
    }
    ~Charge() { give_back(); }
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;

    Bytes bytes() const noexcept { return bytes_; }
    // A charge of its own over `bytes` of this one.
    Charge split(Bytes bytes) noexcept;

private:
    friend class Account;
    Charge(Account& account, Bytes bytes) noexcept : account_(&account), bytes_(bytes) {}
    void give_back() noexcept;

    Account* account_ = nullptr;
    Bytes bytes_ = 0;
};

}  // namespace weir::broker

#endif
