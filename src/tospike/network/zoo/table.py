"""The topologies by name, each with the numbers that its literature prints."""

from __future__ import annotations

from typing import Final

from tospike.network.zoo.record import Method, Printed, Quantity, ZooEntry

IMAGENET: Final = (3, 224, 224)
CIFAR: Final = (3, 32, 32)


def _p(
    quantity: Quantity,
    value: float,
    tolerance: float,
    quoted: str,
    source: str,
    locator: str,
    note: str = "",
    method: Method = "printed",
) -> Printed:
    return Printed(quantity, value, tolerance, quoted, source, locator, method, note)


def _recalled(
    quantity: Quantity,
    value: float,
    tolerance: float,
    quoted: str,
    source: str,
    locator: str,
    note: str = "",
) -> Printed:
    """A printed number quoted from memory."""
    return Printed(quantity, value, tolerance, quoted, source, locator, "recalled", note)


def _torchvision(weights: str, giga_macs: float, parameters: int) -> tuple[Printed, Printed]:
    """Both numbers of a weights entry of torchvision, printed to 1 MMAC and to one parameter."""
    place = f"{weights}, meta"
    return (
        _p("macs", giga_macs * 1e9, 0.0005 / giga_macs, f"{giga_macs} GFLOPS",
           "torchvision", f"{place} '_ops'", "fused MACs, called FLOPS; biases not counted"),
        _p("parameters", parameters, 0.0, f"{parameters}", "torchvision", f"{place} 'num_params'"),
    )  # fmt: skip


def _sze(quantity: Quantity, value: float, tolerance: float, quoted: str, row: str) -> Printed:
    return _recalled(quantity, value, tolerance, quoted, "sze_2017", f"Table II, AlexNet, {row}")


def _ds_cnn(size: str, mega_ops: float, kilo_bytes: float) -> tuple[Printed, Printed]:
    """Operations and memory of one row of Hello Edge."""
    place = f"best networks per size class, DS-CNN {size}"
    return (
        _recalled("macs", mega_ops * 1e6 / 2, 2e-2, f"{mega_ops} MOps", "zhang_2017_kws", place,
                  "1 MAC = 2 Op; bias, norm and pooling operations are in the printed number"),
        _recalled("memory_bytes", kilo_bytes * 1e3, 1e-3, f"{kilo_bytes}KB", "zhang_2017_kws",
                  place),
    )  # fmt: skip


_ENTRIES: Final = (
    ZooEntry(
        "alexnet", "AlexNet with groups", "convolutional:alexnet", (3, 227, 227),
        (
            _sze("macs", 724e6, 1e-3, "724M", "total MACs"),
            _sze("conv_macs", 666e6, 1e-3, "666M", "CONV MACs"),
            _sze("fc_macs", 58.6e6, 1e-3, "58.6M", "FC MACs"),
            _sze("weights", 61e6, 9e-3, "61M", "total weights"),
            _sze("conv_weights", 2.3e6, 2.2e-2, "2.3M", "CONV weights"),
            _sze("fc_weights", 58.6e6, 1e-3, "58.6M", "FC weights"),
        ),
        "Two groups in layers 2, 4 and 5 and a 227x227 input, as Eyeriss and Dampfhoffer et al. "
        "count it; the first paper prints 224x224, which does not give its 55x55 map.",
    ),
    ZooEntry(
        "alexnet_torchvision", "AlexNet of torchvision", "convolutional:alexnet_torchvision",
        IMAGENET, _torchvision("AlexNet_Weights.IMAGENET1K_V1", 0.714, 61_100_840),
        "One column, 64-192-384-256-256, no groups.",
    ),
    ZooEntry(
        "vgg8", "VGG-8, CIFAR-10", "convolutional:vgg8", CIFAR,
        (
            _p("layers", 8, 0.0, "VGG-8", "peng_2019", "the network's name"),
            _p("weights", 12_973_440, 0.0,
               "3x128, 128x128, 128x256, 256x256, 256x512, 512x512 (3x3), 8192x1024, 1024x10",
               "peng_2019", "layer table of VGG-8 (CIFAR-10)", "table quoted from memory",
               "derived"),
        ),
        "No single definition exists. This is the one of the in-memory-computing literature. "
        "'VGG8*' in Dampfhoffer et al., Table II, names the network of its reference [13].",
    ),
    ZooEntry(
        "vgg9", "VGG-9, CIFAR-10", "convolutional:vgg9", CIFAR,
        (
            _p("layers", 9, 0.0, "VGG9", "lee_2020", "the network's name"),
            _p("weights", 5_938_880, 0.0,
               "3x64, 64x64, 64x128, 128x128, 128x256, 2 of 256x256 (3x3), 4096x1024, 1024x10",
               "lee_2020", "network table, VGG9", "table quoted from memory", "derived"),
        ),
        "Average pooling, no bias, no norm. Kim and Panda (Dampfhoffer's [29]) add batch norm "
        "through time, which leaves MACs and weights as they are.",
    ),
    ZooEntry(
        "vgg11", "VGG-11", "convolutional:vgg11", IMAGENET,
        _torchvision("VGG11_Weights.IMAGENET1K_V1", 7.609, 132_863_336),
        "Configuration A.",
    ),
    ZooEntry(
        "vgg16", "VGG-16", "convolutional:vgg16", IMAGENET,
        (
            *_torchvision("VGG16_Weights.IMAGENET1K_V1", 15.47, 138_357_544),
            _p("conv_macs", 46.04e9 / 3, 1e-3, "46.04 G MACs at batch 3", "chen_2017_jssc",
               "VGG-16 table, total", "convolutions only, three images"),
        ),
        "Configuration D.",
    ),
    ZooEntry(
        "vgg19", "VGG-19", "convolutional:vgg19", IMAGENET,
        _torchvision("VGG19_Weights.IMAGENET1K_V1", 19.632, 143_667_240),
        "Configuration E.",
    ),
    ZooEntry(
        "resnet11", "ResNet-11, CIFAR-10", "residual:resnet11", CIFAR,
        (
            _p("layers", 11, 0.0, "ResNet11", "lee_2020", "the network's name"),
            _p("weights", 17_936_064, 0.0,
               "3x64; 64x128, 128x128, 128x256, 256x256, 256x512, 512x512 three times (3x3); "
               "shortcuts 64x128, 128x256, 256x512 (1x1); 8192x1024, 1024x10",
               "lee_2020", "network table, ResNet11",
               "layers read in a published reproduction of the authors' code", "derived"),
        ),
        "As in the reproduction of the authors' code that SpikingJelly ships; the strides sit in "
        "the second convolution of blocks 2 and 4.",
    ),
    ZooEntry(
        "resnet18", "ResNet-18", "residual:resnet18", IMAGENET,
        _torchvision("ResNet18_Weights.IMAGENET1K_V1", 1.814, 11_689_512),
    ),
    ZooEntry(
        "resnet19", "ResNet-19, CIFAR-10", "residual:resnet19", CIFAR,
        (
            _p("layers", 19, 0.0, "ResNet-19", "zheng_2021", "the network's name"),
            _p("parameters", 12.63e6, 1e-2, "12.63 M", "zhou_2023",
               "CIFAR table, rows tdBN and TET, Param",
               "fits a 128-wide first FC; the reference code of TET has 256: +0.5 %"),
        ),
        "3, 3, 2 basic blocks of 128, 256, 512 channels, then 256 and 10; projections at the two "
        "strided blocks.",
    ),
    ZooEntry(
        "resnet34", "ResNet-34", "residual:resnet34", IMAGENET,
        _torchvision("ResNet34_Weights.IMAGENET1K_V1", 3.664, 21_797_672),
    ),
    ZooEntry(
        "resnet50", "ResNet-50", "residual:resnet50", IMAGENET,
        _torchvision("ResNet50_Weights.IMAGENET1K_V1", 4.089, 25_557_032),
        "Stride in the 3x3 convolution (v1.5): 4.09 G MACs. With the stride in the first 1x1, as "
        "in the paper, it is 3.86 G (He 2016 prints 3.8 billion).",
    ),
    ZooEntry(
        "mobilenet_v1", "MobileNet v1 1.0", "convolutional:mobilenet_v1", IMAGENET,
        (
            _recalled("macs", 569e6, 1e-3, "569 million mult-adds", "howard_2017", "Table 4"),
            _recalled("parameters", 4.2e6, 1.2e-2, "4.2 million", "howard_2017", "Table 4"),
        ),
    ),
    ZooEntry(
        "deit_base", "DeiT-Base", "sequence:deit_base", IMAGENET,
        (
            *_torchvision("ViT_B_16_Weights.IMAGENET1K_V1", 17.564, 86_567_656),
            _recalled("parameters", 86e6, 1e-2, "86M", "touvron_2021", "Table 1, DeiT-B"),
        ),
        "Without the distillation token it is ViT-B/16. Both attention products are counted. "
        "Ottati et al., Table II, print 768 M parameters: 768 is the width.",
    ),
    ZooEntry(
        "ds_cnn", "DS-CNN small", "sequence:ds_cnn", (1, 49, 10),
        _ds_cnn("S", 5.4, 38.6),
        "Batch norm folded into the biases, as deployed.",
    ),
    ZooEntry(
        "ds_cnn_m", "DS-CNN medium", "sequence:ds_cnn_m", (1, 49, 10),
        _ds_cnn("M", 19.8, 189.2),
        "Batch norm folded into the biases, as deployed.",
    ),
    ZooEntry(
        "ds_cnn_l", "DS-CNN large", "sequence:ds_cnn_l", (1, 49, 10),
        _ds_cnn("L", 56.9, 497.6),
        "Batch norm folded into the biases, as deployed.",
    ),
    ZooEntry(
        "gru_2l_768h", "2L-768H GRU", "sequence:gru_2l_768h", (1, 40),
        (
            _p("weights", 5e6, 0.1, "5 million parameter 2-layer GRU-RNN", "gao_2020", "abstract",
               "printed to one digit"),
            _recalled("weights", 5.40e6, 1e-3, "5.4 M", "gao_2020", "network sizes, 2L-768H"),
            _recalled("macs", 10.8e6 / 2, 1e-3, "10.8 MOp", "gao_2020", "network sizes, 2L-768H",
                      "of one time step; 1 MAC = 2 Op"),
        ),
        "40 inputs. One inference is one time step.",
    ),
    ZooEntry(
        "nsnet2", "NSNet2", "sequence:nsnet2", (1, 257),
        (_recalled("parameters", 2.8e6, 1.8e-2, "2.8 M", "braun_2020", "description of NSNet2"),),
        "257 frequency bins (32 ms at 16 kHz). The published ONNX baseline works on 161 bins "
        "(20 ms) and has 2.69 M parameters. One inference is one frame.",
    ),
)  # fmt: skip

#: name -> topology
ZOO: Final[dict[str, ZooEntry]] = {entry.name: entry for entry in _ENTRIES}
