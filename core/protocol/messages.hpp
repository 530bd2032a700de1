// SPDX-License-Identifier: Apache-2.0
//
// What client and broker say to each other over the control socket.
//
// The socket is SOCK_SEQPACKET: one packet is one message, and descriptors travel beside it. A
// client has at most one request in flight; the broker answers each with its own kind or with
// `refused`. Everything that happens often goes through shared memory instead.
//
//      client                          broker
//      hello ------------------------> checks credentials, version, fingerprint
//            <------------------------ welcome + control (read-only), signals, direct (read-only),
//            doorbell, claims
//      open_producer ----------------> takes a lane, grants its first page
//            <------------------------ producer_opened [+ direct (read-write)] [+ exchange block]
//      open_consumer ----------------> attaches it to every lane
//            <------------------------ consumer_opened [+ exchange block]
//      widen_consumer ---------------> copies its piece into a larger one
//            <------------------------ consumer_opened, as it is now [+ exchange block]
//      close_..., settle, stop ------> done
//      set_policy, show_policy ------> policy_changed, policy_shown
//      bye --------------------------> done, then both close: nothing of this session is in use any
//      more
//
// A packet is input: its length must be that of its kind, and texts are cut at their last byte.
#ifndef WEIR_CORE_PROTOCOL_MESSAGES_HPP
#define WEIR_CORE_PROTOCOL_MESSAGES_HPP

#include <cstdint>

#include "shm/control.hpp"

namespace weir::protocol {

inline constexpr std::uint32_t packet_magic = 0x52494557;  // "WEIR", little endian
inline constexpr std::uint32_t version = 2;
inline constexpr std::size_t packet_bytes_max = 1024;
// An even number: what pads an odd one to whole words would hold one more.
inline constexpr std::size_t packet_fds_max = 6;

enum class Kind : std::uint32_t {
    hello = 1,
    welcome,
    refused,
    open_producer,
    producer_opened,
    close_producer,
    open_consumer,
    consumer_opened,
    close_consumer,
    settle,  // bring the published books up to date
    stop,    // end the broker
    stopped,
    bye,
    done,
    set_policy,     // change the policies of the running broker
    read_policies,  // read them again from the broker's configuration file
    policy_changed,
    show_policy,  // one key of the policy of one destination, and why it is so
    policy_shown,
    widen_consumer,
};

// Why a request was refused. The sentence beside it says what to do.
enum class Refusal : std::uint32_t {
    none = 0,
    bad_request,     // garbage, a wrong length, a request out of place
    layout_differs,  // another build of Weir
    not_permitted,   // another user
    bad_name,        // scheme, words or length of a destination or pattern
    limit_reached,   // a table is full (sessions, lanes, subscriptions, destinations, consumers)
    heap_full,       // heap-like memory is short
    direct_full,     // not even the smallest page is left
    not_found,       // closing what is not open
    stopping,        // the broker is ending
    system,          // an operating system call failed
    bad_policy,      // a key or a value that no policy has
    policy_does_not_fit,  // well written, but it cannot hold, or not now
};

struct Header {
    std::uint32_t magic;
    Kind kind;
    std::uint64_t request;  // the answer repeats it
};
static_assert(sizeof(Header) == 16);

struct Hello {
    static constexpr Kind kind = Kind::hello;
    Header header;
    std::uint32_t version;
    std::uint32_t pid;
    std::uint64_t fingerprint;  // layout_fingerprint()
    std::uint64_t
        start_time;  // own /proc/self/stat field 22: proves later that a pid was not reused
    char name[64];   // for people: shown in the statistics
};

// Descriptors: control (read-only), signals, direct (read-only), doorbell (an eventfd), claims.
struct Welcome {
    static constexpr Kind kind = Kind::welcome;
    Header header;
    std::uint64_t session;  // counts from 1
    std::uint32_t session_slot;
    std::uint32_t reserved;
    std::uint64_t control_bytes;
    std::uint64_t signals_bytes;
    std::uint64_t direct_bytes;
    std::uint64_t claims_bytes;
};

struct Refused {
    static constexpr Kind kind = Kind::refused;
    Header header;
    Refusal code;
    char sentence[492];
};

struct OpenProducer {
    static constexpr Kind kind = Kind::open_producer;
    Header header;
    char destination[name_bytes];
};

// Descriptors, in this order: direct read-write if `with_direct`, an exchange block if
// `with_block`.
struct ProducerOpened {
    static constexpr Kind kind = Kind::producer_opened;
    Header header;
    LaneId lane;
    std::uint32_t destination;  // slot
    std::uint64_t lane_birth;
    std::uint32_t block;         // number of the exchange block, counting from 0 in this session
    std::uint32_t block_offset;  // of the ProducerCell in it
    std::uint64_t block_bytes;   // of that block
    std::uint32_t with_direct;
    std::uint32_t with_block;
    // Where an earlier producer of this lane stopped; page 0: start where the lane slot's
    // producer_page says.
    PageRef page;
    std::uint32_t reserved;
    std::uint64_t tail;
    std::uint64_t messages;  // already committed in `page`
    std::uint64_t payload;   // their payload bytes
};

struct CloseProducer {
    static constexpr Kind kind = Kind::close_producer;
    Header header;
    LaneId lane;
    std::uint32_t reserved;
};

struct OpenConsumer {
    static constexpr Kind kind = Kind::open_consumer;
    Header header;
    char pattern[name_bytes];  // a queue by name, or a topic by name or pattern
    std::uint32_t notes;       // shared: notes to begin with (ranges in flight), 1 to 1024
    std::uint32_t prefetch;    // for the statistics
};

// Descriptors: an exchange block if `with_block`.
struct ConsumerOpened {
    static constexpr Kind kind = Kind::consumer_opened;
    Header header;
    std::uint32_t subscription;  // slot
    SubscriptionKind subscription_kind;
    std::uint32_t destination;    // slot + 1, 0: a pattern
    std::uint32_t consumer_slot;  // shared: this claimant's number, from 1
    std::uint32_t block;
    std::uint32_t block_offset;  // of the ConsumerCell in it
    std::uint64_t block_bytes;
    std::uint32_t with_block;
    std::uint32_t notes;   // shared: notes given
    std::uint32_t places;  // exclusive
    std::uint32_t reserved;
};

// The piece of an open consumer is too small. It writes nothing into it from here to the answer,
// and nothing into the old one after.
struct WidenConsumer {
    static constexpr Kind kind = Kind::widen_consumer;
    Header header;
    std::uint32_t subscription;
    std::uint32_t notes;  // shared: as many in all; exclusive: 0, the broker knows its lanes
};

struct CloseConsumer {
    static constexpr Kind kind = Kind::close_consumer;
    Header header;
    std::uint32_t subscription;
    std::uint32_t reserved;
};

struct Settle {
    static constexpr Kind kind = Kind::settle;
    Header header;
};

// For a destination or a pattern: "key=value", a line each. The value `default` takes back what was
// set before.
struct SetPolicy {
    static constexpr Kind kind = Kind::set_policy;
    Header header;
    char pattern[name_bytes];
    char settings[744];
};

struct ReadPolicies {
    static constexpr Kind kind = Kind::read_policies;
    Header header;
};

struct PolicyChanged {
    static constexpr Kind kind = Kind::policy_changed;
    Header header;
    std::uint64_t generation;    // counts changes
    std::uint32_t destinations;  // whose policy is another now
    std::uint32_t over_limit;    // of them, those that hold more than their limit
    char note[492];              // for people, may be empty
};

struct ShowPolicy {
    static constexpr Kind kind = Kind::show_policy;
    Header header;
    std::uint32_t key;  // counts from 0; not_found: there are no more
    std::uint32_t reserved;
    char destination[name_bytes];
};

// Keys are asked for one by one, because a place may be long. If the generation differs between two
// answers, they are of two policies, and all are asked for again.
struct PolicyShown {
    static constexpr Kind kind = Kind::policy_shown;
    Header header;
    std::uint64_t generation;
    std::uint64_t number;    // bytes, nanoseconds, a count, the number of a word; 0: none
    std::uint64_t messages;  // rate: messages a second
    std::uint32_t key;
    std::uint32_t origin;  // 0: by default, 1: the file, 2: set at run time
    char name[32];
    char value[64];    // as one may write it
    char written[64];  // as somebody wrote it
    char pattern[name_bytes];
    char place[480];  // of the file
};

struct Stop {
    static constexpr Kind kind = Kind::stop;
    Header header;
    std::uint64_t drain_ns;  // 0: at once; else wait so long for consumers to read what is there
};

struct Stopped {
    static constexpr Kind kind = Kind::stopped;
    Header header;
    std::uint64_t discarded_messages;
    std::uint64_t discarded_bytes;
};

struct Bye {
    static constexpr Kind kind = Kind::bye;
    Header header;
};

struct Done {
    static constexpr Kind kind = Kind::done;
    Header header;
};

static_assert(sizeof(ProducerOpened) <= packet_bytes_max && sizeof(Refused) <= packet_bytes_max);
static_assert(sizeof(SetPolicy) <= packet_bytes_max && sizeof(PolicyShown) <= packet_bytes_max);

}  // namespace weir::protocol

#endif
