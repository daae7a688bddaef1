"""NullHop refuses what it cannot run: every layer, every fault of the file, and what to change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tospike.architecture
from tospike.activity import ActivityProfile
from tospike.architecture import load_architecture
from tospike.architecture.record import ZeroHandling
from tospike.errors import DataError, ModelError, StatisticError, TechnologyError
from tospike.machines import Workload, simulate
from tospike.machines.nullhop import decode, encode, encode_rows
from tospike.network import Layer, Network
from tospike.network.network import Origin

PACKAGED = Path(tospike.architecture.__file__).parent / "data" / "nullhop.yaml"


def conv(name: str, shape: tuple[int, ...] = (4, 8, 8), kernel: int = 3, **more: object) -> Layer:
    fields = {
        "kernel": (kernel, kernel),
        "stride": (1, 1),
        "padding": (kernel // 2,) * 2,
        "dilation": (1, 1),
        **more,
    }
    return Layer(name, "conv", shape, (8, *shape[1:]), **fields)  # type: ignore[arg-type]


def work(*layers: Layer) -> Workload:
    net = Network(layers, (), (layers[-1].name,), Origin("zoo", "test"))
    return Workload(net, ActivityProfile.assumed(net, zero_fraction=0.5, origin="test"))


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = PACKAGED.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "chip.yaml"
    path.write_text(text, "utf-8")
    return path


def test_every_layer_that_does_not_fit_is_named() -> None:
    layers = (
        conv("large", kernel=11),
        Layer("flat", "conv", (4, 8, 8), (8, 8, 8), (1, 7), (1, 1), (0, 3), (1, 1)),
        conv("holes", dilation=(2, 2)),
        conv("up", transposed=True),
        Layer("line", "conv", (4, 8), (8, 8), (3,), (1,), (1,), (1,)),
        Layer("gru", "rnn_hidden", (4,), (8,)),
        conv("again", calls=4),
        conv("deep", (2048, 7, 7), kernel=7),
        conv("fits"),
    )
    with pytest.raises(ModelError) as error:
        simulate(work(*layers), "nullhop")
    reasons = error.value.reasons
    assert [reason.partition(":")[0] for reason in reasons] == [
        "large", "flat", "holes", "up", "line", "gru", "again", "deep",
    ]  # fmt: skip
    assert "larger than 7x7; split it into smaller kernels" in reasons[0]
    assert "pad it with zeros to 7x7" in reasons[1]
    assert "'rnn_hidden'" in reasons[5]
    assert "need 12544 words in each of 8 MACs; the kernel memory holds 4096" in reasons[7]
    assert "at least 25088 byte" in reasons[7]
    assert "8 of 9 layers do not fit" in error.value.received


def test_the_advice_about_the_kernel_memory_is_enough(tmp_path: Path) -> None:
    path = written(tmp_path, ('value: "8 KiB"', 'value: "25088 B"'))
    run = simulate(work(conv("deep", (2048, 7, 7), kernel=7)), path)
    assert run.layers[0].active_pe == 8 * 8  # 8 output maps, 8 MACs each


def test_rows_that_do_not_fit_into_the_input_memory(tmp_path: Path) -> None:
    path = written(tmp_path, ('value: "512 KiB"', 'value: "1 KiB"'))
    with pytest.raises(ModelError, match="input_memory holds 1024") as error:
        simulate(work(conv("wide", (64, 32, 32)), conv("small")), path)
    assert [reason.partition(":")[0] for reason in error.value.reasons] == ["wide"]
    assert "narrower tiles" in error.value.fix


def test_layers_without_activity() -> None:
    layers = (conv("a"), conv("b"), conv("c"))
    net = work(*layers).network
    with pytest.raises(StatisticError) as error:
        simulate(Workload(net, traces={"b": np.ones((1, 4, 8, 8))}), "nullhop")
    assert error.value.reasons == ("a", "c")


def test_traces_that_do_not_fit() -> None:
    net = work(*(conv(name) for name in "abcd")).network
    broken = np.ones((1, 4, 8, 8))
    broken[0, 0, 0, 0] = np.nan
    traces = {
        "a": np.ones((2, 4, 8, 8)),
        "b": np.ones((5, 1, 4, 8, 8), bool),
        "c": broken,
        "d": np.full((1, 4, 8, 8), "x"),
    }
    with pytest.raises(DataError) as error:
        simulate(Workload(net, traces=traces), "nullhop")
    reasons = error.value.reasons
    assert len(reasons) == 4
    assert "(1, 4, 8, 8) is needed" in reasons[0]
    assert "spikes over time" in reasons[1]
    assert "1 NaN or infinite values" in reasons[2]
    assert "numbers are needed" in reasons[3]


def test_zero_fractions_out_of_range() -> None:
    given = work(conv("a"))
    assert given.activity is not None
    wrong = replace(given.activity["a"], zero_fraction=1.5)
    activity = replace(given.activity, layers={"a": wrong})
    with pytest.raises(DataError, match=r"zero fraction 1\.5 is not in \[0, 1\]"):
        simulate(replace(given, activity=activity), "nullhop")


def test_every_fault_of_an_architecture_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("n_pe: 128", "n_pe: 100"),
        ('max_kernel: {value: "7"', 'max_kernels: {value: "7"'),
        ('    value: "2"\n    locator: "test bench model (classify.cpp): m_mac',
         '    value: "2.5"\n    locator: "test bench model (classify.cpp): m_mac'),
        ("    device: ddr3_1066_1gb_x16\n", ""),
        ("component: sram", "component: register"),
    )  # fmt: skip
    with pytest.raises(TechnologyError) as error:
        simulate(work(conv("a")), path)
    assert sorted(error.value.reasons) == [
        "0 levels of component sram; one is needed",
        "level 'dram' of component dram names no device",
        "n_pe is 100: no whole number of clusters of 16 MACs (macs_per_cluster)",
        "parameters.max_kernel is missing",
        "parameters.stripe_rows is 2.5; a whole number from 2 to 64 is needed",
    ]


def test_an_odd_stripe_cannot_pool() -> None:
    base = load_architecture("nullhop")
    parameters = dict(base.parameters)
    parameters["stripe_rows"] = replace(parameters["stripe_rows"], value=3.0, high=3.0)
    with pytest.raises(TechnologyError, match="no multiple of fused_pool"):
        simulate(work(conv("a")), replace(base, parameters=parameters))


def test_the_codec_takes_16_bit_integers_only() -> None:
    with pytest.raises(DataError, match="quantise the values to 16 bit"):
        encode(np.zeros((1, 2, 2), np.float32))
    with pytest.raises(DataError, match=r"shape \(2, 2\)"):
        encode(np.zeros((2, 2), np.int16))
    with pytest.raises(DataError, match="row 1 of a map"):
        list(encode_rows([np.zeros((2, 2), np.int16), np.zeros((2, 2), np.int32)]))


def test_damaged_streams_say_where() -> None:
    stream = encode(np.full((3, 2, 2), 5, np.int16))  # 7 words a row
    with pytest.raises(DataError, match=r"ends after 9 words\n  where: row 1 of 2"):
        decode(stream[:9], (3, 2, 2))
    with pytest.raises(DataError, match=r"1 word\(s\) behind the last row\n  where: word 14"):
        decode(np.append(stream, np.uint16(3)), (3, 2, 2))
    zero = stream.copy()
    zero[3] = 0
    with pytest.raises(DataError, match=r"a zero in the list .* row 0\n  where: word 3"):
        decode(zero, (3, 2, 2))
    beyond = stream.copy()
    beyond[7] |= 1 << 6
    with pytest.raises(DataError, match=r"SM bit 6 is set, but row 1 has 6 values left"):
        decode(beyond, (3, 2, 2))
    with pytest.raises(DataError, match=r"type uint8"):
        decode(stream.view(np.uint8), (3, 2, 2))
    with pytest.raises(DataError, match=r"none of them negative"):
        decode(stream, (3, -2, 2))


@pytest.mark.parametrize(
    "handling", [{}, {"activation": "none"}, {"activation": "gate"},
                 {"activation": "skip", "weight": "skip"}],
)  # fmt: skip
def test_zeros_that_the_machine_handles_otherwise(handling: dict[str, ZeroHandling]) -> None:
    """It skips whatever the file says, so a file that says otherwise is refused."""
    chip = replace(load_architecture("nullhop"), zero_handling=handling)
    with pytest.raises(TechnologyError, match="skips zero activations"):
        simulate(work(conv("a")), chip)


def test_another_word_width_is_refused(tmp_path: Path) -> None:
    """The format is of 16-bit words; a file that says 8 would be computed with 16."""
    path = written(tmp_path, ("bits: 16", "bits: 8"))
    with pytest.raises(TechnologyError, match="'kernel_memory' has 8 bits"):
        simulate(work(conv("a")), path)
