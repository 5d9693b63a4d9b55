// The content of a file or of standard input, decompressed: plain, gzip or Zstandard, told apart by their first bytes.
// Files of several gzip members or Zstandard frames are one content.
//
// Errors    kNotFound, kUnavailable (reading), kInvalidArgument (a directory), kDataLoss (damaged or truncated
//           compression, where everything before the damage has been delivered; what a checksum covers too).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "rt/host.h"

namespace quipu::ingest {

class Decoder {
 public:
  // Takes from `in` (what it took is removed) and writes to `out`; how much it wrote. 0 with `in` empty: needs more.
  virtual Result<size_t> Decode(std::string_view* in, std::span<char> out) = 0;
  // True where the input may end.
  virtual bool at_boundary() const = 0;
  virtual ~Decoder() = default;
};

// For a content that begins like this (four bytes of it, or all there are); null: it is plain.
std::unique_ptr<Decoder> MakeDecoder(std::string_view beginning);

class ContentReader {
 public:
  // "-" is standard input.
  static Result<std::unique_ptr<ContentReader>> Open(const std::string& path);

  // Up to out.size() bytes; 0 at the end.
  Result<size_t> Read(std::span<char> out);
  // Puts bytes back in front of what Read gives next.
  void PutBack(std::string_view bytes) { put_back_.insert(0, bytes); }

  // Of the file as stored, for progress: bytes read, and all there were at the start (0 for a pipe).
  uint64_t stored_bytes_read() const { return stored_read_; }
  uint64_t stored_bytes() const { return input_->size(); }
  // Once something was read.
  bool compressed() const { return decoder_ != nullptr; }
  bool can_reopen() const { return input_->can_reopen(); }

 private:
  explicit ContentReader(std::unique_ptr<rt::ByteInput> input, std::string path)
      : input_(std::move(input)), path_(std::move(path)) {}
  Status Fill();
  Status Begin();

  std::unique_ptr<rt::ByteInput> input_;
  std::string path_;
  std::string put_back_;
  std::string stored_;            // read from the input
  std::string_view stored_left_;  // of which not decoded
  uint64_t stored_read_ = 0;
  bool stored_end_ = false;
  bool begun_ = false;
  std::unique_ptr<Decoder> decoder_;  // null: plain
};

}  // namespace quipu::ingest
