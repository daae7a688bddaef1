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
        "shao_2014",
        "Y. S. Shao, B. Reagen, G.-Y. Wei, D. Brooks",
        "Aladdin: a pre-RTL, power-performance accelerator simulator enabling large design space "
        "exploration of customized architectures",
        "ACM/IEEE International Symposium on Computer Architecture",
        2014,
        "doi:10.1109/ISCA.2014.6853196",
        verified=False,
    ),
    Source(
        "gao_2017",
        "M. Gao, J. Pu, X. Yang, M. Horowitz, C. Kozyrakis",
        "TETRIS: scalable and efficient neural network acceleration with 3D memory (energies as "
        "in the test cases of its nn_dataflow model)",
        "ACM International Conference on Architectural Support for Programming Languages and "
        "Operating Systems",
        2017,
        "doi:10.1145/3037697.3037702",
        verified=False,
    ),
    Source(
        "dram_specifications",
        "DRAMPower, DRAMsim3 and DRAMSys projects",
        "memory specifications of Micron and JEDEC devices (IDD currents and timings)",
        "public memory models; energies per command derived from currents",
        2022,
    ),
    Source(
        "stillmaker_2017",
        "A. Stillmaker, B. Baas",
        "Scaling equations for the accurate prediction of CMOS device performance from 180 nm to "
        "7 nm (coefficients as in a public implementation)",
        "Integration 58",
        2017,
        "doi:10.1016/j.vlsi.2017.02.002",
        verified=False,
    ),
    Source(
        "davies_2018",
        "M. Davies et al.",
        "Loihi: a neuromorphic manycore processor with on-chip learning (energies as in a public "
        "simulator)",
        "IEEE Micro 38(1)",
        2018,
        "doi:10.1109/MM.2018.112130359",
        verified=False,
    ),
    Source(
        "tang_2023",
        "G. Tang, K. Vadivel, Y. Xu, R. Bilgic, K. Shidqi, P. Detterer, S. Traferro, "
        "M. Konijnenburg, M. Sifalakis, G.-J. van Schaik, A. Yousefzadeh",
        "SENECA: building a fully digital neuromorphic processor, design trade-offs and challenges",
        "Frontiers in Neuroscience 17",
        2023,
        "doi:10.3389/fnins.2023.1187252",
    ),
    Source(
        "yan_2024",
        "Z. Yan, Z. Bai, T. Mitra, W.-F. Wong",
        "Reconsidering the energy efficiency of spiking neural networks",
        "arXiv 2409.08290",
        2024,
        "arXiv:2409.08290",
        verified=False,
    ),
    Source(
        "neil_2017",
        "D. Neil, J. H. Lee, T. Delbruck, S.-C. Liu",
        "Delta networks for optimized recurrent network computation",
        "International Conference on Machine Learning, PMLR 70",
        2017,
        "arXiv:1612.05571",
    ),
    Source(
        "tospike",
        "tospike",
        "own derivation, written out in the documentation of the equation",
        "tospike documentation",
        2026,
    ),
    Source(
        "torchvision",
        "TorchVision maintainers",
        "torchvision.models: num_params and GFLOPS of the model weights",
        "PyTorch documentation and source, torchvision 0.15 and later",
        2023,
        "https://docs.pytorch.org/vision/stable/models.html",
    ),
    Source(
        "sze_2017",
        "V. Sze, Y.-H. Chen, T.-J. Yang, J. S. Emer",
        "Efficient processing of deep neural networks: a tutorial and survey",
        "Proceedings of the IEEE 105(12)",
        2017,
        "doi:10.1109/JPROC.2017.2761740",
        verified=False,
    ),
    Source(
        "krizhevsky_2012",
        "A. Krizhevsky, I. Sutskever, G. E. Hinton",
        "ImageNet classification with deep convolutional neural networks",
        "Advances in Neural Information Processing Systems 25",
        2012,
        verified=False,
    ),
    Source(
        "simonyan_2015",
        "K. Simonyan, A. Zisserman",
        "Very deep convolutional networks for large-scale image recognition",
        "International Conference on Learning Representations",
        2015,
        "arXiv:1409.1556",
        verified=False,
    ),
    Source(
        "he_2016",
        "K. He, X. Zhang, S. Ren, J. Sun",
        "Deep residual learning for image recognition",
        "IEEE Conference on Computer Vision and Pattern Recognition",
        2016,
        "doi:10.1109/CVPR.2016.90",
        verified=False,
    ),
    Source(
        "howard_2017",
        "A. G. Howard et al.",
        "MobileNets: efficient convolutional neural networks for mobile vision applications",
        "arXiv:1704.04861",
        2017,
        "arXiv:1704.04861",
        verified=False,
    ),
    Source(
        "touvron_2021",
        "H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles, H. Jegou",
        "Training data-efficient image transformers and distillation through attention",
        "International Conference on Machine Learning",
        2021,
        "arXiv:2012.12877",
        verified=False,
    ),
    Source(
        "zhang_2017_kws",
        "Y. Zhang, N. Suda, L. Lai, V. Chandra",
        "Hello edge: keyword spotting on microcontrollers",
        "arXiv:1711.07128",
        2017,
        "arXiv:1711.07128",
        verified=False,
    ),
    Source(
        "braun_2020",
        "S. Braun, I. Tashev",
        "Data augmentation and loss normalization for deep noise suppression",
        "International Conference on Speech and Computer",
        2020,
        "arXiv:2008.06412",
        verified=False,
    ),
    Source(
        "peng_2019",
        "X. Peng, S. Huang, Y. Luo, X. Sun, S. Yu",
        "DNN+NeuroSim: an end-to-end benchmarking framework for compute-in-memory accelerators "
        "with versatile device technologies",
        "IEEE International Electron Devices Meeting",
        2019,
        "doi:10.1109/IEDM19573.2019.8993491",
        verified=False,
    ),
    Source(
        "lee_2020",
        "C. Lee, S. S. Sarwar, P. Panda, G. Srinivasan, K. Roy",
        "Enabling spike-based backpropagation for training deep neural network architectures",
        "Frontiers in Neuroscience 14:119",
        2020,
        "doi:10.3389/fnins.2020.00119",
        verified=False,
    ),
    Source(
        "zheng_2021",
        "H. Zheng, Y. Wu, L. Deng, Y. Hu, G. Li",
        "Going deeper with directly-trained larger spiking neural networks",
        "AAAI Conference on Artificial Intelligence",
        2021,
        "arXiv:2011.05280",
        verified=False,
    ),
    Source(
        "zhou_2023",
        "Z. Zhou, Y. Zhu, C. He, Y. Wang, S. Yan, Y. Tian, L. Yuan",
        "Spikformer: when spiking neural network meets transformer",
        "International Conference on Learning Representations",
        2023,
        "arXiv:2209.15425",
        verified=False,
    ),
    Source(
        "rueckauer_2017",
        "B. Rueckauer, I.-A. Lungu, Y. Hu, M. Pfeiffer, S.-C. Liu",
        "Conversion of continuous-valued deep networks to efficient event-driven networks for "
        "image classification",
        "Frontiers in Neuroscience 11:682",
        2017,
        "doi:10.3389/fnins.2017.00682",
    ),
    Source(
        "li_2021",
        "Y. Li, S. Deng, X. Dong, R. Gong, S. Gu",
        "A free lunch from ANN: towards efficient, accurate spiking neural networks calibration",
        "International Conference on Machine Learning",
        2021,
        "arXiv:2106.06984",
    ),
    Source(
        "bu_2022",
        "T. Bu, J. Ding, Z. Yu, T. Huang",
        "Optimized potential initialization for low-latency spiking neural networks",
        "AAAI Conference on Artificial Intelligence",
        2022,
        "arXiv:2202.01440",
    ),
    Source(
        "nagel_2019",
        "M. Nagel, M. van Baalen, T. Blankevoort, M. Welling",
        "Data-free quantization through weight equalization and bias correction",
        "IEEE/CVF International Conference on Computer Vision",
        2019,
        "doi:10.1109/ICCV.2019.00141",
    ),
    Source(
        "reuther_2023",
        "A. Reuther, P. Michaleas, M. Jones, V. Gadepally, S. Samsi, J. Kepner",
        "Lincoln AI computing survey (LAICS) update (numbers as in its public data file "
        "peak_accelerators_ieee_hpec_2023.csv)",
        "IEEE High Performance Extreme Computing Conference",
        2023,
        "arXiv:2310.09145",
        verified=False,
    ),
    Source(
        "open_neuromorphic",
        "Open Neuromorphic",
        "neuromorphic hardware guide (pages of the single chips)",
        "open-neuromorphic.org",
        2024,
        "https://open-neuromorphic.org/neuromorphic-computing/hardware/",
        verified=False,
    ),
    Source(
        "lemaire_2022",
        "E. Lemaire, L. Cordone, A. Castagnetti, P.-E. Novac, J. Courtois, B. Miramond",
        "An analytical estimation of spiking neural networks energy efficiency (equations as "
        "documented in two public implementations)",
        "International Conference on Neural Information Processing",
        2022,
        "arXiv:2210.13107",
        verified=False,
    ),
    Source(
        "qualia_snn",
        "LEAT, Universite Cote d'Azur",
        "Qualia SNN plugin, EnergyEstimationMetric: the equations of Lemaire 2022 as programmed in "
        "the authors' laboratory",
        "public source code",
        2023,
        "doi:10.1007/978-3-031-30105-6_48",
    ),
    Source(
        "davidson_furber_2021",
        "S. Davidson, S. B. Furber",
        "Comparison of artificial and spiking neural networks on digital hardware",
        "Frontiers in Neuroscience 15:651141",
        2021,
        "doi:10.3389/fnins.2021.651141",
        verified=False,
    ),
    Source(
        "yan_2026",
        "Z. Yan, Z. Bai, K. Tang, W.-F. Wong",
        "Reconsidering the energy efficiency of spiking neural networks inference from analytical "
        "perspectives",
        "IEEE Transactions on Computer-Aided Design; arXiv 2409.08290, versions 2 and later",
        2026,
        "doi:10.1109/TCAD.2026.3718799",
        verified=False,
    ),
    Source(
        "shen_2024",
        "G. Shen, D. Zhao, T. Li, J. Li, Y. Zeng",
        "Are conventional SNNs really efficient? A perspective from network quantization",
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        2024,
        "arXiv:2311.10802",
        verified=False,
    ),
    Source(
        "zhou_2023_spikingformer",
        "C. Zhou, L. Yu, Z. Zhou, H. Zhang, J. Wang, H. Zhou, Z. Ma, Y. Tian",
        "Spikingformer: a key foundation model for spiking neural networks",
        "arXiv preprint",
        2023,
        "arXiv:2304.11954",
    ),
    Source(
        "luo_2024",
        "X. Luo, M. Yao, Y. Chou, B. Xu, G. Li",
        "Integer-valued training and spike-driven inference spiking neural network for "
        "high-performance and energy-efficient object detection",
        "European Conference on Computer Vision",
        2024,
        "arXiv:2407.20708",
    ),
    Source(
        "akopyan_2015",
        "F. Akopyan, J. Sawada, A. Cassidy et al.",
        "TrueNorth: design and tool flow of a 65 mW 1 million neuron programmable neurosynaptic "
        "chip",
        "IEEE Transactions on Computer-Aided Design of Integrated Circuits and Systems 34",
        2015,
        "doi:10.1109/TCAD.2015.2474396",
        verified=False,
    ),
    Source(
        "furber_2014",
        "S. B. Furber, F. Galluppi, S. Temple, L. A. Plana",
        "The SpiNNaker project",
        "Proceedings of the IEEE 102(5)",
        2014,
        "doi:10.1109/JPROC.2014.2304638",
        verified=False,
    ),
    Source(
        "sorbaro_2020",
        "M. Sorbaro, Q. Liu, M. Bortone, S. Sheik",
        "Optimizing the energy consumption of spiking neural networks for neuromorphic "
        "applications",
        "Frontiers in Neuroscience 14:662",
        2020,
        "doi:10.3389/fnins.2020.00662",
        verified=False,
    ),
    Source(
        "moradi_2018",
        "S. Moradi, N. Qiao, F. Stefanini, G. Indiveri",
        "A scalable multicore architecture with heterogeneous memory structures for dynamic "
        "neuromorphic asynchronous processors (DYNAPs)",
        "IEEE Transactions on Biomedical Circuits and Systems 12(1)",
        2018,
        verified=False,
    ),
    Source(
        "pedersen_2024",
        "J. E. Pedersen, S. Abreu, M. Jobst, G. Lenz, V. Fra, F. C. Bauer et al.",
        "Neuromorphic intermediate representation: a unified instruction set for interoperable "
        "brain-inspired computing",
        "Nature Communications 15:8122",
        2024,
        "doi:10.1038/s41467-024-52259-9",
        verified=False,
    ),
    Source(
        "fang_2023",
        "W. Fang, Y. Chen, J. Ding, Z. Yu, T. Masquelier, D. Chen et al.",
        "SpikingJelly: an open-source machine learning infrastructure platform for spike-based "
        "intelligence",
        "Science Advances 9(40)",
        2023,
        "doi:10.1126/sciadv.adi1480",
        verified=False,
    ),
    Source(
        "eshraghian_2023",
        "J. K. Eshraghian, M. Ward, E. O. Neftci, X. Wang, G. Lenz, G. Dwivedi et al.",
        "Training spiking neural networks using lessons from deep learning",
        "Proceedings of the IEEE 111(9)",
        2023,
        "doi:10.1109/JPROC.2023.3308088",
        verified=False,
    ),
    Source(
        "bellec_2018",
        "G. Bellec, D. Salaj, A. Subramoney, R. Legenstein, W. Maass",
        "Long short-term memory and learning-to-learn in networks of spiking neurons",
        "Advances in Neural Information Processing Systems 31",
        2018,
        "arXiv:1803.09574",
        verified=False,
    ),
    Source(
        "gao_2022",
        "C. Gao, T. Delbruck, S.-C. Liu",
        "Spartus: a 9.4 TOp/s FPGA-based LSTM accelerator exploiting spatio-temporal sparsity",
        "IEEE Transactions on Neural Networks and Learning Systems 35(1)",
        2022,
        "doi:10.1109/TNNLS.2022.3180209",
        verified=False,
    ),
    Source(
        "fang_2021",
        "W. Fang, Z. Yu, Y. Chen, T. Masquelier, T. Huang, Y. Tian",
        "Incorporating learnable membrane time constant to enhance learning of spiking neural "
        "networks",
        "IEEE/CVF International Conference on Computer Vision",
        2021,
        "arXiv:2007.05785",
        verified=False,
    ),
    Source(
        "rathi_2020",
        "N. Rathi, K. Roy",
        "DIET-SNN: direct input encoding with leakage and threshold optimization in deep spiking "
        "neural networks",
        "arXiv",
        2020,
        "arXiv:2008.03658",
        verified=False,
    ),
    Source(
        "deng_2022",
        "S. Deng, Y. Li, S. Zhang, S. Gu",
        "Temporal efficient training of spiking neural network via gradient re-weighting",
        "International Conference on Learning Representations",
        2022,
        "arXiv:2202.11946",
        verified=False,
    ),
    Source(
        "bu_2022_qcfs",
        "T. Bu, W. Fang, J. Ding, P. Dai, Z. Yu, T. Huang",
        "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural "
        "networks",
        "International Conference on Learning Representations",
        2022,
        "arXiv:2303.04347",
    ),
    Source(
        "deng_gu_2021",
        "S. Deng, S. Gu",
        "Optimal conversion of conventional artificial neural networks to spiking neural networks",
        "International Conference on Learning Representations",
        2021,
        "arXiv:2103.00476",
        verified=False,
    ),
    Source(
        "rueckauer_liu_2018",
        "B. Rueckauer, S.-C. Liu",
        "Conversion of analog to spiking neural networks using sparse temporal coding",
        "IEEE International Symposium on Circuits and Systems",
        2018,
        "doi:10.1109/ISCAS.2018.8351295",
        verified=False,
    ),
    Source(
        "park_2020",
        "S. Park, S. Kim, B. Na, S. Yoon",
        "T2FSNN: deep spiking neural networks with time-to-first-spike coding",
        "Design Automation Conference",
        2020,
        "arXiv:2003.11741",
        verified=False,
    ),
    Source(
        "oconnor_welling_2016",
        "P. O'Connor, M. Welling",
        "Sigma delta quantized networks",
        "arXiv",
        2016,
        "arXiv:1611.02024",
        verified=False,
    ),
    Source(
        "caer_nullhop",
        "A. Aimar, H. Mostafa, F. Corradi and colleagues (iniLabs)",
        "cAER, module nullhopinterface: driver and test bench model of NullHop",
        "public source code, as in the copies wzygzlm/caer (commits 885c60f, 2e8bdbb) and "
        "breznak/caer (commit 74171e3, classify.cpp)",
        2017,
        "https://github.com/wzygzlm/caer/tree/885c60f/modules/nullhopinterface",
    ),
    Source(
        "gao_2018_deltarnn",
        "C. Gao, D. Neil, E. Ceolini, S.-C. Liu, T. Delbruck",
        "DeltaRNN: a power-efficient recurrent neural network accelerator",
        "ACM/SIGDA International Symposium on Field-Programmable Gate Arrays",
        2018,
        "doi:10.1145/3174243.3174261",
    ),
    Source(
        "gao_2020_code",
        "C. Gao and colleagues",
        "EdgeDRNN: hardware description and test program (commit 2f57fc6)",
        "SensorsINI/EdgeDRNN",
        2022,
        "https://github.com/SensorsINI/EdgeDRNN",
    ),
    Source(
        "gao_2022_code",
        "C. Gao and colleagues",
        "DeltaLSTM-CBTD: training code of Spartus (commit ac13e28)",
        "gaochangw/DeltaLSTM-CBTD",
        2022,
        "https://github.com/gaochangw/DeltaLSTM-CBTD",
    ),
    Source(
        "gao_2023_code",
        "C. Gao and colleagues",
        "DeltaRNN: training code of delta networks (commit c33c36c)",
        "gaochangw/DeltaRNN",
        2023,
        "https://github.com/gaochangw/DeltaRNN",
    ),
    Source(
        "amd_pg022",
        "AMD",
        "AXI DataMover: LogiCORE IP product guide PG022",
        "AMD documentation",
        2022,
        verified=False,
    ),
    Source(
        "amd_ds190",
        "AMD",
        "Zynq-7000 SoC data sheet: overview, DS190",
        "AMD documentation",
        2018,
        verified=False,
    ),
    Source(
        "neil_liu_2014",
        "D. Neil, S.-C. Liu",
        "Minitaur, an event-driven FPGA-based spiking network accelerator (abstract only)",
        "IEEE Transactions on Very Large Scale Integration (VLSI) Systems 22(12)",
        2014,
        "doi:10.1109/TVLSI.2013.2294916",
    ),
    Source(
        "narayanan_2020",
        "S. Narayanan, K. Taht, R. Balasubramonian, E. Giacomin, P.-E. Gaillardon",
        "SpinalFlow: an architecture and dataflow tailored for spiking neural networks "
        "(beginning of the abstract only)",
        "ACM/IEEE International Symposium on Computer Architecture",
        2020,
        "doi:10.1109/ISCA45697.2020.00038",
    ),
    Source(
        "han_2015",
        "S. Han, J. Pool, J. Tran, W. J. Dally",
        "Learning both weights and connections for efficient neural networks",
        "Advances in Neural Information Processing Systems",
        2015,
        "arXiv:1506.02626",
        verified=False,
    ),
)

#: key -> :class:`Source`
SOURCES: dict[str, Source] = {source.key: source for source in _TABLE}


def register(source: Source) -> None:
    """Add a reference that a data file brings along. The same key cannot mean two references.

    Raises ``ValueError`` where the key is taken by a different reference.
    """
    if SOURCES.setdefault(source.key, source) != source:
        raise ValueError(f"the bibliography key {source.key!r} already names another reference")


def bibliography(keys: tuple[str, ...] | list[str]) -> list[Source]:
    """The sources of the given keys, in order, each once. Unknown keys raise ``KeyError``."""
    return [SOURCES[key] for key in dict.fromkeys(keys)]
