// SPDX-License-Identifier: Apache-2.0
//
// Accounts against a model that keeps a list of charges and adds it up each time it is asked: no
// running sums, so nothing that could be forgotten. What it does not show is two threads; there is
// one.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/broker/accounts.hpp"
#include "tests/unit/core/broker/place.hpp"

namespace weir::broker {
namespace {

class Model {
public:
    static constexpr std::size_t places = 3;
    static constexpr std::size_t sessions = 4;  // the first two are one user's
    struct Entry {
        std::size_t place;
        bool reading;
        int session;  // -1: nobody's
        int user;
        Bytes bytes;
    };

    Bytes sum(auto&& counts) const {
        Bytes total = 0;
        for (const Entry& entry : entries)
            if (counts(entry)) total += entry.bytes;
        return total;
    }
    Bytes of_place(std::size_t place) const {
        return sum([&](const Entry& entry) { return entry.place == place; });
    }
    Bytes of_part(bool reading) const {
        return sum([&](const Entry& entry) { return entry.reading == reading; });
    }
    Bytes of_session(int session) const {
        return sum([&](const Entry& entry) { return entry.session == session; });
    }
    Bytes of_user(int user) const {
        return sum([&](const Entry& entry) { return entry.user == user; });
    }
    Bytes committed_by(std::size_t place) const {
        return std::max(of_place(place), reserve[place]);
    }
    Bytes committed_by_all() const {
        Bytes total = 0;
        for (std::size_t place = 0; place < places; ++place) total += committed_by(place);
        return total;
    }
    Bytes kept_of(Bytes keep, Bytes read) const { return keep > read ? keep - read : 0; }

    bool takes(const Entry& entry) const {
        if (entry.bytes == 0) return true;
        const Bytes read_here =
            sum([&](const Entry& one) { return one.reading && one.place == entry.place; });
        const Bytes held_here = entry.reading ? 0 : kept_of(place_kept, read_here);
        if (of_place(entry.place) + entry.bytes + held_here > limit[entry.place]) return false;
        const Bytes after = std::max(of_place(entry.place) + entry.bytes, reserve[entry.place]);
        if (after > committed_by(entry.place)) {
            const Bytes held = margin + (entry.reading ? 0 : kept_of(kept, of_part(true)));
            const Bytes all = committed_by_all() - committed_by(entry.place) + after;
            if (all + held > capacity) return false;
            const bool in_share =
                of_part(entry.reading) + entry.bytes <= share[entry.reading ? 1 : 0];
            const std::size_t other = entry.reading ? 0 : 1;
            if (!in_share && asks[other] && of_part(!entry.reading) < share[other]) return false;
        }
        if (entry.session >= 0 && of_session(entry.session) + entry.bytes >
                                      session_limit[static_cast<std::size_t>(entry.session)])
            return false;
        return entry.user < 0 || of_user(entry.user) + entry.bytes <=
                                     user_limit[static_cast<std::size_t>(entry.user)];
    }
    bool takes_reserve(std::size_t place, Bytes wanted) const {
        const Bytes after = std::max(of_place(place), wanted);
        if (after <= committed_by(place)) return true;
        return committed_by_all() - committed_by(place) + after + kept_of(kept, of_part(true)) <=
               capacity;
    }

    std::vector<Entry> entries;
    Bytes capacity = 100;
    Bytes margin = 4;
    Bytes kept = 5;
    Bytes place_kept = 3;
    std::array<Bytes, places> limit{60, no_limit / 2, 30};
    std::array<Bytes, places> reserve{};
    std::array<Bytes, 2> share{60, 40};
    std::array<bool, 2> asks{};
    std::array<Bytes, sessions> session_limit{50, 20, 80, no_limit / 2};
    std::array<Bytes, 2> user_limit{60, 70};
};

class Sequence {
public:
    explicit Sequence(std::uint64_t seed) : random_(seed) {
        resource_.root.set_limit(model_.capacity);
        resource_.root.set_margin(model_.margin);
        resource_.root.set_kept(model_.kept);
        resource_.producers.set_share(model_.share[0]);
        resource_.consumers.set_share(model_.share[1]);
        for (std::size_t place = 0; place < Model::places; ++place) {
            places_.push_back(std::make_unique<Place>(resource_));
            places_.back()->total.set_limit(model_.limit[place]);
            places_.back()->total.set_kept(model_.place_kept);
        }
        for (std::size_t user = 0; user < 2; ++user) {
            users_.push_back(std::make_unique<LimitedAccount>(LimitLevel::user));
            users_.back()->set_limit(model_.user_limit[user]);
        }
        for (std::size_t session = 0; session < Model::sessions; ++session) {
            sessions_.push_back(
                std::make_unique<LimitedAccount>(LimitLevel::session, users_[session / 2].get()));
            sessions_.back()->set_limit(model_.session_limit[session]);
        }
    }

    void step() {
        switch (below(8)) {
            case 0:
            case 1:
            case 2: return charge();
            case 3:
            case 4: return end_one();
            case 5: return change_limits();
            case 6: return change_holder();
            case 7: return split_one();
        }
    }

    void compare() const {
        for (std::size_t place = 0; place < Model::places; ++place) {
            ASSERT_EQ(places_[place]->total.used(), model_.of_place(place));
            ASSERT_EQ(places_[place]->total.reserve(), model_.reserve[place]);
        }
        ASSERT_EQ(resource_.root.below(), model_.committed_by_all());
        ASSERT_EQ(resource_.root.used(), model_.of_part(false) + model_.of_part(true));
        ASSERT_EQ(resource_.producers.state().used, model_.of_part(false));
        ASSERT_EQ(resource_.consumers.state().used, model_.of_part(true));
        for (int session = 0; session < int{Model::sessions}; ++session)
            ASSERT_EQ(sessions_[static_cast<std::size_t>(session)]->used(),
                      model_.of_session(session));
        for (int user = 0; user < 2; ++user)
            ASSERT_EQ(users_[static_cast<std::size_t>(user)]->used(), model_.of_user(user));
        ASSERT_LE(resource_.root.below(), model_.capacity);
    }

    std::size_t granted = 0;
    std::size_t refused = 0;

private:
    std::size_t below(std::size_t count) { return random_() % count; }

    void charge() {
        Model::Entry entry{below(Model::places), below(2) == 0,
                           static_cast<int>(below(Model::sessions + 1)) - 1, -1, below(25)};
        entry.user = entry.session < 0 ? -1 : entry.session / 2;
        Place& place = *places_[entry.place];
        Account* const holder =
            entry.session < 0 ? nullptr : sessions_[static_cast<std::size_t>(entry.session)].get();
        const bool fits = model_.takes(entry);
        auto made = (entry.reading ? place.consumers : place.producers).charge(entry.bytes, holder);
        ASSERT_EQ(static_cast<bool>(made), fits);
        ++(fits ? granted : refused);
        if (!fits) return;
        model_.entries.push_back(entry);
        charges_.push_back(std::move(*made));
    }
    void end_one() {
        if (charges_.empty()) return;
        const auto at = static_cast<std::ptrdiff_t>(below(charges_.size()));
        charges_.erase(charges_.begin() + at);
        model_.entries.erase(model_.entries.begin() + at);
    }
    void change_limits() {
        const std::size_t place = below(Model::places);
        const std::size_t part = below(2);
        switch (below(4)) {
            case 0:
                model_.limit[place] = 10 + below(90);
                return places_[place]->total.set_limit(model_.limit[place]);
            case 1:
                model_.asks[part] = !model_.asks[part];
                return (part == 0 ? resource_.producers : resource_.consumers)
                    .set_asks(model_.asks[part]);
            case 2:
                model_.session_limit[place] = 5 + below(60);
                return sessions_[place]->set_limit(model_.session_limit[place]);
            default: break;
        }
        const Bytes reserve = below(40);
        const bool fits = model_.takes_reserve(place, reserve);
        ASSERT_EQ(places_[place]->total.set_reserve(reserve), fits);
        if (fits) model_.reserve[place] = reserve;
    }
    void change_holder() {
        if (charges_.empty()) return;
        const std::size_t at = below(charges_.size());
        Model::Entry& entry = model_.entries[at];
        if (below(2) == 0) {
            charges_[at].leave_session();
            entry.session = -1;
            return;
        }
        const std::size_t to = below(Model::sessions);
        Model without = model_;
        without.entries.erase(without.entries.begin() + static_cast<std::ptrdiff_t>(at));
        const int user = static_cast<int>(to / 2);
        const bool fits =
            entry.bytes == 0 ||
            (without.of_session(static_cast<int>(to)) + entry.bytes <= model_.session_limit[to] &&
             without.of_user(user) + entry.bytes <= model_.user_limit[to / 2]);
        ASSERT_EQ(charges_[at].hand_to(*sessions_[to]), fits);
        if (!fits) return;
        entry.session = static_cast<int>(to);
        entry.user = user;
    }
    void split_one() {
        if (charges_.empty()) return;
        const std::size_t at = below(charges_.size());
        const Bytes bytes = below(model_.entries[at].bytes + 1);
        if (bytes == 0) return;
        charges_.push_back(charges_[at].split(bytes));
        Model::Entry part = model_.entries[at];
        model_.entries[at].bytes -= bytes;
        part.bytes = bytes;
        model_.entries.push_back(part);
    }

    std::mt19937_64 random_;
    Model model_;
    Resource resource_;
    std::vector<std::unique_ptr<Place>> places_;
    std::vector<std::unique_ptr<LimitedAccount>> users_;
    std::vector<std::unique_ptr<LimitedAccount>> sessions_;
    std::vector<Charge> charges_;
};

TEST(Accounts, AnySequenceDoesWhatAListOfChargesAddedUpWouldSay) {
    std::size_t granted = 0;
    std::size_t refused = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Sequence sequence(seed);
        for (int step = 0; step < 500; ++step) {
            sequence.step();
            sequence.compare();
            if (HasFatalFailure()) return;
        }
        granted += sequence.granted;
        refused += sequence.refused;
    }
    EXPECT_GT(granted, 5000u);
    EXPECT_GT(refused, 5000u) << "else the limits were not met";
}

}  // namespace
}  // namespace weir::broker
