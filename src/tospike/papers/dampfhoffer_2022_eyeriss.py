"""Claims of III-A and III-B1 that rest on the measurements of the Eyeriss chip."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tospike.errors import DataError
from tospike.network.zoo import load_zoo
from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.registry import Recompute

PATH = Path(__file__).parent / "data" / "eyeriss_2017_jssc.yaml"
#: data are encoded in 2 B (III-B1)
_BYTES = 2
#: naive accesses per MAC (eq. 2): input, weight, and partial sum twice; III-B1 removes the weight
_NAIVE, _WEIGHT = 4, 1
_SOURCES = ("chen_2017_jssc",)


class _Counts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    gmac: float
    glb_mb: float
    zeros_pct: float


class _Row(_Counts):
    layer: str


class Measured(BaseModel):
    """Convolutional layers of one network on the chip, per batch; MB is 1e6 byte."""

    model_config = ConfigDict(extra="forbid")

    network: Literal["vgg16", "alexnet"]
    source: str
    locator: str
    method: Literal["printed", "recalled"]
    evidence: str
    batch: int
    total: _Counts
    rows: list[_Row]


def read(path: Path = PATH) -> dict[str, Measured]:
    """The measurements by network. Raises :class:`DataError` for rows that miss their totals."""
    asked = f"read the measurements {path.name}"
    try:
        tables = TypeAdapter(list[Measured]).validate_python(
            YAML(typ="safe").load(path.read_text())
        )
    except YAMLError as error:
        raise DataError(asked, received=" ".join(str(error).split()), where=str(path)) from error
    except ValidationError as error:
        raise DataError(
            asked, reasons=[f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        ) from error
    reasons = []
    for table in tables:
        # each row and the total are rounded to half of the last printed digit
        for name, digit in (("gmac", 0.01), ("glb_mb", 0.1)):
            summed = sum(float(getattr(row, name)) for row in table.rows)
            total = float(getattr(table.total, name))
            if table.rows and abs(summed - total) > digit / 2 * (len(table.rows) + 1):
                reasons.append(
                    f"{table.network}: {name} of the rows sum to {summed:.8g}, not {total:g}"
                )
    if reasons:
        raise DataError(asked, reasons=reasons)
    return {table.network: table for table in tables}


@cache
def measured() -> dict[str, Measured]:
    """The measurements that ship with the package."""
    return read()


@cache
def conv_counts(network: str) -> tuple[int, int, int]:
    """MACs of one image, weights, and weights with groups counted as dense; convolutions only."""
    layers = [layer for layer in load_zoo(network).synaptic_layers if layer.kind == "conv"]
    return (
        sum(layer.n_synapses for layer in layers),
        sum(layer.n_weights for layer in layers),
        sum(layer.n_weights * layer.groups for layer in layers),
    )


def naive_bytes(network: str, accesses: int = _NAIVE - _WEIGHT) -> float:
    """Accesses to inputs and partial sums of a batch without reuse, in byte."""
    return measured()[network].batch * conv_counts(network)[0] * accesses * _BYTES


def buffer_bytes(network: str, weight_passes: float = 1.0, *, dense: bool = False) -> float:
    """Accesses to the global buffer of a batch without those to weights, in byte."""
    _, true, grouped = conv_counts(network)
    weights = grouped if dense else true
    return measured()[network].total.glb_mb * 1e6 - weight_passes * weights * _BYTES


def _naive_claim(claim: Claim) -> Recomputed:
    batch, (macs, _, _) = measured()["vgg16"].batch, conv_counts("vgg16")
    computed = naive_bytes("vgg16") / 1e9
    return Recomputed(
        computed,
        f"{batch} x {macs / 1e9:.4f} G MAC x {_NAIVE - _WEIGHT} accesses x {_BYTES} B = "
        f"{computed:.2f} GB. The text's “each MAC operation requires 4 memory accesses” includes "
        f"the weight, which is removed; all 4 would be {naive_bytes('vgg16', _NAIVE) / 1e9:.1f} GB",
        why="Reads of inputs and partial sums and writes of partial sums, 2 B each.",
        sources=_SOURCES,
    )


def _buffer_claim(claim: Claim) -> Recomputed:
    total, weights = measured()["vgg16"].total.glb_mb, conv_counts("vgg16")[1]
    computed = buffer_bytes("vgg16") / 1e6
    return Recomputed(
        computed,
        f"{total} MB - {weights / 1e6:.3f} M weights x {_BYTES} B, once per batch = "
        f"{computed:.1f} MB (the {total} MB are quoted from memory)",
        why="The weights are taken off once per batch.",
        sources=_SOURCES,
    )


def _reuse_vgg16(claim: Claim) -> Recomputed:
    computed = naive_bytes("vgg16") / buffer_bytes("vgg16")
    return Recomputed(
        computed,
        f"{naive_bytes('vgg16') / 1e9:.2f} GB / {buffer_bytes('vgg16') / 1e6:.0f} MB = "
        f"{computed:.2f}",
        why="Naive accesses over measured accesses to the global buffer.",
        sources=_SOURCES,
    )


def _reuse_alexnet(claim: Claim) -> Recomputed:
    computed = naive_bytes("alexnet") / buffer_bytes("alexnet")
    dense = naive_bytes("alexnet") / buffer_bytes("alexnet", dense=True)
    twice = naive_bytes("alexnet") / buffer_bytes("alexnet", 2.0)
    return Recomputed(
        computed,
        f"{naive_bytes('alexnet') / 1e9:.3f} GB / ({measured()['alexnet'].total.glb_mb} MB - "
        f"{conv_counts('alexnet')[1] * _BYTES / 1e6:.2f} MB of weights) = {computed:.2f}",
        conventions=(
            Convention(
                "groups counted as dense in the weights taken off", dense,
                "With the weights of AlexNet's grouped layers counted as dense ones.",
            ),
            Convention(
                "rounding to a multiple of 5", 5.0 * round(computed / 5),
                "78.4 rounds to 80, and the 25.1 of VGG16 to 25.",
            ),
            Convention(
                "weights written to and read from the buffer", twice,
                "With each weight passing the buffer twice; for VGG16 this misses 11006 MB.",
            ),
        ),
        why=f"The steps that give 25 for VGG16 give {computed:.1f} for AlexNet, on a total of "
        "buffer accesses that is quoted from memory. Eq. 13 moves by 0.0002 spikes per synapse.",
        sources=_SOURCES,
    )  # fmt: skip


def _gamma(claim: Claim) -> Recomputed:
    zeros = [table.total.zeros_pct for table in measured().values()]
    rows = measured()["vgg16"].rows
    mean = sum(row.zeros_pct for row in rows) / len(rows)
    weighted = sum(row.zeros_pct * row.gmac for row in rows) / sum(row.gmac for row in rows)
    computed = sum(zeros) / len(zeros)
    return Recomputed(
        computed,
        f"mean of the totals {' and '.join(f'{zero:g} %' for zero in zeros)} = {computed:.2f} %. "
        f"Over the layers of VGG16: plain mean {mean:.1f} %, weighted by MACs {weighted:.1f} %",
        why="The totals are quoted from memory.",
        sources=_SOURCES,
    )


RECOMPUTE: dict[str, Recompute] = {
    "RF25": _reuse_vgg16,
    "276GB": _naive_claim,
    "11006MB": _buffer_claim,
    "RF80": _reuse_alexnet,
    "gamma": _gamma,
}
