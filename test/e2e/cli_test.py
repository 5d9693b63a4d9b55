"""The command line against a server made of canned replies: output, exit codes, one token over all tries."""
import json
import os
import shlex
import subprocess
import tempfile
import unittest

from fake_resp import Drop, FakeServer, closed_port

QUIPU = os.environ.get("QUIPU_BINARY", "build/dev/quipu")
LIMIT_SECONDS = 300  # against hanging


def quipu(*arguments, address=None, env=None, stdin=subprocess.DEVNULL):
    command = [QUIPU, *arguments] + (["--address", address] if address else [])
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, stdin=stdin,
                          env={**{k: v for k, v in os.environ.items() if not k.startswith("QUIPU_")}, **(env or {})})


class Add(unittest.TestCase):
    def test_prints_a_bare_number_and_sends_a_uuid_v7(self):
        with FakeServer(lambda a: [41, "APPLIED"]) as server:
            r = quipu("add", "hits", "5", address=server.address)
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, "41\n", ""))
        name, key, delta, word, token = server.commands[0]
        self.assertEqual((name, key, delta, word), (b"QUIPU.ADD", b"hits", b"5", b"TOKEN"))
        self.assertRegex(token.decode(), r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

    def test_takes_a_negative_delta(self):
        with FakeServer(lambda a: [-5, "APPLIED"]) as server:
            r = quipu("add", "hits", "-5", address=server.address)
        self.assertEqual((r.returncode, r.stdout), (0, "-5\n"))
        self.assertEqual(server.commands[0][2], b"-5")

    def test_a_lost_answer_is_retried_with_the_same_token(self):
        calls = []

        def answer(a):
            calls.append(a)
            if len(calls) < 3:
                raise Drop()
            return [1, "REPLAYED"]

        with FakeServer(answer) as server:
            r = quipu("add", "hits", "--timeout", "5m", address=server.address)
        self.assertEqual((r.returncode, r.stdout), (0, "1\n"))
        self.assertEqual(len({tuple(c) for c in calls}), 1)
        self.assertEqual(len(calls), 3)

    def test_an_outcome_that_stays_unknown_is_exit_6_and_names_the_token(self):
        def answer(a):
            raise Drop()

        with FakeServer(answer) as server:
            r = quipu("add", "hits", "--token", "order-77", "--timeout", "5s", address=server.address)
        self.assertEqual((r.returncode, r.stdout), (6, ""))
        self.assertIn(f"  quipu add hits 1 --token order-77 --address {server.address}\n", r.stderr)

    def test_what_is_to_be_repeated_is_the_same_call_in_the_same_place(self):
        def answer(a):
            if a[0] != b"QUIPU.NS":
                raise Drop()
            return "OK"

        with FakeServer(answer) as server:
            r = quipu("clear", "my hits", "--delete", "--yes", "--token", "it's", "-n", "shop", "--timeout", "2s",
                      address=server.address)
        self.assertEqual(r.returncode, 6)
        said = next(line for line in r.stderr.splitlines() if line.startswith("  quipu "))
        self.assertEqual(shlex.split(said), ["quipu", "clear", "my hits", "--yes", "--delete", "--token", "it's",
                                             "-n", "shop", "--address", server.address])

    def test_a_conflict_says_how_to_see_what_the_token_was_used_for(self):
        with FakeServer(lambda a: Exception("TOKENCONFLICT other content")) as server:
            r = quipu("add", "hits", "2", "--token", "t", address=server.address)
        self.assertEqual(r.returncode, 4)
        self.assertIn(f"quipu token hits t --address {server.address}\n", r.stderr)

    def test_an_option_that_is_there_and_empty_is_refused(self):
        for words in [["add", "hits", "--token", ""], ["clear", "hits", "--yes", "--token="], ["add", "hits", "-n", ""],
                      ["import", "--format", "lines", "--key", "k", "--source", "", "/dev/null"]]:
            with self.subTest(words=words):
                r = quipu(*words, address=closed_port())
                self.assertEqual(r.returncode, 2, r.stderr)
                self.assertIn("must not be empty", r.stderr)

    def test_nobody_listening_is_exit_5(self):
        r = quipu("add", "hits", "--timeout", "100ms", address=closed_port())
        self.assertEqual((r.returncode, r.stdout), (5, ""))

    def test_error_replies_become_the_exit_codes(self):
        for text, code in [("TOKENCONFLICT other content", 4), ("NOPERM no", 77),
                           ("NOAUTH Authentication required.", 77), ("OOM disk", 5),
                           ("READONLY fenced", 5), ("ERR no such namespace", 3),
                           ("ERR invalid counter name: x", 2), ("ERR increment or decrement would overflow", 4),
                           ("DATALOSS range", 65), ("ERR unknown command 'QUIPU.ADD', with args beginning with: ", 1)]:
            with self.subTest(text=text), FakeServer(lambda a, t=text: Exception(t)) as server:
                self.assertEqual(quipu("add", "hits", address=server.address).returncode, code)

    def test_a_refusal_is_exit_4_and_still_prints_the_value(self):
        with FakeServer(lambda a: [10, "REFUSED"]) as server:
            r = quipu("add", "hits", address=server.address)
        self.assertEqual((r.returncode, r.stdout), (4, "10\n"))

    def test_bad_deltas_are_refused_before_anything_is_sent(self):
        for delta in ["1.5", "x", "9223372036854775808", ""]:
            with self.subTest(delta=delta):
                r = quipu("add", "hits", delta, address=closed_port())
                self.assertEqual(r.returncode, 2, r.stderr)

    def test_json_has_the_value_as_a_string(self):
        with FakeServer(lambda a: [9007199254740993, "APPLIED"]) as server:
            r = quipu("add", "hits", "--json", "--token", "t", address=server.address)
        self.assertEqual(json.loads(r.stdout),
                         {"counter": "hits", "value": "9007199254740993", "status": "APPLIED", "token": "t"})

    def test_namespace_and_password_are_sent_first(self):
        with FakeServer(lambda a: [1, "APPLIED"] if a[0] == b"QUIPU.ADD" else "OK") as server, \
                tempfile.NamedTemporaryFile("w") as secret:
            secret.write("hush\nnot this\n")
            secret.flush()
            r = quipu("-n", "shop", "add", "hits", "--password-file", secret.name, address=server.address)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(server.commands[:2], [[b"AUTH", b"hush"], [b"QUIPU.NS", b"shop"]])


GET = [b"count", b"7", b"as_of", 1700000000000, b"lag_ms", 0, b"exact", 1,
       b"last_write_time", None, b"durability", b"sync"]


class Read(unittest.TestCase):
    def test_get_prints_bare_numbers(self):
        with FakeServer(lambda a: GET) as server:
            r = quipu("get", "a", "b", address=server.address)
            one = quipu("get", "a", "--json", address=server.address)
        self.assertEqual((r.returncode, r.stdout), (0, "7\n7\n"))
        self.assertEqual(json.loads(one.stdout),
                         {"counter": "a", "count": "7", "as_of": "2023-11-14T22:13:20.000Z", "lag_ms": 0,
                          "exact": True, "last_write_time": None, "durability": "sync"})

    def test_list_shows_the_first_names_in_order(self):
        def answer(a):
            if a[0] == b"SCAN":
                pages = {b"0": [b"7", [b"b", b"d"]], b"7": [b"0", [b"a", b"c"]]}
                return pages[a[1]]
            return [str(ord(name)).encode() for name in a[1:]]

        with FakeServer(answer) as server:
            r = quipu("list", "--limit", "3", "--output", "csv", address=server.address)
        self.assertEqual(r.stdout, "value,counter\n97,a\n98,b\n99,c\n")
        self.assertIn("3 of 4", r.stderr)

    def test_list_asks_for_the_prefix_to_the_letter(self):
        with FakeServer(lambda a: [b"0", []]) as server:
            quipu("list", "a*[b]?", address=server.address)
        self.assertEqual(server.commands[0][3], b"a\\*\\[b\\]\\?*")

    def test_top_is_an_aligned_table(self):
        with FakeServer(lambda a: [[b"page:/", 12], [b"page:/x", 7]]) as server:
            r = quipu("top", "2", "--prefix", "page:", address=server.address)
        self.assertEqual(r.stdout, "value  counter\n   12  page:/\n    7  page:/x\n")
        self.assertEqual(server.commands[0], [b"QUIPU.TOP", b"2", b"PREFIX", b"page:"])

    def test_a_token_nobody_has_seen_is_exit_3(self):
        with FakeServer(lambda a: None) as server:
            self.assertEqual(quipu("token", "a", "t", address=server.address).returncode, 3)

    def test_names_cannot_drive_the_terminal(self):
        with FakeServer(lambda a: [[b"\x1b[31mred", 1]]) as server:
            self.assertIn("\\x1b[31mred", quipu("top", address=server.address).stdout)


class Clear(unittest.TestCase):
    def test_without_a_terminal_it_needs_yes(self):
        with FakeServer(lambda a: [0, "APPLIED"]) as server:
            self.assertEqual(quipu("clear", "a", address=server.address).returncode, 2)
            self.assertEqual(server.commands, [])
            self.assertEqual(quipu("clear", "a", "--yes", address=server.address).returncode, 0)
        self.assertEqual(server.commands[0][:3], [b"QUIPU.CLEAR", b"a", b"TOKEN"])


class Config(unittest.TestCase):
    def config(self, *arguments, text="", env=None):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            r = quipu("config", *arguments, "--config", file.name, env=env)
            return r, file.name

    def test_print_shows_each_value_with_its_source(self):
        r, name = self.config("print", "--engine.shards", "1", text="[log]\nlevel = \"warn\"\n",
                              env={"QUIPU_DATA_DIR": "elsewhere"})
        self.assertEqual(r.returncode, 0, r.stderr)
        for line in ['shards = 1  # flag --engine.shards', f'level = "warn"  # {name}:2',
                     'data_dir = "elsewhere"  # environment QUIPU_DATA_DIR', 'format = "auto"  # default']:
            self.assertIn(line + "\n", r.stdout)
        as_json, _ = self.config("print", "--json")
        self.assertEqual(json.loads(as_json.stdout)["engine.shards"], {"value": 0, "source": "default"})

    def test_problems_are_listed_at_once_and_exit_78(self):
        r, name = self.config("check", "--listn.resp=1", text="[jurnal]\nsegment_size = \"1MiB\"\n",
                              env={"QUIPU_LOG__LEVEL": "loud"})
        self.assertEqual(r.returncode, 78)
        self.assertIn(f"{name}:2: unknown key `jurnal.segment_size`; did you mean `journal.segment_size`?", r.stderr)
        self.assertIn("did you mean `listen.resp`?", r.stderr)
        self.assertIn("environment QUIPU_LOG__LEVEL: log.level: `loud` is none of debug|info|warn|error", r.stderr)
        self.assertEqual(quipu("config", "check", "--config", "nowhere.toml").returncode, 78)

    def test_an_unknown_table_is_a_problem_though_it_is_empty(self):
        r, name = self.config("check", text="[namespacs.default]\n[jurnal]\n[log]\n[namespaces.shop]\n")
        self.assertEqual(r.returncode, 78)
        self.assertIn(f"{name}:1: unknown table [namespacs.default]; did you mean `[namespaces.default]`?", r.stderr)
        self.assertIn(f"{name}:2: unknown table [jurnal]; did you mean `[journal]`?", r.stderr)
        self.assertEqual(self.config("check", text="[log]\n[namespaces.shop]\n")[0].returncode, 0)

    def test_schema_is_json_and_the_reference_is_current(self):
        schema = json.loads(quipu("config", "schema").stdout)
        self.assertEqual(schema["properties"]["engine"]["properties"]["shards"]["maximum"], 64)
        self.assertIn("durability", schema["properties"]["namespaces"]["additionalProperties"]["properties"])
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/operating/configuration.md")
        with open(page, encoding="utf-8") as file:
            self.assertEqual(quipu("config", "schema", "--markdown").stdout, file.read(),
                             "run: quipu config schema --markdown > docs/operating/configuration.md")


class Usage(unittest.TestCase):
    def test_mistakes_are_exit_2(self):
        for arguments in [[], ["nonsense"], ["add"], ["add", "a", "1", "2"], ["get"], ["get", "a", "--output", "xml"],
                          ["get", "a", "--timeout", "soon"], ["list", "--limit", "0"]]:
            with self.subTest(arguments=arguments):
                self.assertEqual(quipu(*arguments).returncode, 2)

    def test_an_unknown_command_or_option_is_named_with_the_nearest_one(self):
        for arguments, said in [(["impotr", "x"], "unknown command `impotr`; did you mean `import`?"),
                                (["nonsense"], "unknown command `nonsense`\n"),
                                (["config", "prnt"], "unknown command `prnt`; did you mean `print`?"),
                                (["add", "a", "--tokne", "t"], "unknown option --tokne; did you mean `--token`?"),
                                (["get", "a", "--adress", "x"], "unknown option --adress; did you mean `--address`?"),
                                (["get", "a", "--timeout", "5"], "--timeout 5: "),
                                (["top", "abc"], "quipu: top: N: `abc` is not a whole number\n"
                                                 "quipu: `quipu top --help` shows the usage\n"),
                                (["list", "--limit", "1.5"], "list: --limit: `1.5` is not a whole number"),
                                (["add"], "add: NAME is required"),
                                (["top", "10001"], "top 10001: outside 1 to 10000")]:
            with self.subTest(arguments=arguments):
                self.assertIn(said, quipu(*arguments).stderr)

    def test_a_port_outside_its_range_is_never_taken_for_another_one(self):
        with FakeServer(lambda a: [1, "APPLIED"]) as server:
            port = int(server.address.split(":")[1])
            for wrong in (str(port + 65536), "0", "-1", "", "http"):
                with self.subTest(port=wrong):
                    r = quipu("add", "a", "--address", f"127.0.0.1:{wrong}")
                    self.assertEqual(r.returncode, 2, r.stderr)
            r = quipu("add", "a", "--address", f"127.0.0.1:{port + 65536}")
            self.assertIn(f"port `{port + 65536}` is none of 1 to 65535", r.stderr)
            self.assertEqual(server.commands, [])

    def test_a_directory_is_no_file_to_import(self):
        with FakeServer(lambda a: "OK") as server, tempfile.TemporaryDirectory() as folder:
            r = quipu("import", "--format", "lines", "--key", "all", folder, address=server.address)
        self.assertEqual(r.returncode, 2, r.stderr)
        self.assertIn(f"{folder} is a directory", r.stderr)

    def test_an_error_says_its_code_once(self):
        with FakeServer(lambda a: Exception("TOKENCONFLICT other content")) as server:
            r = quipu("add", "hits", address=server.address)
        self.assertEqual(r.stderr.splitlines()[0], "quipu: TOKEN_CONFLICT: other content")

    def test_help_shows_an_example(self):
        r = quipu("add", "--help")
        self.assertEqual(r.returncode, 0)
        self.assertIn("quipu add page:/home 5", r.stdout)

    def test_the_address_comes_from_the_environment_too(self):
        with FakeServer(lambda a: [3, "APPLIED"]) as server:
            self.assertEqual(quipu("add", "a", env={"QUIPU_ADDRESS": server.address}).stdout, "3\n")

    def test_version(self):
        self.assertRegex(quipu("version").stdout, r"^quipu \d+\.\d+\.\d+\n$")
        self.assertEqual(quipu("--version").stdout, quipu("version").stdout)

    def test_help_is_a_command_too(self):
        self.assertEqual(quipu("help").stdout, quipu("--help").stdout)
        self.assertEqual(quipu("help", "add").stdout, quipu("add", "--help").stdout)
        wrong = quipu("help", "ad")
        self.assertEqual((wrong.returncode, wrong.stderr), (2, "quipu: unknown command `ad`; did you mean `add`?\n"))

    def test_a_result_that_cannot_be_written_is_no_usage_error(self):
        with FakeServer(lambda a: [1, "APPLIED"]) as server, open("/dev/full", "w", encoding="utf-8") as full:
            r = subprocess.run([QUIPU, "add", "a", "--address", server.address], stdout=full, stderr=subprocess.PIPE,
                               text=True, stdin=subprocess.DEVNULL, timeout=LIMIT_SECONDS)
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn("what was asked is done", r.stderr)

    def test_completion_knows_commands_options_and_keys(self):
        def complete(*words):
            script = quipu("completion", "bash").stdout + f"""
COMP_WORDS=({" ".join(words[:-1])} "{words[-1]}"); COMP_CWORD={len(words) - 1}; _quipu; echo "${{COMPREPLY[@]}}"
"""
            return subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True).stdout.split()

        self.assertEqual(complete("quipu", "im"), ["import"])
        self.assertEqual(complete("quipu", "config", "c"), ["check"])
        self.assertEqual(complete("quipu", "add", "name", "--tok"), ["--token"])
        self.assertEqual(complete("quipu", "serve", "--journal.s"), ["--journal.segment_size"])
        self.assertEqual(quipu("completion", "tcsh").returncode, 2)
        for shell in ["zsh", "fish"]:
            self.assertIn("import", quipu("completion", shell).stdout)


class Bench(unittest.TestCase):
    def test_it_counts_what_it_sends(self):
        keys = set()

        def answer(a):
            keys.add(a[1])
            return [1, b"APPLIED"]

        with FakeServer(answer) as server:
            r = quipu("bench", "--clients", "2", "--pipeline", "4", "--keys", "10", "--duration", "50ms", "--json",
                      address=server.address)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(json.loads(r.stdout)[0]["operations"], len(server.commands))
        self.assertLessEqual(keys, {b"bench:%012d" % n for n in range(10)})
        tokens = {c[4] for c in server.commands}
        self.assertEqual(len(tokens), len(server.commands))
        self.assertTrue(all(len(t) == 36 and t[14:15] == b"7" for t in tokens))

    def test_error_replies_are_counted_and_shown(self):
        with FakeServer(lambda a: Exception("OOM full")) as server:
            r = quipu("bench", "--clients", "1", "--op", "incr", "--duration", "10ms", address=server.address)
        self.assertEqual(r.returncode, 1)
        self.assertIn("OOM full", r.stderr)
