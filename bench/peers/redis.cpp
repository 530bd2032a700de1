// SPDX-License-Identifier: Apache-2.0
//
// Peer: Redis, as a broker: a list per way.
//
// Settings: a Unix socket, nothing written to disk. A list and not a stream: a stream keeps what
// was read until it is trimmed, and one command more per message is slower here. The sender
// pipelines RPUSH up to 64 KiB before it reads the answers; the receiver takes up to 128 messages
// with one BLMPOP, which sleeps in the server while there is none. The answers say how long the
// list is; over 16 MiB of backlog the sender waits.
#include <hiredis/hiredis.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <memory>
#include <string>

#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

struct Hangup {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
};
struct Discard {
    void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using Context = std::unique_ptr<redisContext, Hangup>;
using Reply = std::unique_ptr<redisReply, Discard>;

Probed<Context> attach(const std::string& socket) {
    Context context(redisConnectUnix(socket.c_str()));
    if (!context || context->err != 0)
        return fail(ProbeFault::subject_failed, context ? context->errstr : "no memory");
    return context;
}

class RedisSender : public Failing {
public:
    RedisSender(Context context, std::string key) : context_(std::move(context)), key_(key) {}

    bool send(std::span<const std::byte> bytes) {
        const auto* const text = reinterpret_cast<const char*>(bytes.data());
        const std::array<const char*, 3> words{"RPUSH", key_.c_str(), text};
        const std::array<std::size_t, 3> lengths{5, key_.size(), bytes.size()};
        auto argv = words;
        if (redisAppendCommandArgv(context_.get(), 3, argv.data(), lengths.data()) != REDIS_OK)
            return failed(context_->errstr);
        ++unanswered_;
        held_bytes_ += bytes.size();
        message_bytes_ = bytes.size();
        return held_bytes_ < batch_bytes || flush();
    }

    bool flush() {
        long long backlog = 0;
        for (; unanswered_ != 0; --unanswered_) {
            if (!answer(backlog)) return false;
        }
        held_bytes_ = 0;
        constexpr std::uint64_t backlog_max = 16ULL << 20;
        while (static_cast<std::uint64_t>(backlog) * message_bytes_ > backlog_max) {
            ::usleep(100);
            if (redisAppendCommand(context_.get(), "LLEN %s", key_.c_str()) != REDIS_OK)
                return failed(context_->errstr);
            if (!answer(backlog)) return false;
        }
        return true;
    }

private:
    static constexpr std::uint64_t batch_bytes = 64 << 10;

    bool answer(long long& number) {
        void* raw = nullptr;
        if (redisGetReply(context_.get(), &raw) != REDIS_OK) return failed(context_->errstr);
        const Reply reply(static_cast<redisReply*>(raw));
        if (reply->type != REDIS_REPLY_INTEGER) return failed("another answer than a number");
        number = reply->integer;
        return true;
    }

    Context context_;
    std::string key_;
    std::uint64_t unanswered_ = 0;
    std::uint64_t held_bytes_ = 0;
    std::uint64_t message_bytes_ = 1;
};

class RedisReceiver : public Failing {
public:
    RedisReceiver(Context context, std::string key) : context_(std::move(context)), key_(key) {}

    std::span<const std::byte> receive() {
        if (next_ == count_ && !fetch()) return {};
        const redisReply* const element = list()->element[next_++];
        return {reinterpret_cast<const std::byte*>(element->str),
                static_cast<std::size_t>(element->len)};
    }

private:
    const redisReply* list() const { return reply_->element[1]; }  // behind the key's name

    bool fetch() {
        reply_.reset(static_cast<redisReply*>(
            redisCommand(context_.get(), "BLMPOP 10 1 %s LEFT COUNT 128", key_.c_str())));
        if (!reply_) return failed(context_->errstr);
        if (reply_->type == REDIS_REPLY_ERROR) return failed(reply_->str);
        if (reply_->type != REDIS_REPLY_ARRAY || reply_->elements != 2)
            return failed("nothing came for ten seconds");
        next_ = 0;
        count_ = list()->elements;
        return true;
    }

    Context context_;
    std::string key_;
    Reply reply_;
    std::size_t next_ = 0;
    std::size_t count_ = 0;
};

class Redis : public PeerTraits {
public:
    static constexpr Kind kind = Kind::coalescing;
    static constexpr std::string_view name = "redis list";
    static constexpr std::string_view settings =
        "Unix socket, no persistence, RPUSH pipelined up to 64 KiB, BLMPOP of up to 128";
    static constexpr bool spins = false;
    using Sender = RedisSender;
    using Receiver = RedisReceiver;

    static Probed<Server> serve(const Scene& scene) {
        return Server::start({"redis-server", "--port", "0", "--unixsocket", socket_of(scene),
                              "--save", "", "--appendonly", "no", "--maxmemory", "1gb"},
                             scene.folder, [&] { return socket_answers(socket_of(scene)); });
    }
    static Probed<Redis> wire(const Scene& scene, std::uint64_t) {
        static int legs = 0;
        return Redis(socket_of(scene), "leg-" + std::to_string(++legs) + "-");
    }
    Probed<Sender> sender(Way way) const { return end<Sender>(way); }
    Probed<Receiver> receiver(Way way, Mode) const { return end<Receiver>(way); }

private:
    Redis(std::string socket, std::string key) : socket_(std::move(socket)), key_(std::move(key)) {}
    static std::string socket_of(const Scene& scene) { return scene.folder + "/redis"; }

    template <class End>
    Probed<End> end(Way way) const {
        auto context = attach(socket_);
        if (!context) return fail(context.error());
        return End(std::move(*context), key_ + way_name(way));
    }

    std::string socket_;
    std::string key_;
};

}  // namespace

std::vector<std::unique_ptr<System>> redis_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<Redis>>());
    return peers;
}

}  // namespace weir::bench
