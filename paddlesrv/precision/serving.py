"""Before a server starts: every model that is to run in int8 has its form, or gets it now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from paddlesrv.engines.quantised import absent, quantised
from paddlesrv.errors import DeviceUnavailable, UsageError
from paddlesrv.precision.quantisation import Watch, quantise
from paddlesrv.precision.report import Report
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.local_model import LocalModel


def ensure_quantised(
    models: Sequence[ModelConfig],
    find: Callable[[str], LocalModel],
    calibration: Path | None,
    watch: Watch = lambda text: None,
    *,
    accept: bool = False,
) -> list[Report]:
    """Make the int8 forms that are missing, if there is something to calibrate with.

    Args:
        models: What is to be served, by names that are understood.
        find: A model, or a component of one, by its name.
        calibration: The directory to calibrate with; None: nothing is made.
        watch: Told what is being done.
        accept: Take a form even if it agrees too little.

    Returns:
        The reports of what was made and accepted.

    Raises:
        UsageError: there is a directory, but no model runs in int8.
        DeviceUnavailable: a model has no int8 form and there is no directory; or what was made of
            it answers too differently. The hints say what to do.
        InvalidInput, EngineError, IntegrityError: as `quantise`.
    """
    wanted = [m for m in models if m.precision == "int8" and m.engine != "paddle"]
    if accept and calibration is None:
        raise UsageError(
            "--accept is for what is quantised now",
            hints=["name the inputs as well: --precision int8 --calibrate DIR --accept"],
        )
    if calibration is not None and not wanted:
        raise UsageError(
            "--calibrate is for models that run in int8 with onnxruntime",
            hints=["say so: --precision int8 --calibrate DIR"],
        )
    reports = []
    for config in wanted:
        model = find(config.name)
        parts = [find(name) for name in model.spec.components.values()]
        try:
            for network in (*parts, model):
                if network.spec.format != "pipeline":
                    quantised(network.spec, network.root)
        except DeviceUnavailable:
            if calibration is None:
                raise absent(model.spec) from None
            report = quantise(model, parts, calibration, accept=accept, watch=watch)
            if not report.accepted:
                raise refused(report) from None
            reports.append(report)
    return reports


def refused(report: Report) -> DeviceUnavailable:
    """The refusal of an int8 form that answers too differently."""
    agreement = report.agreement
    calibrate = f"--calibrate {report.calibration.directory}"
    return DeviceUnavailable(
        f"{report.model} answers too differently in int8 to be served so",
        context={
            agreement.measure: f"{agreement.value:.3f} on {report.calibration.count} inputs",
            "wanted": f"{agreement.threshold:.3f}",
            **{f"differs at {name}": f"{value:.3f}" for name, value in agreement.worst},
        },
        hints=[
            "calibrate with more inputs, and such as the model will get",
            f"run it as it is: paddlesrv serve {report.model} --precision fp32",
            "take it all the same: "
            f"paddlesrv serve {report.model} --precision int8 {calibrate} --accept",
        ],
    )
