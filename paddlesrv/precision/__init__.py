"""Networks in fewer bits: made with the user's own inputs, compared with fp32, then accepted.

    report = quantise(model, parts, Path("photos"))
    if report.accepted: serve it with EngineOptions(engine="onnxruntime", precision="int8")

`quantise` makes the int8 form of a model (of each network of a pipeline) for ONNX Runtime;
`Report.lines` is the report for a person, the struct itself the one for `--json`. What can run
where is not decided here but in `paddlesrv.engines.devices`.
"""

from paddlesrv.precision.quantisation import accepted_report, quantise
from paddlesrv.precision.report import Agreement, Calibration, Network, Report, Speed

__all__ = [
    "Agreement",
    "Calibration",
    "Network",
    "Report",
    "Speed",
    "accepted_report",
    "quantise",
]
