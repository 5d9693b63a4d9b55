#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "ingest/format.h"

namespace quipu::ingest {
namespace {

std::string Quoted(const std::string& field, bool always) {
  if (!always && field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string out = "\"";
  for (const char c : field) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

const auto kField = rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab,\"\r\n x")));

RC_GTEST_PROP(CsvFormat, WhatWasWrittenByTheStandardIsReadBack, ()) {
  const auto width = *rc::gen::inRange<size_t>(1, 5);
  const auto rows = *rc::gen::container<std::vector<std::vector<std::string>>>(
      rc::gen::container<std::vector<std::string>>(width, kField));
  const auto csv = MakeDelimitedFormat(',');
  std::string header, file;
  std::vector<std::string> columns;
  for (size_t i = 0; i < width; ++i) {
    header += (i > 0 ? "," : "") + std::string("c") + std::to_string(i);
    columns.push_back(std::to_string(i + 1));
  }
  RC_ASSERT(csv->ReadHeader(header).ok());
  RC_ASSERT(csv->Bind(columns).ok());
  for (const auto& row : rows) {
    for (size_t i = 0; i < width; ++i) file += (i > 0 ? "," : "") + Quoted(row[i], *rc::gen::arbitrary<bool>());
    file += *rc::gen::element<std::string>("\n", "\r\n");
  }
  std::string_view rest = file;
  std::vector<std::string_view> values(width);
  for (const auto& row : rows) {
    const size_t size = csv->RecordSize(rest);
    RC_ASSERT(size != kIncomplete);
    RC_ASSERT(csv->Split(WithoutLineEnd(rest.substr(0, size)), values) == nullptr);
    RC_ASSERT(std::vector<std::string>(values.begin(), values.end()) == row);
    rest.remove_prefix(size);
  }
  RC_ASSERT(rest.empty());
}

}  // namespace
}  // namespace quipu::ingest
