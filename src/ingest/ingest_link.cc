#include "ingest/ingest_link.h"

#include <charconv>

#include "client/error_code.h"

namespace quipu::ingest {
namespace {

using client::Reply;

Status Unexpected(std::string_view command) {
  return Status(Code::kInternal, fmt::format("the server's answer to {} has an unexpected form", command));
}

Result<Mark> MarkOf(const Reply& offset, const Reply& fingerprint, const Reply& taken, const Reply& refused) {
  Mark mark;
  QUIPU_ASSIGN_OR_RETURN(mark.fingerprint, DigestFromHex(fingerprint.text));
  for (const auto& [reply, number] :
       {std::pair{&offset, &mark.offset}, {&taken, &mark.taken}, {&refused, &mark.refused}}) {
    QUIPU_ASSIGN_OR_RETURN(const int64_t value, reply->AsInteger());
    if (value < 0) return Unexpected("QUIPU.SOURCES");
    *number = static_cast<uint64_t>(value);
  }
  return mark;
}

class RespIngestLink final : public IngestLink {
 public:
  RespIngestLink(client::RespClient* client, const rt::Clock* clock, int64_t timeout_us)
      : client_(client), clock_(clock), timeout_us_(timeout_us) {}

  Result<std::vector<KnownSource>> FindSources(Digest anchor) override {
    QUIPU_ASSIGN_OR_RETURN(const Reply reply, client_->Call({"QUIPU.SOURCES", DigestToHex(anchor)}, Deadline()));
    return SourcesOfReply(reply);
  }

  Status SendStep(const Step& step, const Aggregator& sums) override {
    size_t count = 0;
    for (size_t i = 0; i < sums.size(); ++i) count += !sums.entry(i).refused;
    out_.clear();
    client::EncodeArrayHeader(11 + 4 * step.marks.size() + 4 * count, &out_);
    client::EncodeBulk("QUIPU.INGEST", &out_);
    client::EncodeBulk(DigestToHex(step.id), &out_);
    client::EncodeBulk(DigestToHex(step.anchor), &out_);
    client::EncodeBulk(DigestToHex(step.fingerprint), &out_);
    AppendNumber(static_cast<int64_t>(step.from));
    AppendNumber(static_cast<int64_t>(step.to));
    client::EncodeBulk(step.label, &out_);
    client::EncodeBulk(step.new_reader ? "NEW" : "SAME", &out_);
    AppendNumber(static_cast<int64_t>(step.refused));
    AppendNumber(static_cast<int64_t>(step.marks.size()));
    for (const Mark& mark : step.marks) {
      AppendNumber(static_cast<int64_t>(mark.offset));
      client::EncodeBulk(DigestToHex(mark.fingerprint), &out_);
      AppendNumber(static_cast<int64_t>(mark.taken));
      AppendNumber(static_cast<int64_t>(mark.refused));
    }
    AppendNumber(static_cast<int64_t>(count));
    for (size_t i = 0; i < sums.size(); ++i) {
      const StepEntry entry = sums.entry(i);
      if (entry.refused) continue;
      client::EncodeBulk(entry.name, &out_);
      AppendNumber(entry.delta);
      AppendNumber(entry.minute_ms == kNoEventTime ? -1 : entry.minute_ms);
      AppendNumber(entry.records);
    }
    return client_->Send(out_, Deadline());
  }

  Result<StepAnswer> ReceiveAnswer() override {
    QUIPU_ASSIGN_OR_RETURN(const Reply reply, client_->Receive(Deadline()));
    return AnswerOfReply(reply);
  }

  void Reset() override { client_->Close(); }

 private:
  int64_t Deadline() const { return clock_->MonoMicros() + timeout_us_; }
  void AppendNumber(int64_t number) {
    char text[24];
    const char* const end = std::to_chars(text, text + sizeof text, number).ptr;
    client::EncodeBulk({text, static_cast<size_t>(end - text)}, &out_);
  }

  client::RespClient* client_;
  const rt::Clock* clock_;
  int64_t timeout_us_;
  std::string out_;
};

}  // namespace

Result<std::vector<KnownSource>> SourcesOfReply(const Reply& reply) {
  std::vector<KnownSource> out;
  for (const Reply& entry : reply.elements) {
    if (entry.elements.size() < 9) return Unexpected("QUIPU.SOURCES");
    KnownSource source;
    QUIPU_ASSIGN_OR_RETURN(source.id, DigestFromHex(entry.elements[0].text));
    QUIPU_ASSIGN_OR_RETURN(source.stands,
                           MarkOf(entry.elements[1], entry.elements[2], entry.elements[5], entry.elements[6]));
    source.label = entry.elements[3].text;
    for (const Reply* marks : {&entry.elements[7], &entry.elements[8]}) {
      const std::vector<Reply>& parts = marks->elements;
      if (parts.size() % 4 != 0) return Unexpected("QUIPU.SOURCES");
      for (size_t i = 0; i < parts.size(); i += 4) {
        QUIPU_ASSIGN_OR_RETURN(const Mark mark, MarkOf(parts[i], parts[i + 1], parts[i + 2], parts[i + 3]));
        source.marks.push_back(mark);
      }
    }
    out.push_back(std::move(source));
  }
  return out;
}

Result<StepAnswer> AnswerOfReply(const Reply& reply) {
  if (reply.is_error()) return client::StatusOfErrorReply(reply.text);
  if (reply.elements.size() < 4) return Unexpected("QUIPU.INGEST");
  StepAnswer answer;
  answer.applied = reply.elements[0].text == "APPLIED";
  if (!answer.applied && reply.elements[0].text != "ELSEWHERE") return Unexpected("QUIPU.INGEST");
  QUIPU_ASSIGN_OR_RETURN(const int64_t offset, reply.elements[1].AsInteger());
  answer.offset = static_cast<uint64_t>(offset);
  for (const Reply& entry : reply.elements[3].elements) {
    if (entry.elements.size() < 2) return Unexpected("QUIPU.INGEST");
    QUIPU_ASSIGN_OR_RETURN(const int64_t index, entry.elements[0].AsInteger());
    answer.refused.push_back({static_cast<size_t>(index), entry.elements[1].text});
  }
  return answer;
}

std::unique_ptr<IngestLink> MakeIngestLink(client::RespClient* client, const rt::Clock* clock, int64_t timeout_us) {
  return std::make_unique<RespIngestLink>(client, clock, timeout_us);
}

}  // namespace quipu::ingest
