"""The bill of materials of the frozen program, as CycloneDX 1.6: everything that lies in it, with version and licence.

Python packages are those locked for the box (with the hashes of the lock), Debian packages those of the servers (with
theirs) and those that own a library which PyInstaller has collected from this machine, browser libraries those of
`web/vendor/`.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import browser_libs
import frozen
import native_bundle
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from appliance import __version__
from appliance.parts import PYTHON_LICENCE, licence_of

DOCUMENTS = Path("/usr/share/doc")
# What comes with PyInstaller into every program that it makes.
BOOTLOADER_LICENCE = "GPL-2.0-or-later WITH Bootloader-exception"


def write_bill(file: Path, analysis: Any, servers: Path) -> Path:
    """Writes the bill, and adds to the analysis the licences of the libraries that are from this machine."""
    owners = owners_of(source for _, source, kind in analysis.binaries if kind != "SYMLINK")
    shown = {name for name, _, _ in analysis.datas}
    for name in owners:
        document = native_bundle.document_of(name, DOCUMENTS.parents[2])
        if document.is_file() and f"native/copyright/{name}" not in shown:
            analysis.datas.append((f"native/copyright/{name}", str(document), "DATA"))
    components = [*of_python(), *of_servers(servers), *of_machine(owners), *of_browser()]
    file.parent.mkdir(exist_ok=True)
    file.write_text(document_of(components), encoding="utf-8")
    return file


def document_of(components: Iterable[Component]) -> str:
    """The same parts give the same document: its number comes from them, its date from SOURCE_DATE_EPOCH."""
    box = component("depotbox", __version__, PackageURL("generic", None, "depotbox", __version__), [])
    box.type = ComponentType.APPLICATION
    made = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    by_purl = {str(one.purl): one for one in components}
    number = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(sorted(by_purl)))
    bill = Bom(components=by_purl.values(), serial_number=number, metadata=BomMetaData(component=box, timestamp=made))
    bill.register_dependency(box, by_purl.values())
    return JsonV1Dot6(bill).output_as_string(indent=1)


def of_python() -> Iterator[Component]:
    version = platform.python_version()
    yield component("python", version, PackageURL("generic", None, "python", version), [PYTHON_LICENCE])
    maker = distribution("pyinstaller").version
    yield component("pyinstaller", maker, PackageURL("pypi", None, "pyinstaller", maker), [BOOTLOADER_LICENCE])
    hashes = locked_hashes()
    for name in frozen.box_distributions():
        one = distribution(name)
        purl = PackageURL("pypi", None, name, one.version)
        yield component(name, one.version, purl, [licence_of(one)], hashes[name])


def locked_hashes() -> dict[str, list[str]]:
    """The SHA-256 of every file that pip may take for a package: it has taken one of them."""
    text = (frozen.ROOT / "requirements.txt").read_text()
    blocks = re.findall(r"^([a-z0-9._-]+)==(?:.*\\\n)((?: +--hash=.*\n)+)", text, flags=re.MULTILINE)
    return {name: re.findall(r"sha256:([0-9a-f]{64})", lines) for name, lines in blocks}


def of_servers(servers: Path) -> Iterator[Component]:
    for package in native_bundle.read_lock(native_bundle.lock_file(native_bundle.machine())):
        document = servers / "copyright" / package.name
        yield debian(package.name, package.version, document, [package.sha256])


def of_machine(owners: dict[str, str]) -> Iterator[Component]:
    for name, version in owners.items():
        yield debian(name, version, native_bundle.document_of(name, DOCUMENTS.parents[2]), [])


def owners_of(files: Iterable[str]) -> dict[str, str]:
    """Debian's packages, with their versions, that own files which are neither Python's nor its packages'."""
    own = tuple(str(Path(folder).resolve()) for folder in (sys.base_prefix, sys.prefix) if folder != "/usr")
    outside = [str(path) for file in files if not str(path := Path(file).resolve()).startswith(own)]
    found = {}
    for file in outside:
        if "/dist-packages/" in file or "/python3" in file:
            continue
        # Some packages still name a file as it was called before /lib became a link to /usr/lib.
        for name in (file, file.removeprefix("/usr")):
            said = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False)
            if said.returncode == 0:
                package = said.stdout.partition(":")[0]
                found[package] = query(package)
                break
        else:
            raise SystemExit(f"{file} would be in the program, and is of no package: who made it, under what licence?")
    return found


def query(package: str) -> str:
    command = ["dpkg-query", "--show", "--showformat=${Version}\n", package]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def debian(name: str, version: str, document: Path, hashes: Iterable[str]) -> Component:
    purl = PackageURL("deb", "debian", name, version, {"arch": native_bundle.machine(), "distro": "bookworm"})
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    return component(name, version, purl, licences_in(text) or [f"native/copyright/{name}"], hashes)


def licences_in(copyright: str) -> list[str]:
    """The short names in one of Debian's copyright files, where it is written for machines to read.

    >>> licences_in("Files: *\\nLicense: BSD-3-clause\\n text\\nFiles: debian/*\\nLicense: GPL-2+\\n")
    ['BSD-3-clause', 'GPL-2+']
    """
    return sorted(set(re.findall(r"^License: *(\S.*?) *$", copyright, flags=re.MULTILINE)))


def of_browser() -> Iterator[Component]:
    packages = json.loads((frozen.ROOT / "package-lock.json").read_text())["packages"]
    for name in browser_libs.TAKEN:
        entry = packages[f"node_modules/{name}"]
        algorithm, _, digest = entry["integrity"].partition("-")
        assert algorithm == "sha512"
        found = component(name, entry["version"], PackageURL("npm", None, name, entry["version"]), [entry["license"]])
        found.hashes.add(HashType(alg=HashAlgorithm.SHA_512, content=base64.b64decode(digest).hex()))
        yield found


def component(
    name: str, version: str, purl: PackageURL, licences: Iterable[str], sha256: Iterable[str] = ()
) -> Component:
    """One part. A licence that is no SPDX name stands there in the words of whoever gave it."""
    make = LicenseFactory().make_from_string
    expressions = [make(said) for said in licences]
    if len(expressions) > 1:  # an expression must stand alone
        expressions = [LicenseFactory().make_with_name(said) for said in licences]
    return Component(
        name=name,
        version=version,
        bom_ref=str(purl),
        purl=purl,
        licenses=expressions,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in sha256],
    )
