// Files for the tests of what reads them, in a folder of each test's own.
#pragma once
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "rt/host.h"

namespace quipu::ingest {

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override { dir_ = rt::MakeTemporaryDir("quipu-test").value(); }
  void TearDown() override { rt::RemoveTree(dir_).Ignore("a leftover in the temporary directory"); }

  std::string Write(std::string_view bytes) {
    const std::string path = fmt::format("{}/{}", dir_, files_++);
    EXPECT_TRUE(rt::ByteOutput::Append(path).value()->Write(bytes).ok());
    return path;
  }

  std::string dir_;

 private:
  int files_ = 0;
};

}  // namespace quipu::ingest
