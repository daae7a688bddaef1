"""``tospike convert``: a network as delta, spiking or quantised network, measured and written."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tospike.cli.common import (
    DataPath,
    Format,
    Json,
    Model,
    Weights,
    check_format,
    load_model,
    print_as,
    print_json,
    progress_bars,
    read,
)
from tospike.cli.convert_sigma_delta import show_sigma_delta
from tospike.cli.convert_snn import (
    SnnOptions,
    parsed_timesteps,
    quantised,
    run_sweep,
    show_run,
    show_snn,
    write_nir,
)
from tospike.errors import ConversionError, OptionError

if TYPE_CHECKING:
    import torch

    from tospike.activity.data import Data
    from tospike.conversion.delta.traffic import LayerTraffic

_TARGETS = ("delta", "snn", "qnn", "sigma_delta")


def fraction(text: str, name: str) -> float:
    """ "1/16" or "0.0625": a finite number of at least 0."""
    try:
        above, _, below = text.strip().partition("/")
        value = float(above) / (float(below) if below else 1.0)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise OptionError(f"read {name} {text!r}", allowed="numbers such as 1/16 or 0.0625")
    return value


def thresholds(text: str, name: str) -> tuple[float, ...]:
    """ "1/64,1/16" as sorted numbers above 0, each once."""
    values = {fraction(part, name) for part in text.split(",") if part.strip()}
    if not values or min(values) <= 0:
        raise OptionError(
            f"read {name} {text!r}", allowed="numbers above 0 with commas, such as 1/64,1/16,1/8"
        )
    return tuple(sorted(values))


def convert(
    model: Model,
    to: Annotated[str, typer.Option(help="delta, snn, qnn or sigma_delta.")],
    theta: Annotated[
        list[str] | None,
        typer.Option(
            help="Delta threshold, 1/16; or of one layer, gru=1/8. Repeat it. For sigma_delta a "
            "share of the values of each layer."
        ),
    ] = None,
    linear: Annotated[
        str | None, typer.Option(help='Linear layers to convert too: names with commas, or "all".')
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(help="Search thresholds that keep this accuracy, or SNR in dB; needs --data."),
    ] = None,
    weights: Weights = None,
    data: DataPath = None,
    labels: Annotated[Path | None, typer.Option(help="Labels: .npy .npz .txt .csv.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration samples for snn and qnn; default: the data.")
    ] = None,
    timesteps: Annotated[str, typer.Option(help="T of an SNN, or several: 1,2,4,8.")] = "32",
    method: Annotated[
        str | None,
        typer.Option(help="Thresholds: max, percentile, mse, qcfs; default: the best for T."),
    ] = None,
    correction: Annotated[
        str | None, typer.Option(help="none, fit, bias, potential or weights; default: by method.")
    ] = None,
    coding: Annotated[str, typer.Option(help="rate, or ttfs: time to first spike.")] = "rate",
    max_pool: Annotated[str, typer.Option(help="Max-pooling of spikes: exact or or.")] = "exact",
    schedule: Annotated[
        str, typer.Option(help="Layers fire together, or one after the other: together or layers.")
    ] = "together",
    calibration_size: Annotated[
        int | None, typer.Option(help="Draw so many calibration samples.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of that draw.")] = 0,
    bits: Annotated[int, typer.Option(help="Activation bits of a qnn.")] = 8,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Delta network: .npz runs with tospike alone, .pt is a state_dict. SNN: .nir, at "
            "the largest T."
        ),
    ] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Convert a trained network, measure what became of it, and write it."""
    check_format(format, as_json)
    options = SnnOptions(
        parsed_timesteps(timesteps),
        method,
        correction,
        coding,
        max_pool,
        schedule,
        calibration_size,
        seed,
    )
    wrong = _wrong(to, theta, linear, floor, data, out) + options.wrong(to)
    if wrong:
        raise OptionError("convert with these options", fix="mend what is listed", reasons=wrong)
    held, network = read(data, labels), load_model(model, weights)
    if to != "delta":
        assert held is not None
        fitting = read(calibration, None) or held
        if to == "qnn":
            show_run(to, quantised(network, held, fitting, bits), as_json, format)
        elif to == "snn":
            with progress_bars(as_json or format is not None) as step:
                runs = run_sweep(network, held, fitting.x, options, step)
                files = () if out is None else write_nir(network, fitting, options, out)
            show_snn(runs, coding, as_json, format, files)
        else:
            show_sigma_delta(network, held, fitting, _thetas(theta or []), as_json, format)
        return
    made = _delta(network, theta or [], linear, floor, held)
    if out is not None:
        _write(made.module, out)
    _show_delta(made, out, as_json, format)


def _wrong(
    to: str,
    theta: list[str] | None,
    linear: str | None,
    floor: float | None,
    data: Path | None,
    out: Path | None,
) -> list[str]:
    """Everything that does not fit together, before anything is read."""
    if to not in _TARGETS:
        return [f"--to is {to!r}; there are {', '.join(_TARGETS)}"]
    if to != "delta":
        found = [
            f"{name} belongs to --to delta"
            for name, value in (
                ("--theta", theta if to != "sigma_delta" else None), ("--linear", linear),
                ("--floor", floor), ("--out", out if to != "snn" else None),
            )
            if value is not None
        ]  # fmt: skip
        if not data:
            found.append("--data is needed: the conversion is calibrated on it")
        if to == "sigma_delta" and not theta:
            found.append("no threshold: give --theta 1/16, or --theta conv1=1/16")
        return found + ([] if out is None or to != "snn" else _wrong_file(out, (".nir",)))
    found = []
    if not theta and floor is None:
        found.append("no threshold: give --theta 1/16, or --floor with --data to search them")
    if theta and floor is not None:
        found.append("--theta and --floor: thresholds are given, or searched")
    if floor is not None and data is None:
        found.append("--floor needs --data")
    return found if out is None else found + _wrong_file(out, (".npz", ".pt"))


def _wrong_file(out: Path, suffixes: tuple[str, ...]) -> list[str]:
    found = []
    if out.suffix not in suffixes:
        found.append(
            f"--out is {out.name!r}; a name that ends in {' or '.join(suffixes)} is needed"
        )
    if not out.parent.is_dir():
        found.append(f"the folder of --out does not exist: {out.parent}")
    return found


@dataclass(frozen=True)
class _Made:
    """A delta network, and on data: what it sent, and how good it is."""

    module: torch.nn.Module
    thetas: dict[str, float]
    layers: tuple[LayerTraffic, ...] = ()
    quality: dict[str, float | None] | None = None
    searched: bool = False


def _delta(
    network: Any, theta: list[str], linear: str | None, floor: float | None, held: Data | None
) -> _Made:
    import torch

    from tospike.conversion.delta.from_onnx import load_chain
    from tospike.conversion.delta.search import thresholds as all_thresholds

    dense = network if isinstance(network, torch.nn.Module) else load_chain(_onnx(network))
    dense = dense.eval()
    axis = 1 if not isinstance(network, torch.nn.Module) and not dense.batch_first else 0
    base, per_layer = _thetas(theta)
    chosen = _linear(dense, linear, held, axis, chain=not isinstance(network, torch.nn.Module))
    made = _converted(dense, base, per_layer, chosen)
    if held is None:
        return _Made(made, _named(all_thresholds(made)))
    reference = _reference(dense, held, axis)
    if floor is not None:
        made = _searched(made, held, axis, reference, floor)
    layers, found = _measured(made, held, axis, reference)
    return _Made(made, _named(all_thresholds(made)), layers, found, floor is not None)


def _onnx(name: str) -> str:
    if not name.lower().endswith(".onnx"):
        raise ConversionError(
            f"convert {name!r}",
            received="a topology without weights",
            allowed="an .onnx file, or file.py:factory with trained weights",
        )
    return name


def _thetas(texts: list[str]) -> tuple[float, dict[str, float]]:
    """(threshold of all layers, thresholds by layer)."""
    base, by_name = 0.0, {}
    for text in texts:
        name, equal, value = text.rpartition("=")
        if equal:
            by_name[name] = fraction(value, "--theta")
        else:
            base = fraction(text, "--theta")
    return base, by_name


def _linear(
    dense: torch.nn.Module, asked: str | None, held: Data | None, axis: int, *, chain: bool
) -> list[str]:
    """Names of the linear layers to convert; each must be fed by a sequence."""
    from torch import nn

    if asked is None:
        return []
    fed = tuple(name for name, part in dense.named_modules() if type(part) is nn.Linear)
    if not chain:
        if held is None:
            raise OptionError(
                "convert linear layers", received="no --data",
                fix="give --data: running it shows which layers are fed by a sequence",
            )  # fmt: skip
        from tospike.decision.delta_plan import sequence_fed

        fed = sequence_fed(dense, held.x, axis)[1]
    if asked == "all":
        return list(fed)
    names = [one.strip() for one in asked.split(",") if one.strip()]
    wrong = [f"{name} is no linear layer over a sequence" for name in names if name not in fed]
    if wrong:
        raise OptionError(
            "convert linear layers", allowed=", ".join(fed) or "none here", reasons=wrong
        )
    return names


def _converted(
    dense: torch.nn.Module, base: float, per_layer: dict[str, float], chosen: list[str]
) -> torch.nn.Module:
    from torch import nn

    from tospike.conversion.delta.layers import DeltaLinear
    from tospike.conversion.delta.replace import delta_network

    parts = dict(dense.named_modules())
    recurrent = [name for name, part in parts.items() if isinstance(part, nn.RNNBase)]
    thetas = dict.fromkeys([*recurrent, *chosen], base) | per_layer
    made = delta_network(dense, thetas or base, linear=chosen)
    second = any(getattr(parts[name], "batch_first", False) for name in recurrent)
    for part in made.modules():
        if isinstance(part, DeltaLinear):
            part.batch_first = second
    return made.eval()


def _reference(dense: torch.nn.Module, held: Data, axis: int) -> torch.Tensor:
    from tospike.decision.delta_plan import called

    return called(dense, held.x, axis)


def _quality(
    made: torch.nn.Module, held: Data, axis: int, reference: torch.Tensor
) -> dict[str, float | None]:
    from tospike.decision.delta_plan import called
    from tospike.decision.delta_run import quality

    found = quality(called(made, held.x, axis), reference, held.y)
    before = quality(reference, reference, held.y)
    return {
        "accuracy": found.accuracy,
        "accuracy_dense": before.accuracy,
        "agreement": found.agreement,
        "snr_db": found.snr_db,
    }


def _measured(
    made: torch.nn.Module, held: Data, axis: int, reference: torch.Tensor
) -> tuple[tuple[LayerTraffic, ...], dict[str, float | None]]:
    from tospike.conversion.delta.recording import recorded
    from tospike.conversion.delta.traffic import traffic

    with recorded() as record:
        found = _quality(made, held, axis, reference)
    return traffic(made, record), found


def _searched(
    made: torch.nn.Module, held: Data, axis: int, reference: torch.Tensor, floor: float
) -> torch.nn.Module:
    """Thresholds that keep the floor on these data: of accuracy with labels, else of SNR."""
    from tospike.conversion.delta.search import search_thresholds, with_thresholds

    which = "accuracy" if held.y is not None else "snr_db"

    def score(module: torch.nn.Module) -> float:
        value = _quality(module, held, axis, reference)[which]
        if value is None:
            raise OptionError(
                f"keep an accuracy of {floor:g}",
                received="an output that is no class score",
                fix="leave the labels out and give --floor in dB",
            )
        return value

    found = search_thresholds(made, score, floor, first=2.0**-6, highest=4.0, refine=1)
    return with_thresholds(made, found.thetas)


def _named(found: Any) -> dict[str, float]:
    """ "gru.0.theta_x": threshold."""
    return {
        ".".join(part for part in (name, str(level), which) if part): value
        for (name, level, which), value in found.items()
    }


def _write(module: torch.nn.Module, out: Path) -> None:
    from tospike.conversion.delta.store import save, write_whole

    if out.suffix == ".npz":
        save(module, out)
        return
    import torch

    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    write_whole(out, buffer.getvalue())


def _show_delta(made: _Made, out: Path | None, as_json: bool, format: str | None) -> None:
    from tospike.cli.convert_tables import delta_tables
    from tospike.conversion.delta.traffic import total

    if format is not None:
        tables = delta_tables(made.thetas, made.layers, made.quality, searched=made.searched)
        print_as(tables, format)
        return
    read, dense = total(made.layers) if made.layers else (0.0, 0)
    if as_json:
        print_json(
            {
                "to": "delta",
                "thresholds": made.thetas,
                "layers": [
                    {
                        "name": one.name,
                        "level": one.level,
                        "sparsity_x": one.sparsity_x,
                        "sparsity_h": one.sparsity_h,
                        "weights_per_step": one.weights,
                        "dense_weights_per_step": one.dense_weights,
                    }
                    for one in made.layers
                ],
                "weights_per_step": read if made.layers else None,
                "dense_weights_per_step": dense if made.layers else None,
                "quality": _finite(made.quality),
                "searched": made.searched,
                "file": None if out is None else str(out),
            }
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    names = ["delta layer", "Θx", "Θh"]
    if made.layers:
        names += ["Γx", "Γh", "weights/step", "dense/read"]
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left")
    for row in _rows(made):
        table.add_row(*row)
    console = Console()
    console.print(table)
    if made.layers:
        saving = f", {dense / read:.3g} times less" if read else ""
        typer.echo(f"{read:,.0f} weights per time step in place of {dense:,}{saving}")
    for line in _quality_lines(made):
        typer.echo(line)
    if out is not None:
        typer.echo(f"written: {out}")


def _rows(made: _Made) -> list[list[str]]:
    by_place = {(one.name, one.level): one for one in made.layers}
    places: dict[tuple[str, int], dict[str, float]] = {}
    for text, value in made.thetas.items():
        front, level_text, which = f".{text}".rsplit(".", 2)
        places.setdefault((front.lstrip("."), int(level_text)), {})[which] = value
    found = []
    for (name, level), theta in places.items():
        shown = (name or "network") + (f", layer {level}" if level else "")
        row = [shown, f"{theta['theta_x']:.4g}", f"{theta['theta_h']:.4g}" if "theta_h" in theta
               else "–"]  # fmt: skip
        one = by_place.get((name, level))
        if one is not None:
            gamma_h = "–" if one.sparsity_h is None else f"{100 * one.sparsity_h:.1f} %"
            ratio = f"{one.dense_weights / one.weights:.2f}×" if one.weights else "–"
            row += [f"{100 * one.sparsity_x:.1f} %", gamma_h, f"{one.weights:,.0f}", ratio]
        found.append(row)
    return found


def _quality_lines(made: _Made) -> list[str]:
    found = made.quality or {}
    lines = []
    accuracy, before = found.get("accuracy"), found.get("accuracy_dense")
    if accuracy is not None and before is not None:
        lines.append(f"accuracy {100 * accuracy:.2f} % (dense {100 * before:.2f} %)")
    if (agreement := found.get("agreement")) is not None:
        lines.append(f"agreement with the dense network {100 * agreement:.2f} %")
    if (snr := found.get("snr_db")) is not None:
        same = "output equal to the dense network's"
        lines.append(f"SNR against the dense network {snr:.1f} dB" if math.isfinite(snr) else same)
    if made.searched:
        lines.append("thresholds were searched on these very data: check them on others")
    return lines


def _finite(values: dict[str, float | None] | None) -> dict[str, float | None] | None:
    if values is None:
        return None
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in values.items()
    }
