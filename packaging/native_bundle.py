"""The servers of the single program: Debian's, with every library of theirs but glibc's, of locked packages.

`debian-packages-<architecture>.lock` has one line a package: name, version, SHA-256. `make lock-servers` writes it anew
from what Debian offers now. A build takes exactly what is locked: Debian keeps no old versions, so after a security
update a build stops with one line until the lock has been renewed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from native_servers import PACKAGES, apt_get, find_unpacked, libraries_of, packages_to_fetch
from setup_steps import SetupError, Shell, Step, digest

HERE = Path(__file__).resolve().parent
# glibc's: any Debian 12 and later, and what is made from it, has them, and no other version of them fits its loader.
GLIBC = re.compile(r"(libc|libm|libresolv|libpthread|libdl|librt)\.so\.\d+")


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    sha256: str


def lock_file(architecture: str) -> Path:
    return HERE / f"debian-packages-{architecture}.lock"


def read_lock(file: Path) -> list[Package]:
    """Raises SetupError where there is none: nobody has locked the packages of this architecture."""
    if not file.is_file():
        raise SetupError(f"{file.name} is missing: make lock-servers")
    return [Package(*line.split()) for line in file.read_text(encoding="ascii").splitlines()]


def bundle_step(root: Path, state: Path) -> Step:
    """`<state>/servers` gets `bin/`, `lib/`, each package's `copyright/`, and the `packages` that they are from."""
    folder, architecture = state / "servers", machine()

    def build(shell: Shell) -> None:
        work = fresh(state / "bundle")
        shell.run("apt-get update", [*apt_get(work, work / "status"), "update"])
        debs = fetch(shell, read_lock(lock_file(architecture)), work)
        tree = unpack(shell, debs, work)
        take(shell, tree, work / "servers")
        shutil.rmtree(folder, ignore_errors=True)
        (work / "servers").rename(folder)
        shutil.rmtree(work)

    inputs = [Path(__file__), HERE / "native_servers.py", lock_file(architecture)]
    products = [folder / "bin" / program for program in PACKAGES]
    return Step("bundle", "servers and their libraries", lambda: digest([str(root), *inputs]), products, build)


def lock_step(state: Path) -> Step:
    """Writes the lock file: the packages, of those that apt would install, from which a file is taken."""

    def build(shell: Shell) -> None:
        work = fresh(state / "lock-servers")
        names = packages_to_fetch(shell, sorted(set(PACKAGES.values())), work, work / "status")
        debs = download(shell, names, work)
        tree = unpack(shell, debs, work)
        used = {shell.run("dpkg-deb", ["dpkg-deb", "-f", deb, "Package"]).strip(): deb for deb in debs}
        # With the packages asked for: redis-server's own has but a link, to a file of another.
        kept = {package_of(file, tree, used) for file in take(shell, tree, work / "servers")} | set(PACKAGES.values())
        kept |= {document_of(name, tree).parent.name for name in kept}
        lines = [f"{name} {version_of(shell, used[name])} {sha256(used[name])}\n" for name in sorted(kept)]
        lock_file(machine()).write_text("".join(lines), encoding="ascii")
        shutil.rmtree(work)

    return Step("lock-servers", "lock of the servers' packages", os.urandom(16).hex, [], build)


def machine() -> str:
    """Debian's name of this machine's architecture."""
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    return known.get(os.uname().machine, os.uname().machine)


def fresh(work: Path) -> Path:
    """An empty folder for apt, in which no package counts as installed."""
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("downloads", "root", "lists", "state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").write_bytes(b"")
    return work


def fetch(shell: Shell, packages: Iterable[Package], work: Path) -> list[Path]:
    """The locked packages as files. Raises SetupError for one that Debian no longer has, or that is another one."""
    locked = list(packages)
    try:
        debs = download(shell, [f"{package.name}={package.version}" for package in locked], work)
    except SetupError as error:
        raise SetupError(f"{error}: if Debian has replaced a version, `make lock-servers` takes the new one") from error
    wrong = {sha256(deb): deb for deb in debs}.keys() ^ {package.sha256 for package in locked}
    if wrong:
        names = [deb.name for deb in debs if sha256(deb) in wrong]
        raise SetupError(f"{', '.join(names) or 'a package'}: not the file that is locked")
    return debs


def download(shell: Shell, names: Iterable[str], work: Path) -> list[Path]:
    folder = work / "downloads"
    shell.run("apt-get download", [*apt_get(work, work / "status"), "download", *names], cwd=folder)
    return sorted(folder.glob("*.deb"))


def unpack(shell: Shell, debs: Iterable[Path], work: Path) -> Path:
    for deb in debs:
        shell.run("dpkg -x", ["dpkg", "-x", deb, work / "root"])
        listing = shell.run("dpkg-deb -c", ["dpkg-deb", "-c", deb])
        (work / "lists" / deb.name.partition("_")[0]).write_text(listing, encoding="utf-8")
    return work / "root"


def take(shell: Shell, tree: Path, servers: Path) -> list[Path]:
    """Copies programs, libraries and licences out of the tree; says which files those were."""
    for folder in ("bin", "lib", "copyright"):
        (servers / folder).mkdir(parents=True)
    taken = {}
    for program in PACKAGES:
        unpacked = find_unpacked(program, tree)
        taken[servers / "bin" / program] = unpacked
        for name, path in libraries_of(shell, unpacked, tree).items():
            if GLIBC.fullmatch(name) is None and name.startswith("lib"):
                if tree not in path.parents:
                    raise SetupError(f"{program} takes {name} from this machine: lock its package, make lock-servers")
                taken[servers / "lib" / name] = path.resolve()
    for target, source in taken.items():
        shutil.copy(source, target)
    for package in sorted(path.name for path in (tree / "usr/share/doc").iterdir()):
        if (document := document_of(package, tree)).is_file():
            shutil.copy(document, servers / "copyright" / package)
    return list(taken.values())


def package_of(file: Path, tree: Path, names: Iterable[str]) -> str:
    """The package that brought the file into the tree."""
    inside = "./" + str(file.relative_to(tree))
    lists = tree.parent / "lists"
    for name in names:
        if any(line.endswith(f" {inside}") for line in (lists / name).read_text(encoding="utf-8").splitlines()):
            return name
    raise SetupError(f"{inside} is from no package")


def document_of(package: str, tree: Path) -> Path:
    """The package's copyright file; some packages of one source share one, by a link of their folder."""
    folder = tree / "usr/share/doc" / package
    return (folder.parent / folder.readlink() if folder.is_symlink() else folder) / "copyright"


def version_of(shell: Shell, deb: Path) -> str:
    return shell.run("dpkg-deb", ["dpkg-deb", "-f", deb, "Version"]).strip()


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
