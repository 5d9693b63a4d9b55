#include "ingest/content_reader.h"

#include <gtest/gtest.h>

#include "ingest/compress_testing.h"
#include "ingest/files_testing.h"

namespace quipu::ingest {
namespace {

class ContentReaderTest : public FilesTest {
 protected:
  // Everything, read in pieces of `piece` bytes.
  Result<std::string> ReadAll(std::string_view stored, size_t piece) {
    std::unique_ptr<ContentReader> reader = ContentReader::Open(Write(stored)).value();
    std::string all, buffer(piece, '\0');
    for (;;) {
      QUIPU_ASSIGN_OR_RETURN(const size_t n, reader->Read(buffer));
      if (n == 0) return all;
      all.append(buffer, 0, n);
    }
  }
};

TEST_F(ContentReaderTest, TellsCompressionApartByContent) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += fmt::format("line {}\n", i * 7919 % 100'003);
  for (const size_t piece : {1000u, 65'536u, 4'000'000u}) {
    EXPECT_EQ(ReadAll(text, piece).value(), text);
    EXPECT_EQ(ReadAll(Gzip(text), piece).value(), text);
    EXPECT_EQ(ReadAll(Zstd(text), piece).value(), text);
  }
}

TEST_F(ContentReaderTest, MembersAndFramesAreOneContent) {
  EXPECT_EQ(ReadAll(Gzip("one\n") + Gzip("") + Gzip("two\n"), 3).value(), "one\ntwo\n");
  EXPECT_EQ(ReadAll(Zstd("one\n") + Zstd("two\n"), 3).value(), "one\ntwo\n");
}

TEST_F(ContentReaderTest, EmptyAndTinyFilesArePlain) {
  EXPECT_EQ(ReadAll("", 10).value(), "");
  EXPECT_EQ(ReadAll("a", 10).value(), "a");
  EXPECT_EQ(ReadAll("\x1f", 10).value(), "\x1f");
}

TEST_F(ContentReaderTest, DamageAndTruncationAreErrors) {
  const std::string text(100'000, 'x');
  for (const std::string& whole : {Gzip(text), Zstd(text)}) {
    EXPECT_EQ(ReadAll(std::string_view(whole).substr(0, whole.size() - 3), 4096).code(), Code::kDataLoss);
    EXPECT_EQ(ReadAll(whole + "garbage!", 4096).code(), Code::kDataLoss);
  }
}

TEST_F(ContentReaderTest, WhatIsPutBackComesFirst) {
  std::unique_ptr<ContentReader> reader = ContentReader::Open(Write("world")).value();
  reader->PutBack("lo ");
  reader->PutBack("hel");
  std::string all, buffer(4, '\0');
  for (size_t n; (n = reader->Read(buffer).value()) > 0;) all.append(buffer, 0, n);
  EXPECT_EQ(all, "hello world");
}

TEST_F(ContentReaderTest, AMissingFileIsNotFoundAndADirectoryIsNoFile) {
  EXPECT_EQ(ContentReader::Open(dir_ + "/nothing").code(), Code::kNotFound);
  EXPECT_EQ(ContentReader::Open(dir_).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace quipu::ingest
