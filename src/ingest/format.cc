#include "ingest/format.h"

namespace quipu::ingest {
namespace {

class LineFormat final : public Format {
 public:
  Status Bind(std::span<const std::string> columns) override {
    for (const std::string& column : columns) {
      if (column != "line") {
        return Status(Code::kInvalidArgument, fmt::format("format lines has no column `{}`; it has: line", column));
      }
    }
    return OkStatus();
  }
  const char* Split(std::string_view record, std::span<std::string_view> values) override {
    for (std::string_view& value : values) value = record;
    return nullptr;
  }
};

}  // namespace

size_t Format::RecordSize(std::string_view bytes) const {
  const void* const end = std::memchr(bytes.data(), '\n', bytes.size());
  return end == nullptr ? kIncomplete : static_cast<size_t>(static_cast<const char*>(end) - bytes.data()) + 1;
}

std::string_view WithoutLineEnd(std::string_view record) {
  if (record.ends_with('\n')) record.remove_suffix(1);
  if (record.ends_with('\r')) record.remove_suffix(1);
  return record;
}

std::unique_ptr<Format> MakeLineFormat() { return std::make_unique<LineFormat>(); }

Result<std::unique_ptr<Format>> Format::Make(std::string_view name) {
  if (name == "clf") return MakeLogFormat();
  if (name == "csv") return MakeDelimitedFormat(',');
  if (name == "tsv") return MakeDelimitedFormat('\t');
  if (name == "ndjson") return MakeJsonFormat();
  if (name == "lines") return MakeLineFormat();
  return Status(Code::kInvalidArgument, fmt::format("--format `{}` is none of clf, csv, tsv, ndjson, lines", name));
}

}  // namespace quipu::ingest
