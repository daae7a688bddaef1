"""`make demo`: four real networks on real data, one report.

(a) static images: a CNN trained on Fashion-MNIST, as ANN, quantised ANN, SNN and hybrid;
(b) photographs: the trained VGG-16 trunk, zeros per layer as in Liu & Delbruck 2019, Fig. 4;
(c) streaming: the NSNet2 speech denoiser on noisy speech, run as delta network;
(d) motion: a GRU that tells activities from a sensor at the waist, run as delta network.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

# OpenMP reads this when torch is imported: waiting threads shall not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from rich.console import Console

import tospike as ts
from tospike.activity.data import check_data, read_data
from tospike.decision import Decision
from tospike.reporting import Section, activity_figure, render, report
from tospike.units import si

HERE = Path(__file__).resolve().parent
SNR_DB = 5.0


def module(folder: str, name: str) -> ModuleType:
    """A file of a demo folder, imported under a name of its own."""
    path = HERE / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"demo_{folder}_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module {path.name} in demo/{folder}")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def images(console: Console) -> Decision:
    """(a) The Fashion-MNIST CNN on 2500 test images."""
    folder = HERE / "fashion_mnist"
    with console.status("(a) Fashion-MNIST CNN: running ANN, QNN, SNN and hybrids"):
        return ts.analyze(
            module("fashion_mnist", "model").trained_cnn(),
            replace(read_data(folder / "test.npz"), origin="2500 test images"),
            calibration=replace(
                read_data(folder / "calibration.npz"), origin="512 training images"
            ),
        )


def photographs(console: Console) -> tuple[Decision, Section, float]:
    """(b) The VGG-16 trunk on photographs: zeros per layer, share of useful MACs."""
    vgg = module("vgg16_trunk", "model")
    trunk, photos = vgg.trunk().eval(), vgg.photos()
    with console.status("(b) VGG-16 trunk: measuring five photographs"):
        network = ts.load(trunk, torch.from_numpy(photos[:1]))
        activity = replace(ts.measure(trunk, photos), origin=f"{len(photos)} photographs")
        decision = ts.decide(network, activity)
    useful = sum(layer.synaptic_operations for layer in activity.layers.values())
    share = useful / network.n_synapses
    text = (
        f"The trained VGG-16 trunk (13 convolutions, {network.n_synapses / 1e9:.2f} GMAC at "
        f"224 × 224) on {len(photos)} photographs. Only {100 * share:.1f} % of its "
        "multiply-accumulates meet an input that is not zero; a machine that skips zeros saves "
        "the rest (compare Liu & Delbruck 2019, Fig. 4). The trunk was trained on for edge "
        "detection (HED); its first layer sees the image itself, which has hardly any zeros."
    )
    figure = activity_figure(network, activity)
    section = Section("Zeros per layer of the VGG-16 trunk", text, (figure,), belongs_to=1)
    return decision, section, share


def speech(console: Console) -> tuple[Decision, Section]:
    """(c) NSNet2 on 25 s of speech with noise, dense and as delta networks."""
    features = module("nsnet2", "features")
    path = features.model_path()
    frames = features.frames(features.SPEECH, features.NOISE, SNR_DB)
    data = check_data(frames[None], origin=f"speech with vinyl hiss, {SNR_DB:g} dB SNR")
    with console.status("(c) NSNet2: running 25 s of speech in noise as delta networks"):
        decision = ts.analyze(path, data, sequence=True)
    energies = {item.name: item.energy_J for item in decision.implementations}
    won, base = (
        energies[name]
        for name in (
            decision.winner,
            next(item.name for item in decision.implementations if item.reference),
        )
    )
    per_frame = [si(joule / frames.shape[0], "J") for joule in (won, base)]
    text = (
        f"The NSNet2 denoiser (Microsoft, CC BY 4.0) on {frames.shape[0]} frames of speech with "
        f"noise at {SNR_DB:g} dB; one inference is the whole recording, one time step a frame of "
        f"10 ms. {decision.winner} needs {per_frame[0]} per frame, the reference {per_frame[1]}. "
        "The signal-to-noise ratio is that of the gains that the delta network computes, against "
        "those of the unchanged network."
    )
    return decision, Section("NSNet2 frame by frame", text, (), (), 2)


def motion(console: Console) -> Decision | None:
    """(d) The motion GRU on people it has not seen; None where the recordings are not there."""
    source = module("motion", "data")
    try:
        x, y = source.sequences(test=True)
    except (ImportError, FileNotFoundError) as error:
        console.print(f"\nmotion: left out, {error}")
        return None
    data = check_data(x, y, origin=f"{len(x)} sequences of nine people not seen in training")
    with console.status("(d) motion GRU: running it as delta networks"):
        return ts.analyze(module("motion", "model").trained_gru(), data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, default=Path("out/demo.html"))
    arguments = parser.parse_args()
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    console = Console()
    start = time.monotonic()
    first = images(console)
    render(first, console)
    second, zeros, share = photographs(console)
    console.print(f"\nVGG-16 trunk: {100 * share:.1f} % of the MACs have an input that is not zero")
    third, deltas = speech(console)
    console.print(f"\nNSNet2: {third.verdict}")
    fourth = motion(console)
    parts = {
        "Static images: Fashion-MNIST CNN": first,
        "Photographs: VGG-16 trunk": second,
        "Streaming: NSNet2 on speech": third,
    }
    if fourth is not None:
        console.print(f"\nmotion: {fourth.verdict}")
        parts["Streaming: motion of the body"] = fourth
    report(
        parts,
        arguments.report,
        title="tospike demo: to spike, or not to spike?",
        extra_sections=(zeros, deltas),
    )
    console.print(f"\nreport: {arguments.report} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
