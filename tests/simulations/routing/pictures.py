"""The page's pictures, from the same figures as its tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .grid import ALONE, ORACLE, STRATEGIES, WITH_MEMORY, Cell, Figures, Size

COLORS = {
    "random": "#999999",
    "least load": "#555555",
    "KubeAI": "#e69f00",
    "vllm-router, sglang-router": "#56b4e9",
    "smg": "#009e73",
    "Nexus": "#d55e00",
    WITH_MEMORY: "#cc79a7",
    ORACLE: "#000000",
}


def draw(found: Mapping[Cell, Figures], size: Size, folder: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "routing"
    mpl.rcParams["svg.fonttype"] = "none"
    load = "at" if "at" in size.loads else size.loads[0]
    for name, label, what in (("hits", "hit ratio", "hits"), ("first-token", "TTFT p99, s", "p99")):
        figure = Figure(figsize=(3.1 * len(size.workloads), 3.6), layout="constrained")
        axes = figure.subplots(1, len(size.workloads), squeeze=False)[0]
        for axis, workload in zip(axes, size.workloads, strict=True):
            for strategy in (*STRATEGIES, ORACLE):
                values = [
                    getattr(found[Cell(workload, load, strategy, size.gateways[0] if strategy in ALONE else n)], what)
                    for n in size.gateways
                ]
                style = {"linestyle": "--"} if strategy == ORACLE else {"marker": "o", "markersize": 3}
                axis.plot(range(len(values)), values, color=COLORS[strategy], label=strategy, **style)
            axis.set_title(workload, fontsize=10)
            axis.set_xticks(range(len(size.gateways)), [str(n) for n in size.gateways])
            axis.set_xlabel("gateways")
            if what == "hits":
                axis.set_ylim(0, 1)
            else:
                axis.set_yscale("log")
        axes[0].set_ylabel(label)
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=8, frameon=False
        )
        figure.savefig(folder / f"routing-{name}.svg", metadata={"Date": None})
