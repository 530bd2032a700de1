// SPDX-License-Identifier: Apache-2.0
//
// The statistics as JSON; the only file of the command that sees the JSON library, which is slow to
// compile. A name that a process gave itself may hold any bytes: what is not UTF-8 is replaced.
#include <nlohmann/json.hpp>

#include "tools/stat_report.hpp"

namespace weir::tools {
namespace {

using nlohmann::json;

json use_json(const inspect::RegionUse& use) {
    return {{"capacity", use.capacity}, {"used", use.used}, {"peak", use.peak}};
}

json account_json(const inspect::RegionUse& use) {
    return {{"used", use.used}, {"limit", use.capacity}, {"peak", use.peak}};
}

json parts_json(const inspect::PartsUse& parts) {
    return {{"producer", account_json(parts.producer)}, {"consumer", account_json(parts.consumer)}};
}

json unit(WaitReason reason) {
    switch (unit_of(reason)) {
        case ShortageUnit::bytes: return "bytes";
        case ShortageUnit::messages: return "messages";
        case ShortageUnit::nothing: break;
    }
    return nullptr;
}

// Null: nobody waits.
json shortage_json(const inspect::ShortageFacts& shortage) {
    if (shortage.reason == WaitReason::none) return nullptr;
    json holders = json::array();
    for (const inspect::HolderFacts& holder : shortage.holders)
        holders.push_back({{"bytes", holder.bytes},
                           {"destination", holder.destination},
                           {"pid", holder.pid},
                           {"name", holder.name}});
    return {{"reason", inspect::name_of(shortage.reason)},
            {"level", inspect::name_of(shortage.level)},
            {"used", shortage.used},
            {"capacity", shortage.capacity},
            {"unit", unit(shortage.reason)},
            {"since_ns", shortage.since_ns},
            {"only_pid", shortage.only_pid},
            {"holders", std::move(holders)}};
}

json destination_json(const inspect::DestinationBooks& books) {
    return {{"name", books.name},
            {"producers", books.producers},
            {"consumers", books.consumers},
            {"messages_in", books.messages_in},
            {"messages_out", books.messages_out},
            {"depth_messages", books.depth_messages},
            {"depth_bytes", books.depth_bytes},
            {"direct_bytes", books.direct_bytes},
            {"disk_bytes", books.disk_bytes},
            {"limit", books.limit},
            {"blocked_producers", books.blocked_producers},
            {"direct", account_json(books.direct)},
            {"direct_parts", parts_json(books.direct_parts)},
            {"heap", account_json(books.heap)},
            {"shortage", shortage_json(books.shortage)},
            {"redelivered", books.redelivered},
            {"damaged", books.damaged},
            {"dropped", books.dropped},
            {"dropped_newest", books.dropped_newest},
            {"moving", books.moving}};
}

json lane_json(const inspect::LaneFacts& lane) {
    return {{"id", lane.lane},
            {"destination", lane.destination},
            {"state", inspect::name_of(lane.state)},
            {"session", lane.session_id},
            {"messages_in", lane.messages_in},
            {"direct_bytes", lane.direct_bytes},
            {"window_bytes", lane.window_bytes},
            {"waiting", lane.waiting_since_ns != 0},
            {"reason", inspect::name_of(lane.reason)}};
}

json subscription_json(const inspect::SubscriptionFacts& subscription) {
    return {{"id", subscription.slot},
            {"pattern", subscription.pattern},
            {"kind", inspect::name_of(subscription.kind)},
            {"session", subscription.session_id},
            {"prefetch", subscription.prefetch},
            {"messages_out", subscription.messages_out},
            {"depth_messages", subscription.depth_messages},
            {"dropped", subscription.dropped},
            {"lost", subscription.lost}};
}

json session_json(const inspect::SessionFacts& session) {
    return {{"id", session.id},
            {"pid", session.pid},
            {"name", session.name},
            {"lanes", session.lanes},
            {"subscriptions", session.subscriptions},
            {"direct_bytes", session.direct_bytes},
            {"uid", session.uid},
            {"direct", account_json(session.direct)},
            {"heap", account_json(session.heap)}};
}

json user_json(const inspect::UserFacts& user) {
    return {{"uid", user.uid},
            {"sessions", user.sessions},
            {"lanes", user.lanes},
            {"subscriptions", user.subscriptions},
            {"direct", account_json(user.direct)},
            {"heap", account_json(user.heap)}};
}

json self_json(const inspect::SelfFacts& self) {
    return {{"direct", self.direct}, {"heap", self.heap},     {"messages", self.messages},
            {"passes", self.passes}, {"drifts", self.drifts}, {"resting", self.resting}};
}

json disk_json(const inspect::Snapshot& snapshot) {
    const inspect::DiskFacts& disk = snapshot.disk_activity;
    json object{{"limit", snapshot.disk.capacity},
                {"used", snapshot.disk.used},
                {"peak", snapshot.disk.peak},
                {"flowing", disk.flowing},
                {"trouble", nullptr},
                {"bytes_written", disk.bytes_written},
                {"bytes_read", disk.bytes_read},
                {"written_per_s", disk.written_per_s},
                {"read_per_s", disk.read_per_s},
                {"read_amplification", disk.bytes_written == 0
                                           ? 0.0
                                           : static_cast<double>(disk.bytes_read) /
                                                 static_cast<double>(disk.bytes_written)},
                {"seconds_until_full", nullptr},
                {"pages_lost", disk.pages_lost}};
    if (disk.trouble != DiskTrouble::none)
        object["trouble"] = {{"reason", inspect::name_of(disk.trouble)},
                             {"errno", disk.trouble_errno},
                             {"sentence", inspect::explain(disk.trouble)}};
    if (const auto seconds = inspect::seconds_until_full(snapshot.disk, growth_per_s(disk));
        seconds != 0)
        object["seconds_until_full"] = seconds;
    return object;
}

json direct_json(const inspect::Snapshot& snapshot) {
    json object = use_json(snapshot.direct);
    object["growth_per_s"] = snapshot.direct_growth_per_s;
    object["seconds_until_full"] = nullptr;
    const auto seconds = inspect::seconds_until_full(snapshot.direct, snapshot.direct_growth_per_s);
    if (seconds != 0) object["seconds_until_full"] = seconds;
    return object;
}

template <class Rows, class Convert>
json array_of(const Rows& rows, const Convert& convert) {
    json array = json::array();
    for (const auto& row : rows) array.push_back(convert(row));
    return array;
}

}  // namespace

std::string stat_json(const inspect::Snapshot& snapshot, double uptime_s) {
    const inspect::BrokerFacts& broker = snapshot.broker;
    const json object{{"broker",
                       {{"name", broker.name},
                        {"pid", broker.pid},
                        {"uptime_s", uptime_s},
                        {"epoch", broker.epoch},
                        {"largest_message", broker.largest_message},
                        {"stopping", broker.stopping}}},
                      {"direct", direct_json(snapshot)},
                      {"heap", use_json(snapshot.heap)},
                      {"disk", disk_json(snapshot)},
                      {"destinations", array_of(snapshot.destinations, destination_json)},
                      {"lanes", array_of(snapshot.lanes, lane_json)},
                      {"subscriptions", array_of(snapshot.subscriptions, subscription_json)},
                      {"sessions", array_of(snapshot.sessions, session_json)},
                      {"users", array_of(snapshot.users, user_json)},
                      {"direct_parts", parts_json(snapshot.direct_parts)},
                      {"heap_parts", parts_json(snapshot.heap_parts)},
                      {"heap_tables", account_json(snapshot.heap_tables)},
                      {"heap_sessions", account_json(snapshot.heap_sessions)},
                      {"self_count", self_json(snapshot.self)}};
    return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace weir::tools
