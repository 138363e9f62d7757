"""A real SLURM of two nodes on this machine, without systemd.

    python tests/slurm/cluster.py start [--no-accounting]
    eval "$(python tests/slurm/cluster.py env)"
    python tests/slurm/cluster.py stop

As root it installs the Debian packages that are missing. Everything else lies in one folder
(DGMBENCH_TEST_SLURM, default /tmp/dgmbench-slurm), but for names of the nodes in /etc/hosts, which
`stop` takes out again. Each node has a file system of its own at <folder>/local where the system
lets it. GPUs are character devices that compute nothing.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
ACCOUNTING = ("slurmdbd", "mariadb-server-core", "mariadb-client-core")
NODES = ("dgma", "dgmb")
CPUS, GPUS = 4, 2
PORT = 12710  # and the next ones; processes of a run meet at 15000 and above
MARK = "# dgmbench test cluster"
DAEMONS = ("slurmctld", *(f"slurmd-{n}" for n in NODES), "slurmdbd", "mariadbd", "munged")
PARTITIONS = {
    "main": "Default=YES PriorityTier=5 PreemptMode=OFF",
    "low": "PriorityTier=1 PreemptMode=REQUEUE GraceTime=20",
    "high": "PriorityTier=10 PreemptMode=OFF",
    "short": "PriorityTier=5 PreemptMode=OFF MaxTime=3",
}


class ClusterError(Exception):
    """It cannot be started here."""


class Cluster:
    """Starts and stops the daemons.

    Args:
        folder: Where everything lies.
        accounting: With slurmdbd, so that sacct answers.
    """

    def __init__(self, folder: Path, accounting: bool) -> None:
        self.folder, self.accounting = folder, accounting
        self.host = socket.gethostname().split(".")[0]

    @property
    def environment(self) -> dict[str, str]:
        """What clients need."""
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Install what is missing, start all, and wait until both nodes are idle."""
        install([*PACKAGES, *(ACCOUNTING if self.accounting else ())])
        for name in ("run", "log", "state", "local", "mysql", *(f"spool/{n}" for n in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        name_hosts([self.host, *NODES])
        self._write_configs()
        self._start_munge()
        if self.accounting:
            self._start_accounting()
        self._launch("slurmctld", ["slurmctld", "-D", "-i"])
        self._wait("slurmctld", lambda: self._works("scontrol", "ping"))
        for node in NODES:
            self.start_node(node)
        self._wait("the nodes", lambda: all(self.node_is(n, "idle") for n in NODES))

    def start_node(self, node: str) -> None:
        """Start a node, with a file system of its own at local/ where that can be mounted."""
        command = ["slurmd", "-D", "-N", node]
        local = self.folder / "local"  # as it is, where `private` does not hold
        private = f"mount -t tmpfs none {local}; exec {' '.join(command)}"
        own = ["unshare", "-m", "sh", "-c", private]
        self._launch(f"slurmd-{node}", own if self.private else command)
        self.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")

    @property
    def private(self) -> bool:
        """Whether nodes have a file system of their own here."""
        return self._works(
            "unshare", "-m", "mount", "-t", "tmpfs", "none", str(self.folder / "local")
        )

    def kill_node(self, node: str) -> None:
        """End a node as a power cut would: its daemon, and all that runs in its jobs.

        That it is down is told to the controller, which would find out in some minutes: pings of a
        dead node make the others late, and a shorter time-out takes those for dead, too.
        """
        tasks = [p for p in processes() if f"SLURMD_NODENAME={node}" in environment_of(p)]
        keepers = {parent_of(p) for p in tasks} - {1, *tasks}  # slurmstepd, one per step
        keepers = {p for p in keepers if "slurmstepd" in command_of(p)}
        # those first that would tell how the others ended
        for process in (self._pid(f"slurmd-{node}"), *keepers, *tasks):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=power")

    def node_is(self, node: str, *states: str) -> bool:
        """Return whether a node is in one of these states."""
        said = self.ask("sinfo", "-h", "-N", "-n", node, "-p", "main", "-o", "%T")
        return said.strip().rstrip("*") in states

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        if self._alive("slurmctld"):
            self._run("scancel", "--full", "--partition", ",".join(PARTITIONS))
            self._run("scancel", "--me")
            self._wait(
                "the queue's end", lambda: not self.ask("squeue", "-h").strip(), fails=False
            )
        for name in sorted(DAEMONS, key=lambda n: not n.startswith("slurmd-")):
            self._end(name)
        forget_hosts()

    def ask(self, *command: str) -> str:
        """Return what a command of SLURM says."""
        return self._run(*command).stdout

    # -- daemons -------------------------------------------------------------------------------

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=60, check=False
        )

    def _works(self, *command: str) -> bool:
        return self._run(*command).returncode == 0

    def _launch(self, name: str, command: list[str]) -> None:
        if self._alive(name):
            return
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment, **self.environment},
                start_new_session=True,
            )
        (self.folder / "run" / f"{name}.pid").write_text(str(process.pid))
        time.sleep(0.2)
        if process.poll() is not None:
            raise ClusterError(f"{name} did not start: {self._log(name)}")

    def _log(self, name: str) -> str:
        text = (self.folder / "log" / f"{name}.out").read_text(errors="replace")
        return " | ".join(text.splitlines()[-3:])

    def _pid(self, name: str) -> int:
        try:
            return int((self.folder / "run" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return 0

    def _alive(self, name: str) -> bool:
        pid = self._pid(name)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text() if pid else ""
        except OSError:
            return False
        comm, _, rest = stat.partition("(")[2].partition(")")
        return name.startswith(comm) and bool(comm) and rest.split()[0] not in "ZX"

    def _end(self, name: str) -> None:
        pid = self._pid(name)
        for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
            if self._alive(name):
                os.kill(pid, number)
            end = time.monotonic() + seconds
            while self._alive(name) and time.monotonic() < end:
                time.sleep(0.1)
        (self.folder / "run" / f"{name}.pid").unlink(missing_ok=True)

    def _wait(self, what: str, holds: Callable[[], bool], fails: bool = True) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if holds():
                return
            time.sleep(0.2)
        if fails:
            raise ClusterError(f"{what} did not come within 60 s; see {self.folder / 'log'}")

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        if not key.exists():
            key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._launch(
            "munged",
            [
                *("munged", "-F", "--force", f"--key-file={key}", f"--socket={self._socket}"),
                *(f"--pid-file={self.folder}/run/munged.own", f"--seed-file={self.folder}/seed"),
                f"--log-file={self.folder}/log/munged.log",
            ],
        )
        self._wait("munged", lambda: self._works("munge", "-n", "-S", str(self._socket)))

    @property
    def _socket(self) -> Path:
        return self.folder / "run" / "munge.sock"

    def _start_accounting(self) -> None:
        database, bell = self.folder / "mysql", self.folder / "run" / "mysql.sock"
        if not (database / "data").exists():
            done = self._run(
                "mariadb-install-db",
                *("--no-defaults", "--user=root", f"--datadir={database}/data"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            )
            if done.returncode:
                raise ClusterError(f"mariadb-install-db: {done.stderr or done.stdout}")
        self._launch(
            "mariadbd",
            [
                *("mariadbd", "--no-defaults", "--user=root", f"--datadir={database}/data"),
                *(f"--socket={bell}", f"--port={PORT + 3}", "--bind-address=127.0.0.1"),
                *("--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"),
                *("--skip-log-bin", f"--pid-file={self.folder}/run/mariadbd.own"),
            ],
        )
        client = ("mariadb", "--no-defaults", "-S", str(bell), "-u", "root", "-e")
        self._wait("mariadbd", lambda: self._works(*client, "select 1"))
        self._run(
            *client,
            "create database if not exists slurm; "
            "create user if not exists slurm@localhost identified by 'slurm'; "
            "create user if not exists slurm@'127.0.0.1' identified by 'slurm'; "
            "grant all on slurm.* to slurm@localhost; grant all on slurm.* to slurm@'127.0.0.1'",
        )
        self._launch("slurmdbd", ["slurmdbd", "-D"])
        self._wait("slurmdbd", lambda: self._works("sacctmgr", "-n", "-i", "list", "cluster"))
        self._run("sacctmgr", "-i", "-Q", "add", "cluster", "dgmbench")
        self._run("sacctmgr", "-i", "-Q", "add", "account", "research")
        self._run("sacctmgr", "-i", "-Q", "add", "user", "root", "account=research")

    def _write_configs(self) -> None:
        lines = [
            "ClusterName=dgmbench",
            f"SlurmctldHost={self.host}(127.0.0.1)",
            f"SlurmctldPort={PORT}",
            *("SlurmUser=root", "SlurmdUser=root", "AuthType=auth/munge"),
            # a job that is queued again waits for its credential to expire: 120 s by default
            f"AuthInfo=socket={self._socket},cred_expire=5",
            "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
            f"SrunPortRange={PORT + 100}-{PORT + 300}",
            *("MpiDefault=none", "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none"),
            f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldPidFile={self.folder}/run/slurmctld.own",
            f"SlurmdPidFile={self.folder}/run/slurmd-%n.own",
            f"SlurmctldLogFile={self.folder}/log/slurmctld.log",
            f"SlurmdLogFile={self.folder}/log/slurmd-%n.log",
            "SlurmdParameters=config_overrides",  # more CPUs than there are
            *("ReturnToService=2", "KillWait=15", "MinJobAge=600"),
            *("JobRequeue=1", "SelectType=select/cons_tres", "SelectTypeParameters=CR_CPU"),
            "SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=1",
            *("PreemptType=preempt/partition_prio", "PreemptMode=REQUEUE"),
            *("SlurmctldParameters=preempt_send_user_signal", "GresTypes=gpu"),
            "JobAcctGatherType=jobacct_gather/none",
            *(self._accounting_lines() if self.accounting else ()),
        ]
        for i, node in enumerate(NODES):
            lines.append(
                f"NodeName={node} NodeHostname={self.host} NodeAddr=127.0.0.1 "
                f"Port={PORT + 11 + i} CPUs={CPUS} RealMemory=4000 Gres=gpu:{GPUS} State=UNKNOWN"
            )
        for name, settings in PARTITIONS.items():
            lines.append(f"PartitionName={name} Nodes=ALL DefaultTime=10 {settings} State=UP")
        self._write("slurm.conf", lines)
        self._write("cgroup.conf", ["CgroupAutomount=no"])
        devices = [self.folder / f"gpu{i}" for i in range(GPUS)]
        for device in devices:
            if not device.is_symlink():
                device.symlink_to("/dev/null")
        files = f"{self.folder}/gpu[0-{GPUS - 1}]"
        self._write("gres.conf", [f"NodeName={n} Name=gpu File={files}" for n in NODES])

    def _accounting_lines(self) -> list[str]:
        self._write(
            "slurmdbd.conf",
            [
                *("AuthType=auth/munge", f"AuthInfo=socket={self._socket}", "DbdHost=localhost"),
                *("DbdAddr=127.0.0.1", f"DbdPort={PORT + 2}", "SlurmUser=root"),
                f"LogFile={self.folder}/log/slurmdbd.log",
                f"PidFile={self.folder}/run/slurmdbd.own",
                *("StorageType=accounting_storage/mysql", "StorageHost=127.0.0.1"),
                *(f"StoragePort={PORT + 3}", "StorageUser=slurm", "StoragePass=slurm"),
                "StorageLoc=slurm",
            ],
        )
        (self.folder / "slurmdbd.conf").chmod(0o600)
        return [
            "AccountingStorageType=accounting_storage/slurmdbd",
            f"AccountingStoragePort={PORT + 2}",
            f"AccountingStoragePass={self._socket}",
            "AccountingStorageHost=127.0.0.1",
            "AccountingStorageEnforce=associations",
        ]

    def _write(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n")


def processes() -> list[int]:
    """Return the numbers of all processes."""
    return [int(p.name) for p in Path("/proc").glob("[0-9]*")]


def _read(process: int, name: str) -> str:
    try:
        return Path(f"/proc/{process}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def environment_of(process: int) -> list[str]:
    """Return the variables that a process was started with."""
    return _read(process, "environ").split("\0")


def command_of(process: int) -> str:
    """Return the command line of a process."""
    return _read(process, "cmdline")


def parent_of(process: int) -> int:
    """Return the parent of a process; 1 for one that is gone."""
    fields = _read(process, "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 1


def install(packages: list[str]) -> None:
    """Install the Debian packages that are missing."""
    missing = [p for p in packages if not _is_installed(p)]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ClusterError(f"these Debian packages are missing: {' '.join(missing)}")
    policy = Path("/usr/sbin/policy-rc.d")  # the packages must not start daemons of their own
    made = not policy.exists()
    if made:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(
                ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ClusterError(f"apt-get {command[0]}: {done.stderr.strip()[-300:]}")
    finally:
        if made:
            policy.unlink()


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${Status}", package]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return "ok installed" in done.stdout


def name_hosts(names: list[str]) -> None:
    """Let names mean this machine's own address, by which the daemons meet."""
    hosts = Path("/etc/hosts")
    forget_hosts()
    try:
        hosts.write_text(f"127.0.0.1 {' '.join(names)} {MARK}\n" + hosts.read_text())
    except OSError as error:
        raise ClusterError(f"/etc/hosts cannot be written: {error.strerror}") from error


def forget_hosts() -> None:
    """Take those names out again."""
    hosts = Path("/etc/hosts")
    text = hosts.read_text()
    if MARK in text:
        hosts.write_text("".join(x for x in text.splitlines(True) if MARK not in x))


def main(arguments: list[str]) -> int:
    """Start, stop, or print the environment."""
    folder = Path(os.environ.get("DGMBENCH_TEST_SLURM", "/tmp/dgmbench-slurm"))
    cluster = Cluster(folder, "--no-accounting" not in arguments)
    verb = arguments[0] if arguments else ""
    if verb == "env":
        for name, value in cluster.environment.items():
            print(f"export {name}={value}")
    elif verb in ("start", "stop"):
        try:
            getattr(cluster, verb)()
        except ClusterError as error:
            print(f"cluster: {error}", file=sys.stderr)
            return 1
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
