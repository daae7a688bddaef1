"""The bibliography: every constant, equation and claim names a key of :data:`SOURCES`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One reference. ``verified`` is False where it was quoted second-hand or from memory."""

    key: str
    authors: str
    title: str
    venue: str
    year: int
    link: str = ""
    verified: bool = True

    @property
    def text(self) -> str:
        """One-line reference."""
        mark = "" if self.verified else " [quoted second-hand]"
        link = f" {self.link}" if self.link else ""
        return f"{self.authors}: {self.title}. {self.venue}, {self.year}.{link}{mark}"


_TABLE = (
    Source(
        "dampfhoffer_2022",
        "M. Dampfhoffer, T. Mesquida, A. Valentian, L. Anghel",
        "Are SNNs really more energy-efficient than ANNs? An in-depth hardware-aware study",
        "IEEE Transactions on Emerging Topics in Computational Intelligence",
        2022,
        "doi:10.1109/TETCI.2022.3214509",
    ),
    Source(
        "ottati_2023",
        "F. Ottati, C. Gao, Q. Chen, G. Brignone, M. R. Casu, J. K. Eshraghian, L. Lavagno",
        "To spike or not to spike: a digital hardware perspective on deep learning acceleration",
        "IEEE Journal on Emerging and Selected Topics in Circuits and Systems",
        2023,
        "doi:10.1109/JETCAS.2023.3330432",
    ),
    Source(
        "liu_delbruck_2019",
        "S.-C. Liu, T. Delbruck and colleagues",
        "Data-driven neuromorphic DRAM-based CNN and RNN accelerators",
        "Asilomar Conference on Signals, Systems and Computers",
        2019,
    ),
    Source(
        "horowitz_2014",
        "M. Horowitz",
        "Computing's energy problem (and what we can do about it)",
        "IEEE International Solid-State Circuits Conference",
        2014,
        "doi:10.1109/ISSCC.2014.6757323",
    ),
    Source(
        "chen_2016_isca",
        "Y.-H. Chen, J. Emer, V. Sze",
        "Eyeriss: a spatial architecture for energy-efficient dataflow for convolutional "
        "neural networks",
        "ACM/IEEE International Symposium on Computer Architecture",
        2016,
        "doi:10.1109/ISCA.2016.40",
    ),
    Source(
        "chen_2017_jssc",
        "Y.-H. Chen, T. Krishna, J. S. Emer, V. Sze",
        "Eyeriss: an energy-efficient reconfigurable accelerator for deep convolutional "
        "neural networks",
        "IEEE Journal of Solid-State Circuits 52(1)",
        2017,
        "doi:10.1109/JSSC.2016.2616357",
    ),
    Source(
        "chen_2019_jetcas",
        "Y.-H. Chen, T.-J. Yang, J. S. Emer, V. Sze",
        "Eyeriss v2: a flexible accelerator for emerging deep neural networks on mobile devices",
        "IEEE Journal on Emerging and Selected Topics in Circuits and Systems 9(2)",
        2019,
        "doi:10.1109/JETCAS.2019.2910232",
    ),
    Source(
        "aimar_2018",
        "A. Aimar et al.",
        "NullHop: a flexible convolutional neural network accelerator based on sparse "
        "representations of feature maps",
        "IEEE Transactions on Neural Networks and Learning Systems",
        2018,
        "doi:10.1109/TNNLS.2018.2852335",
    ),
    Source(
        "gao_2020",
        "C. Gao, A. Rios-Navarro, X. Chen, S.-C. Liu, T. Delbruck",
        "EdgeDRNN: recurrent neural network accelerator for edge inference",
        "IEEE Journal on Emerging and Selected Topics in Circuits and Systems 10(4)",
        2020,
        "doi:10.1109/JETCAS.2020.3040300",
    ),
    Source(
        "tospike",
        "tospike",
        "own derivation, written out in the documentation of the equation",
        "tospike documentation",
        2026,
    ),
)

#: key -> :class:`Source`
SOURCES: dict[str, Source] = {source.key: source for source in _TABLE}


def bibliography(keys: tuple[str, ...] | list[str]) -> list[Source]:
    """The sources of the given keys, in order, each once. Unknown keys raise ``KeyError``."""
    return [SOURCES[key] for key in dict.fromkeys(keys)]
