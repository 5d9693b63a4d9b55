// Golden files of test/golden: lines of text, a name and then hex, compared as a whole.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "rt/real.h"

namespace quipu::store {

inline std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return hex;
}

// A file of the source tree, found from the working directory upwards: builds live inside the tree.
inline std::string ReadSource(const std::string& name) {
  const auto disk = rt::MakeRealDisk();
  std::string path = name;
  for (int up = 0; up < 8 && !disk->Exists(path); up++) path = "../" + path;
  const auto file = disk->Open(path, rt::OpenMode::kRead);
  if (!file) return file.status().ToString();
  std::string text((*file)->Size().value(), '\0');
  EXPECT_EQ((*file)->ReadAt(0, text).value(), text.size());
  return text;
}

}  // namespace quipu::store
