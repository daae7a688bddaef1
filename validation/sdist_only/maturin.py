"""A build backend that builds nothing: lets pip fetch a source distribution without a compiler.

``pip download --no-binary`` asks the build backend of a package for its metadata. The backend of
faery needs Rust and the sources of its crates for that; wanted are only the recordings in the
folder ``tests/data`` of the archive. With ``--no-build-isolation`` and this folder on PYTHONPATH,
pip asks here.
"""

from __future__ import annotations

import re
from pathlib import Path


def prepare_metadata_for_build_wheel(folder: str, config_settings: object = None) -> str:
    """Write the least that pip wants: name and version, from PKG-INFO. Returns the folder made."""
    text = Path("PKG-INFO").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^(Name|Version): (.+)$", text, re.MULTILINE))
    made = f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
    (Path(folder) / made).mkdir()
    (Path(folder) / made / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {fields['Name']}\nVersion: {fields['Version']}\n",
        encoding="utf-8",
    )
    return made


def build_wheel(*_: object) -> str:
    """Never called by ``pip download``."""
    raise RuntimeError("this backend builds nothing")
