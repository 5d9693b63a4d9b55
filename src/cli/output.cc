#include "cli/output.h"

#include <cstdio>

#include "cli/exit_code.h"

namespace quipu::cli {
namespace {

bool AlignsRight(ColumnKind kind) { return kind == ColumnKind::kCount || kind == ColumnKind::kNumber; }

// Characters as a terminal shows them: bytes that continue a UTF-8 sequence take no column of their own.
size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return width;
}

std::string JsonCell(const Column& column, const std::string& cell) {
  if (cell.empty() && column.kind != ColumnKind::kText) return "null";
  const bool bare = column.kind == ColumnKind::kNumber || column.kind == ColumnKind::kFlag;
  return bare ? cell : JsonString(cell);
}

std::string JsonObject(std::span<const Column> columns, const std::vector<std::string>& row) {
  std::string out = "{";
  for (size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) out += ", ";
    out += JsonString(columns[i].name) + ": " + JsonCell(columns[i], row[i]);
  }
  return out + "}";
}

void AppendAligned(std::string_view text, size_t width, bool right, bool last, std::string* out) {
  const size_t pad = width - std::min(width, DisplayWidth(text));
  if (right) out->append(pad, ' ');
  out->append(text);
  if (!right && !last) out->append(pad, ' ');
}

std::string RenderTable(std::span<const Column> columns, std::span<const std::vector<std::string>> rows) {
  std::vector<size_t> widths;
  for (const Column& c : columns) widths.push_back(c.name.size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(Printable(row[i])));
  }
  std::string out;
  const auto line = [&](const auto& cell_of) {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) out += "  ";
      AppendAligned(cell_of(i), widths[i], AlignsRight(columns[i].kind), i + 1 == columns.size(), &out);
    }
    out += '\n';
  };
  line([&](size_t i) { return columns[i].name; });
  for (const auto& row : rows) line([&](size_t i) { return Printable(row[i]); });
  return out;
}

std::string RenderCsv(std::span<const Column> columns, std::span<const std::vector<std::string>> rows) {
  std::string out;
  for (size_t i = 0; i < columns.size(); ++i) out += (i > 0 ? "," : "") + CsvField(columns[i].name);
  out += '\n';
  for (const auto& row : rows) {
    for (size_t i = 0; i < columns.size(); ++i) out += (i > 0 ? "," : "") + CsvField(row[i]);
    out += '\n';
  }
  return out;
}

}  // namespace

Result<OutputFormat> ParseOutputFormat(std::string_view text) {
  if (text == "table") return OutputFormat::kTable;
  if (text == "json") return OutputFormat::kJson;
  if (text == "csv") return OutputFormat::kCsv;
  return Status(Code::kInvalidArgument, fmt::format("--output `{}` is none of table, json, csv", text));
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\u{:04x}", byte);
    else
      out += c;
  }
  return out + "\"";
}

std::string CsvField(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c1) {
      out += fmt::format("\\xc2\\x{:02x}", static_cast<unsigned char>(text[++i]));
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string RenderRows(OutputFormat format, std::span<const Column> columns,
                       std::span<const std::vector<std::string>> rows) {
  if (format == OutputFormat::kTable) return RenderTable(columns, rows);
  if (format == OutputFormat::kCsv) return RenderCsv(columns, rows);
  std::string out = "[";
  for (size_t i = 0; i < rows.size(); ++i) out += (i > 0 ? ",\n " : "") + JsonObject(columns, rows[i]);
  return out + "]\n";
}

std::string RenderRecord(OutputFormat format, std::span<const Column> columns, const std::vector<std::string>& row) {
  if (format == OutputFormat::kJson) return JsonObject(columns, row) + "\n";
  if (format == OutputFormat::kCsv) return RenderCsv(columns, std::span(&row, 1));
  size_t width = 0;
  for (const Column& c : columns) width = std::max(width, c.name.size());
  std::string out;
  for (size_t i = 0; i < columns.size(); ++i) {
    AppendAligned(columns[i].name, width, false, false, &out);
    out += "  " + Printable(row[i]) + "\n";
  }
  return out;
}

void Print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }
void Say(std::string_view line) { fmt::print(stderr, "{}\n", line); }

int Fail(const Status& status) {
  Say(fmt::format("quipu: {}", Printable(status.ToString())));
  return ExitCodeOf(status.code());
}

int FailUsage(std::string_view message) {
  Say(fmt::format("quipu: {}", message));
  return kExitUsage;
}

}  // namespace quipu::cli
