"""tools/in-scratch leaves nothing behind: not after a failure, a signal, or a run that was killed."""
import os
import signal
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "in-scratch")
MAKE_A_FILE = "import os, sys; open(os.environ['TMPDIR'] + '/x', 'w').close(); print(flush=True); "


class InScratch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "scratch")

    def start(self, then):
        process = subprocess.Popen([TOOL, self.folder, sys.executable, "-c", MAKE_A_FILE + then],
                                   stdout=subprocess.PIPE, start_new_session=True)
        self.addCleanup(process.stdout.close)
        process.stdout.readline()
        return process

    def test_the_exit_code_is_passed_on_and_the_folder_removed(self):
        self.assertEqual(self.start("sys.exit(7)").wait(), 7)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_signal_ends_the_command_and_the_folder_is_removed(self):
        process = self.start("import signal; signal.pause()")
        self.assertEqual(os.listdir(f"{self.folder}/{process.pid}"), ["x"])
        process.terminate()
        self.assertEqual(process.wait(), 128 + signal.SIGTERM)
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_next_run_removes_what_a_killed_one_left_and_nothing_of_a_live_one(self):
        killed, live = (self.start("import signal; signal.pause()") for _ in range(2))
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        self.assertEqual(self.start("").wait(), 0)
        self.assertEqual(os.listdir(self.folder), [str(live.pid)])
        live.terminate()
        live.wait()


if __name__ == "__main__":
    unittest.main()
