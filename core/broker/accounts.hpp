// SPDX-License-Identifier: Apache-2.0
//
// Who holds how much of the two resources, heap-like and direct-like memory.
//
// Accounts form a tree. A charge is what says that bytes are held: it can be moved and split but
// not copied, and it returns its bytes to all its accounts when it ends. So there is no call site
// that could forget, and what a dead session held is returned by ending the objects that held it.
//
//      broker ----- destination ---+--- producer side --- lane
//         |          (limit,       +--- consumer side --- pages read back, subscriptions
//         |           reserve)               |
//         +----- producer part, consumer part: the sums of all sides of a kind
//
//      user ------- session             a charge's holder: not where it stands, but whose it is
//
// A destination's limit and reserve are for both its sides together, so the sides hang below it,
// and the parts are sums across: either may use what the other leaves (quota.hpp, part_allows). A
// charge is checked against every account on its way up, the part it belongs to, its session and
// its user, and is counted in all of them or in none.
//
//   A1  an account's `used` is the sum of the charges that stand at or below it, or are held by it
//   A2  what lies below an account is never charged beyond its limit (Q3)
//   A3  what a charge holds is returned exactly once
//   A4  of the room below an account, `kept` bytes can only be had for reading back: otherwise
//       reading back would need memory that only reading back can free
//
// An account outlives its charges and its children: that is the order of members in the tables
// (tables.hpp).
#ifndef WEIR_CORE_BROKER_ACCOUNTS_HPP
#define WEIR_CORE_BROKER_ACCOUNTS_HPP

#include <span>
#include <utility>

#include "core/base/result.hpp"
#include "core/broker/quota.hpp"
#include "shm/control.hpp"

namespace weir::broker {

class Account;
class LimitedAccount;
class Charge;
struct ReserveChange;

// The room that is left for others: of direct-like memory for destinations that do not exist yet,
// of heap-like memory for what exists.
enum class Margin { leave, use };

// One of the two parts of a resource.
class Part {
public:
    explicit Part(LimitLevel level) noexcept : level_(level) {}
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

    static void pair(Part& one, Part& other) noexcept;
    void set_share(Bytes share) noexcept;
    // Somebody of this part waits for memory: the other part, if it has borrowed, gets nothing
    // more.
    void set_asks(bool asks) noexcept { state_.asks = asks; }
    // Use, peak and share are shown there from now on.
    void publish_to(Usage& usage) noexcept;

    const PartState& state() const noexcept { return state_; }
    LimitLevel level() const noexcept { return level_; }

private:
    friend class Account;
    bool allows(Bytes asked) const noexcept;
    void add(Bytes bytes) noexcept;
    void give_back(Bytes bytes) noexcept;
    void show() noexcept;

    LimitLevel level_;
    PartState state_{.used = 0, .share = no_limit, .asks = false};
    Part* other_ = nullptr;
    Bytes peak_ = 0;
    Usage* published_ = nullptr;
};

// What refused a charge: an account, or (with its level) the part that the charge belongs to.
struct Obstacle {
    LimitLevel level = LimitLevel::none;
    Bytes used = 0;
    Bytes limit = 0;

    explicit operator bool() const noexcept { return level != LimitLevel::none; }
};

// A sum: it knows what is charged at or below it. Most accounts are no more than that; one with
// limits is a LimitedAccount.
class Account {
public:
    explicit Account(LimitLevel level, Account* parent = nullptr) noexcept
        : level_(level), parent_(parent) {}
    // A side of a destination: its charges count in `part` as well.
    Account(Account& parent, Part& part) noexcept
        : level_(parent.level_), parent_(&parent), part_(&part) {}
    ~Account();
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    // Use, its peak from now on, and the limit are shown there.
    void publish_to(Usage& usage) noexcept;

    // A charge of `bytes` to this account, all above, and the holder's; or nothing was changed.
    [[nodiscard]] Result<Charge, Obstacle> charge(Bytes bytes, Account* holder = nullptr,
                                                  Margin margin = Margin::leave) noexcept;
    // What would refuse it.
    Obstacle obstacle(Bytes bytes, const Account* holder = nullptr,
                      Margin margin = Margin::leave) const noexcept;
    // What would refuse it even if everything that can be given back were given back.
    Obstacle obstacle_for_ever(Bytes bytes, const Account* holder = nullptr) const noexcept;
    // True when `bytes` are covered by what is left of the reserve of this account or one above.
    bool reserved(Bytes bytes) const noexcept;

    LimitLevel level() const noexcept { return level_; }
    Bytes used() const noexcept { return used_; }
    Bytes limit() const noexcept;

protected:
    enum class Bounded : bool { no, yes };
    Account(LimitLevel level, Account* parent, Bounded bounded) noexcept
        : level_(level), bounded_(bounded), parent_(parent) {}
    Account* parent() const noexcept { return parent_; }
    void show_limit() noexcept;

private:
    friend class Charge;
    struct Bounds {
        Bytes limit = no_limit;
        Bytes below = 0;  // used, and reserved by those below
        Bytes reserve = 0;
        Bytes reserves_below = 0;  // of the accounts under it, used or not
        Bytes read_back = 0;       // of what is used
        Bytes margin = 0;
        Bytes kept = 0;

        Bytes held_back(bool reading, Margin leave) const noexcept;
    };
    friend class LimitedAccount;

    // Null: nothing but the sum.
    Bounds* bounds() noexcept;
    const Bounds* bounds() const noexcept;
    bool reads_back() const noexcept {
        return part_ != nullptr && part_->level() == LimitLevel::consumer_part;
    }
    void add(Bytes bytes) noexcept;
    void give_back(Bytes bytes) noexcept;
    void hold(Bytes bytes) noexcept;
    void let_go(Bytes bytes) noexcept;
    void show() noexcept;

    LimitLevel level_;
    Bounded bounded_ = Bounded::no;
    Account* parent_;
    Part* part_ = nullptr;
    Bytes used_ = 0;
    Usage* published_ = nullptr;
};
static_assert(sizeof(Account) <= 40, "a lane has two of these, a destination five");

// An account that may have a limit, a reserve, and room that it keeps.
class LimitedAccount : public Account {
public:
    explicit LimitedAccount(LimitLevel level, Account* parent = nullptr) noexcept
        : Account(level, parent, Bounded::yes) {}
    ~LimitedAccount();

    // Lower than what is used: nothing is taken, nothing more is charged.
    void set_limit(Bytes limit) noexcept;
    // Bytes that are always there for this account. False: so many are not left above.
    [[nodiscard]] bool set_reserve(Bytes reserve) noexcept;
    // Room that ordinary charges leave.
    void set_margin(Bytes margin) noexcept { bounds_.margin = margin; }
    // Room that only reading back may use (A4).
    void set_kept(Bytes kept) noexcept { bounds_.kept = kept; }

    Bytes limit() const noexcept { return bounds_.limit; }
    Bytes reserve() const noexcept { return bounds_.reserve; }
    // Used, and reserved by those below.
    Bytes below() const noexcept { return bounds_.below; }

private:
    friend class Account;
    friend bool reserves_fit(const LimitedAccount& above, std::span<const ReserveChange> changes,
                             Bytes to_come, Bytes limit) noexcept;
    friend bool change_reserves(const LimitedAccount& above,
                                std::span<const ReserveChange> changes) noexcept;
    void change_reserve(Bytes reserve) noexcept;

    Bounds bounds_;
};

inline Account::Bounds* Account::bounds() noexcept {
    return bounded_ == Bounded::yes ? &static_cast<LimitedAccount*>(this)->bounds_ : nullptr;
}
inline const Account::Bounds* Account::bounds() const noexcept {
    return bounded_ == Bounded::yes ? &static_cast<const LimitedAccount*>(this)->bounds_ : nullptr;
}
inline Bytes Account::limit() const noexcept {
    const Bounds* const own = bounds();
    return own != nullptr ? own->limit : no_limit;
}

// A reserve that an account is to have.
struct ReserveChange {
    LimitedAccount* account = nullptr;
    Bytes reserve = 0;
};
// By how much these changes together make grow what is used or reserved; 0: they make it shrink.
Bytes reserves_growth(std::span<const ReserveChange> changes) noexcept;
// Do they fit below `above`, the broker's: what some give back is there for the others?
[[nodiscard]] bool reserves_fit(const LimitedAccount& above,
                                std::span<const ReserveChange> changes) noexcept;
// And with `to_come` more beside them, once the limit of `above` has become `limit`?
[[nodiscard]] bool reserves_fit(const LimitedAccount& above, std::span<const ReserveChange> changes,
                                Bytes to_come, Bytes limit) noexcept;
// Sets the reserves of several accounts below `above`, all or none.
[[nodiscard]] bool change_reserves(const LimitedAccount& above,
                                   std::span<const ReserveChange> changes) noexcept;

class [[nodiscard]] Charge {
public:
    Charge() = default;
    Charge(Charge&& other) noexcept
        : account_(std::exchange(other.account_, nullptr)),
          holder_(std::exchange(other.holder_, nullptr)),
          bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&& other) noexcept {
        if (this != &other) {
            if (account_ != nullptr) give_back();
            account_ = std::exchange(other.account_, nullptr);
            holder_ = std::exchange(other.holder_, nullptr);
            bytes_ = std::exchange(other.bytes_, 0);
        }
        return *this;
    }
    ~Charge() {
        if (account_ != nullptr) give_back();
    }
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;

    Bytes bytes() const noexcept { return bytes_; }
    const Account* holder() const noexcept { return holder_; }
    // A charge of its own over `bytes` of this one.
    Charge split(Bytes bytes) noexcept;
    // Another charge of the same account and holder becomes part of this one.
    void absorb(Charge other) noexcept;
    // The session that holds it is gone: it is its user's.
    void leave_session() noexcept;
    // It is somebody else's from now on; or nothing was changed.
    [[nodiscard]] bool hand_to(Account& holder) noexcept;

private:
    friend class Account;
    Charge(Account& account, Account* holder, Bytes bytes) noexcept
        : account_(&account), holder_(holder), bytes_(bytes) {}
    void give_back() noexcept;

    Account* account_ = nullptr;
    Account* holder_ = nullptr;
    Bytes bytes_ = 0;
};

// One of the two resources of a broker.
struct Resource {
    Resource() noexcept { Part::pair(producers, consumers); }

    LimitedAccount root{LimitLevel::broker};
    Part producers{LimitLevel::producer_part};
    Part consumers{LimitLevel::consumer_part};
};

}  // namespace weir::broker

#endif
