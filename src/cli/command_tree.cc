// The tree of commands: names, options, help. The only file that includes CLI11.
#include "cli/command_tree.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <span>

#include "base/suggest.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/exit_code.h"
#include "server/config_keys.h"

namespace quipu::cli {
namespace {

// The options of all commands, and the one that was chosen.
struct Tree {
  CommonOptions common;
  AddOptions add;
  GetOptions get;
  ClearOptions clear;
  TokenOptions token;
  ListOptions list;
  TopOptions top;
  ImportOptions import;
  CheckOptions check;
  BenchOptions bench;
  std::string shell;
  std::vector<std::string> help;
  VersionOptions version;
  ConfigOptions config;
  bool markdown = false;
  bool dev = false;
  std::function<int()> run;
};

// An empty value is a script's variable that was not set. Taken for "not given" it would count under a new token, in
// another namespace or as another source.
std::string NotEmpty(const std::string& value) { return value.empty() ? "must not be empty" : ""; }

constexpr const char* kTopHelp =
    "Durable, retry-safe counters.\n\n"
    "Example:\n"
    "  quipu serve --dev                         # a throw-away server\n"
    "  quipu add hello                           # prints 1\n"
    "  quipu import --format clf --key 'path:{path}' --time time access.log";

void AddCommon(CLI::App* app, CommonOptions* common) {
  app->add_option("--address", common->address, "Server, HOST:PORT or unix:PATH")
      ->envname("QUIPU_ADDRESS")
      ->capture_default_str()
      ->group("Common options");
  app->add_option("-n,--namespace", common->ns, "Namespace (default: the connection's own)")
      ->check(NotEmpty, "")
      ->group("Common options");
  app->add_option("--timeout", common->timeout,
                  "For the whole command, retries included: 250ms, 30s, 5m (default 10s; import: 60s without progress)")
      ->group("Common options");
  app->add_option("--output", common->output, "table, json or csv")->capture_default_str()->group("Common options");
  app->add_flag("--json", common->json, "Same as --output json")->group("Common options");
  app->add_option("--user", common->user, "User name for AUTH")->envname("QUIPU_USER")->group("Common options");
  app->add_option("--password-file", common->password_file, "File whose first line is the password")
      ->envname("QUIPU_PASSWORD_FILE")
      ->group("Common options");
}

CLI::App* AddCommand(CLI::App* app, const char* name, const char* what, const char* example) {
  CLI::App* command = app->add_subcommand(name, fmt::format("{}\n\nExample:\n  {}", what, example));
  command->fallthrough();
  return command;
}

void AddCounterCommands(CLI::App* app, Tree* t) {
  CLI::App* add = AddCommand(app, "add", "Add to a counter and print its value", "quipu add page:/home 5");
  add->add_option("NAME", t->add.name, "Counter")->required();
  add->add_option("DELTA", t->add.delta, "Signed 64-bit integer")->capture_default_str();
  add->add_option("--token", t->add.token, "Idempotency token (default: a new UUIDv7)")->check(NotEmpty, "");
  add->callback([t] { t->run = [t] { return RunAdd(t->common, t->add); }; });

  CLI::App* get =
      AddCommand(app, "get", "Print the value of counters; one that was never written reads 0", "quipu get page:/home");
  get->add_option("NAME", t->get.names, "Counters")->required();
  get->callback([t] { t->run = [t] { return RunGet(t->common, t->get); }; });

  CLI::App* clear = AddCommand(app, "clear", "Set a counter to 0", "quipu clear page:/home --yes");
  clear->add_option("NAME", t->clear.name, "Counter")->required();
  clear->add_flag("--delete", t->clear.remove, "Remove the counter altogether");
  clear->add_flag("--yes", t->clear.yes, "Do not ask");
  clear->add_option("--token", t->clear.token, "Idempotency token (default: a new UUIDv7)")->check(NotEmpty, "");
  clear->callback([t] { t->run = [t] { return RunClear(t->common, t->clear); }; });

  CLI::App* token = AddCommand(app, "token", "Show what became of a token on a counter",
                               "quipu token page:/home 0190163d-8694-739b-aea5-966c26f8ad91");
  token->add_option("NAME", t->token.name, "Counter")->required();
  token->add_option("TOKEN", t->token.token, "Token")->required();
  token->callback([t] { t->run = [t] { return RunToken(t->common, t->token); }; });
}

void AddListCommands(CLI::App* app, Tree* t) {
  CLI::App* list = AddCommand(app, "list", "List counters by name", "quipu list page:");
  list->add_option("PREFIX", t->list.prefix, "Only names that begin so");
  list->add_option("--limit", t->list.limit, "At most this many")->capture_default_str();
  list->callback([t] { t->run = [t] { return RunList(t->common, t->list); }; });

  CLI::App* top = AddCommand(app, "top", "List the counters with the largest values", "quipu top 20 --prefix page:");
  top->add_option("N", t->top.count, "How many")->capture_default_str();
  top->add_option("--prefix", t->top.prefix, "Only names that begin so");
  top->add_flag("--ascending", t->top.ascending, "The smallest values instead");
  top->callback([t] { t->run = [t] { return RunTop(t->common, t->top); }; });
}

// The tree as plain words, for completion.
CommandWords WordsOf(const CLI::App& app) {
  CommandWords words{.name = app.get_name(), .what = app.get_description(), .options = {}, .commands = {}};
  words.what.resize(std::min(words.what.size(), words.what.find('\n')));
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_snames()) words.options.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) words.options.push_back("--" + name);
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    words.commands.push_back(WordsOf(*command));
  }
  return words;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  const std::string_view nearest = NearestWord(word, views);
  return nearest.empty() ? "" : fmt::format("; did you mean `{}`?", nearest);
}

// Numbers on the command line are whole ones; all other kinds of values are read by us.
std::string ConversionProblem(std::string_view said) {
  constexpr std::string_view kStart = "Could not convert: ", kBetween = " = ";
  const size_t between = said.find(kBetween);
  if (!said.starts_with(kStart) || between == std::string_view::npos) return std::string(said);
  return fmt::format("{}: `{}` is not a whole number", said.substr(kStart.size(), between - kStart.size()),
                     said.substr(between + kBetween.size()));
}

// What is wrong with the words of the command line: an unknown command or option by name, else as CLI11 says it.
std::string ParseProblem(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  const std::vector<std::string> left = app.remaining(true);
  if (left.empty()) {
    const std::string problem = ConversionProblem(error.what());
    return command == &app ? problem : fmt::format("{}: {}", command->get_name(), problem);
  }
  const CommandWords words = WordsOf(*command);
  if (left.front().starts_with('-')) {
    std::vector<std::string> options = words.options;
    if (command != &app) {
      const std::vector<std::string> common = WordsOf(app).options;
      options.insert(options.end(), common.begin(), common.end());
    }
    return fmt::format("unknown option {}{}", left.front(), DidYouMean(left.front(), options));
  }
  if (words.commands.empty()) return error.what();
  std::vector<std::string> names;
  for (const CommandWords& known : words.commands) names.push_back(known.name);
  return fmt::format("unknown command `{}`{}", left.front(), DidYouMean(left.front(), names));
}

// Common options may stand after every command of the tree that falls through to the root; keys of the configuration
// are flags of those that read one.
void AddInherited(const CLI::App& app, const CommandWords& root, CommandWords* words) {
  for (CommandWords& command : words->commands) {
    const CLI::App& own = *app.get_subcommand(command.name);
    AddInherited(own, root, &command);
    if (own.get_allow_extras()) {
      for (const server::ConfigKey& key : server::ConfigKeys()) {
        if (key.name.find('*') == std::string_view::npos) command.options.push_back("--" + std::string(key.name));
      }
    } else if (command.commands.empty()) {
      for (const std::string& option : root.options) {
        if (option != "-h" && option != "--help") command.options.push_back(option);
      }
    }
  }
}

int RunCompletion(const std::string& shell, const CLI::App& app) {
  CommandWords root = WordsOf(app);
  AddInherited(app, WordsOf(app), &root);
  const Result<std::string> script = CompletionScript(shell, root);
  if (!script.ok()) return Fail(script.status());
  Print(*script);
  return kExitDone;
}

int RunHelp(const std::vector<std::string>& words, const CLI::App& app) {
  const CLI::App* command = &app;
  std::string name = app.get_name();
  for (const std::string& word : words) {
    const std::vector<const CLI::App*> named =
        command->get_subcommands([&](const CLI::App* each) { return each->get_name() == word; });
    if (named.empty()) {
      std::vector<std::string> known;
      for (const CommandWords& other : WordsOf(*command).commands) known.push_back(other.name);
      return FailUsage(fmt::format("unknown command `{}`{}", Printable(word), DidYouMean(word, known)));
    }
    command = named.front();
    name += " " + word;
  }
  // help() would show the command that was given, which is this one.
  Print(command->get_formatter()->make_help(command, name, CLI::AppFormatMode::Normal));
  return kExitDone;
}

void AddOtherCommands(CLI::App* app, Tree* t) {
  CLI::App* check = AddCommand(app, "check",
                               "Verify a data directory while no server runs on it: every checksum, "
                               "every count",
                               "quipu check quipu-data");
  check->add_option("DIR", t->check.data_dir, "Data directory")->required();
  check->callback([t] { t->run = [t] { return RunCheck(t->common, t->check); }; });

  CLI::App* bench = AddCommand(app, "bench", "Load a server and show its rate and latencies",
                               "quipu bench --op add --clients 50 --pipeline 16 --duration 10s");
  BenchOptions& b = t->bench;
  bench->add_option("--op", b.op, "add (QUIPU.ADD), incr or get; the last two work on Redis too")
      ->capture_default_str();
  bench->add_option("--token", b.token, "With add: none, uuidv7 or uuidv4")->capture_default_str();
  bench->add_option("--clients", b.clients, "Connections")->capture_default_str();
  bench->add_option("--pipeline", b.pipeline, "Commands in one write")->capture_default_str();
  bench->add_option("--duration", b.duration, "How long")->capture_default_str();
  bench->add_option("--keys", b.keys, "Different counters")->capture_default_str();
  bench->callback([t] { t->run = [t] { return RunBench(t->common, t->bench); }; });

  CLI::App* completion = AddCommand(app, "completion", "Print a completion script: bash, zsh or fish",
                                    "quipu completion bash > /etc/bash_completion.d/quipu");
  completion->add_option("SHELL", t->shell, "bash, zsh or fish")->required();
  completion->callback([t, app] { t->run = [t, app] { return RunCompletion(t->shell, *app); }; });

  CLI::App* version = AddCommand(app, "version", "Print the version", "quipu version --features");
  version->add_flag("--features", t->version.features, "Also how it was built and what it can do");
  version->callback([t] { t->run = [t] { return RunVersion(t->common, t->version); }; });

  CLI::App* help = AddCommand(app, "help", "Show how a command is used", "quipu help import");
  help->add_option("COMMAND", t->help, "Which; default: all of them, briefly");
  help->callback([t, app] { t->run = [t, app] { return RunHelp(t->help, *app); }; });
}

void AddImportCommand(CLI::App* app, Tree* t) {
  CLI::App* import =
      AddCommand(app, "import", "Count the records of files exactly once, however often they are imported",
                 "quipu import --format clf --key 'path:{path}' --time time access.log.gz");
  ImportOptions& o = t->import;
  import->add_option("FILE", o.files, "Plain, gzip or zstd; - is standard input")->required();
  import->add_option("--format", o.spec.format, "clf, csv, tsv, ndjson or lines")->required();
  import->add_option("--key", o.spec.key, "Counter name with columns in braces: 'path:{path}', '{user}/{item}'")
      ->required();
  import->add_option("--delta", o.spec.delta, "Column with what to add (default: 1 a record)")->check(NotEmpty, "");
  import->add_option("--time", o.spec.time, "Column with the time of the event (default: now)")->check(NotEmpty, "");
  import->add_option("--time-format", o.spec.time_format, "Its form, as in '%d/%m/%Y %H:%M' (default: recognised)");
  import->add_option("--source", o.spec.source, "Name that sets this log apart from others that begin alike")
      ->check(NotEmpty, "");
  import->add_option("--dead-letter", o.dead_letter, "File to which refused lines are appended")->check(NotEmpty, "");
  import->add_flag("--final-line", o.final_line, "Take a last line without line end: the file will not grow any more");
  import->footer(
      "Columns. clf: host ident user time request method target path query protocol status bytes referer agent.\n"
      "csv, tsv: names of the header line, or numbers from 1. ndjson: dotted paths. lines: line.\n"
      "How far a file was taken is kept by the server, by content: a copy, a compressed or a grown file goes on where\n"
      "it ended, and an old copy changes nothing. Options that change what is counted, and --source, make it another\n"
      "source.");
  import->callback([t] { t->run = [t] { return RunImport(t->common, t->import); }; });
}

// Flags such as --journal.segment_size are not known here: the table of keys reads what is left over.
void TakeConfigFlags(CLI::App* command, ConfigOptions* config, const std::function<void()>& then) {
  command->fallthrough(false);
  command->allow_extras();
  command->add_option("--config", config->file, "TOML file (docs/operating/configuration.md)")->envname("QUIPU_CONFIG");
  command->footer("Every key of the configuration is a flag too: --KEY=VALUE, as in --engine.shards=2.");
  command->callback([command, config, then] {
    config->flags = command->remaining();
    then();
  });
}

void AddServeCommand(CLI::App* app, Tree* t) {
  CLI::App* serve = AddCommand(app, "serve", "Run the server", "quipu serve --data_dir=/var/lib/quipu");
  serve->add_flag("--dev", t->dev, "Throw-away data: the data directory is removed at the end");
  TakeConfigFlags(serve, &t->config, [t] { t->run = [t] { return RunServe(t->config, t->dev); }; });
}

void AddConfigCommands(CLI::App* app, Tree* t) {
  CLI::App* config = AddCommand(app, "config", "Show, check or describe the configuration", "quipu config print");
  config->require_subcommand(1);
  CLI::App* print = AddCommand(config, "print", "Every effective value and where it came from",
                               "quipu config print --config quipu.toml --output json");
  print->add_option("--output", t->common.output, "table (TOML) or json")->capture_default_str();
  print->add_flag("--json", t->common.json, "Same as --output json");
  TakeConfigFlags(print, &t->config, [t] { t->run = [t] { return RunConfigPrint(t->common, t->config); }; });
  CLI::App* check = AddCommand(config, "check", "List every problem", "quipu config check --config quipu.toml");
  TakeConfigFlags(check, &t->config, [t] { t->run = [t] { return RunConfigCheck(t->config); }; });
  CLI::App* schema = AddCommand(config, "schema", "JSON Schema of the file", "quipu config schema > quipu.schema.json");
  schema->add_flag("--markdown", t->markdown, "The reference page instead");
  schema->callback([t] { t->run = [t] { return RunConfigSchema(t->markdown); }; });
}

// CLI11 takes the next word for the value of `--option=`. A key of the configuration may be empty.
std::string_view OptionWithoutValue(std::span<const char* const> words) {
  for (const std::string_view word : words) {
    if (word == "--" || word == "serve" || word == "config") return "";
    if (word.starts_with("--") && word.ends_with('=')) return word;
  }
  return "";
}

}  // namespace

int RunCommandLine(int argc, const char* const* argv) {
  if (const std::string_view bare = OptionWithoutValue({argv, static_cast<size_t>(argc)}); !bare.empty()) {
    return FailUsage(fmt::format("{}: must not be empty", Printable(bare.substr(0, bare.size() - 1))));
  }
  Tree tree;
  CLI::App app(kTopHelp, "quipu");
  app.require_subcommand(1);
  app.set_version_flag("--version", VersionLine(), "Print the version");
  app.get_formatter()->column_width(34);
  AddCommon(&app, &tree.common);
  AddCounterCommands(&app, &tree);
  AddListCommands(&app, &tree);
  AddServeCommand(&app, &tree);
  AddImportCommand(&app, &tree);
  AddConfigCommands(&app, &tree);
  AddOtherCommands(&app, &tree);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    Say(fmt::format("quipu: {}", ParseProblem(app, e)));
    const std::vector<CLI::App*> given = app.get_subcommands();
    if (given.empty())
      Say("quipu: `quipu --help` and `quipu COMMAND --help` show the usage");
    else
      Say(fmt::format("quipu: `quipu {} --help` shows the usage", given.front()->get_name()));
    return kExitUsage;
  }
  const int code = tree.run();
  if (std::fflush(stdout) != 0 && code == kExitDone) {
    Say("quipu: what was asked is done, but the result could not be written to standard output");
    return kExitFailure;
  }
  return code;
}

}  // namespace quipu::cli
