"""What tests of a failing environment share: the verdict after a fault, bulk that fills the journal, a small file
system, a control group with little memory."""
import contextlib
import errno
import os
import random
import shutil
import subprocess

import judges
import load
import resp
import server as servers
from judged import Judged, check_offline

SEED = load.seed_of_run("QUIPU_FAULT_SEED")
LIMIT_SECONDS = 60  # against hanging


def judge(server, folder, clients, name, fault):
    """The clients resolve, then the verdict. `fault`: what the printed line says of it."""
    found = clients.stop()
    history = load.Ledgers(clients.paths)
    judged = Judged(server, random.Random(SEED), all_paths=True)

    def again():
        assert server.stop() == 0, server.log()
        found.extend(check_offline(folder))
        server.start()

    found += judged.round(history, again)
    assert server.stop() == 0, server.log()
    figures = {**judged.figures, "refused": history.refused, "unknown": history.unknown}
    print(f"{name}: {fault}; " + ", ".join(f"{count} {what}" for what, count in figures.items()) +
          f"; QUIPU_FAULT_SEED={SEED}; {len(found)} violations")
    assert found == [], found[:20]
    assert history.ops
    return history


def traced(command, call, injection, trace, files=()):
    """With strace's `injection` into a call of the system, where it is on one of the files. The process that is started
    stays the server."""
    if not shutil.which("strace"):
        judges.missing("strace", "strace is not installed")
    only = [word for file in files for word in ("-P", str(file))]
    return ["strace", "-D", "-f", "-qq", "-o", str(trace), *only, "-e", f"trace={call}",
            "-e", f"inject={call}:{injection}", *command]


# Long names fill the journal fast: each record has its counter's.
BULK = [f"bulk:{n}:" + "x" * 900 for n in range(1000)]


class Bulk:
    """Fills the journal by a megabyte at a time, on a connection of its own."""

    def __init__(self, server, refusal="OOM"):
        self.connection, self.counted, self.refusal = server.connect(), 0, refusal

    def add(self):
        """False if one was refused."""
        replies = self.connection.pipeline([["INCR", name] for name in BULK])
        errors = [reply for reply in replies if isinstance(reply, resp.Error)]
        assert all(error.startswith(self.refusal) for error in errors), errors[:3]
        self.counted += len(replies) - len(errors)
        return errors == []

    def end(self):
        """All is counted, and then gone."""
        assert sum(int(value or 0) for value in self.connection.call("MGET", *BULK)) == self.counted > 0
        assert self.connection.call("DEL", *BULK) > 0
        self.connection.close()


class SmallDisk:
    """A file system of 160 MiB with few inodes: ext4 on a loop device for root, tmpfs elsewhere. It is mounted for one
    process alone, through which all others reach it, and is gone with that. Use as a context."""
    INODES = 512

    def __init__(self, folder):
        self.mounted, self.image, self.real = f"{folder}/disk", f"{folder}/image", os.getuid() == 0
        os.mkdir(self.mounted)

    def __enter__(self):
        if self.real:
            with open(self.image, "wb") as file:
                file.truncate(160 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-N", str(self.INODES), self.image], check=True,
                           timeout=LIMIT_SECONDS)
            unshare, mount = ["unshare", "--mount"], self.mount_command()
        else:
            unshare = ["unshare", "--user", "--map-root-user", "--mount"]
            mount = f"mount -t tmpfs -o size=160m,nr_inodes={self.INODES} t {self.mounted}"
        self.holder = subprocess.Popen([*unshare, "sh", "-c", f"{mount} && echo mounted && exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       preexec_fn=servers.end_with_parent)
        if self.holder.stdout.readline() != "mounted\n":
            judges.missing("mount", "no file system can be mounted here")
        self.folder = f"/proc/{self.holder.pid}/{'root'}{self.mounted}"
        return self

    def __exit__(self, *_):
        self.holder.communicate("", timeout=LIMIT_SECONDS)

    def mount_command(self):
        return f"mount -o loop,errors=remount-ro {self.image} {self.mounted}"

    def inside(self, command):
        """Runs a command where the file system is mounted."""
        subprocess.run(["nsenter", "--target", str(self.holder.pid), "--mount", "sh", "-ec", command], check=True,
                       timeout=LIMIT_SECONDS)

    def fail(self):
        """What ext4 does when it finds its device broken: from now on nothing is written any more."""
        self.inside(f"device=$(findmnt -no SOURCE {self.mounted}); "
                    "echo 1 > /sys/fs/ext4/${device#/dev/}/trigger_fs_error")

    def repair(self):
        """When no file is open there any more."""
        # e2fsck ends with 1 where it has mended something.
        self.inside(f"umount {self.mounted}; e2fsck -fy {self.image} >/dev/null 2>&1 || test $? = 1; "
                    f"{self.mount_command()}")

    def fill_bytes(self):
        """Takes what room is left."""
        with open(f"{self.folder}/filler", "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as e:
                    assert e.errno == errno.ENOSPC, e

    def fill_inodes(self):
        """Takes the inodes that are left."""
        os.makedirs(f"{self.folder}/fillers", exist_ok=True)
        try:
            for n in range(2 * self.INODES):
                with open(f"{self.folder}/fillers/{n}", "wb"):
                    pass
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
            return
        raise AssertionError(f"there are more than {2 * self.INODES} inodes")

    def free(self):
        """Takes back either."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{self.folder}/filler")
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(f"{self.folder}/fillers"):
                os.remove(f"{self.folder}/fillers/{name}")


class MemoryGroup:
    """Processes that join it have at most so much memory with their page cache. `reason` says why there is none, where
    there is none. Use as a context."""

    def __init__(self, mib):
        self.mib, self.group, self.reason = mib, None, None
        self.v1 = os.path.isdir("/sys/fs/cgroup/memory")

    def __enter__(self):
        if os.getuid() != 0:
            self.reason = "only root may make a control group"
            return self
        path = f"/sys/fs/cgroup{'/memory' if self.v1 else ''}/quipu-test-{os.getpid()}"
        try:
            os.mkdir(path)
            self.group = path
            with open(f"{path}/{'memory.limit_in_bytes' if self.v1 else 'memory.max'}", "w", encoding="utf-8") as file:
                file.write(str(self.mib << 20))
        except OSError as e:
            self.reason = str(e)
        return self

    def __exit__(self, *_):
        if self.group:
            os.rmdir(self.group)

    def join(self):
        """In the child before exec."""
        servers.end_with_parent()
        if self.reason is None:
            with open(f"{self.group}/cgroup.procs", "w", encoding="utf-8") as procs:
                procs.write(str(os.getpid()))

    def killed(self):
        """How many processes the kernel has killed in it for want of memory."""
        with open(f"{self.group}/{'memory.oom_control' if self.v1 else 'memory.events'}", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
