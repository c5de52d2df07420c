"""A bare Debian 12 to run the frozen program in, as an ordinary user: what it needs, it must bring. Needs root.

    python3 packaging/bare_root.py make
    python3 packaging/bare_root.py run FILE ARGUMENT...

`make` makes `.setup/bare-root` (mmdebstrap's smallest variant) with the checkout's configuration, or empties its /tmp.
`run` becomes the program FILE there. Of this machine it sees its own folder, the folders of
`DEPOTBOX_STORAGE__DATA_DIR` (given to the user) and of the arguments that are files, and `DEPOTBOX_...` variables.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from setup_steps import SetupError, Shell, Step, digest, find_program, perform

CHECKOUT = Path(__file__).resolve().parent.parent
CONFIG = CHECKOUT / "depotbox.dev.toml"
STATE = CHECKOUT / ".setup"
ROOT = STATE / "bare-root"
USER = "depot"
SUITE = "bookworm"
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))

# $1: root, $2: user, $3: number of folders, then these, then the program. Mounts end with the last process inside.
ENTER = """
set -e
root=$1 user=$2 count=$3
shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$count" -gt 0 ]; do
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    shift
    count=$((count - 1))
done
exec chroot --userspec="$user:$user" "$root" "$@"
"""


def root_step() -> Step:
    def build(shell: Shell) -> None:
        if os.geteuid() != 0 or not find_program("mmdebstrap"):
            raise SetupError("a bare Debian needs root, and mmdebstrap: apt-get install mmdebstrap")
        shutil.rmtree(ROOT, ignore_errors=True)
        mirrors = [str(file) for file in SOURCES if file.is_file()]
        hook = f'--customize-hook=chroot "$1" useradd --create-home {USER}'
        shell.run("mmdebstrap", ["mmdebstrap", "--variant=minbase", "--mode=root", hook, SUITE, ROOT, *mirrors])

    return Step("bare-root", "a bare Debian 12", lambda: digest([Path(__file__)]), [ROOT / "home" / USER], build)


def enter(program: Path, arguments: list[str]) -> None:
    """Becomes the program, with the process id of this one."""
    folders = [program.parent]
    if data_dir := os.environ.get("DEPOTBOX_STORAGE__DATA_DIR"):
        folders.append(Path(data_dir).parent)
        passwd = (ROOT / "etc" / "passwd").read_text().splitlines()
        user, group = next(line.split(":")[2:4] for line in passwd if line.startswith(f"{USER}:"))
        os.chown(folders[-1], int(user), int(group))
    folders += [Path(argument).parent for argument in arguments if argument.startswith("/") and Path(argument).exists()]
    environ = {name: value for name, value in os.environ.items() if name.startswith("DEPOTBOX_")}
    environ |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": f"/home/{USER}", "LANG": "C.UTF-8", "TERM": "dumb"}
    words = ["unshare", "--mount", "sh", "-c", ENTER, "sh", ROOT, USER, len(folders), *folders, program, *arguments]
    os.execvpe("unshare", [str(word) for word in words], environ)


def main(arguments: list[str]) -> int:
    if arguments[0] == "run":
        enter(Path(arguments[1]).resolve(), arguments[2:])
    STATE.mkdir(exist_ok=True)
    try:
        perform([root_step()], STATE)
        (ROOT / "etc" / "depotbox").mkdir(exist_ok=True)
        shutil.copy(CONFIG, ROOT / "etc" / "depotbox" / "depotbox.toml")
        for left in (ROOT / "tmp").iterdir():  # by what was killed
            shutil.rmtree(left)
    except (SetupError, OSError) as error:
        print(f"bare root: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
