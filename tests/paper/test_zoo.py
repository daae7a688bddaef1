"""Every topology of the zoo against the numbers that its literature prints."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import pytest

from tospike.errors import ConstantError, ModelError, UnknownNameError
from tospike.network import Layer, Network
from tospike.network.zoo import ZOO, build, check_zoo, example_input, load_zoo
from tospike.network.zoo import table as zoo_table
from tospike.network.zoo.record import Printed

ASKED = {
    *("alexnet", "alexnet_torchvision", "vgg8", "vgg9", "vgg11", "vgg16"),
    *("resnet11", "resnet18", "resnet19", "resnet34", "resnet50"),
    *("mobilenet_v1", "deit_base", "ds_cnn", "gru_2l_768h", "nsnet2"),
}

#: GMAC at batch 3 per convolution, Chen et al. 2017 (JSSC), VGG-16 table
EYERISS_VGG16_GMAC = (
    *(0.26, 5.55, 2.77, 5.55, 2.77, 5.55, 5.55),
    *(2.77, 5.55, 5.55, 1.39, 1.39, 1.39),
)
#: MACs of one image per layer of AlexNet by hand: outputs x kernel x inputs / groups
ALEXNET_MACS = (
    55 * 55 * 96 * 11 * 11 * 3,
    27 * 27 * 256 * 5 * 5 * 48,
    13 * 13 * 384 * 3 * 3 * 256,
    13 * 13 * 384 * 3 * 3 * 192,
    13 * 13 * 256 * 3 * 3 * 192,
    9216 * 4096,
    4096 * 4096,
    4096 * 1000,
)


@cache
def network(name: str) -> Network:
    return load_zoo(name)


def test_the_asked_topologies_exist() -> None:
    assert set(ZOO) >= ASKED


@pytest.mark.parametrize("name", sorted(ZOO))
def test_printed_numbers(name: str) -> None:
    found = check_zoo(name, network(name))
    assert found
    assert all(deviation.agrees for deviation in found)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_layers_make_sense(name: str) -> None:
    net = network(name)
    assert net.origin.importer == "zoo"
    assert net.input_shapes == (ZOO[name].input_shape,)
    assert net.outputs
    for layer in net.synaptic_layers:
        assert 0 < layer.n_synapses_exact <= layer.n_synapses
        assert layer.n_neurons > 0
    fed = {edge.target for edge in net.edges}
    assert {layer.name for layer in net.synaptic_layers if layer.kind != "rnn_hidden"} <= fed


def test_vgg16_layer_by_layer() -> None:
    """Three images, printed to 0.01 GMAC."""
    conv = [layer for layer in network("vgg16").synaptic_layers if layer.kind == "conv"]
    assert [3 * layer.n_synapses / 1e9 for layer in conv] == [
        pytest.approx(printed, abs=0.0051) for printed in EYERISS_VGG16_GMAC
    ]


def test_alexnet_layer_by_layer() -> None:
    assert tuple(layer.n_synapses for layer in network("alexnet").synaptic_layers) == ALEXNET_MACS


def dense_ratio(net: Network) -> float:
    """N_syn / N_neur as Dampfhoffer et al. count it: groups ignored, neurons = inputs of convs."""

    def dense(layer: Layer) -> int:
        return layer.n_synapses * layer.groups

    inputs = sum(layer.n_inputs for layer in net.synaptic_layers if layer.kind == "conv")
    return sum(dense(layer) for layer in net.synaptic_layers) / inputs


@pytest.mark.parametrize(
    ("name", "printed", "tolerance"),
    [("alexnet", 2.9e3, 50), ("vgg16", 1.7e3, 50), ("mobilenet_v1", 9.4e2, 5)],
)
def test_synapses_per_neuron_of_dampfhoffer_fig_3(
    name: str, printed: float, tolerance: float
) -> None:
    assert dense_ratio(network(name)) == pytest.approx(printed, abs=tolerance)


def test_gru_is_one_time_step() -> None:
    """2L-768H with 40 inputs by hand: 3 gates, W_ih and W_hh of both layers."""
    by_hand = 3 * 768 * (40 + 768) + 3 * 768 * (768 + 768)
    net = network("gru_2l_768h")
    assert net.n_synapses == net.n_weights == by_hand


def test_depthwise_layers_are_counted_truly() -> None:
    layers = [layer for layer in network("mobilenet_v1").synaptic_layers if layer.groups > 1]
    assert len(layers) == 13
    assert all(layer.n_synapses == layer.n_neurons * 9 for layer in layers)


@pytest.mark.parametrize("name", ["vgg9", "resnet11", "resnet19", "ds_cnn", "nsnet2"])
def test_networks_run_and_are_the_same_for_the_same_seed(name: str) -> None:
    import torch

    torch.set_num_threads(1)
    state = torch.random.get_rng_state()
    one, two = build(name), build(name)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not one.training
    x = example_input(name, batch=2) + 0.5
    with torch.no_grad():
        assert torch.equal(one(x), two(x))
        assert one(x).shape[0] == 2


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'vgg16'"):
        load_zoo("vgg-16")


def test_a_wrong_topology_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: a printed number that the topology does not have."""
    entry = ZOO["vgg9"]
    wrong = dataclasses.replace(entry.printed[1], value=entry.printed[1].value + 1)
    planted = dataclasses.replace(entry, printed=(entry.printed[0], wrong))
    monkeypatch.setitem(zoo_table.ZOO, "vgg9", planted)
    with pytest.raises(ModelError, match="1 of 2 outside of their tolerance"):
        check_zoo("vgg9")


def test_a_printed_number_needs_its_source() -> None:
    with pytest.raises(ConstantError):
        Printed("macs", 1.0, 0.0, "1", "nobody_1999", "Table 1")
    with pytest.raises(ConstantError):
        Printed("macs", 1.0, 0.0, "1", "he_2016", "")


def test_the_documentation_lists_every_topology_and_printed_number() -> None:
    text = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text()
    for name, entry in ZOO.items():
        assert f"| `{name}` |" in text
        for printed in entry.printed:
            assert printed.locator in text
            assert printed.method == "derived" or printed.quoted in text
