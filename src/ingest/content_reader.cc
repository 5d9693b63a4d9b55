#include "ingest/content_reader.h"

#include <zlib.h>
#include <zstd.h>

#include "base/assert.h"

namespace quipu::ingest {
namespace {

constexpr size_t kStoredBytes = 256u << 10;
constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() {
    constexpr int kGzipWindow = 15 + 16;
    QUIPU_ASSERT(inflateInit2(&z_, kGzipWindow) == Z_OK, "inflateInit2");
  }
  ~GzipDecoder() override { inflateEnd(&z_); }

  Result<size_t> Decode(std::string_view* in, std::span<char> out) override {
    size_t written = 0;
    // Also with no input: output may be pending inside.
    while (written < out.size() && !(between_members_ && in->empty())) {
      if (between_members_) {
        QUIPU_ASSERT(inflateReset(&z_) == Z_OK, "inflateReset");
        between_members_ = false;
      }
      z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in->data()));
      z_.avail_in = static_cast<uInt>(in->size());
      z_.next_out = reinterpret_cast<Bytef*>(out.data() + written);
      z_.avail_out = static_cast<uInt>(out.size() - written);
      const int code = inflate(&z_, Z_NO_FLUSH);
      in->remove_prefix(in->size() - z_.avail_in);
      written = out.size() - z_.avail_out;
      if (code == Z_STREAM_END)
        between_members_ = true;
      else if (code == Z_BUF_ERROR)
        break;
      else if (code != Z_OK) {
        return Status(Code::kDataLoss, fmt::format("gzip: {}", z_.msg != nullptr ? z_.msg : "damaged"));
      }
    }
    return written;
  }
  bool at_boundary() const override { return between_members_; }

 private:
  z_stream z_{};
  bool between_members_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() : z_(ZSTD_createDStream()) { QUIPU_ASSERT(z_ != nullptr, "out of memory"); }
  ~ZstdDecoder() override { ZSTD_freeDStream(z_); }

  Result<size_t> Decode(std::string_view* in, std::span<char> out) override {
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    ZSTD_inBuffer from{in->data(), in->size(), 0};
    while (to.pos < to.size && !(between_frames_ && from.pos == from.size)) {
      const size_t before = from.pos + to.pos;
      const size_t code = ZSTD_decompressStream(z_, &to, &from);
      if (ZSTD_isError(code) != 0) {
        return Status(Code::kDataLoss, fmt::format("zstd: {}", ZSTD_getErrorName(code)));
      }
      between_frames_ = code == 0;
      if (from.pos + to.pos == before) break;
    }
    in->remove_prefix(from.pos);
    return to.pos;
  }
  bool at_boundary() const override { return between_frames_; }

 private:
  ZSTD_DStream* z_;
  bool between_frames_ = false;
};

}  // namespace

std::unique_ptr<Decoder> MakeDecoder(std::string_view beginning) {
  if (beginning.starts_with(kGzipMagic)) return std::make_unique<GzipDecoder>();
  if (beginning.starts_with(kZstdMagic)) return std::make_unique<ZstdDecoder>();
  return nullptr;
}

Result<std::unique_ptr<ContentReader>> ContentReader::Open(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(std::unique_ptr<rt::ByteInput> input, rt::ByteInput::Open(path));
  return std::unique_ptr<ContentReader>(new ContentReader(std::move(input), path));
}

// Appends to what is stored and not decoded; sets stored_end_ at the end.
Status ContentReader::Fill() {
  std::string left(stored_left_);
  const size_t held = left.size();
  left.resize(held + kStoredBytes);
  QUIPU_ASSIGN_OR_RETURN(const size_t n, input_->Read(std::span(left).subspan(held)));
  left.resize(held + n);
  stored_ = std::move(left);
  stored_left_ = stored_;
  stored_read_ += n;
  stored_end_ = n == 0;
  return OkStatus();
}

Status ContentReader::Begin() {
  while (!stored_end_ && stored_left_.size() < kZstdMagic.size()) QUIPU_RETURN_IF_ERROR(Fill());
  decoder_ = MakeDecoder(stored_left_);
  begun_ = true;
  return OkStatus();
}

Result<size_t> ContentReader::Read(std::span<char> out) {
  if (!put_back_.empty()) {
    const size_t n = std::min(out.size(), put_back_.size());
    std::memcpy(out.data(), put_back_.data(), n);
    put_back_.erase(0, n);
    return n;
  }
  if (!begun_) QUIPU_RETURN_IF_ERROR(Begin());
  for (;;) {
    if (decoder_ == nullptr && !stored_left_.empty()) {
      const size_t n = std::min(out.size(), stored_left_.size());
      std::memcpy(out.data(), stored_left_.data(), n);
      stored_left_.remove_prefix(n);
      return n;
    }
    if (decoder_ == nullptr && !stored_end_) {
      // Nothing is held back: read straight into the caller's buffer.
      QUIPU_ASSIGN_OR_RETURN(const size_t n, input_->Read(out));
      stored_read_ += n;
      stored_end_ = n == 0;
      return n;
    }
    if (decoder_ != nullptr) {
      Result<size_t> n = decoder_->Decode(&stored_left_, out);
      if (!n.ok()) {
        return Status(n.code(), fmt::format("{}: damaged at byte {}: {}", path_, stored_read_ - stored_left_.size(),
                                            n.status().message()));
      }
      if (*n > 0) return *n;
    }
    if (stored_end_) {
      if (decoder_ == nullptr || decoder_->at_boundary()) return size_t{0};
      return Status(Code::kDataLoss, fmt::format("{}: damaged at byte {}: the compressed content ends in the middle",
                                                 path_, stored_read_));
    }
    QUIPU_RETURN_IF_ERROR(Fill());
  }
}

}  // namespace quipu::ingest
